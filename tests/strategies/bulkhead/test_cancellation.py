"""Cancellation at every await, before and after a hand-over: nothing leaks, nobody is left asleep (B3, G2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from recoup import Bulkhead, BulkheadConfig, deadline
from recoup.testing import VirtualClock
from tests.strategies.bulkhead.patience import until_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator


class Cancelling:
    """Await a coroutine, and throw a cancellation into it at its n-th suspension, in place of what it waited for.

    Attributes:
        struck: Whether there was an n-th suspension.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int, error: type[BaseException]) -> None:
        self.coroutine = coroutine
        self.at = at
        self.error = error
        self.struck = False

    def __await__(self) -> Generator[Any, Any, Any]:
        step = 0
        try:
            waits_for = self.coroutine.send(None)
            while True:
                sent = yield waits_for
                step += 1
                if step == self.at:
                    self.struck = True
                    waits_for = self.coroutine.throw(self.error())
                else:
                    waits_for = self.coroutine.send(sent)
        except StopIteration as end:
            return end.value


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Suspend for one turn of the loop, asyncio's."""
    yield


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, **options}))


async def plain(guard: Bulkhead) -> None:
    @guard
    async def work() -> None:
        await pause()
        try:
            await pause()
        finally:
            await pause()

    await work()


async def streamed(guard: Bulkhead) -> None:
    @guard
    async def numbers() -> Any:
        for number in range(2):
            await pause()
            yield number

    async for _ in numbers():
        await pause()


async def block(guard: Bulkhead) -> None:
    async with guard:
        await pause()


async def executed(guard: Bulkhead) -> None:
    async def work() -> None:
        await pause()

    await guard.execute(work)


async def pooled(guard: Bulkhead) -> None:
    await guard.execute(sorted, [2, 1])


async def timed(guard: Bulkhead) -> None:
    @deadline(1000)
    @guard
    async def work() -> None:
        await pause()

    await work()


WAYS = [plain, streamed, block, executed, pooled, timed]


async def settled(guard: Bulkhead) -> None:
    """Wait until work that its caller has left is over; then look that everything is as before."""
    gc.collect()
    await until_async(lambda: not guard.running)
    assert (guard.running, guard.waiting) == (0, 0)
    assert await asyncio.wait_for(guard.execute(pause_once), 10) == "through"


async def pause_once() -> str:
    await pause()
    return "through"


@pytest.mark.parametrize("busy", [False, True], ids=["free", "busy"])
@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit], ids=lambda e: e.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_at_every_await(
    way: Callable[[Bulkhead], Coroutine[Any, Any, None]], error: type[BaseException], busy: bool
) -> None:
    """Wherever a call is cancelled, what it held comes back, and the next one in line goes on (B3, G2)."""
    if way is streamed and error is GeneratorExit and sys.version_info < (3, 13):
        pytest.skip("closing the awaitable of `anext` leaves the async generator running before Python 3.13")
    at = 0
    struck = True
    while struck:
        at += 1
        guard = made(use_thread_pool=way is pooled)
        cancelling = Cancelling(way(guard), at, error)
        if busy:
            await guard.__aenter__()

        async def leave(guard: Bulkhead = guard) -> None:
            await guard.__aexit__(None, None, None)

        async def run(cancelling: Cancelling = cancelling) -> None:
            with contextlib.suppress(error, RuntimeError):  # "coroutine ignored GeneratorExit"
                await cancelling

        first = asyncio.ensure_future(run())
        await pause()
        next_in_line = asyncio.ensure_future(guard.execute(pause_once))
        if busy:
            await pause()
            await leave()
        await first
        assert await asyncio.wait_for(next_in_line, 10) == "through"
        await settled(guard)
        struck = cancelling.struck
    assert at > 1 + busy * (way is not pooled), "there were awaits to cancel at"


@pytest.mark.parametrize("order", ["cancelled, then given", "given, then cancelled"])
async def test_given_and_cancelled_in_the_same_tick(order: str) -> None:
    """A place that is handed to a waiter in the tick of its cancellation goes to the next one (B3)."""
    guard = made()
    await guard.__aenter__()
    unlucky = asyncio.ensure_future(guard.execute(pause_once))
    lucky = asyncio.ensure_future(guard.execute(pause_once))
    await pause()
    assert guard.waiting == 2
    if order.startswith("given"):
        await guard.__aexit__(None, None, None)
        assert guard.running == 1
        unlucky.cancel()
    else:
        unlucky.cancel()
        await guard.__aexit__(None, None, None)
        assert guard.running == 1
    with pytest.raises(asyncio.CancelledError):
        await unlucky
    assert await lucky == "through"
    assert guard.metrics == {"executed": 2, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


async def test_given_and_out_of_time_in_the_same_tick(clock: VirtualClock) -> None:
    """Whichever of time limit and hand-over comes first, the place is used or goes on, and is never lost (B2, B3)."""
    for offset in (-1e-3, 0.0, 1e-3):
        guard = made(queue_timeout=1.0)
        await guard.__aenter__()
        asyncio.get_running_loop().call_later(1.0 + offset, guard.__exit__, None, None, None)
        results: Any = await asyncio.gather(
            guard.execute(pause_once), guard.execute(pause_once), return_exceptions=True
        )
        ran = results.count("through")
        await asyncio.sleep(1)
        metrics = guard.metrics
        assert metrics["executed"] == 1 + ran
        assert metrics["timeout"] == 2 - ran
        assert (metrics["running"], metrics["waiting"]) == (0, 0)


async def test_all_waiters_cancelled_at_once() -> None:
    """A hundred waiters that are cancelled together while places come back leave nothing behind (B3)."""
    guard = made(max_concurrent=3)
    calls = [asyncio.ensure_future(guard.execute(pause_once)) for _ in range(100)]
    await pause()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await settled(guard)


async def test_a_coroutine_that_is_closed_in_the_queue() -> None:
    """Closing by hand a coroutine that waits takes it out of the queue (G2)."""
    guard = made()
    coroutine: Any = guard.execute(pause_once)
    async with guard:
        coroutine.send(None)
        assert guard.waiting == 1
        coroutine.close()
        assert guard.waiting == 0


async def test_a_coroutine_that_is_never_started() -> None:
    """A coroutine that nobody awaits holds nothing (B3)."""
    guard = made()
    guard.execute(pause_once).close()
    assert guard.metrics["executed"] == 0


async def test_a_coroutine_that_will_not_be_closed() -> None:
    """A function that ignores its closing gives the place back all the same (G2)."""
    guard = made()

    @guard
    async def stubborn() -> None:
        try:
            await pause()
        finally:
            await pause()

    coroutine: Any = stubborn()
    coroutine.send(None)
    assert guard.running == 1
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        coroutine.close()
    assert guard.running == 0


@pytest.mark.parametrize("order", ["cancelled, then given", "given, then cancelled"])
def test_under_trio(order: str) -> None:
    """The same holds for Trio's cancel scopes (B3, G15)."""

    async def main() -> None:
        guard = made()
        results: list[str] = []

        async def call(scope: trio.CancelScope) -> None:
            with scope:
                results.append(await guard.execute(pass_through))

        async def pass_through() -> str:
            await trio.lowlevel.checkpoint()
            return "through"

        async with trio.open_nursery() as nursery:
            await guard.__aenter__()
            scope = trio.CancelScope()
            nursery.start_soon(call, scope)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(call, trio.CancelScope())
            await trio.testing.wait_all_tasks_blocked()
            if order.startswith("given"):
                await guard.__aexit__(None, None, None)
                scope.cancel()
            else:
                scope.cancel()
                await guard.__aexit__(None, None, None)
        assert results == ["through"]
        assert scope.cancelled_caught
        assert (guard.running, guard.waiting) == (0, 0)

    trio.run(main)


def test_every_checkpoint_under_trio() -> None:
    """Cancelled after any number of scheduling steps, a Trio call leaves nothing behind (B3, G15)."""

    async def main(steps: int) -> bool:
        guard = made()

        async def work() -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            await guard.__aenter__()
            scope = trio.CancelScope()

            async def call() -> None:
                with scope:
                    await guard.execute(work)

            nursery.start_soon(call)
            for step in range(steps):
                await trio.lowlevel.checkpoint()
                if step == 2:
                    await guard.__aexit__(None, None, None)
            scope.cancel()
            if steps <= 2:
                await guard.__aexit__(None, None, None)
        with trio.fail_after(10):
            await guard.execute(work)
        assert (guard.running, guard.waiting) == (0, 0)
        return scope.cancelled_caught

    caught = [trio.run(main, steps) for steps in range(15)]
    assert any(caught)
    assert not all(caught)


def test_the_harness() -> None:
    """The harness itself: it cancels where it says."""
    seen: list[int] = []

    async def three() -> None:
        for number in range(3):
            seen.append(number)
            await pause()

    async def main(at: int) -> None:
        with pytest.raises(asyncio.CancelledError):
            await Cancelling(three(), at, asyncio.CancelledError)

    asyncio.run(main(2))
    assert seen == [0, 1]
