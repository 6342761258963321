"""Circuits in your own hands: forced open, disabled or only watched until released (C1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup._core import checks
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TypeAlias

    from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
    from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
    from recoup.typing import Seconds

    Breaker: TypeAlias = CircuitBreaker | KeyedCircuitBreaker

__all__ = ["Hold", "disable", "force_open", "metrics_only", "wait"]


class Hold:
    """Circuit breakers held by hand, until `release()` or the end of the `with` block.

    Holds nest: of several on one breaker, the newest that is not released counts. A hold that is thrown away stays in
    force; `reset()` of a breaker ends all of its own. One on a keyed breaker is on the circuits of all its keys.

    Thread and loop safety: any thread may hold and release at any time.
    """

    __slots__ = ("_breakers", "_state")

    def __init__(self, breakers: tuple[Breaker, ...], state: CircuitBreakerState) -> None:
        self._breakers = breakers
        self._state = state
        for breaker in breakers:
            breaker._hold(self, state)
        for breaker in breakers:
            breaker._tell_by_hand()

    def release(self) -> None:
        """Let every breaker go back to the state it was in; a second call does nothing.

        It goes back to that state with a clean slate: the window of a closed one is empty, a half-open one has no
        probes out. The time of an open one has gone on.
        """
        for breaker in self._breakers:
            breaker._release(self)
        for breaker in self._breakers:
            breaker._tell_by_hand()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Hold {self._state.value} on {', '.join(repr(each.name) for each in self._breakers)}>"


def force_open(*breakers: CircuitBreaker | KeyedCircuitBreaker) -> Hold:
    """Have circuit breakers refuse every call until released.

    Args:
        breakers: At least one; keyed ones are held with all their keys.

    Returns:
        A hold, with `release()`; also a context manager. Calls that are running go on, and their outcomes are dropped.

    Raises:
        TypeError: If nothing, or something else than circuit breakers, is given.

    >>> from recoup import CircuitBreaker
    >>> database, search = CircuitBreaker(name="database"), CircuitBreaker(name="search")
    >>> with force_open(database, search):
    ...     database.state.value, search.state.value
    ('forced_open', 'forced_open')
    >>> database.state.value
    'closed'
    """
    return Hold(_checked(breakers), CircuitBreakerState.FORCED_OPEN)


def disable(*breakers: CircuitBreaker | KeyedCircuitBreaker) -> Hold:
    """Have circuit breakers let every call through and count nothing until released.

    Args:
        breakers: At least one; keyed ones are held with all their keys.

    Returns:
        A hold, with `release()`; also a context manager.

    Raises:
        TypeError: If nothing, or something else than circuit breakers, is given.
    """
    return Hold(_checked(breakers), CircuitBreakerState.DISABLED)


def metrics_only(*breakers: CircuitBreaker | KeyedCircuitBreaker) -> Hold:
    """Have circuit breakers let every call through and only say when they would have opened, until released.

    Try rules on real traffic so before they refuse anything: `metrics["would_open"]` and the event `CircuitWouldOpen`
    say what they would have done. Each time, the window begins anew.

    Args:
        breakers: At least one; keyed ones are held with all their keys.

    Returns:
        A hold, with `release()`; also a context manager. Thrown away, it stays in force.

    Raises:
        TypeError: If nothing, or something else than circuit breakers, is given.

    >>> from recoup import CircuitBreaker, CircuitBreakerConfig
    >>> search = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2), name="search")
    >>> with metrics_only(search):
    ...     for _ in range(4):
    ...         try:
    ...             search.call_sync(int, "many")
    ...         except ValueError:
    ...             pass
    ...     search.state.value, search.metrics["would_open"]
    ('metrics_only', 2)
    """
    return Hold(_checked(breakers), CircuitBreakerState.METRICS_ONLY)


def wait(seconds: Seconds | None) -> float | None:
    """Check for how long a circuit is to be open."""
    return checks.optional_duration("seconds", seconds, zero=False)


def _checked(breakers: tuple[Breaker, ...]) -> tuple[Breaker, ...]:
    from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker  # noqa: PLC0415 - it imports this file
    from recoup.strategies.circuit_breaker.strategy import CircuitBreaker  # noqa: PLC0415 - as above

    if not breakers:
        raise TypeError("give at least one circuit breaker to hold")
    for breaker in breakers:
        if not isinstance(breaker, KeyedCircuitBreaker):
            checks.instance("breakers", breaker, CircuitBreaker)
    return breakers
