"""The pumps of retry, one in each colour and kind.

They keep nothing on the way of a healthy call: `decide` makes the run at the first failure. A run's `delay` is `None`
when retrying is over. The next attempt begins outside the `except` block, so that its error has no new context. A run
remembers the last error, in whose traceback this frame is: dropping the run at the end opens that cycle (rule G11).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any

    from recoup.errors import UnacceptableResult
    from recoup.strategies.retry.state import RetryRun
    from recoup.strategies.retry.streams import Progress

    Plain = Callable[..., Any]
    Async = Callable[..., Awaitable[Any]]
    Stream = Callable[..., Generator[Any, Any, Any]]
    AsyncStream = Callable[..., AsyncGenerator[Any, Any]]
    Decide = Callable[[RetryRun | None, Exception], RetryRun]
    Judge = Callable[[RetryRun | None, Any], UnacceptableResult | None]
    Tell = Callable[[RetryRun, Exception], None]
    AsyncTell = Callable[[RetryRun, Exception], Awaitable[None]]
    Drop = Callable[[RetryRun, Any], None]
    AsyncDrop = Callable[[RetryRun, Any], Awaitable[None]]
    Succeed = Callable[[RetryRun | None], None]
    Begin = Callable[[], Progress]
    Sleep = Callable[[float], None]
    AsyncSleep = Callable[[float], Awaitable[None]]

__all__ = ["judging", "judging_async", "retrying", "retrying_async", "retrying_stream", "retrying_stream_async"]


def retrying(fn: Plain, decide: Decide, tell: Tell, sleep: Sleep) -> Plain:
    """Call a function until it succeeds or the run says stop."""

    def retrying(*args: Any, **kwargs: Any) -> Any:
        run = None
        try:
            while True:
                try:
                    return fn(*args, **kwargs)
                except Exception as error:
                    run = decide(run, error)
                    if run.tells:
                        tell(run, error)
                    if run.delay is None:
                        raise
                if run.waits:
                    sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
            raise
        finally:
            run = None

    return retrying


def retrying_async(fn: Async, decide: Decide, tell: AsyncTell, sleep: AsyncSleep) -> Async:
    """Call an async function until it succeeds or the run says stop."""

    async def retrying(*args: Any, **kwargs: Any) -> Any:
        run = None
        try:
            while True:
                try:
                    return await fn(*args, **kwargs)
                except Exception as error:
                    run = decide(run, error)
                    if run.tells:
                        await tell(run, error)
                    if run.delay is None:
                        raise
                if run.waits:
                    await sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
            raise
        finally:
            run = None

    return retrying


def judging(  # noqa: C901 - errors and results take the same few steps, and the whole is read at once
    fn: Plain, decide: Decide, judge: Judge, tell: Tell, drop: Drop, sleep: Sleep
) -> Plain:
    """Call a function until its result is accepted or the run says stop."""

    def retrying(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - as above
        run = None
        try:
            while True:
                try:
                    result = fn(*args, **kwargs)
                except Exception as error:
                    run = decide(run, error)
                    tell(run, error)
                    if run.delay is None:
                        raise
                else:
                    rejection = judge(run, result)
                    if rejection is None:
                        if run is not None:
                            drop(run, result)
                        return result
                    run = decide(run, rejection)
                    tell(run, rejection)
                    if run.delay is None:
                        return run.last(result)
                if run.waits:
                    sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
                drop(run, end)
            raise
        finally:
            run = None

    return retrying


def judging_async(  # noqa: C901 - as its twin
    fn: Async, decide: Decide, judge: Judge, tell: AsyncTell, drop: AsyncDrop, sleep: AsyncSleep
) -> Async:
    """Call an async function until its result is accepted or the run says stop."""

    async def retrying(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - as above
        run = None
        try:
            while True:
                try:
                    result = await fn(*args, **kwargs)
                except Exception as error:
                    run = decide(run, error)
                    await tell(run, error)
                    if run.delay is None:
                        raise
                else:
                    rejection = judge(run, result)
                    if rejection is None:
                        if run is not None:
                            await drop(run, result)
                        return result
                    run = decide(run, rejection)
                    await tell(run, rejection)
                    if run.delay is None:
                        return run.last(result)
                if run.waits:
                    await sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
                await drop(run, end)
            raise
        finally:
            run = None

    return retrying


def retrying_stream(  # noqa: C901 - the loop round a generator, and the loop round that
    fn: Stream, decide: Decide, tell: Tell, succeed: Succeed | None, sleep: Sleep, begin: Begin
) -> Stream:
    """Start a generator anew when it fails, as far as its progress allows (rule R8)."""

    def retrying(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: C901 - as above
        run, progress = None, begin()
        try:
            while True:
                cursor = progress.restart(fn(*args, **kwargs))
                try:
                    while cursor.advance():
                        try:
                            cursor.sent = yield cursor.item
                        except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                            cursor.thrown = thrown
                    if succeed is not None:
                        succeed(run)
                    return cursor.value  # noqa: TRY300 - the loop ends here
                except Exception as error:
                    if progress.ends(cursor, error):
                        raise
                    run = decide(run, error)
                    if run.tells:
                        tell(run, error)
                    if run.delay is None:
                        raise
                if run.waits:
                    sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
            raise
        finally:
            run = None

    return retrying


def retrying_stream_async(  # noqa: C901 - as its twin
    fn: AsyncStream, decide: Decide, tell: AsyncTell, succeed: Succeed | None, sleep: AsyncSleep, begin: Begin
) -> AsyncStream:
    """Start an async generator anew when it fails, as far as its progress allows (rule R8)."""

    async def retrying(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: C901 - as above
        run, progress = None, begin()
        try:
            while True:
                cursor = progress.restart(fn(*args, **kwargs))
                try:
                    while await cursor.advance():
                        try:
                            cursor.sent = yield cursor.item
                        except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                            cursor.thrown = thrown
                    if succeed is not None:
                        succeed(run)
                    return  # noqa: TRY300 - the loop ends here
                except Exception as error:
                    if progress.ends(cursor, error):
                        raise
                    run = decide(run, error)
                    if run.tells:
                        await tell(run, error)
                    if run.delay is None:
                        raise
                if run.waits:
                    await sleep(run.delay)
        except BaseException as end:
            if run is not None:
                run.ended(end)
            raise
        finally:
            run = None

    return retrying
