"""The pumps of the bulkhead, one in each colour and kind.

`take` gives the place of a call that can go straight in and `None` to one that has to queue up, which is what `wait`
does. Giving back is the `append` of a deque (`back`), one uninterruptible step; only if somebody waits (`queue` is not
empty) there is more to do. A place that is dropped instead finds its way back by itself: an async generator, for one,
may outlive its event loop.
"""

from __future__ import annotations

from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator
    from typing import Any

    from recoup._core.strategy import Strategy
    from recoup.strategies.bulkhead.meter import Run
    from recoup.strategies.bulkhead.pool import TaskJob, ThreadJob
    from recoup.strategies.bulkhead.tickets import Place

    Take = Callable[[], Place | None]
    Back = Callable[[Place], None]
    Settle = Callable[[], None]
    Outer = tuple[Strategy, ...]

__all__ = [
    "holding",
    "holding_async",
    "holding_stream",
    "holding_stream_async",
    "metering",
    "metering_async",
    "pooling",
    "pooling_async",
    "pooling_metered_async",
]


def holding(
    fn: Callable[..., Any],
    take: Take,
    wait: Callable[[], Place],
    back: Back,
    queue: Collection[Any],
    settle: Settle,
) -> Callable[..., Any]:
    """Hold a place while a function runs."""

    def holding(*args: Any, **kwargs: Any) -> Any:
        place = take()
        if place is None:
            place = wait()
        try:
            return fn(*args, **kwargs)
        finally:
            back(place)
            if queue:
                settle()

    return holding


def holding_async(
    fn: Callable[..., Awaitable[Any]],
    take: Take,
    wait: Callable[[], Awaitable[Place]],
    back: Back,
    queue: Collection[Any],
    settle: Settle,
) -> Callable[..., Awaitable[Any]]:
    """Hold a place while an async function runs."""

    async def holding(*args: Any, **kwargs: Any) -> Any:
        place = take()
        if place is None:
            place = await wait()
        try:
            return await fn(*args, **kwargs)
        finally:
            back(place)
            if queue:
                settle()

    return holding


def holding_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    take: Take,
    wait: Callable[[], Place],
    back: Back,
    queue: Collection[Any],
    settle: Settle,
) -> Callable[..., Generator[Any, Any, Any]]:
    """Hold a place from the first item asked for until the generator ends, is closed or dropped (rule G17)."""

    def holding(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        place = take()
        if place is None:
            place = wait()
        try:
            cursor = Cursor(fn(*args, **kwargs))
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
            return cursor.value
        finally:
            back(place)
            if queue:
                settle()

    return holding


def holding_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    take: Take,
    wait: Callable[[], Awaitable[Place]],
    back: Back,
    queue: Collection[Any],
    settle: Settle,
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Hold a place from the first item asked for until the async generator ends, is closed or dropped (rule G17)."""

    async def holding(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        place = take()
        if place is None:
            place = await wait()
        try:
            cursor = AsyncCursor(fn(*args, **kwargs))
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
            return
        finally:
            back(place)
            if queue:
                settle()

    return holding


def pooling(fn: Callable[..., Any], enlist: Callable[[Any], ThreadJob]) -> Callable[..., Any]:
    """Run a function in a thread of the bulkhead's own, which holds the place for as long as the function runs."""

    def pooling(*args: Any, **kwargs: Any) -> Any:
        job = enlist(fn)
        return job.run(*args, **kwargs)

    return pooling


def pooling_async(fn: Callable[..., Any], enlist: Callable[[Any], Awaitable[TaskJob]]) -> Callable[..., Awaitable[Any]]:
    """Run a plain function for an async caller, who may leave while the thread goes on (rule B3)."""

    async def pooling(*args: Any, **kwargs: Any) -> Any:
        job = await enlist(fn)
        return await job.run(*args, **kwargs)

    return pooling


def metering(fn: Callable[..., Any], begin: Callable[[Outer], Run], outer: Outer) -> Callable[..., Any]:
    """Measure a function, inside its place."""

    def metering(*args: Any, **kwargs: Any) -> Any:
        run = begin(outer)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            run.failed(error)
            raise
        run.ended(result)
        return result

    return metering


def metering_async(
    fn: Callable[..., Awaitable[Any]], begin: Callable[[Outer], Run], outer: Outer
) -> Callable[..., Awaitable[Any]]:
    """Measure an async function, inside its place."""

    async def metering(*args: Any, **kwargs: Any) -> Any:
        run = begin(outer)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            run.failed(error)
            raise
        run.ended(result)
        return result

    return metering


def pooling_metered_async(
    fn: Callable[..., Any], enlist: Callable[[Any], Awaitable[TaskJob]], begin: Callable[[Outer], Run], outer: Outer
) -> Callable[..., Awaitable[Any]]:
    """Run and measure a plain function in a thread, for an async caller."""
    return pooling_async(metering(fn, begin, outer), enlist)
