"""A queue that was full of calls whose loop had been closed turned away the one who found out (B2, G7)."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, BulkheadFullError
from recoup.strategies.bulkhead.tickets import Ticket
from recoup.testing import VirtualEventLoop

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


def leave_behind(guard: Bulkhead, calls: int) -> list[Any]:
    """Have calls wait in a loop, and close it over them; give their tasks, which keep them from being collected."""
    loop = VirtualEventLoop()

    async def wait() -> list[Any]:
        tasks: list[Any] = [asyncio.ensure_future(guard.execute(asyncio.sleep, 0)) for _ in range(calls)]
        await asyncio.sleep(0.01)
        return tasks

    tasks = loop.run_until_complete(wait())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False
    return tasks


@pytest.mark.parametrize("order", ["oldest_first", "priority", "fair", "newest_first"])
def test_who_finds_a_full_queue_empty_takes_a_place_in_it(both: Both, clock: VirtualClock, order: Any) -> None:
    """At once, and nobody is counted as turned away (B2, B6)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=2, queue_order=order))
    place = guard._gate.take()
    assert place is not None
    tasks = leave_behind(guard, 2)
    assert guard.waiting == 2
    if both.is_async:

        async def main() -> str:
            call: asyncio.Task[str] = asyncio.ensure_future(guard.execute(both.wrap(lambda: "ok")))
            await asyncio.sleep(0.01)
            assert guard.waiting == 1
            guard._gate.back(place)
            guard._gate.settle()
            return await call

        loop = VirtualEventLoop()
        assert loop.run_until_complete(main()) == "ok"
        loop.close()
    else:
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(guard.execute_sync(lambda: "ok")))
        thread.start()
        while guard._gate.queue and next(iter(guard._gate.queue)).waiter.gone():  # until it stands there
            pass
        guard._gate.back(place)
        guard._gate.settle()
        thread.join(10)
        assert answers == ["ok"]
    assert guard.metrics["rejected"] == 0
    assert len(tasks) == 2


def test_a_queue_that_is_full_of_those_who_will_come_is_full(clock: VirtualClock) -> None:
    """Whoever finds it so is turned away, and counted once (B2, B6)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=2))

    async def main() -> None:
        calls = [asyncio.ensure_future(guard.execute(asyncio.sleep, 1)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for refused in (1, 2, 3):
            with pytest.raises(BulkheadFullError):
                await guard.execute(asyncio.sleep, 1)
            assert guard.metrics["rejected"] == refused
        await asyncio.gather(*calls)

    loop = VirtualEventLoop()
    loop.run_until_complete(main())
    loop.close()


class Interrupted:
    """Somebody in the queue; Ctrl-C is pressed while it is looked at whether it is still there."""

    def wake(self) -> bool:
        return True

    def gone(self) -> bool:
        raise KeyboardInterrupt


def test_ctrl_c_while_a_full_queue_is_looked_through(both: Both) -> None:
    """Whoever looked is gone, nothing is taken or left by it, and the bulkhead goes on (B3)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=1))
    place = guard._gate.take()
    assert place is not None
    waits = Ticket(Interrupted())
    assert guard._gate.join(waits)
    with pytest.raises(KeyboardInterrupt):
        both.execute(guard, both.wrap(lambda: "ok"))
    assert guard.waiting == 1
    guard._gate.leave(waits)
    guard._gate.back(place)
    assert both.execute(guard, both.wrap(lambda: "ok")) == "ok"
    assert (guard.running, guard.waiting) == (0, 0)
