"""How far a stream has come, and when it may start anew (rule R8).

Without `replay`, until its first item. With it, whenever it fails, but for an error that the consumer threw in; what
was handed out before comes again, or is left out.
"""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Progress(Protocol):
        """What the pump of a stream asks."""

        def restart(self, stream: Any, /) -> Any:
            """Give the cursor of a stream that starts, perhaps anew."""
            raise NotImplementedError

        def ends(self, cursor: Any, error: Exception, /) -> bool:
            """Tell whether an error ends it, whatever the plan says."""
            raise NotImplementedError


__all__ = ["ANEW", "ONCE", "Anew", "Once"]


class Once:
    """The rule of streams that start anew until their first item; it remembers nothing, so all share it."""

    __slots__ = ("restart",)

    def __init__(self, cursor: type[Any]) -> None:
        self.restart = cursor

    def ends(self, cursor: Any, error: Exception) -> bool:  # noqa: ARG002 - any
        """Tell whether an error belongs to the consumer: one that comes after the first item."""
        started: bool = cursor.started
        return started


class Anew:
    """How far a consumer has come, over all starts of one stream.

    Args:
        cursor: What steps the stream.
        resume: Whether items that were handed out before are left out after a new start.
    """

    __slots__ = ("_cursor", "_handed", "_last", "_resume")

    def __init__(self, cursor: type[Any], *, resume: bool) -> None:
        self._cursor = cursor
        self._resume = resume
        self._handed = 0  # items that the consumer has
        self._last: Any = None

    def restart(self, stream: Any) -> Any:
        """Give the cursor of a stream that starts, perhaps anew."""
        if self._last is not None:
            self._handed = max(self._handed, self._last.seen)
        self._last = self._cursor(stream, self._handed if self._resume else 0)
        return self._last

    def ends(self, cursor: Any, error: Exception) -> bool:
        """Tell whether the consumer threw an error in."""
        threw: bool = cursor.threw(error)
        return threw


class Skipping(Cursor):
    """A place in a generator of which the first items are left out.

    Attributes:
        seen: How many items have come, those that are left out included.
    """

    __slots__ = ("_skip", "seen")

    def __init__(self, stream: Any, skip: int) -> None:
        super().__init__(stream)
        self._skip = skip
        self.seen = 0

    def advance(self) -> bool:
        """Go to the next item for the consumer; False at the end."""
        while super().advance():
            self.seen += 1
            if self.seen > self._skip:
                return True
        return False


class AsyncSkipping(AsyncCursor):
    """A place in an async generator of which the first items are left out; `seen` as in `Skipping`."""

    __slots__ = ("_skip", "seen")

    def __init__(self, stream: Any, skip: int) -> None:
        super().__init__(stream)
        self._skip = skip
        self.seen = 0

    async def advance(self) -> bool:
        """Go to the next item for the consumer; False at the end."""
        while await super().advance():
            self.seen += 1
            if self.seen > self._skip:
                return True
        return False


ONCE = {False: Once(Cursor), True: Once(AsyncCursor)}  # by whether the stream is asynchronous
ANEW = {False: Skipping, True: AsyncSkipping}
