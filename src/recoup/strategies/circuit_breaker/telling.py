"""What a breaker tells, whom, and what it reads from the signatures of the user's functions."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from recoup._core import checks, emit
from recoup.strategies.circuit_breaker.open_time import named
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
    from recoup.strategies.circuit_breaker.moves import Moves
    from recoup.strategies.circuit_breaker.news import Notice

__all__ = ["asynchronous", "planner", "report", "wants_seconds"]


def report(name: str, notice: Notice) -> None:
    """Tell the listeners a transition."""
    from recoup import events  # noqa: PLC0415 - nobody pays for events who does not listen

    if notice.state is CircuitBreakerState.OPEN:
        emit.tell(events.CircuitOpened(name, notice.open_time, notice.error_type))
    elif notice.state is CircuitBreakerState.CLOSED:
        emit.tell(events.CircuitClosed(name))
    elif notice.state is CircuitBreakerState.METRICS_ONLY:
        emit.tell(events.CircuitWouldOpen(name, notice.error_type))
    else:
        emit.tell(events.CircuitHalfOpened(name))


def planner(config: CircuitBreakerConfig) -> Callable[[Moves], None] | None:
    """Make what asks for a circuit's next open time, under the name of the user's code; None if it never changes."""
    if isinstance(config.timeout, float):
        return None
    return named(config.timeout, lambda circuit: circuit.plan())


def asynchronous(config: CircuitBreakerConfig) -> list[str]:
    """Name the callbacks of a configuration that are asynchronous."""
    callbacks = ("on_open", "on_close", "on_half_open")
    return [each for each in callbacks if checks.awaitable_callback(getattr(config, each))]


def wants_seconds(predicate: Callable[..., bool] | None) -> bool:
    """Tell whether a predicate of results also takes how long the call took: it needs a second positional argument."""
    if predicate is None:
        return False
    try:
        parameters = inspect.signature(predicate).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not tell
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional and each.default is each.empty for each in parameters) > 1
