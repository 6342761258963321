"""What a test has done to calls: `fail`, `hang`, `slow`, `answer`, `instead`, each to the calls that it names."""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from recoup._core import checks

if TYPE_CHECKING:
    from recoup.typing import Seconds

__all__ = ["Fault", "On", "answer", "fail", "hang", "instead", "slow"]

_PREFIX = "recoup.testing: "

ErrorSource = type[BaseException] | BaseException | Callable[[], BaseException]
On = int | Container[int] | Callable[[int], bool] | None
Where = Callable[..., bool] | None
Does = Literal["delay", "error", "hang", "result", "run"]


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """One thing that is done to some calls; made by `fail`, `hang`, `slow`, `answer` and `instead`.

    Attributes:
        does: "error", "hang", "delay", "result" or "run".
        what: The error, the seconds, the result or the function.
        on: Which of the calls, by number.
        where: Which of the calls, by argument.
        after_items: How many items of a generator come before the error.
    """

    does: Does
    what: Any
    on: On
    where: Where
    after_items: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", _checked(self.on))
        checks.callback("where", self.where)
        if self.where is not None and checks.awaitable_callback(self.where):
            raise TypeError(f"where must be a plain function, not the async function {checks.shown(self.where)}")
        if self.after_items is not None:
            checks.count("after_items", self.after_items)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        named = {"delay": "slow", "error": "fail", "hang": "hang", "result": "answer", "run": "instead"}[self.does]
        what = getattr(self.what, "__qualname__", None) or checks.shown(self.what)
        return named if self.does == "hang" else f"{named}({what})"

    @property
    def goes_on(self) -> bool:
        """Whether the function is called all the same, after this or up to this."""
        return self.does == "delay" or self.after_items is not None

    def hits(self, number: int) -> bool:
        """Tell whether a call of some number, from 1, is one of them."""
        on: Any = self.on
        if on is None:
            return True
        return bool(on(number)) if callable(on) else number in on

    def error(self, number: int, name: str) -> BaseException:
        """Make the error for a call.

        Raises:
            TypeError: If the function that should make it made something else.
        """
        error = self.what if isinstance(self.what, BaseException) else self.what()
        if not isinstance(error, BaseException):
            raise TypeError(f"the function given to fail() must make an exception, not {checks.shown(error)}")
        _note(error, f"injected into call {number} of {name}")
        return error.with_traceback(None)  # of somebody's one error the traceback would grow with each call


def _note(error: BaseException, text: str) -> None:
    """Put our note on an error, in place of an older one of ours; notes of layers outside do not replace it."""
    with suppress(Exception):  # a class that forbids attributes; the error matters more than the note
        notes = [each for each in getattr(error, "__notes__", ()) if not str(each).startswith(_PREFIX)]
        error.__notes__ = [*notes, _PREFIX + text]


def _checked(given: object) -> On:
    on: Any = given
    if isinstance(on, (bool, str, bytes)):
        raise TypeError(_wrong(on))
    if isinstance(on, int):
        if on < 1:
            raise ValueError(f"on must be 1 or more, not {on}: calls are numbered from 1")
        return (on,)
    if on is None or callable(on) or hasattr(type(on), "__contains__"):
        chosen: Any = on
        return chosen  # type: ignore[no-any-return]  # found to be one of them
    raise TypeError(_wrong(on))


def _wrong(on: object) -> str:
    return f"on must be the number of a call, a collection of numbers or a function of a number, not {checks.shown(on)}"


def fail(error: ErrorSource, *, on: On = None, where: Where = None, after_items: int | None = None) -> Fault:
    """Have calls raise an error instead of reaching the function.

    Args:
        error: An exception type, which is called without arguments; an exception; or a function that makes one.
        on: Which calls, counted from 1 among those that `where` accepts (for each key apart, if there is a key): a
            number, a collection of numbers (`(2, 3)`, `range(1, 4)`), or a function of the number. Default: every call.
        where: Gets the arguments of a call and tells whether it counts. Default `None`: every call does.
        after_items: For generators: how many items come before the error; it comes at the end if there are fewer.
            Default `None`: the generator is never begun.

    Returns:
        A fault, for `inject` or `faulty`; it may be used again.

    Raises:
        TypeError: If a value has the wrong type; also for an exception type that cannot be made without arguments.
        ValueError: If `on` or `after_items` is a number below 1.

    Example:
        >>> from recoup.testing import fail, faulty
        >>> fetch, calls = faulty(lambda: "page", fail(ConnectionError, on=1))
        >>> fetch()
        Traceback (most recent call last):
        ConnectionError
        recoup.testing: injected into call 1 of <lambda>
        >>> fetch()
        'page'
    """
    given: Any = error
    if isinstance(given, type):
        _makeable(given)
    elif not (isinstance(given, BaseException) or callable(given)):
        raise TypeError(
            f"error must be an exception type, an exception or a function that makes one, not {checks.shown(given)}"
        )
    return Fault("error", error, on, where, after_items)


def _makeable(kind: type) -> None:
    if not issubclass(kind, BaseException):
        raise TypeError(f"error must be an exception type, not {checks.shown(kind)}")
    try:
        kind()
    except TypeError as problem:
        raise TypeError(
            f"error cannot make a {kind.__qualname__} without arguments ({problem}): give an exception, as in "
            f"fail({kind.__qualname__}(...))"
        ) from None


def hang(*, on: On = None, where: Where = None) -> Fault:
    """Have calls hang for ever: until they are cancelled or given up by a deadline.

    A plain function can be given up only while it runs in a thread of its own (`@deadline(..., mode="thread")`). It is
    let go when its `inject` block ends. One that hangs in the very thread of the test could be stopped by nobody; it
    raises RuntimeError at once.

    Args:
        on: Which calls; see `fail`.
        where: Which calls; see `fail`.

    Returns:
        A fault, for `inject` or `faulty`.

    Example:
        >>> from recoup import deadline
        >>> from recoup.testing import VirtualClock, faulty, hang, run
        >>> @deadline(30)
        ... async def fetch() -> str:
        ...     return "page"
        >>> hanging, calls = faulty(fetch, hang())
        >>> with VirtualClock() as clock:
        ...     run(hanging())
        Traceback (most recent call last):
        recoup.errors.DeadlineExceeded: fetch: not finished within 30 s
    """
    return Fault("hang", None, on, where)


def slow(seconds: Seconds, *, on: On = None, where: Where = None) -> Fault:
    """Have calls take longer; afterwards they go on as they would.

    Under a `VirtualClock` the time passes at once and is not in `clock.sleeps`: it is the dependency's, not recoup's.

    Args:
        seconds: How much longer, in seconds (or a timedelta), more than 0.
        on: Which calls; see `fail`.
        where: Which calls; see `fail`.

    Returns:
        A fault, for `inject` or `faulty`.

    Raises:
        ValueError: If `seconds` is not more than 0, or no finite number.
    """
    return Fault("delay", checks.duration("seconds", seconds, zero=False), on, where)


def answer(result: object, *, on: On = None, where: Where = None) -> Fault:
    """Have calls return something without reaching the function; of a generator, give the items.

    Args:
        result: What they return. For a generator function an iterable of items, for an async one also an async
            iterable.
        on: Which calls; see `fail`.
        where: Which calls; see `fail`.

    Returns:
        A fault, for `inject` or `faulty`.
    """
    return Fault("result", result, on, where)


def instead(function: Callable[..., object], *, on: On = None, where: Where = None) -> Fault:
    """Have calls go to another function, with the same arguments.

    Args:
        function: Gets the arguments, without the object or class of a method, and gives the result (of a generator,
            the items). May be async where the function is.
        on: Which calls; see `fail`.
        where: Which calls; see `fail`.

    Returns:
        A fault, for `inject` or `faulty`.

    Raises:
        TypeError: If it is not callable.
    """
    if not callable(function):
        raise TypeError(f"function must be callable, not {checks.shown(function)}")
    return Fault("run", function, on, where)
