"""One bulkhead for several event loops, threads and Trio runs, and loops that go away (B1, G7, G15)."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from recoup import Bulkhead, BulkheadConfig, BulkheadTimeoutError
from tests.strategies.bulkhead.patience import until

if TYPE_CHECKING:
    from collections.abc import Callable


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, **options}))


class Runner:
    """A thread or loop of its own that makes one call, as soon as it is told to."""

    def __init__(self, kind: str, guard: Bulkhead, order: list[str], name: str) -> None:
        self.guard = guard
        self.order = order
        self.name = name
        run: Callable[[], Any] = {"thread": self._plain, "asyncio": self._asyncio, "trio": self._trio}[kind]
        self.thread = threading.Thread(target=run)

    def line_up(self) -> None:
        """Make the call, and come back when it waits in the queue."""
        before = self.guard.waiting
        self.thread.start()
        until(lambda: self.guard.waiting > before)

    def _served(self) -> None:
        self.order.append(self.name)

    def _plain(self) -> None:
        self.guard.execute_sync(self._served)

    def _asyncio(self) -> None:
        asyncio.run(self.guard.execute(self._coroutine))

    def _trio(self) -> None:
        trio.run(self.guard.execute, self._coroutine)

    async def _coroutine(self) -> None:
        self._served()


def test_first_come_first_served_across_all() -> None:
    """Threads, asyncio tasks of different loops and Trio tasks stand in one line (B1)."""
    guard = made()
    order: list[str] = []
    kinds = ["thread", "asyncio", "trio", "asyncio", "thread", "trio", "trio", "thread", "asyncio"]
    runners = [Runner(kind, guard, order, f"{number} {kind}") for number, kind in enumerate(kinds)]
    with guard:
        for runner in runners:
            runner.line_up()
        assert guard.waiting == len(kinds)
    for runner in runners:
        runner.thread.join(10)
    assert order == [runner.name for runner in runners]
    assert guard.metrics == {"executed": 10, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


class Left:
    """A loop that was closed while tasks of it waited in a queue.

    Attributes:
        tasks: Those tasks; as long as somebody holds them, nothing of them is collected.
    """

    def __init__(self, guard: Bulkhead, waiters: int) -> None:
        loop = asyncio.new_event_loop()

        async def never() -> None:
            pytest.fail("its loop was closed")

        async def line_up() -> None:
            self.tasks = [asyncio.ensure_future(guard.execute(never)) for _ in range(waiters)]
            await asyncio.sleep(0)

        loop.run_until_complete(line_up())
        loop.close()
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # this is what the test is about


def test_waiters_on_a_closed_loop_are_skipped() -> None:
    """The place goes to the first one who can use it, although tasks of a closed loop stand before him (G7)."""
    guard = made()
    order: list[str] = []
    with guard:
        left = Left(guard, 3)
        alive = Runner("thread", guard, order, "alive")
        alive.line_up()
        assert guard.waiting == 4
    alive.thread.join(10)
    assert order == ["alive"]
    assert guard.metrics == {"executed": 2, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}
    del left
    gc.collect()
    assert guard.running == 0


def test_a_queue_full_of_waiters_on_a_closed_loop() -> None:
    """They do not keep out those who could wait: whoever comes has them thrown out, and waits (B2, G7)."""
    guard = made(max_queue_size=3, queue_timeout=0)
    with guard:
        left = Left(guard, 3)
        with pytest.raises(BulkheadTimeoutError, match="no place within 0 s"):
            guard.execute_sync(len, "")
        assert guard.waiting == 0
    assert guard.execute_sync(len, "") == 0
    del left


def test_a_loop_that_is_closed_after_the_place_was_given() -> None:
    """A place that was handed to a task which never runs again comes back when the task is collected (B3)."""
    guard = made()
    loop = asyncio.new_event_loop()

    async def never() -> None:
        pytest.fail("its loop was closed")

    async def line_up() -> asyncio.Task[None]:
        task = asyncio.ensure_future(guard.execute(never))
        await asyncio.sleep(0)
        return task

    with guard:
        task = loop.run_until_complete(line_up())
        assert guard.waiting == 1
    assert guard.running == 1, "the loop may go on yet"
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # this is what the test is about
    del task
    gc.collect()
    assert guard.metrics == {"executed": 1, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


def test_an_async_generator_that_outlives_its_loop() -> None:
    """A generator that was not closed when its loop was gives its place back when it is collected (G17)."""
    guard = made()
    loop = asyncio.new_event_loop()

    @guard
    async def numbers() -> Any:
        while True:
            yield 1

    streams: list[Any] = [numbers()]

    async def first() -> int:
        return int(await anext(streams[0]))

    assert loop.run_until_complete(first()) == 1
    loop.close()
    assert guard.running == 1
    streams.clear()
    gc.collect()
    assert guard.running == 0


def test_a_loop_that_stops_and_goes_on() -> None:
    """A task that was given its place while its loop stood still uses it when the loop goes on (B3)."""
    guard = made()
    loop = asyncio.new_event_loop()

    async def work() -> str:
        return "done"

    async def line_up() -> asyncio.Task[str]:
        task = asyncio.ensure_future(guard.execute(work))
        await asyncio.sleep(0)
        return task

    with guard:
        task = loop.run_until_complete(line_up())
    assert loop.run_until_complete(task) == "done"
    loop.close()
    assert guard.running == 0


def test_one_loop_after_another() -> None:
    """A bulkhead made at import serves every loop that comes (peers bind it to the first)."""
    guard = made(max_concurrent=2)

    async def work() -> int:
        await asyncio.sleep(0)
        return guard.running

    async def both() -> list[int]:
        return await asyncio.gather(*(guard.execute(work) for _ in range(5)))

    for _ in range(3):
        assert max(asyncio.run(both())) == 2
    assert guard.metrics["executed"] == 15
