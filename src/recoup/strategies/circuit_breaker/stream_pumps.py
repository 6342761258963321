"""The pumps of circuit breakers round generators. Which circuit it is depends on the call: `keyed` tells.

A plain breaker has only one to be found. That is one call for a whole stream, and half as many pumps.
"""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, TypeAlias

    from recoup._core.strategy import Strategy
    from recoup.strategies.circuit_breaker.calls import Calls

    Layers: TypeAlias = tuple[Strategy, ...]
    Keyed: TypeAlias = Callable[..., Calls]

__all__ = ["guarding_stream", "guarding_stream_async"]


def guarding_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    keyed: Keyed,
    outer: Layers,
    tell: Callable[[], None],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Admit a generator at its first item; it succeeds by ending, and is neutral when its consumer leaves."""

    def guarding(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        cursor = Cursor(fn(*args, **kwargs))
        calls = keyed(*args, **kwargs)
        permit: Any = calls.circuit.era
        if permit is None:
            permit = calls.ask()
            if permit is None:
                tell()
                permit = calls.admit()
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
                    permit = calls.leave(permit, thrown)
        except BaseException as error:
            if calls.failed(permit, error, outer, theirs=cursor.threw(error)):
                tell()
            raise
        tick: Any = permit.tick
        if tick is not None and next(tick, None) is None and calls.returned(permit, cursor.value):
            tell()
        return cursor.value

    return guarding


def guarding_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    keyed: Keyed,
    outer: Layers,
    tell: Callable[[], Awaitable[None]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Admit an async generator at its first item; it succeeds by ending, and is neutral when its consumer leaves."""

    async def guarding(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        cursor = AsyncCursor(fn(*args, **kwargs))
        calls = keyed(*args, **kwargs)
        permit: Any = calls.circuit.era
        if permit is None:
            permit = calls.ask()
            if permit is None:
                await tell()
                permit = calls.admit()
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
                    permit = calls.leave(permit, thrown)
        except BaseException as error:
            if calls.failed(permit, error, outer, theirs=cursor.threw(error)):
                await tell()
            raise
        tick: Any = permit.tick
        if tick is not None and next(tick, None) is None and calls.returned(permit, cursor.value):
            await tell()
        return

    return guarding
