"""How long a circuit stays open: always the same, or longer and longer while it opens again and again (C6).

What the user gave may be code of theirs, which must not run under the lock and may take its time. So the next open time
is asked for ahead: when the circuit is made, and whenever a transition is told, which one teller does at a time. If the
circuit opens before that is done, it opens for as long as the last time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any, cast

from recoup._core import checks, emit

if TYPE_CHECKING:
    from typing import TypeAlias

    from recoup.typing import Seconds

    OpenTimesSpec: TypeAlias = Seconds | Iterable[Seconds] | Callable[[int], Seconds] | Callable[[], Iterator[Seconds]]

__all__ = ["OpenTimes", "checked", "equal", "named"]


def checked(argument: str, value: Any) -> Any:
    """Check what a config was given: give seconds, a tuple of them, or what will give them."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"{argument} must list at least one open time")
        return tuple(checks.duration(argument, each, zero=False) for each in cast("list[Any]", value))
    if isinstance(value, Iterator):
        raise TypeError(
            f"{argument} must not be a one-shot iterator, which cannot begin anew when the circuit has closed: give a "
            "list, a generator function, or a function of the number of the opening"
        )
    if isinstance(value, Iterable) and not isinstance(value, (type, str, bytes)):
        return value
    if callable(value) and not isinstance(value, type):
        if checks.awaitable_callback(value):
            raise TypeError(f"{argument} must be a plain function of the number of the opening, not an async one")
        return value
    return checks.duration(argument, value, zero=False)


class OpenTimes:
    """The open times of one circuit. All but reading `seconds` is for one thread at a time.

    Args:
        spec: From a checked config.

    Attributes:
        seconds: For how long the circuit stays open the next time (lock-free).
        grows: Whether there is anything to ask for.
    """

    __slots__ = ("_number", "_source", "_spec", "grows", "seconds")

    def __init__(self, spec: OpenTimesSpec) -> None:
        self._spec: Any = spec
        self._source: Iterator[Any] | None = None
        self._number = 0
        self.grows = not isinstance(spec, float)
        self.seconds = spec if isinstance(spec, float) else 0.0
        self.ask(1)
        if not self.seconds:
            raise ValueError("timeout must give at least one open time")

    def __str__(self) -> str:
        return f"{self.seconds:g} s" + (" at first" if self.grows else "")

    def after(self, spec: OpenTimesSpec, row: int) -> tuple[OpenTimes, float]:
        """Give open times by another spec for a circuit that opened `row` times since it was last closed.

        If the user's code fails, that is logged, and the open time stays (G9).

        Returns:
            Them, ready for the next opening, and how long the circuit should be open by them if it is open now.
        """
        times = OpenTimes.__new__(OpenTimes)
        times._spec, times._source, times._number = spec, None, 0
        times.grows = not isinstance(spec, float)
        times.seconds = spec if isinstance(spec, float) else self.seconds
        ask = named(spec, times.ask)
        if row:
            emit.call(ask, row)
        now = times.seconds
        emit.call(ask, row + 1)
        return times, now

    def ask(self, number: int) -> None:
        """Find out how long the circuit stays open the next time.

        Args:
            number: Of the next opening, from 1, since the circuit was last closed.

        Raises:
            TypeError, ValueError: If the user's own code gives no duration; and whatever it raises. `seconds` stays.
        """
        if not self.grows or number == self._number:
            return
        if number < self._number or self._source is None:
            self._number, self._source = 0, self._begun()
        while self._number < number:
            self._number += 1
            given = next(self._source, None)
            if given is not None:
                self.seconds = checks.duration("an open time that timeout gave", given, zero=False)

    def _begun(self) -> Iterator[Any]:
        spec = self._spec
        if isgeneratorfunction(spec):
            return iter(spec())
        return _called(spec) if callable(spec) else iter(spec)


def equal(one: OpenTimesSpec, other: OpenTimesSpec) -> bool:
    """Tell whether two specs say the same. Objects of the user's are not compared: that would run their code."""
    return one is other or (isinstance(one, (float, tuple)) and type(one) is type(other) and one == other)


def named(spec: OpenTimesSpec, ask: Callable[..., None]) -> Callable[..., None]:
    """Make a function that asks for an open time, under the name of the user's code that gives it."""

    def plan(*args: Any) -> None:
        ask(*args)

    plan.__qualname__ = getattr(spec, "__qualname__", type(spec).__qualname__)
    plan.__module__ = getattr(spec, "__module__", None) or plan.__module__
    return plan


def _called(function: Callable[[int], Any]) -> Iterator[Any]:
    number = 0
    while True:
        number += 1
        yield function(number)
