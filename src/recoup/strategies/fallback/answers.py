"""What a source gave becomes an answer: awaited where that is possible, opened where a stream is wanted."""

from __future__ import annotations

from inspect import isasyncgen, isawaitable, iscoroutine, isgenerator

from recoup._core.store import Entry
from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
    from typing import Any

__all__ = ["check_stream", "opened", "opened_async", "settled", "settled_async"]


def settled(raw: Any) -> Entry:
    """Give the answer of a source.

    Raises:
        TypeError: If it is something to await.
    """
    return raw if isinstance(raw, Entry) else Entry(_ready(raw), 0.0)


async def settled_async(raw: Any) -> Entry:
    """Give the answer of a source, awaiting it."""
    if isinstance(raw, Entry):
        return raw
    return Entry(await raw if isawaitable(raw) else raw, 0.0)


def opened(raw: Any) -> Cursor:
    """Open the answer of a source as a stream.

    Raises:
        TypeError: If it has no items, or is something to await.
    """
    raw = raw.value if isinstance(raw, Entry) else _ready(raw)
    if isgenerator(raw):
        return Cursor(raw)
    check_stream(raw)
    return Cursor(_items(raw))


async def opened_async(raw: Any) -> AsyncCursor:
    """Open the answer of a source as an asynchronous stream, awaiting it if it is not one.

    Raises:
        TypeError: If it has no items.
    """
    if isinstance(raw, Entry):
        raw = raw.value
    elif isawaitable(raw):
        raw = await raw
    if isasyncgen(raw):
        return AsyncCursor(raw)
    if hasattr(type(raw), "__aiter__"):
        return AsyncCursor(_items_async(raw))
    check_stream(raw)
    return AsyncCursor(_items_later(raw))


def check_stream(answer: object) -> None:
    """Check that an answer has items; text has letters, which nobody means."""
    kind = type(answer)
    if isinstance(answer, (str, bytes)) or not (hasattr(kind, "__iter__") or hasattr(kind, "__aiter__")):
        raise TypeError(
            "a fallback for a generator must be an iterable, whose items take the place of the generator's, "
            f"not a {kind.__qualname__}"
        )


def _ready(raw: Any) -> Any:
    if isawaitable(raw):
        if iscoroutine(raw):
            raw.close()
        raise TypeError(
            f"a fallback returned something to await ({type(raw).__qualname__}), which a synchronous call cannot do: "
            "give a plain function, or make the decorated function async"
        )
    return raw


def _items(answer: Iterable[Any]) -> Generator[Any, Any, Any]:
    yield from answer


async def _items_async(answer: AsyncIterable[Any]) -> AsyncGenerator[Any, Any]:
    async for item in answer:
        yield item


async def _items_later(answer: Iterable[Any]) -> AsyncGenerator[Any, Any]:
    for item in answer:
        yield item
