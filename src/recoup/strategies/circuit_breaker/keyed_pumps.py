"""The pumps of the keyed circuit breaker: those of `pumps.py`, but which circuit it is depends on the call.

Text that differs in one line from that of another file is the price of a happy path without a level in between.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeAlias

    from recoup._core.strategy import Strategy
    from recoup.strategies.circuit_breaker.calls import Calls

    Layers: TypeAlias = tuple[Strategy, ...]
    Keyed: TypeAlias = Callable[..., Calls]

__all__ = ["guarding_keyed", "guarding_keyed_async"]


def guarding_keyed(
    fn: Callable[..., Any],
    keyed: Keyed,
    outer: Layers,
    tell: Callable[[], None],
) -> Callable[..., Any]:
    """Call a function if the circuit of its key lets it, and tell that circuit how that went."""

    def guarding(*args: Any, **kwargs: Any) -> Any:
        calls = keyed(*args, **kwargs)
        permit: Any = calls.circuit.era
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


def guarding_keyed_async(
    fn: Callable[..., Awaitable[Any]],
    keyed: Keyed,
    outer: Layers,
    tell: Callable[[], Awaitable[None]],
) -> Callable[..., Awaitable[Any]]:
    """Call an async function if the circuit of its key lets it, and tell that circuit how that went."""

    async def guarding(*args: Any, **kwargs: Any) -> Any:
        calls = keyed(*args, **kwargs)
        permit: Any = calls.circuit.era
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
