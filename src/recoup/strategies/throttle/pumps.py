"""The pumps of the adaptive throttle, one in each colour and kind.

`admit` raises the refusal itself. A call counts when it ends; a generator asks at its first item, is accepted when it
ends, and neutral when its consumer leaves.
"""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, TypeAlias

    from recoup._core.strategy import Strategy
    from recoup.strategies.throttle.calls import Calls

    Admit: TypeAlias = Callable[[], None]
    Layers: TypeAlias = tuple[Strategy, ...]

__all__ = ["throttling", "throttling_async", "throttling_stream", "throttling_stream_async"]


def throttling(fn: Callable[..., Any], admit: Admit, calls: Calls, outer: Layers) -> Callable[..., Any]:
    """Call a function unless the throttle holds it back, and count how that went."""

    def throttling(*args: Any, **kwargs: Any) -> Any:
        admit()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            calls.failed(error, outer)
            raise
        calls.returned(result)
        return result

    return throttling


def throttling_async(
    fn: Callable[..., Awaitable[Any]], admit: Admit, calls: Calls, outer: Layers
) -> Callable[..., Awaitable[Any]]:
    """Call an async function unless the throttle holds it back, and count how that went."""

    async def throttling(*args: Any, **kwargs: Any) -> Any:
        admit()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            calls.failed(error, outer)
            raise
        calls.returned(result)
        return result

    return throttling


def throttling_stream(
    fn: Callable[..., Generator[Any, Any, Any]], admit: Admit, calls: Calls, outer: Layers
) -> Callable[..., Generator[Any, Any, Any]]:
    """Let a generator begin unless the throttle holds it back, and count how it ended."""

    def throttling(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        admit()
        cursor = Cursor(fn(*args, **kwargs))
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            calls.failed(error, outer, theirs=cursor.threw(error))
            raise
        calls.returned(None)
        return cursor.value

    return throttling


def throttling_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]], admit: Admit, calls: Calls, outer: Layers
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Let an async generator begin unless the throttle holds it back, and count how it ended."""

    async def throttling(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        admit()
        cursor = AsyncCursor(fn(*args, **kwargs))
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            calls.failed(error, outer, theirs=cursor.threw(error))
            raise
        calls.returned(None)
        return

    return throttling
