"""Streams that start anew also after their first item, because the user says that this is right (rule R8).

They are the stream pumps of `pumps.py` but for two things: only an error that the consumer threw in is passed on
without a retry, and `Progress` may leave out items that were handed out before.
"""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from typing import Any

    from recoup.strategies.retry.pumps import AsyncSleep, AsyncTell, Decide, Sleep, Succeed, Tell
    from recoup.strategies.retry.strategy import RetryExecutor

__all__ = ["Progress", "begun", "replaying_stream", "replaying_stream_async"]


class Progress:
    """How far a consumer has come, over all starts of one stream.

    Args:
        resume: Whether items that were handed out before are left out after a new start.
    """

    __slots__ = ("_handed", "_resume", "_seen")

    def __init__(self, *, resume: bool) -> None:
        self._resume = resume
        self._handed = 0  # items that the consumer has
        self._seen = 0  # items since the last start

    def restart(self) -> None:
        """Take note that the stream starts, perhaps anew."""
        self._seen = 0

    def advance(self, cursor: Cursor) -> bool:
        """Go to the next item for the consumer; False at the end."""
        while cursor.advance():
            if self._new():
                return True
        return False

    async def advance_async(self, cursor: AsyncCursor) -> bool:
        """Go to the next item for the consumer; False at the end."""
        while await cursor.advance():
            if self._new():
                return True
        return False

    def _new(self) -> bool:
        self._seen += 1
        if self._resume and self._seen <= self._handed:
            return False
        self._handed = self._seen
        return True


def begun(executor: RetryExecutor) -> Progress:
    """Begin a stream, by the configuration that holds now."""
    return Progress(resume=executor.config.replay == "resume")


def replaying_stream(  # noqa: C901 - as `retrying` in pumps.py
    fn: Callable[..., Generator[Any, Any, Any]],
    decide: Decide,
    tell: Tell,
    succeed: Succeed | None,
    sleep: Sleep,
    begin: Callable[[], Progress],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Start a generator anew whenever it fails, also after items were handed out."""

    def retrying(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run, progress = None, begin()
        try:
            while True:
                cursor = Cursor(fn(*args, **kwargs))
                progress.restart()
                try:
                    while progress.advance(cursor):
                        try:
                            cursor.sent = yield cursor.item
                        except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                            cursor.thrown = thrown
                    if succeed is not None:
                        succeed(run)
                    return cursor.value  # noqa: TRY300 - the loop ends here
                except Exception as error:
                    if cursor.threw(error):
                        raise
                    run = decide(run, error)
                    tell(run, error)
                    if run.delay is None:
                        raise
                sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
            raise
        finally:
            run = None

    return retrying


def replaying_stream_async(  # noqa: C901 - as its twin
    fn: Callable[..., AsyncGenerator[Any, Any]],
    decide: Decide,
    tell: AsyncTell,
    succeed: Succeed | None,
    sleep: AsyncSleep,
    begin: Callable[[], Progress],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Start an async generator anew whenever it fails, also after items were handed out."""

    async def retrying(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run, progress = None, begin()
        try:
            while True:
                cursor = AsyncCursor(fn(*args, **kwargs))
                progress.restart()
                try:
                    while await progress.advance_async(cursor):
                        try:
                            cursor.sent = yield cursor.item
                        except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                            cursor.thrown = thrown
                    if succeed is not None:
                        succeed(run)
                    return  # noqa: TRY300 - the loop ends here
                except Exception as error:
                    if cursor.threw(error):
                        raise
                    run = decide(run, error)
                    await tell(run, error)
                    if run.delay is None:
                        raise
                await sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
            raise
        finally:
            run = None

    return retrying
