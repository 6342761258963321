"""A bulkhead under load from everywhere: the limit holds, the order is kept, nothing leaks (B1-B3, B6, G7)."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel

from recoup import Bulkhead, BulkheadConfig, BulkheadTimeoutError
from recoup.strategies.bulkhead.state import Gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.bulkhead.tickets import Ticket

pytestmark = pytest.mark.slow


class Meter:
    """Counts who is inside."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.calls = 0

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            self.calls += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1

    def pass_through(self) -> None:
        self.enter()
        self.leave()


class Order:
    """Writes down, under the gate's own lock, who joins the queue and who is let in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, guard: Bulkhead) -> None:
        self.joined: list[Ticket] = []
        self.admitted: list[Ticket] = []
        join, let_in = Gate._join, Gate._let_in
        gate = guard._gate

        def joining(self_: Gate, ticket: Ticket) -> bool:
            result = join(self_, ticket)
            if self_ is gate and result and ticket.place is None:
                self.joined.append(ticket)
            return result

        def letting_in(self_: Gate, ticket: Ticket) -> bool:
            result = let_in(self_, ticket)
            if self_ is gate and result and ticket in self_.queue:
                self.admitted.append(ticket)
            return result

        monkeypatch.setattr(Gate, "_join", joining)
        monkeypatch.setattr(Gate, "_let_in", letting_in)

    def check(self) -> None:
        """The admitted are the joined in the same order, less those who gave up."""
        number = {id(ticket): index for index, ticket in enumerate(self.joined)}
        order = [number[id(ticket)] for ticket in self.admitted]
        assert order == sorted(order)


def run_all(works: list[Callable[[], Any]]) -> None:
    """Run each in a thread of its own, to the end; raise what any raised."""
    errors: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "somebody was left asleep"
    for error in errors:
        raise error


class Crowd:
    """Callers of one bulkhead, from everywhere."""

    def __init__(self, guard: Bulkhead, meter: Meter) -> None:
        self.guard = guard
        self.meter = meter

    def threadful(self) -> None:
        """60 calls from this thread."""
        dice = random.Random(threading.get_ident())

        def work() -> None:
            self.meter.enter()
            if dice.random() < 0.1:
                time.sleep(0)
            self.meter.leave()

        for _ in range(60):
            self.guard.execute_sync(work)

    async def block(self, pause: Callable[[float], Any]) -> None:
        async with self.guard:
            self.meter.enter()
            try:
                await pause(0)
            finally:
                self.meter.leave()

    async def loopful(self) -> None:
        """400 asyncio tasks, 130 of which are cancelled at random moments."""
        dice = random.Random(threading.get_ident())
        tasks = [asyncio.ensure_future(self.block(asyncio.sleep)) for _ in range(400)]
        victims = dice.sample(tasks, 130)
        while victims:
            await asyncio.sleep(0)
            if dice.random() < 0.5:
                victims.pop().cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}

    async def runful(self) -> None:
        """200 Trio tasks, 60 of which are cancelled."""

        async def one(scope: trio.CancelScope) -> None:
            with scope:
                await self.block(trio.sleep)

        async with trio.open_nursery() as nursery:
            scopes = [trio.CancelScope() for _ in range(200)]
            for scope in scopes:
                nursery.start_soon(one, scope)
            for scope in random.Random(4).sample(scopes, 60):
                await trio.lowlevel.checkpoint()
                scope.cancel()


def test_threads_and_loops_with_random_cancellations(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 threads, three asyncio loops and a Trio run; a third of the tasks are cancelled at random moments."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=7, max_queue_size=10_000, queue_timeout=60))
    meter, order = Meter(), Order(monkeypatch, guard)
    crowd = Crowd(guard, meter)
    run_all([crowd.threadful] * 32 + [lambda: asyncio.run(crowd.loopful())] * 3 + [lambda: trio.run(crowd.runful)])
    gc.collect()
    assert meter.most <= 7
    assert meter.inside == 0
    order.check()
    metrics = guard.metrics
    assert (metrics["running"], metrics["waiting"], metrics["rejected"], metrics["timeout"]) == (0, 0, 0, 0)
    assert metrics["executed"] == meter.calls
    assert metrics["peak"] <= 7
    assert 32 * 60 < meter.calls < 32 * 60 + 3 * 400 + 200, "some were cancelled in the queue, and not all"
    assert None not in [guard._gate.take() for _ in range(7)]


def test_ten_thousand_tasks_and_32_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a bulkhead of 100, 1,000 cancelled at random: never above the limit, first come first served, all counted."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=100, max_queue_size=20_000, queue_timeout=60))
    meter, order = Meter(), Order(monkeypatch, guard)
    calls = 25
    cancelled_inside = threading.Semaphore(0)

    async def work() -> None:
        meter.enter()
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            cancelled_inside.release()
            raise
        finally:
            meter.leave()

    async def loopful(seed: int) -> int:
        dice = random.Random(seed)
        protected = guard(work)
        tasks = [asyncio.ensure_future(protected()) for _ in range(5_000)]
        for victim in dice.sample(tasks, 500):
            if dice.random() < 0.3:
                await asyncio.sleep(0)
            victim.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return sum(isinstance(result, asyncio.CancelledError) for result in results)

    def threadful() -> None:
        for _ in range(calls):
            guard.execute_sync(meter.pass_through)

    cancelled: list[int] = []
    run_all([lambda seed=seed: cancelled.append(asyncio.run(loopful(seed))) for seed in (7, 8)] + [threadful] * 32)
    gc.collect()
    assert 50 < meter.most <= 100
    assert meter.inside == 0
    order.check()
    ran = 10_000 + 32 * calls - (sum(cancelled) - cancelled_inside._value)
    assert guard.metrics == {
        "executed": ran,
        "rejected": 0,
        "timeout": 0,
        "running": 0,
        "waiting": 0,
        "peak": 100,
    }
    assert meter.calls == ran
    assert 500 < sum(cancelled) <= 1000
    assert None not in [guard._gate.take() for _ in range(100)]


def test_short_patience_under_load() -> None:
    """Where calls run out of time and are turned away all the while, every call ends one way and is counted once."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=5, queue_timeout=0.001))
    meter = Meter()
    refused = threading.Semaphore(0)
    calls = 100

    def work() -> None:
        meter.enter()
        meter.leave()

    def plain() -> None:
        for _ in range(calls):
            try:
                guard.execute_sync(work)
            except BulkheadTimeoutError:
                refused.release()

    async def coloured() -> None:
        async def one() -> None:
            try:
                async with guard:
                    meter.enter()
                    await asyncio.sleep(0)
                    meter.leave()
            except BulkheadTimeoutError:
                refused.release()

        for _ in range(calls // 10):
            await asyncio.gather(*(one() for _ in range(10)))

    run_all([plain] * 16 + [lambda: asyncio.run(coloured())] * 4)
    metrics = guard.metrics
    assert meter.most <= 2
    assert metrics["executed"] == meter.calls
    assert metrics["executed"] + metrics["rejected"] + metrics["timeout"] == 20 * calls
    assert metrics["rejected"] + metrics["timeout"] == refused._value
    assert (metrics["running"], metrics["waiting"]) == (0, 0)


def test_pooled_calls_under_load() -> None:
    """Plain functions in threads of the bulkhead, called from threads and loops and left by some of their callers."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=6, thread_pool_size=3, max_queue_size=10_000, use_thread_pool=True))
    meter = Meter()

    def work() -> None:
        meter.enter()
        time.sleep(0)
        meter.leave()

    def plain() -> None:
        for _ in range(30):
            guard.execute_sync(work)

    async def coloured() -> None:
        tasks = [asyncio.ensure_future(guard.execute(work)) for _ in range(100)]
        for task in tasks[::3]:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_all([plain] * 8 + [lambda: asyncio.run(coloured())] * 2)
    deadline = time.monotonic() + 10
    while guard.running and time.monotonic() < deadline:
        time.sleep(0.001)
    assert meter.most <= 3
    assert guard.running == 0
    assert guard.metrics["executed"] == meter.calls
    assert guard._pool is not None
    assert guard._pool._started <= 3
