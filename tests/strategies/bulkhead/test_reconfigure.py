"""Limits that change while calls run and wait (B5, G1)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Any

import pytest

from recoup import AIMDLimit, Bulkhead, BulkheadConfig, BulkheadFullError, BulkheadTimeoutError
from recoup.testing import VirtualClock
from tests.strategies.bulkhead.patience import until


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 2, "max_queue_size": 10, **options}))


def test_fields_change_and_the_others_stay() -> None:
    """What is not named keeps its value; what is holds from now on (B5)."""
    guard = made(queue_timeout=0)
    with contextlib.ExitStack() as inside:
        for _ in range(2):
            inside.enter_context(guard)
        with pytest.raises(BulkheadTimeoutError, match="within 0 s: 2 calls run"):
            guard.execute_sync(len, "")
        guard.reconfigure(max_concurrent=3)
        assert guard.config == BulkheadConfig(max_concurrent=3, max_queue_size=10, queue_timeout=0)
        assert guard.execute_sync(len, "abc") == 3
        guard.reconfigure(max_concurrent=1, max_queue_size=0)
        with pytest.raises(BulkheadFullError, match="is full: 1 calls run and 0 wait"):
            guard.execute_sync(len, "")
        assert repr(guard) == "<Bulkhead 'bulkhead' running=2/1 waiting=0/0>"
    assert guard.execute_sync(len, "abc") == 3


def test_a_whole_config() -> None:
    """A config may be given instead (B5)."""
    guard = made()
    config = BulkheadConfig(max_concurrent=7)
    guard.reconfigure(config)
    assert guard.config is config


async def test_a_smaller_limit_waits_for_nobody(clock: VirtualClock) -> None:
    """Running work drains; those who wait come in when there is room under the new limit, in order (B5)."""
    guard = made(max_concurrent=3)
    running: list[int] = []
    order: list[int] = []
    most: list[int] = []

    async def work(number: int) -> None:
        running.append(number)
        order.append(number)
        most.append(len(running))
        await asyncio.sleep(number + 1)
        running.remove(number)

    tasks = [asyncio.ensure_future(guard.execute(work, number)) for number in range(6)]
    await asyncio.sleep(0.5)
    assert running == [0, 1, 2]
    before = clock.monotonic()
    guard.reconfigure(max_concurrent=1)
    assert clock.monotonic() == before
    assert running == [0, 1, 2]
    await asyncio.sleep(2)
    assert running == [2]
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4, 5]
    assert most == [1, 2, 3, 1, 1, 1]
    assert guard.metrics == {"executed": 6, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 3}


def test_a_larger_limit_lets_threads_and_tasks_in() -> None:
    """Who waits, wherever, comes in at once when the limit grows (B1, B5)."""
    guard = made(max_concurrent=1)
    done = threading.Semaphore(0)

    async def main() -> None:
        await guard.execute(done.release)

    with guard:
        threads = [
            threading.Thread(target=guard.execute_sync, args=(done.release,)),
            threading.Thread(target=lambda: asyncio.run(main())),
        ]
        for thread in threads:
            thread.start()
        until(lambda: guard.waiting == 2)
        guard.reconfigure(max_concurrent=3)
        for _ in threads:
            assert done.acquire(timeout=10)
    for thread in threads:
        thread.join()
    assert guard.running == 0


def test_more_and_fewer_threads() -> None:
    """A pool grows when there is work, and sends home the threads that are too many (B4, B5)."""
    guard = Bulkhead(BulkheadConfig(use_thread_pool=True, thread_pool_size=1), name="resized")
    begun, end = threading.Semaphore(0), threading.Event()

    def work() -> None:
        begun.release()
        assert end.wait(10)

    def count() -> int:
        return sum(thread.name.startswith("resized-") for thread in threading.enumerate())

    callers = [threading.Thread(target=guard.execute_sync, args=(work,)) for _ in range(3)]
    for caller in callers:
        caller.start()
    until(lambda: guard.waiting == 2)
    guard.reconfigure(thread_pool_size=3)
    for _ in callers:
        assert begun.acquire(timeout=10)
    assert count() == 3
    end.set()
    for caller in callers:
        caller.join()
    pool = guard._pool
    assert pool is not None
    until(lambda: len(pool._idle) == 3)
    guard.reconfigure(thread_pool_size=1)
    until(lambda: count() == 1)
    assert guard.execute_sync(threading.get_ident) != threading.get_ident()
    assert count() == 1


def test_a_pool_that_becomes_smaller_while_a_thread_is_taken() -> None:
    """An idle thread that another caller takes meanwhile is not sent home (B5)."""
    guard = made(use_thread_pool=True)
    pool = guard._pool
    assert pool is not None

    class Taken(deque[Any]):
        def __len__(self) -> int:
            return 2

    pool._idle = Taken()
    guard.reconfigure(thread_pool_size=1)
    pool._idle = deque()
    assert guard.execute_sync(len, "abc") == 3


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"max_concurrent": 0}, ValueError, "max_concurrent must be at least 1, not 0"),
        ({"max_concurrent": 5, "queue_timeout": -1}, ValueError, "queue_timeout must be"),
        ({"max_concurrent": True}, TypeError, "max_concurrent must be"),
        ({"max_concurent": 5}, TypeError, "max_concurent"),
        ({"name": "other"}, TypeError, "name"),
        ({"histograms": True}, ValueError, "^histograms must stay as it is in <Bulkhead 'bulkhead' running"),
        (
            {"use_thread_pool": True, "queue_order": "fair"},
            ValueError,
            "^queue_order and use_thread_pool must stay as they are in <Bulkhead",
        ),
        ({"adaptive": AIMDLimit()}, ValueError, "^whether there is an adaptive limit must stay as it is"),
    ],
)
def test_bad_values_change_nothing(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """A mistake in one field leaves all of them as they were (G1, B5)."""
    guard = made()
    before = guard.config
    with pytest.raises(error, match=message):
        guard.reconfigure(**changes)
    assert guard.config is before
    with guard, guard:
        assert guard.running == 2
        assert guard._gate.take() is None


def test_a_config_and_changes() -> None:
    """One or the other, as with the decorator (G1)."""
    with pytest.raises(TypeError, match="a config or fields, not both: max_concurrent given"):
        made().reconfigure(BulkheadConfig(), max_concurrent=3)
    with pytest.raises(TypeError, match="config must be a BulkheadConfig, not 3"):
        made().reconfigure(3)  # type: ignore[arg-type]


def test_at_any_time_by_anybody() -> None:
    """While threads call, others change the limit; it is never exceeded by more than ran before, and all ends well."""
    guard = made(max_concurrent=4, max_queue_size=1000)
    lock = threading.Lock()
    inside = [0]
    stop = threading.Event()

    def work() -> None:
        with lock:
            inside[0] += 1
            assert inside[0] <= 8
        with lock:
            inside[0] -= 1

    def call() -> None:
        for _ in range(150):
            guard.execute_sync(work)

    def change() -> None:
        sizes = [1, 8, 2, 5]
        while not stop.is_set():
            sizes.append(sizes.pop(0))
            guard.reconfigure(max_concurrent=sizes[0])

    callers = [threading.Thread(target=call) for _ in range(8)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    guard.reconfigure(max_concurrent=3)
    assert (guard.running, guard.waiting) == (0, 0)
    assert guard.metrics["executed"] == 8 * 150
    places = [guard._gate.take() for _ in range(4)]
    assert [place is None for place in places] == [False, False, False, True]
