"""The pumps that inject faults for a test, one in each colour and kind.

`begin` files a call and gives the visit that does to it what is to be done; as a block it takes note of how the call
ends. `reached` does what comes before a call, and tells whether it is to be made.
"""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any

    from recoup.testing.visits import AsyncVisit, PlainVisit

__all__ = ["faulting", "faulting_async", "faulting_stream", "faulting_stream_async"]


def faulting(fn: Callable[..., Any], begin: Callable[..., PlainVisit]) -> Callable[..., Any]:
    """Do to a call what is to be done to it, and file it."""

    def faulting(*args: Any, **kwargs: Any) -> Any:
        with begin(*args, **kwargs) as visit:
            if visit.reached():
                visit.result = fn(*args, **kwargs)
        return visit.result

    return faulting


def faulting_async(
    fn: Callable[..., Awaitable[Any]], begin: Callable[..., AsyncVisit]
) -> Callable[..., Awaitable[Any]]:
    """Do to an async call what is to be done to it, and file it."""

    async def faulting(*args: Any, **kwargs: Any) -> Any:
        async with begin(*args, **kwargs) as visit:
            if await visit.reached():
                visit.result = await fn(*args, **kwargs)
        return visit.result

    return faulting


def faulting_stream(
    fn: Callable[..., Generator[Any, Any, Any]], begin: Callable[..., PlainVisit]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Do to a generator what is to be done to it, and file it."""

    def faulting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin(*args, **kwargs) as visit:
            stream = fn(*args, **kwargs) if visit.reached() else visit.stream()
            cursor = Cursor(stream)
            while cursor.advance():
                visit.item(stream)
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
            visit.end(cursor.value)
        return cursor.value

    return faulting


def faulting_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]], begin: Callable[..., AsyncVisit]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Do to an async generator what is to be done to it, and file it."""

    async def faulting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        async with begin(*args, **kwargs) as visit:
            stream = fn(*args, **kwargs) if await visit.reached() else visit.stream()
            cursor = AsyncCursor(stream)
            while await cursor.advance():
                await visit.item(stream)
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
            await visit.end(cursor.value)

    return faulting
