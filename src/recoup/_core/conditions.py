"""What counts as a failure: exception types, lists of them, predicates, and conditions joined by `&`, `|`, `~`.

Three questions are asked of a condition:

* `plain`: does it match this error?
* `names`: does it name this error, which nobody means by `on=Exception` or by a predicate? Our own refusals (an open
  circuit, a full bulkhead) say nothing about the dependency, and only one of our own classes means them (rule G13).
  StopIteration and StopAsyncIteration are how an iterator says that it is done.
* `within`: what is asked of the leaves of this exception group? The same, nearly always: a group is taken apart, and
  the whole condition is asked of each leaf (rule G4). Where a class of groups is named, the group itself is the answer
  to that part; if nothing else matters, to the whole.

In async calls of strategies that say so, predicates may be coroutine functions: `settle` asks them, see asking.py.
"""

from __future__ import annotations

from inspect import isawaitable, iscoroutine

from recoup._core import checks, grouping
from recoup.errors import RecoveryError, is_refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any, TypeAlias

    from recoup.typing import AsyncPredicate, ConditionSpec

    Test: TypeAlias = Callable[[BaseException], bool]
    Settle: TypeAlias = Callable[[BaseException], Awaitable["Condition"]]

__all__ = ["Condition", "compiled", "every", "leaves", "meets", "peculiar", "plainly", "some", "types", "when"]

_DONE = (StopIteration, StopAsyncIteration)


def _never(_: BaseException) -> bool:
    return False


def _either(error: BaseException, one: tuple[Test, Test], other: tuple[Test, Test]) -> bool:
    return (one[0](error) and one[1](error)) or (other[0](error) and other[1](error))


class Condition:
    """A test of errors that can be joined with others: `when(A) | when(B)`, `when(A) & ~when(B)`.

    Make one with `when`. Conditions are immutable and safe to share between threads and event loops.
    """

    __slots__ = ("_inside", "names", "plain", "settle", "text")

    def __init__(
        self,
        plain: Test,
        text: str,
        *,
        names: Test = _never,
        inside: Callable[[BaseException], Condition | bool] | None = None,
        settle: Settle | None = None,
    ) -> None:
        self.plain = plain
        self.names = names
        self._inside = inside
        self.settle = settle
        self.text = text

    def within(self, group: BaseException) -> Condition | bool:
        """Give what to ask of the leaves of a group; an answer if the group itself gives it."""
        return self if self._inside is None else self._inside(group)

    def __call__(self, error: BaseException) -> bool:
        """Tell whether one error, not looked into if it is a group, matches."""
        return self.plain(error)

    def __and__(self, other: object) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition(
            lambda error: self.plain(error) and other.plain(error),
            f"({self.text} & {other.text})",
            names=lambda error: _either(error, (self.names, other.plain), (other.names, self.plain)),
            inside=None if self._inside is other._inside is None else lambda group: grouping.both(self, other, group),
            settle=_asking().together(self, other) if self.settle or other.settle else None,
        )

    def __or__(self, other: object) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition(
            lambda error: self.plain(error) or other.plain(error),
            f"({self.text} | {other.text})",
            names=lambda error: self.names(error) or other.names(error),
            inside=None if self._inside is other._inside is None else lambda group: grouping.either(self, other, group),
            settle=_asking().either(self, other) if self.settle or other.settle else None,
        )

    def __invert__(self) -> Condition:
        return Condition(
            lambda error: not self.plain(error),
            f"~{self.text}",
            inside=None if self._inside is None else lambda group: grouping.neither(self, group),
            settle=_asking().neither(self) if self.settle else None,
        )

    def __repr__(self) -> str:
        return self.text


def _asking() -> Any:
    """Give the module of asynchronous conditions, which stands on this one."""
    from recoup._core import asking  # noqa: PLC0415 - few conditions have to be awaited

    return asking


def when(*specs: ConditionSpec | AsyncPredicate) -> Condition:
    """Make a condition of exception types and predicates; it matches if any of them does.

    Args:
        specs: Exception types, lists or tuples of them, predicates (`error -> bool`), or conditions. A predicate may be
            a coroutine function where the strategy says so (`@retry` does), round async functions.

    Returns:
        A condition that can be joined with `&`, `|` and `~` and given wherever recoup takes a condition (`on=`,
        `abort_on=`, `skip_on=` ...).

    Raises:
        TypeError: If a spec is none of these.
        ValueError: If a type is control flow (not an `Exception`), or nothing is given.

    >>> busy = when(ConnectionError, TimeoutError) & ~when(ConnectionRefusedError)
    >>> busy(ConnectionResetError()), busy(ConnectionRefusedError())
    (True, False)
    """
    if not specs:
        raise ValueError("when() must be given at least one exception type, predicate or condition")
    joined = _one("when()", specs[0])
    for spec in specs[1:]:
        joined = joined | _one("when()", spec)
    return joined


def compiled(argument: str, spec: Any, *, asynchronous: bool = False) -> Condition:
    """Make a condition of what the user gave for an argument; the messages name the argument.

    Args:
        argument: The name of the argument.
        spec: What the user gave.
        asynchronous: Whether predicates may be coroutine functions.
    """
    condition = _one(argument, spec)
    if condition.settle is not None and not asynchronous:
        raise TypeError(
            f"{argument} must be a plain function, not the coroutine function {condition}: decisions are made "
            "without waiting; look the answer up before, or put it on the exception"
        )
    return condition


def _one(argument: str, spec: Any) -> Condition:
    if isinstance(spec, Condition):
        return spec
    if isinstance(spec, (list, tuple, set, frozenset)):
        if any(not isinstance(each, type) for each in spec):
            return _listed(argument, list(spec))
        return _types(argument, spec)
    if isinstance(spec, type):
        return _types(argument, spec)
    if callable(spec):
        return _predicate(argument, spec)
    raise TypeError(
        f"{argument} must be an exception type, a list of them, a predicate or a condition, not {checks.shown(spec)}"
    )


def types(spec: Any, default: tuple[type[BaseException], ...]) -> tuple[type[BaseException], ...] | None:
    """Give the types that a spec which was checked consists of; `None` if it is more than a list of types."""
    if spec is None:
        return default
    listed = tuple(spec) if isinstance(spec, (list, tuple, set, frozenset)) else (spec,)
    return listed if all(isinstance(each, type) for each in listed) else None


def _listed(argument: str, specs: list[Any]) -> Condition:
    """Join a list in which types and conditions are mixed; a bare predicate in a list is a mistake more often."""
    joined: Condition | None = None
    for spec in specs:
        if not isinstance(spec, (type, Condition)):
            raise TypeError(f"{argument} must list exception types, not {checks.shown(spec)}")
        each = _one(argument, spec)
        joined = each if joined is None else joined | each
    assert joined is not None  # noqa: S101 - the caller saw a member that is not a type
    return joined


def _types(argument: str, spec: Any) -> Condition:
    types = checks.exceptions(argument, spec)
    named = tuple(each for each in types if issubclass(each, (RecoveryError, *_DONE)))
    groups = tuple(each for each in types if issubclass(each, BaseExceptionGroup))
    text = types[0].__name__ if len(types) == 1 else "(" + ", ".join(each.__name__ for each in types) + ")"
    itself = Condition(
        lambda error: isinstance(error, types),
        text,
        names=lambda error: isinstance(error, named),
        inside=(lambda group: isinstance(group, groups) or itself) if groups else None,
    )
    return itself


def _predicate(argument: str, spec: Callable[[Any], object]) -> Condition:
    text = getattr(spec, "__qualname__", type(spec).__qualname__)
    settle = _asking().it(spec) if checks.awaitable_callback(spec) else None

    def plain(error: BaseException) -> bool:
        verdict = spec(error)
        if verdict is True or verdict is False:
            return verdict
        return bool(plainly(argument, verdict))

    return Condition(plain, text, settle=settle)


def plainly(argument: str, verdict: object) -> object:
    """Pass on what a predicate returned; refuse an awaitable, whose truth would always be yes."""
    if isawaitable(verdict):
        if iscoroutine(verdict):
            verdict.close()
        raise TypeError(f"{argument} returned an awaitable: it must be a plain function that returns True or False")
    return verdict


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Give the errors inside an exception group, however deep; a plain error is its own only leaf."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def peculiar(error: BaseException) -> bool:
    """Tell whether an error is one that only its own class means: a refusal, or the end of an iterator."""
    return isinstance(error, _DONE) or is_refusal(error)


def meets(condition: Condition, error: BaseException, *, refusals: bool) -> bool:
    """Tell whether an error that is no group meets a condition; `refusals` as for `every`."""
    if isinstance(error, _DONE) or (not refusals and is_refusal(error)):
        return condition.names(error)
    return condition.plain(error)


def every(
    argument: str, spec: Any, default: Any = Exception, *, refusals: bool = False, asynchronous: bool = False
) -> Callable[[Any], bool]:
    """Compile a condition that a group meets if all its leaves do.

    Args:
        argument: Name of the argument, for messages.
        spec: What the user gave; `None` means `default`.
        default: A type, list, predicate or condition.
        refusals: Whether our own refusals match like any error; by default only when their class is named.
        asynchronous: As for `compiled`; what is made then must not be asked, `asking` can.
    """
    condition = compiled(argument, default if spec is None else spec, asynchronous=asynchronous)

    def all_match(error: BaseException) -> bool:
        if not isinstance(error, BaseExceptionGroup):
            return meets(condition, error, refusals=refusals)
        asked = condition.within(error)
        if isinstance(asked, bool):
            return asked
        return all(meets(asked, leaf, refusals=refusals) for leaf in leaves(error))

    return all_match


def some(
    argument: str, spec: Any, default: Any = (), *, refusals: bool = False, asynchronous: bool = False
) -> Callable[[Any], bool]:
    """Compile a condition that a group meets if any of its leaves does; arguments as for `every`."""
    condition = compiled(argument, default if spec is None else spec, asynchronous=asynchronous)

    def any_matches(error: BaseException) -> bool:
        if not isinstance(error, BaseExceptionGroup):
            return meets(condition, error, refusals=refusals)
        asked = condition.within(error)
        if isinstance(asked, bool):
            return asked
        return any(meets(asked, leaf, refusals=refusals) for leaf in leaves(error))

    return any_matches
