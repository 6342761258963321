"""The pumps of the workflow's own layers: they watch and change nothing."""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextvars import Token
    from typing import Any

    from recoup.workflow.record import ExecutionRecord

    Mark = Token[ExecutionRecord | None]
    Open = Callable[[], Any]
    Resume = Callable[[ExecutionRecord], Mark]
    Suspend = Callable[[Mark], None]
    Close = Callable[..., None]

__all__ = [
    "accounting",
    "accounting_async",
    "accounting_stream",
    "accounting_stream_async",
    "watching",
    "watching_async",
    "watching_stream",
    "watching_stream_async",
]


def watching(
    fn: Callable[..., Any],
    begun: Callable[[], None],
    failed: Callable[[BaseException], None],
    succeeded: Callable[[], None],
) -> Callable[..., Any]:
    """Tell when the inner layers begin, fail and succeed."""

    def watching(*args: Any, **kwargs: Any) -> Any:
        begun()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            failed(error)
            raise
        succeeded()
        return result

    return watching


def watching_async(
    fn: Callable[..., Awaitable[Any]],
    begun: Callable[[], None],
    failed: Callable[[BaseException], Awaitable[None]],
    succeeded: Callable[[], None],
) -> Callable[..., Awaitable[Any]]:
    """Tell when the inner layers begin, fail and succeed."""

    async def watching(*args: Any, **kwargs: Any) -> Any:
        begun()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            await failed(error)
            raise
        succeeded()
        return result

    return watching


def watching_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    begun: Callable[[], None],
    failed: Callable[[BaseException], None],
    succeeded: Callable[[], None],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Tell when the inner generators begin, fail and end."""

    def watching(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        begun()
        cursor = Cursor(fn(*args, **kwargs))
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            if not cursor.threw(error):
                failed(error)
            raise
        succeeded()
        return cursor.value

    return watching


def watching_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    begun: Callable[[], None],
    failed: Callable[[BaseException], Awaitable[None]],
    succeeded: Callable[[], None],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Tell when the inner generators begin, fail and end."""

    async def watching(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        begun()
        cursor = AsyncCursor(fn(*args, **kwargs))
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            if not cursor.threw(error):
                await failed(error)
            raise
        succeeded()
        return

    return watching


def accounting(
    fn: Callable[..., Any], open_record: Open, resume: Resume, suspend: Suspend, close: Close
) -> Callable[..., Any]:
    """Keep the record of an execution."""

    def accounting(*args: Any, **kwargs: Any) -> Any:
        record = open_record()
        mark = resume(record)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            close(record, None, error)
            record = None  # a record that was asked for keeps the error, and the error this frame
            raise
        finally:
            suspend(mark)
        close(record, result, None)
        return result

    return accounting


def accounting_async(
    fn: Callable[..., Awaitable[Any]], open_record: Open, resume: Resume, suspend: Suspend, close: Close
) -> Callable[..., Awaitable[Any]]:
    """Keep the record of an execution."""

    async def accounting(*args: Any, **kwargs: Any) -> Any:
        record = open_record()
        mark = resume(record)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            close(record, None, error)
            record = None  # a record that was asked for keeps the error, and the error this frame
            raise
        finally:
            suspend(mark)
        close(record, result, None)
        return result

    return accounting


def accounting_stream(
    fn: Callable[..., Generator[Any, Any, Any]], open_record: Open, resume: Resume, suspend: Suspend, close: Close
) -> Callable[..., Generator[Any, Any, Any]]:
    """Keep the record of a generator; nothing ambient spans a `yield` (rule G17)."""

    def accounting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        record = open_record()
        cursor = Cursor(fn(*args, **kwargs))
        try:
            while True:
                mark = resume(record)
                try:
                    more = cursor.advance()
                finally:
                    suspend(mark)
                if not more:
                    break
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            close(record, None, error, theirs=cursor.threw(error))
            raise
        close(record, None, None)
        return cursor.value

    return accounting


def accounting_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]], open_record: Open, resume: Resume, suspend: Suspend, close: Close
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Keep the record of an async generator; nothing ambient spans a `yield` (rule G17)."""

    async def accounting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        record = open_record()
        cursor = AsyncCursor(fn(*args, **kwargs))
        try:
            while True:
                mark = resume(record)
                try:
                    more = await cursor.advance()
                finally:
                    suspend(mark)
                if not more:
                    break
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            close(record, None, error, theirs=cursor.threw(error))
            raise
        close(record, None, None)
        return

    return accounting
