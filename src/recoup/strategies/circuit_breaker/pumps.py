"""The pumps of the circuit breaker, one in each colour and kind.

A healthy call of a closed circuit reads the era once, and finds when it ends that nobody counts successes: `tick` is
None. While failures are recent it takes a number, and only where `tick` gives none is a success recorded under the
lock. `ask` gives None when there is news to tell before a lease is held, and raises the refusal
itself, so that no frame keeps it. An outcome that decided nothing tells nothing: it may come from a finaliser.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeAlias

    from recoup._core.strategy import Strategy
    from recoup.strategies.circuit_breaker.calls import Calls
    from recoup.strategies.circuit_breaker.state import Circuit

    Layers: TypeAlias = tuple[Strategy, ...]

__all__ = ["guarding", "guarding_async"]


def guarding(
    fn: Callable[..., Any],
    circuit: Circuit,
    calls: Calls,
    outer: Layers,
    tell: Callable[[], None],
) -> Callable[..., Any]:
    """Call a function if the circuit lets it, and tell the circuit how that went."""

    def guarding(*args: Any, **kwargs: Any) -> Any:
        permit: Any = circuit.era
        if permit is None:
            permit = calls.ask()
            if permit is None:
                tell()
                permit = calls.admit()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            if calls.failed(permit, error, outer):
                tell()
            raise
        tick: Any = permit.tick
        if tick is not None and next(tick, None) is None and calls.returned(permit, result):
            tell()
        return result

    return guarding


def guarding_async(
    fn: Callable[..., Awaitable[Any]],
    circuit: Circuit,
    calls: Calls,
    outer: Layers,
    tell: Callable[[], Awaitable[None]],
) -> Callable[..., Awaitable[Any]]:
    """Call an async function if the circuit lets it, and tell the circuit how that went."""

    async def guarding(*args: Any, **kwargs: Any) -> Any:
        permit: Any = circuit.era
        if permit is None:
            permit = calls.ask()
            if permit is None:
                await tell()
                permit = calls.admit()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            if calls.failed(permit, error, outer):
                await tell()
            raise
        tick: Any = permit.tick
        if tick is not None and next(tick, None) is None and calls.returned(permit, result):
            await tell()
        return result

    return guarding
