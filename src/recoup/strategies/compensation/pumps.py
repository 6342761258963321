"""The pumps of compensation, one in each colour and kind.

A healthy call outside any saga pays for one look at a context variable (`ambient`). Inside one, `join` gives the saga
that is open, and the completed step is reported to it. `pack` keeps the call's arguments, once they are needed.

`undo` is called inside the `except` block: what it raises has the operation's error as its context.
"""

from __future__ import annotations

from recoup._core.chain import Pending
from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any

    from recoup.strategies.compensation.memory import Packed
    from recoup.strategies.compensation.steps import Steps

    Ambient = Callable[[], Steps | None]
    Join = Callable[[Steps], Steps | None]
    Pack = Callable[..., Packed]

__all__ = ["compensating", "compensating_async", "compensating_stream", "compensating_stream_async"]


def compensating(
    fn: Callable[..., Any],
    ambient: Ambient,
    join: Join,
    pack: Pack,
    undo: Callable[..., None],
    keep: Callable[..., None],
) -> Callable[..., Any]:
    """Undo what a call has done when it ends with an error."""

    def compensating(*args: Any, **kwargs: Any) -> Any:
        joined = ambient()
        if joined is not None:
            joined = join(joined)
        try:
            result = fn(*args, **kwargs)
        except Pending:  # not an end: the coroutine that the function returned goes on in the async pump
            raise
        except BaseException as error:
            undo(error, pack(*args, **kwargs))
            raise
        if joined is not None:
            keep(joined, pack(*args, **kwargs), result)
        return result

    return compensating


def compensating_async(
    fn: Callable[..., Awaitable[Any]],
    ambient: Ambient,
    join: Join,
    pack: Pack,
    undo: Callable[..., Awaitable[None]],
    keep: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[Any]]:
    """Undo what an async call has done when it ends with an error."""

    async def compensating(*args: Any, **kwargs: Any) -> Any:
        joined = ambient()
        if joined is not None:
            joined = join(joined)
        try:
            result = await fn(*args, **kwargs)
        except Pending:  # not an end: the coroutine that the function returned goes on in the async pump
            raise
        except BaseException as error:
            await undo(error, pack(*args, **kwargs))
            raise
        if joined is not None:
            await keep(joined, pack(*args, **kwargs), result)
        return result

    return compensating


def compensating_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    ambient: Ambient,
    join: Join,
    pack: Pack,
    undo: Callable[..., None],
    keep: Callable[..., None],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Undo what a generator has done when it ends with an error, at whatever item; closing it early is no error."""

    def compensating(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        joined = ambient()
        if joined is not None:
            joined = join(joined)
        cursor = Cursor(fn(*args, **kwargs))
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except GeneratorExit:
            if joined is not None:
                keep(joined, pack(*args, **kwargs), cursor.value)
            raise
        except BaseException as error:
            undo(error, pack(*args, **kwargs))
            raise
        if joined is not None:
            keep(joined, pack(*args, **kwargs), cursor.value)
        return cursor.value

    return compensating


def compensating_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    ambient: Ambient,
    join: Join,
    pack: Pack,
    undo: Callable[..., Awaitable[None]],
    keep: Callable[..., Awaitable[None]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Undo what an async generator has done when it ends with an error; closing it early is no error."""

    async def compensating(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        joined = ambient()
        if joined is not None:
            joined = join(joined)
        cursor = AsyncCursor(fn(*args, **kwargs))
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except GeneratorExit:
            if joined is not None:
                await keep(joined, pack(*args, **kwargs), cursor.value)
            raise
        except BaseException as error:
            await undo(error, pack(*args, **kwargs))
            raise
        if joined is not None:
            await keep(joined, pack(*args, **kwargs), cursor.value)

    return compensating
