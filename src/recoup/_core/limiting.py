"""The pumps that limit the time of a call, in four colours.

Plain functions and generators cannot be interrupted: they get an ambient deadline, which is checked before they start,
by every strategy inside them before it waits, and (generators) before each step. A result that comes late is returned.
Asynchronous ones are cancelled besides, and that is why the two of the first pair are not twins: the asynchronous one
has to look at how the call ended.

The time of a generator counts from the first `next` to its end, the consumer's own time included; but nothing ambient
spans a `yield` (G17), so its deadline is opened anew for each step. When the time is up between two steps the
generator is closed.
"""

from __future__ import annotations

from contextlib import suppress

from recoup._core import mode
from recoup._core.deadlines import Deadline, exceeded
from recoup._core.notes import cause_of
from recoup._core.scopes import enter_async, leave_async
from recoup._core.strategy import Pump
from recoup._core.streams import AsyncCursor, Cursor
from recoup._core.timing import current_deadline, enter, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any

    from recoup._core.colour import Colour
    from recoup._core.deadlines import Limit, Live
    from recoup._core.terms import Term

__all__ = ["limiting", "limiting_async", "limiting_stream", "limiting_stream_async", "pump"]


def pump(colour: Colour, live: Live) -> Pump:
    """Choose the pump for a colour."""
    if colour.is_stream:
        return Pump(limiting_stream_async if colour.is_async else limiting_stream, (live, Span))
    return Pump(limiting_async if colour.is_async else limiting, (live,))


def limiting(fn: Callable[..., Any], live: Live) -> Callable[..., Any]:
    """Limit the time of a plain function."""

    def limiting(*args: Any, **kwargs: Any) -> Any:
        deadline = enter(live.limit)
        try:
            return fn(*args, **kwargs)
        finally:
            leave(deadline)

    return limiting


def limiting_async(fn: Callable[..., Awaitable[Any]], live: Live) -> Callable[..., Awaitable[Any]]:
    """Limit the time of an asynchronous function."""

    async def limiting(*args: Any, **kwargs: Any) -> Any:
        deadline = enter_async(live.limit)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            blamed = leave_async(deadline, error)
            if blamed is None:
                raise
            raise exceeded(blamed) from cause_of(error)
        leave_async(deadline)
        return result

    return limiting


def limiting_stream(
    fn: Callable[..., Generator[Any, Any, Any]], live: Live, span: type[Span]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Limit the time of a generator."""

    def limiting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        cursor = Cursor(fn(*args, **kwargs))
        steps = span(live.limit)
        while steps.advance(cursor):
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - passed in, and comes out again
                cursor.thrown = thrown
        return cursor.value

    return limiting


def limiting_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]], live: Live, span: type[Span]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Limit the time of an async generator."""

    async def limiting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        cursor = AsyncCursor(fn(*args, **kwargs))
        steps = span(live.limit)
        while await steps.advance_async(cursor):
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - passed in, and comes out again
                cursor.thrown = thrown

    return limiting


class Span:
    """The deadline of one iteration, opened for one step at a time."""

    __slots__ = ("_at", "_limit")

    def __init__(self, limit: Limit) -> None:
        self._at: float | None = None  # not before the first step
        self._limit = limit

    def advance(self, cursor: Cursor) -> bool:
        """Take a step under the deadline; False at the end."""
        late = self._late()
        if late is not None:
            if cursor.thrown is not None:  # clean-up takes the time that it takes
                return cursor.advance()
            _close(cursor)
            raise exceeded(late)
        deadline = enter(self._limit, at=self._at)
        try:
            return cursor.advance()
        finally:
            self._keep(deadline)
            leave(deadline)

    async def advance_async(self, cursor: AsyncCursor) -> bool:
        """Take a step under the deadline; False at the end."""
        late = self._late()
        if late is not None:
            if cursor.thrown is not None:
                return await cursor.advance()
            await _close_async(cursor)
            raise exceeded(late)
        deadline = enter_async(self._limit, at=self._at)
        try:
            more = await cursor.advance()
        except BaseException as error:
            blamed = leave_async(deadline, error)
            if blamed is None:
                raise
            raise exceeded(blamed) from cause_of(error)
        finally:
            self._keep(deadline)
        leave_async(deadline)
        return more

    def _late(self) -> Deadline | None:
        """Give the deadline that leaves no time for another step."""
        if self._at is None or (mode.active and mode.off()):
            return None
        own = Deadline(self._limit, self._at)
        if own.expired:
            return own
        self._at = own.at  # the clock may have gone backwards
        outer = current_deadline()
        return outer if outer is not None and outer.expired else None

    def _keep(self, deadline: Term | None) -> None:
        if deadline is not None:
            self._at = deadline.at


def _close(cursor: Cursor) -> None:
    """End a generator that the consumer still waits for."""
    cursor.thrown = GeneratorExit()
    with suppress(GeneratorExit):
        cursor.advance()


async def _close_async(cursor: AsyncCursor) -> None:
    """End an async generator that the consumer still waits for."""
    cursor.thrown = GeneratorExit()
    with suppress(GeneratorExit):
        await cursor.advance()
