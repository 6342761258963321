"""A bulkhead that begins to count and to learn anew."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Any

from recoup import AIMDLimit, Bulkhead, BulkheadConfig, BulkheadFullError
from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import Counts, Place, uncounted
from recoup.testing import VirtualClock
from tests.strategies.bulkhead.patience import until


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 2, "max_queue_size": 1, **options}))


def test_counters_begin_anew() -> None:
    """After `reset()` everything counts from 0; who is inside counts as running, and for the peak (B6)."""
    guard = made(max_queue_size=0)
    with guard:
        with guard, contextlib.suppress(BulkheadFullError):
            guard.execute_sync(len, "")
        assert guard.metrics == {"executed": 2, "rejected": 1, "timeout": 0, "running": 1, "waiting": 0, "peak": 2}
        guard.reset()
        assert guard.metrics == {"executed": 0, "rejected": 0, "timeout": 0, "running": 1, "waiting": 0, "peak": 1}
        with guard:
            assert guard.metrics == {"executed": 1, "rejected": 0, "timeout": 0, "running": 2, "waiting": 0, "peak": 2}
    assert guard.metrics == {"executed": 1, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 2}


async def test_nobody_is_disturbed(clock: VirtualClock) -> None:
    """Who runs goes on, who waits keeps the place in the queue and comes in in order (B1, B5)."""
    guard = made(max_concurrent=1, max_queue_size=5, queue_timeout=5)
    order: list[int] = []

    async def work(number: int) -> int:
        await asyncio.sleep(1)
        order.append(number)
        return number

    tasks = [asyncio.ensure_future(guard.execute(work, number)) for number in range(4)]
    await asyncio.sleep(0.5)
    guard.reset()
    assert (guard.running, guard.waiting) == (1, 3)
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3] == order
    assert clock.monotonic() > 0
    assert guard.metrics == {"executed": 3, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


async def test_a_place_that_was_given_before_is_not_taken_back_twice(clock: VirtualClock) -> None:
    """A waiter that had its place before the reset and is cancelled after it makes no count negative (B6, G7)."""
    guard = made(max_concurrent=1, max_queue_size=5)
    gate = guard._gate
    place = gate.take()
    waiting = asyncio.ensure_future(guard.execute(asyncio.sleep, 0))
    await asyncio.sleep(0)
    assert guard.waiting == 1
    assert place is not None
    gate.back(place)
    gate.settle()  # it has its place, and does not know yet
    guard.reset()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert guard.metrics["executed"] == guard.running == 0


def test_free_places_of_all_kinds() -> None:
    """A place that counts for nothing, or that another thread takes meanwhile, does not disturb a reset (G7, G16)."""
    gate = Gate(2, 0)
    first, second = gate.take(), gate.take()
    assert first is not None
    assert second is not None
    gate.back(first)
    gate.back(uncounted())
    gate.note(Gate.recount, None)
    assert gate.counts() == Counts(0, 0, 0, 1, 0, 1)

    class Taken(deque[Place]):
        def __len__(self) -> int:
            return 2

    gate.seats.free = Taken()
    gate.note(Gate.recount, None)
    assert gate.counts().running == 1
    gate.seats.free = gate._free
    gate.back(second)
    assert gate.counts() == Counts(0, 0, 0, 0, 0, 1)
    held = [gate.take() for _ in range(3)]
    assert [place is None for place in held] == [False, False, True]


def test_what_was_measured_is_forgotten(clock: VirtualClock) -> None:
    """Histograms begin anew, and a call that began before is in neither of them (B6)."""
    guard = made(histograms=True)
    with guard:
        clock.advance(1)
        guard.execute_sync(clock.advance, 2)
        assert guard.histograms["ran"].count == 1
        guard.reset()
        assert guard.histograms["ran"].count == guard.histograms["waited"].count == 0
    assert guard.histograms["ran"].count == 0
    guard.execute_sync(clock.advance, 3)
    assert guard.histograms["ran"].count == 1


def test_a_limit_goes_back_to_its_start(clock: VirtualClock) -> None:
    """An adaptive limit begins with `max_concurrent` again; what began before teaches it nothing (B7)."""
    guard = made(max_concurrent=10, adaptive=AIMDLimit(backoff_ratio=0.5, timeout=1))
    guard.execute_sync(clock.advance, 2)
    assert guard.limit == 5
    with guard:
        clock.advance(2)
        guard.reset()
        assert guard.limit == 10
    assert guard.limit == 10
    guard.execute_sync(clock.advance, 2)
    assert guard.limit == 5


def test_another_limit_is_taught_by_its_own_calls_only(clock: VirtualClock) -> None:
    """A call that began under another adaptive limit teaches the new one nothing (B5, B7)."""
    guard = made(max_concurrent=10, adaptive=AIMDLimit(backoff_ratio=0.5, timeout=1))
    with guard:
        guard.reconfigure(adaptive=AIMDLimit(backoff_ratio=0.9, timeout=1))
        clock.advance(2)
    assert guard.limit == 10
    guard.execute_sync(clock.advance, 2)
    assert guard.limit == 9


def test_a_dropped_call_after_a_reset_without_lessons(clock: VirtualClock) -> None:
    """A failed call of a bulkhead that only has histograms is recorded after a reset as before (B6)."""
    guard = made(histograms=True)

    def fail() -> None:
        clock.advance(1)
        raise TimeoutError

    guard.reset()
    with contextlib.suppress(TimeoutError):
        guard.execute_sync(fail)
    assert guard.histograms["ran"].count == 1


def test_while_32_threads_call() -> None:
    """Resets and changes at any time lose no place, and what is counted after the last one is exact (B5, G7)."""
    guard = made(max_concurrent=4, max_queue_size=1000, histograms=True, adaptive=AIMDLimit(max_limit=8))
    stop = threading.Event()
    begin = threading.Barrier(33)

    def call() -> None:
        begin.wait()
        for _ in range(40):
            assert guard.execute_sync(len, "abc") == 3

    def change() -> None:
        begin.wait()
        sizes = [1, 8, 2, 5]
        while not stop.is_set():
            sizes.append(sizes.pop(0))
            guard.reconfigure(max_concurrent=sizes[0])
            guard.reset()
            counts = guard.metrics
            assert min(counts.values()) >= 0
            assert counts["running"] <= 8

    callers = [threading.Thread(target=call) for _ in range(32)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    until(lambda: guard.running == 0)
    guard.reconfigure(max_concurrent=3)
    guard.reset()
    assert guard.metrics == {"executed": 0, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 0}
    with guard, guard, guard:
        assert guard._gate.take() is None
    assert guard.metrics["executed"] == guard.metrics["peak"] == 3
