"""The layers that see what goes in and what comes out, one in each colour and kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core.colour import Colour
from recoup._core.strategy import Pump, Strategy
from recoup._core.streams import AsyncCursor, Cursor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    from recoup._core.strategy import Place

    Begin = Callable[[Any], Any]
    End = Callable[[Any, BaseException | None, Any], None]

__all__ = ["Spy"]


class Spy(Strategy):
    """A layer that sees what goes in and what comes out; being a layer, it leaves the stack one stack."""

    kind: ClassVar[str] = "spy"

    def __init__(self, begin: Begin, end: End) -> None:
        super().__init__()
        self._watch = (begin, end)

    def _pumps(self, place: Place) -> Sequence[Pump]:
        return [Pump(SPYING[place.colour], self._watch)]


def spying(fn: Callable[..., Any], begin: Begin, end: End) -> Callable[..., Any]:
    """Say when a call begins, and how it ends."""

    def spying(*args: Any, **kwargs: Any) -> Any:
        token = begin(*args, **kwargs)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            end(token, error, None)
            raise
        end(token, None, result)
        return result

    return spying


def spying_async(fn: Callable[..., Awaitable[Any]], begin: Begin, end: End) -> Callable[..., Awaitable[Any]]:
    """Say when a call begins, and how it ends."""

    async def spying(*args: Any, **kwargs: Any) -> Any:
        token = begin(*args, **kwargs)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            end(token, error, None)
            raise
        end(token, None, result)
        return result

    return spying


def spying_stream(
    fn: Callable[..., Generator[Any, Any, Any]], begin: Begin, end: End
) -> Callable[..., Generator[Any, Any, Any]]:
    """Say when a generator begins, and how it ends; a closed one ends with GeneratorExit."""

    def spying(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        token = begin(*args, **kwargs)
        cursor = Cursor(fn(*args, **kwargs))
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            end(token, error, None)
            raise
        end(token, None, cursor.item)
        return cursor.value

    return spying


def spying_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]], begin: Begin, end: End
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Say when an async generator begins, and how it ends; a closed one ends with GeneratorExit."""

    async def spying(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        token = begin(*args, **kwargs)
        cursor = AsyncCursor(fn(*args, **kwargs))
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except BaseException as error:
            end(token, error, None)
            raise
        end(token, None, cursor.item)

    return spying


SPYING: dict[Colour, Callable[..., Any]] = {
    Colour.SYNC: spying,
    Colour.ASYNC: spying_async,
    Colour.STREAM: spying_stream,
    Colour.ASYNC_STREAM: spying_stream_async,
}
