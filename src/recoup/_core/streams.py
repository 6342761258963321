"""Step an inner generator from a pump, with everything the consumer does passed in.

A stream pump reads like this in both colours (`await` and `async` apart):

    cursor = Cursor(fn(*args, **kwargs))
    while cursor.advance():
        try:
            cursor.sent = yield cursor.item
        except BaseException as thrown:
            cursor.thrown = thrown
    return cursor.value                    # only a synchronous generator has a value

`yield from` would do for generators, but async generators have nothing like it, and the two must stay equal.
Nothing ambient may span the `yield` (rule G17): a pump that needs a context variable or a timer enters and leaves it
round each `advance`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any

__all__ = ["AsyncCursor", "Cursor"]


class _Steps:
    """What both cursors hold between two steps."""

    __slots__ = ("_consumers", "item", "sent", "started", "thrown", "value")

    def __init__(self) -> None:
        self.item: Any = None  # what the stream yielded last
        self.sent: Any = None  # what the consumer sent in answer
        self.thrown: BaseException | None = None  # what the consumer threw in answer
        self.value: Any = None  # what a finished generator returned
        self.started = False  # whether an item has come
        self._consumers = 0  # id of the exception that the consumer threw last; only compared while it travels

    def threw(self, error: BaseException) -> bool:
        """Tell whether an error is the consumer's own, thrown in and come out again (rule R8)."""
        return id(error) == self._consumers

    def _taken(self) -> BaseException | None:
        thrown, self.thrown = self.thrown, None
        self._consumers = id(thrown) if thrown is not None else 0
        return thrown


class Cursor(_Steps):
    """A place in a generator."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Generator[Any, Any, Any]) -> None:
        super().__init__()
        self._stream = stream

    def advance(self) -> bool:
        """Go to the next item; False at the end."""
        thrown = self._taken()
        try:
            if thrown is None:
                sent, self.sent = self.sent, None
                self.item = self._stream.send(sent)
            else:
                self.item = self._stream.throw(thrown)
        except StopIteration as end:
            self.value = end.value
            return False
        finally:
            thrown = None
        self.started = True
        return True


class AsyncCursor(_Steps):
    """A place in an async generator."""

    __slots__ = ("_stream",)

    def __init__(self, stream: AsyncGenerator[Any, Any]) -> None:
        super().__init__()
        self._stream = stream

    async def advance(self) -> bool:
        """Go to the next item; False at the end."""
        thrown = self._taken()
        try:
            if thrown is None:
                sent, self.sent = self.sent, None
                self.item = await self._stream.asend(sent)
            else:
                self.item = await self._stream.athrow(thrown)
        except StopAsyncIteration:
            return False
        finally:
            thrown = None
        self.started = True
        return True
