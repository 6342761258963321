"""Bulkheads that measure their calls: adaptive limits and histograms (B6, B7, G2, G5, G7, G12, G16, G18)."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, BulkheadFullError, BulkheadTimeoutError, deadline
from recoup.strategies.bulkhead.limits import AIMDLimit, Gradient2Limit
from recoup.testing import VirtualClock, disabled

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.conftest import Both


def adaptive(start: int = 2, **options: Any) -> Bulkhead:
    """Make a bulkhead that learns: one up for a quick call, half of it for a drop; slow is more than five seconds."""
    limit = AIMDLimit(backoff_ratio=0.5)
    config = {"max_concurrent": start, "max_queue_size": 0, "adaptive": limit, **options}
    return Bulkhead(BulkheadConfig(**config), name="adaptive")


def recorded(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, "histograms": True, **options}))


def test_the_limit_follows_how_calls_end(both: Both, clock: VirtualClock) -> None:
    """Quick calls raise it, drops and slow calls cut it, other failures teach nothing (B7)."""
    guard = adaptive()

    @guard
    @both.wrap
    def work(seconds: float, error: BaseException | None = None) -> str:
        clock.advance(seconds)
        if error is not None:
            raise error
        return "done"

    assert both.call(work, 0.1) == "done"
    assert guard.limit == 3
    both.call(work, 0.1)
    assert guard.limit == 3, "less than half of it is in use"
    with pytest.raises(OSError, match="quick"):
        both.call(work, 0.001, OSError("quick"))
    with pytest.raises(KeyboardInterrupt):
        both.call(work, 0.001, KeyboardInterrupt())
    assert guard.limit == 3
    error = TimeoutError()
    with pytest.raises(TimeoutError) as found:
        both.call(work, 1, error)
    assert found.value is error
    assert error.__context__ is None
    assert guard.limit == 1
    both.call(work, 0.1)
    both.call(work, 5.1)
    assert guard.limit == 1
    assert (guard.running, guard.metrics["executed"]) == (0, 7)


def test_what_counts_as_a_drop(both: Both, clock: VirtualClock) -> None:
    """`drop_on` says it; in a group any leaf will do (B7, G4)."""
    limit = AIMDLimit(backoff_ratio=0.5, drop_on=ConnectionError)
    guard = adaptive(8, adaptive=limit)

    def fail(error: Exception) -> None:
        clock.advance(1)
        raise error

    for error, expected in [
        (TimeoutError(), 8),
        (ConnectionResetError(), 4),
        (ExceptionGroup("two", [ValueError(), ConnectionError()]), 2),
    ]:
        with pytest.raises(type(error)):
            both.execute(guard, fail, error)
        assert guard.limit == expected


def test_the_limit_holds(clock: VirtualClock) -> None:
    """What was learnt is what holds, in errors, `repr` and `explain` too (B1, B7)."""
    guard = adaptive(1)
    guard.execute_sync(clock.advance, 1)
    assert guard.limit == 2
    with guard, guard:
        with pytest.raises(BulkheadFullError, match="is full: 2 calls run") as found:
            guard.execute_sync(len, "")
        assert found.value.max_concurrent == 2
        assert repr(guard) == "<Bulkhead 'adaptive' running=2/2 waiting=0/0>"
    assert guard.limit == 2, "blocks that took no time teach nothing"
    assert guard._says()[0].endswith("together, a limit that adapts (AIMDLimit)")


def test_blocks_teach_as_well(clock: VirtualClock) -> None:
    """`with bulkhead:` is measured from its first line to its last (B7)."""
    guard = adaptive()
    with guard:
        clock.advance(1)
    assert guard.limit == 3
    with pytest.raises(TimeoutError), guard:  # noqa: PT012 - time passes, and then it fails
        clock.advance(1)
        raise TimeoutError
    assert guard.limit == 1

    async def main() -> None:
        async with guard:
            clock.advance(1)

    asyncio.run(main())
    assert guard.limit == 2


def test_work_in_threads_teaches_as_well(both: Both, clock: VirtualClock) -> None:
    """In the thread, without the time it took to get there (B4, B7)."""
    guard = adaptive(use_thread_pool=True)
    both.execute(guard, clock.advance, 1)
    assert guard.limit == 3

    def fail() -> None:
        clock.advance(1)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        both.execute(guard, fail)
    assert guard.limit == 1


async def test_a_call_that_is_cut_off_is_a_drop(clock: VirtualClock) -> None:
    """A deadline of the same stack that strikes running work is a drop; a caller who goes away is not (B7, G2)."""
    guard = adaptive(4)

    @guard
    async def work() -> None:
        await asyncio.sleep(10)

    limited = deadline(1)(work)
    task = asyncio.ensure_future(limited())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guard.limit == 4
    with pytest.raises(TimeoutError):
        await limited()
    assert guard.limit == 2


def test_what_has_still_to_be_awaited_teaches_nothing(clock: VirtualClock) -> None:
    """A function that only returns a coroutine was not the call; what is awaited then is (B7, G5)."""
    guard = adaptive(histograms=True)

    async def slow() -> str:
        clock.advance(6)
        return "done"

    def looks_plain() -> Any:
        clock.advance(0.001)
        return slow()

    async def main() -> Any:
        return await guard(looks_plain)()

    assert asyncio.run(main()) == "done"
    assert guard.limit == 1
    assert guard.histograms["ran"].count == 1


def test_awaitables_that_pass_through_teach_nothing(clock: VirtualClock) -> None:
    """A plain call that returns a future, say, has not waited for it (B6, B7, G5)."""
    guard = adaptive(histograms=True)

    class Future:
        def __await__(self) -> Generator[None]:
            yield

    def looks_plain() -> Future:
        clock.advance(1)
        return future

    future = Future()
    assert guard.execute_sync(looks_plain) is future
    assert (guard.limit, guard.histograms["ran"].count) == (2, 0)


def test_streams_teach_nothing(both: Both, clock: VirtualClock) -> None:
    """Their time is their consumer's too (B7, G17)."""
    guard = adaptive()

    @guard
    @both.wrap
    def items() -> Any:
        clock.advance(10)
        yield 1

    assert both.call(items) == [1]
    assert guard.limit == 2


def test_nothing_is_learnt_where_recovery_is_off_or_time_stands_still(both: Both, clock: VirtualClock) -> None:
    """Calls that are let through, and clocks that stand still or go back, say nothing about the service (G12, G16)."""
    guard = adaptive(histograms=True)
    both.execute(guard, len, "")
    both.execute(guard, clock.rewind, 5)
    assert guard.limit == 2
    assert guard.histograms["ran"].total == 0
    with disabled():
        both.execute(guard, clock.advance, 1)
    assert guard.limit == 2
    assert guard.histograms["ran"].count == 2


def test_a_finaliser_waits_for_nobody(clock: VirtualClock) -> None:
    """A call that ends in a finaliser while the gate decides leaves a note (G7)."""
    guard = adaptive()

    class Suspended:
        def __await__(self) -> Generator[None]:
            yield

    async def work() -> None:
        try:
            await Suspended()
        except GeneratorExit:
            clock.advance(1)
            raise TimeoutError from None

    call = guard(work)()
    call.send(None)
    gate = guard._gate
    gate._acquire(True)
    with pytest.raises(TimeoutError):
        call.throw(GeneratorExit)
    assert guard.limit == 2
    gate._release()
    assert (guard.running, guard.limit) == (0, 1)


def test_another_adaptive_limit(clock: VirtualClock) -> None:
    """Learning begins anew with another one or another start, and goes on when something else changes (B5, B7)."""
    guard = adaptive()
    guard.execute_sync(clock.advance, 1)
    guard.reconfigure(queue_timeout=5)
    assert guard.limit == 3
    guard.reconfigure(max_concurrent=7)
    assert guard.limit == 7
    guard.reconfigure(adaptive=Gradient2Limit(smoothing=1))
    assert guard.limit == 7
    with guard, guard, guard:
        guard.execute_sync(clock.advance, 1)
    assert guard.limit == 11
    with pytest.raises(ValueError, match="whether there is an adaptive limit must stay"):
        guard.reconfigure(adaptive=None)


def test_histograms_are_empty_unless_asked_for(clock: VirtualClock) -> None:
    """Who does not ask pays nothing, and gets nothing (B6)."""
    assert Bulkhead().histograms == {}
    assert Bulkhead()._meter is None
    guard = adaptive()
    guard.execute_sync(clock.advance, 1)
    assert guard.histograms == {}


def test_histograms_of_running(both: Both, clock: VirtualClock) -> None:
    """Every call counts, however it ends (B6)."""
    guard = recorded()

    def work(seconds: float, error: Exception | None = None) -> None:
        clock.advance(seconds)
        if error is not None:
            raise error

    for seconds in (1, 2, 3):
        both.execute(guard, work, seconds)
    with pytest.raises(OSError, match=r"^$"):
        both.execute(guard, work, 4, OSError())
    ran, waited = guard.histograms["ran"], guard.histograms["waited"]
    assert (ran.count, ran.total, ran.longest) == (4, 10.0, 4.0)
    assert ran.quantile(1) == 4.0
    assert (waited.count, waited.quantile(0.5)) == (0, None)
    assert guard.limit == 1, "nothing adapts"


async def test_histograms_of_waiting(clock: VirtualClock) -> None:
    """Calls that had to wait and got a place count with the time they waited (B6)."""
    guard = recorded(queue_timeout=3.5)

    async def work() -> None:
        await asyncio.sleep(2)

    results = await asyncio.gather(*(guard.execute(work) for _ in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), BulkheadTimeoutError, BulkheadTimeoutError]
    waited = guard.histograms["waited"]
    assert (waited.count, waited.total, waited.longest) == (1, 2.0, 2.0)
    assert guard.histograms["ran"].count == 2


def test_threads_are_counted_exactly() -> None:
    """No duration is lost, whoever records when (B6, G7)."""
    guard = recorded(max_concurrent=8)

    def call() -> None:
        for _ in range(200):
            guard.execute_sync(len, "")

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert guard.histograms["ran"].count <= 1600
    for thread in threads:
        thread.join()
    ran = guard.histograms["ran"]
    assert ran.count == sum(ran.buckets.values()) == 1600


def test_a_forked_child_counts_anew(clock: VirtualClock) -> None:
    """Histograms begin anew; what the limit has learnt stays; an inherited block may end (G18)."""
    guard = adaptive(histograms=True)
    guard.execute_sync(clock.advance, 1)
    meter = guard._meter
    assert meter is not None
    with guard:
        meter.after_fork()
        guard._gate.after_fork()
        assert guard.histograms["ran"].count == 0
    assert guard.histograms["ran"].count == 0
    assert (guard.limit, guard.running) == (3, 0)
    simple = adaptive()
    assert simple._meter is not None
    simple._meter.after_fork()


def test_an_interrupted_block_leaves_no_place_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter holds on to no place (G2)."""
    guard = recorded()
    meter: Any = guard._meter

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for method in ("entered", "left"):
        with monkeypatch.context() as patch:
            patch.setattr(meter, method, interrupt)
            with pytest.raises(KeyboardInterrupt), guard:
                pass
        gc.collect()
        assert guard.running == 0
