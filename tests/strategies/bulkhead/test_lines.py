"""Whose turn it is: priorities, fairness between keys, newest first under overload (B7, G1, G16)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import OrderedDict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, BulkheadTimeoutError, explain
from recoup.strategies.bulkhead import lines
from recoup.strategies.bulkhead.lines import queue_as, ranked
from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import Ticket
from tests.strategies.bulkhead.patience import until

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


def made(order: str, **options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, "queue_order": order, **options}))


def served(both: Both, guard: Bulkhead, calls: list[dict[str, Any]]) -> list[int]:
    """Have calls queue up one after another, in threads or tasks; then tell in which order they ran."""
    order: list[int] = []

    async def main() -> None:
        with ExitStack() as inside:
            inside.enter_context(guard)
            tasks = []
            for number, rank in enumerate(calls):
                with queue_as(**rank):
                    tasks.append(asyncio.ensure_future(guard.execute(order.append, number)))
                    await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    if both.is_async:
        asyncio.run(main())
        return order
    threads = []
    with guard:
        for number, rank in enumerate(calls):
            with queue_as(**rank):
                context = contextvars.copy_context()
                thread = threading.Thread(target=context.run, args=(guard.execute_sync, order.append, number))
                thread.start()
                threads.append(thread)
                until(lambda: guard.waiting == len(threads))
    for thread in threads:
        thread.join()
    return order


def test_higher_priorities_first(both: Both) -> None:
    """Who has the same priority comes in order of arrival; without one it is 0 (B7)."""
    ranks: list[dict[str, Any]] = [{}, {"priority": -1}, {"priority": 5}, {"priority": 0}, {"priority": 5}]
    assert served(both, made("priority"), ranks) == [2, 4, 0, 3, 1]


def test_one_of_each_key_in_turn(both: Both) -> None:
    """A tenant with many calls holds up nobody else's single one (B7)."""
    ranks: list[dict[str, Any]] = [{"key": "a"}] * 4 + [{"key": "b"}] * 2 + [{"key": 3}]
    assert served(both, made("fair"), ranks) == [0, 4, 6, 1, 5, 2, 3]


def test_ranks_mean_nothing_elsewhere(both: Both) -> None:
    """By default, first come first served, whatever somebody says (B1)."""
    ranks: list[dict[str, Any]] = [{}, {"priority": 5}, {"key": "b"}]
    assert served(both, made("oldest_first"), ranks) == [0, 1, 2]


async def test_newest_first_under_overload(clock: VirtualClock) -> None:
    """Oldest first, until somebody has been waiting for a tenth of a second without interruption (B7)."""
    guard = made("newest_first", queue_timeout=5)
    order: list[int] = []

    async def work(number: int) -> None:
        order.append(number)
        await asyncio.sleep(0.06)

    tasks = [asyncio.ensure_future(guard.execute(work, number)) for number in range(6)]
    await asyncio.gather(*tasks)
    assert order == [0, 1, 5, 4, 3, 2]
    order.clear()
    tasks = [asyncio.ensure_future(guard.execute(work, number)) for number in range(2)]
    await asyncio.gather(*tasks)
    assert order == [0, 1], "the line was empty in between"


async def test_the_old_run_out_of_time(clock: VirtualClock) -> None:
    """Who has waited longest is the one that gives up, and is counted (B2, B7)."""
    guard = made("newest_first", queue_timeout=1.2)
    ran: list[int] = []

    async def work(number: int) -> None:
        ran.append(number)
        await asyncio.sleep(0.5)

    tasks = [asyncio.ensure_future(guard.execute(work, number)) for number in range(4)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert ran == [0, 3, 2]
    assert [type(result) for result in results].count(BulkheadTimeoutError) == 1
    assert guard.metrics == {"executed": 3, "rejected": 0, "timeout": 1, "running": 0, "waiting": 0, "peak": 1}


@pytest.mark.parametrize("order", ["priority", "fair", "newest_first"])
async def test_who_leaves_the_line_is_gone(order: str, clock: VirtualClock) -> None:
    """Cancelled and late calls leave every kind of line, and no place is missing afterwards (G2, B7)."""
    guard = made(order, queue_timeout=2, max_queue_size=3)
    tasks = []
    with guard:
        for number in range(3):
            with queue_as(priority=number, key=number):
                tasks.append(asyncio.ensure_future(guard.execute(asyncio.sleep, 0)))
                await asyncio.sleep(0)
        assert guard.waiting == 3
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert guard.waiting == 2
        await asyncio.sleep(3)
        assert guard.waiting == 0
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [BulkheadTimeoutError, asyncio.CancelledError, BulkheadTimeoutError]
    assert await guard.execute(len, "abc") == 3


@pytest.mark.parametrize("order", ["priority", "fair", "newest_first"])
def test_lines_in_a_forked_child(order: Any) -> None:
    """What waited in the parent does not wait in the child (G18)."""
    gate = Gate(1, 10, 0, lines.made(order))
    held = gate.take()
    for number in range(3):
        ticket = Ticket(threading.Event())
        ticket.rank = lines.Rank(number % 2, number % 2)
        assert gate.join(ticket)
    assert (held is None, gate.counts().waiting) == (False, 3)
    gate.after_fork()
    assert (gate.counts().waiting, list(gate.queue)) == (0, [])
    assert gate.take() is not None


async def test_a_rank_lasts_as_long_as_its_block() -> None:
    """Inner blocks replace outer ones; a task that outlives the block has none (G16)."""
    seen: list[int] = []
    go_on = asyncio.Event()

    async def background() -> None:
        seen.append(ranked().priority)
        await go_on.wait()
        seen.append(ranked().priority)

    with queue_as(priority=3, key="a"):
        with queue_as(priority=5):
            assert (ranked().priority, ranked().key) == (5, None)
            task = asyncio.ensure_future(background())
            await asyncio.sleep(0)
        assert (ranked().priority, ranked().key) == (3, "a")
        go_on.set()
        await task
    assert (ranked().priority, ranked().key) == (0, None)
    assert seen == [5, 0]


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ({"priority": "high"}, "priority must be a whole number, not 'high'"),
        ({"priority": True}, "priority must be a whole number, not True"),
        ({"priority": 1.5}, "priority must be a whole number"),
        ({"key": 1.5}, "key must be a string, a whole number or None, not 1.5"),
        ({"key": ("a",)}, "key must be a string"),
    ],
)
def test_bad_ranks(rank: dict[str, Any], message: str) -> None:
    """A mistake is an error where it is made (G1)."""
    with pytest.raises(TypeError, match=message), queue_as(**rank):
        pytest.fail("it was accepted")


def test_orders_are_known_and_settled() -> None:
    """An unknown order is an error, and so is another one later; `explain` tells it (G1)."""
    with pytest.raises(
        ValueError, match="queue_order must be one of oldest_first, priority, fair, newest_first, not 'lifo'"
    ):
        BulkheadConfig(queue_order="lifo")  # type: ignore[arg-type]
    guard = made("fair")
    with pytest.raises(ValueError, match="queue_order"):
        guard.reconfigure(queue_order="priority")
    assert "one of each key in turn" in str(explain(guard(len)))


async def test_who_comes_under_overload_waits_less_long(clock: VirtualClock) -> None:
    """`overload_timeout` counts for whoever comes while the newest comes first, and for nobody else (B2, B7)."""
    guard = made("newest_first", queue_timeout=5, overload_timeout=0.05)
    ends: list[tuple[str, float, float]] = []

    async def call(name: str) -> None:
        try:
            await guard.execute(asyncio.sleep, 1)
        except BulkheadTimeoutError as error:
            ends.append((name, round(clock.monotonic(), 3), error.waited))

    begin = clock.monotonic()
    async with guard:
        early = asyncio.ensure_future(call("early"))
        await asyncio.sleep(0.09)
        before = asyncio.ensure_future(call("before"))
        await asyncio.sleep(0.02)
        late = asyncio.ensure_future(call("late"))
        await asyncio.sleep(0.1)
        assert ends == [("late", round(begin + 0.16, 3), 0.05)]
        guard.reconfigure(overload_timeout=None)
        patient = asyncio.ensure_future(call("patient"))
        await asyncio.sleep(0.1)
        assert guard.waiting == 3
    await asyncio.gather(early, before, late, patient)
    assert len(ends) == 1
    guard.reconfigure(overload_timeout=0.05)
    async with guard:
        fresh = asyncio.ensure_future(call("fresh"))
        await asyncio.sleep(0.2)
    await fresh
    assert len(ends) == 1, "the line was empty: no overload"
    assert "who comes then for up to 0.05 s" in str(explain(guard(call)))


def test_overload_timeout_is_checked() -> None:
    """A time that can mean nothing, or contradicts another, is refused (G1)."""
    with pytest.raises(ValueError, match='only with queue_order="newest_first", not oldest_first'):
        BulkheadConfig(overload_timeout=1)
    with pytest.raises(ValueError, match=r"must not be longer than queue_timeout \(2 s\), not 3 s"):
        BulkheadConfig(queue_order="newest_first", queue_timeout=2, overload_timeout=3)
    with pytest.raises(ValueError, match="overload_timeout must be"):
        BulkheadConfig(queue_order="newest_first", overload_timeout=-1)


def test_the_next_turn_is_found_without_looking_at_all_keys() -> None:
    """Letting somebody in does not cost more with more keys (issue 6): nobody counts the lanes."""

    class Counted(OrderedDict[Any, Any]):
        looked = 0

        def __iter__(self) -> Any:
            for each in super().__iter__():
                Counted.looked += 1
                yield each

    gate = Gate(1, 1000, line=lines.made("fair"))
    gate.queue._lanes = Counted()
    place = gate.take()
    tickets = []
    for number in range(500):
        ticket = Ticket(AlwaysThere())
        with queue_as(key=number):
            ticket.rank = ranked()
        gate.join(ticket)
        tickets.append(ticket)
    Counted.looked = 0
    assert place is not None
    gate.back(place)
    gate.settle()
    assert tickets[0].place is not None
    assert Counted.looked <= 4


class AlwaysThere:
    """Somebody who waits."""

    def wake(self) -> bool:
        return True

    def gone(self) -> bool:
        return False
