"""The pumps of fallback, one in each colour and kind, and those that remember successes.

A source is asked inside the `except` block on purpose: what it raises has the error of the call as its context. The
key of a call is made before the call, which may change its arguments.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Hashable
    from typing import Any

    from recoup._core.store import Entry
    from recoup._core.streams import AsyncCursor, Cursor
    from recoup.strategies.fallback.sources import Source

    AtOnce = Callable[[Exception], Entry | None]
    Begin = Callable[[Exception], tuple[Source, ...]]
    Failed = Callable[[Source, Exception, Exception], bool | None]
    Used = Callable[[Source, Exception], None]

__all__ = [
    "falling_back",
    "falling_back_async",
    "falling_back_stream",
    "falling_back_stream_async",
    "remembering",
    "remembering_async",
]


def falling_back(
    fn: Callable[..., Any],
    at_once: AtOnce,
    begin: Begin,
    settle: Callable[[Any], Entry],
    failed: Failed,
    used: Used,
) -> Callable[..., Any]:
    """Call a function; if it fails, give the answer that is there, or ask one source after the other."""

    def falling_back(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            entry = at_once(error)
            if entry is not None:
                return entry.value
            for source in begin(error):
                try:
                    if source.again is None:
                        entry = settle(source.answer(error))
                    else:
                        entry = settle(source.again(*args, **kwargs))
                except Exception as failure:
                    if failed(source, failure, error) is None:
                        raise
                    continue
                used(source, error)
                return entry.value
            raise

    return falling_back


def falling_back_async(
    fn: Callable[..., Awaitable[Any]],
    at_once: AtOnce,
    begin: Begin,
    settle: Callable[[Any], Awaitable[Entry]],
    failed: Failed,
    used: Used,
) -> Callable[..., Awaitable[Any]]:
    """Call an async function; if it fails, give the answer that is there, or ask one source after the other."""

    async def falling_back(*args: Any, **kwargs: Any) -> Any:
        try:
            return await fn(*args, **kwargs)
        except Exception as error:
            entry = at_once(error)
            if entry is not None:
                return entry.value
            for source in begin(error):
                try:
                    if source.again is None:
                        entry = await settle(source.answer(error))
                    else:
                        entry = await settle(source.again(*args, **kwargs))
                except Exception as failure:
                    if failed(source, failure, error) is None:
                        raise
                    continue
                used(source, error)
                return entry.value
            raise

    return falling_back


def falling_back_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    begin: Begin,
    settle: Callable[[Any], Cursor],
    failed: Failed,
    used: Used,
) -> Callable[..., Generator[Any, Any, Any]]:
    """Take another stream if a generator fails before its first item; later errors belong to the consumer."""

    def falling_back(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        cursor = settle(fn(*args, **kwargs))
        try:
            more = cursor.advance()
        except Exception as error:
            for source in begin(error):
                try:
                    if source.again is None:
                        cursor = settle(source.answer(error))
                    else:
                        cursor = settle(source.again(*args, **kwargs))
                    more = cursor.advance()
                except Exception as failure:
                    if failed(source, failure, error) is None:
                        raise
                    continue
                used(source, error)
                break
            else:
                raise
        while more:
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown
            more = cursor.advance()
        return cursor.value

    return falling_back


def falling_back_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    begin: Begin,
    settle: Callable[[Any], Awaitable[AsyncCursor]],
    failed: Failed,
    used: Used,
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Take another stream if an async generator fails before its first item; later errors belong to the consumer."""

    async def falling_back(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        cursor = await settle(fn(*args, **kwargs))
        try:
            more = await cursor.advance()
        except Exception as error:
            for source in begin(error):
                try:
                    if source.again is None:
                        cursor = await settle(source.answer(error))
                    else:
                        cursor = await settle(source.again(*args, **kwargs))
                    more = await cursor.advance()
                except Exception as failure:
                    if failed(source, failure, error) is None:
                        raise
                    continue
                used(source, error)
                break
            else:
                raise
        while more:
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown
            more = await cursor.advance()
        return

    return falling_back


def remembering(
    fn: Callable[..., Any],
    keyed: Callable[..., Hashable | None],
    recall: Callable[[Hashable | None, Exception], Entry | None],
    keep: Callable[[Hashable | None, Any], None],
) -> Callable[..., Any]:
    """Remember what a function returned, and answer with that when it fails."""

    def remembering(*args: Any, **kwargs: Any) -> Any:
        key = keyed(*args, **kwargs)
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            entry = recall(key, error)
            if entry is None:
                raise
            return entry.value
        keep(key, result)
        return result

    return remembering


def remembering_async(
    fn: Callable[..., Awaitable[Any]],
    keyed: Callable[..., Hashable | None],
    recall: Callable[[Hashable | None, Exception], Entry | None],
    keep: Callable[[Hashable | None, Any], None],
) -> Callable[..., Awaitable[Any]]:
    """Remember what an async function returned, and answer with that when it fails."""

    async def remembering(*args: Any, **kwargs: Any) -> Any:
        key = keyed(*args, **kwargs)
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:
            entry = recall(key, error)
            if entry is None:
                raise
            return entry.value
        keep(key, result)
        return result

    return remembering
