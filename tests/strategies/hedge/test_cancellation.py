"""Whatever ends a hedged call, nothing of it is left (G2, L3)."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from recoup import Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, deadline
from recoup.errors import DeadlineExceeded
from recoup.strategies.hedge import crew
from recoup.testing import VirtualClock, VirtualEventLoop
from tests.conftest import Both
from tests.strategies.hedge.scenes import Closeable, cancelled_after, hedging, until_cancelled


def test_values_that_come_after_the_caller_has_left(library: Both, clock: VirtualClock) -> None:
    """They are nobody's: each is closed once, and none counts as a win (G2, R4)."""
    made: list[Closeable] = []
    strategy = hedging()

    async def work() -> Closeable:
        made.append(Closeable())
        mine = made[-1]
        await until_cancelled(library, 60)
        return mine

    assert library.run(cancelled_after(library, 1.5, lambda: strategy.execute(work))) is True
    assert [each.closed for each in made] == [1, 1]
    if library.library == "asyncio":  # Trio's tasks run in a random order, and a value may be there first
        assert strategy.metrics == {"calls": 1, "hedges": 1, "wins": 0, "withheld": 0}


def test_the_delay_and_the_result_in_one_tick(clock: VirtualClock) -> None:
    """When a blocked loop finds both, the call is over and nothing is added (L3)."""
    strategy = hedging()

    async def work() -> str:
        await asyncio.sleep(0.9)
        return "value"

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.5, clock.advance, 100)
        assert await strategy.execute(work) == "value"

    Both("asyncio").run(main)
    assert strategy.metrics["hedges"] == strategy.metrics["withheld"] == 0


@pytest.mark.parametrize("seconds", [0.5, 1, 1.3, 1.5, 2])
def test_a_cancelled_caller_leaves_nothing(library: Both, clock: VirtualClock, seconds: float) -> None:
    """Before, with and after the second attempt: all attempts have ended before their caller goes (G2)."""
    running: list[int] = []

    async def work() -> None:
        running.append(1)
        try:
            await library.pause(60)
        finally:
            running.pop()

    assert library.run(cancelled_after(library, seconds, lambda: hedging().execute(work))) is True
    assert running == []
    assert clock.monotonic() == 1000 + seconds


def test_permits_come_back(library: Both, clock: VirtualClock) -> None:
    """A bulkhead inside has its places back, whether an attempt lost or its caller left (G2, B3)."""
    gate = Bulkhead(BulkheadConfig(max_concurrent=2))

    @hedging()
    @gate
    async def work(seconds: list[float]) -> str:
        await library.pause(seconds.pop(0))
        return "value"

    assert library.run(work, [60, 0.5]) == "value"
    assert gate.running == 0
    assert library.run(cancelled_after(library, 1.5, lambda: work([60, 60]))) is True
    assert gate.running == 0


def test_a_loser_is_neutral_to_a_breaker(library: Both, clock: VirtualClock) -> None:
    """Being cancelled because another attempt won says nothing about the dependency; a deadline outside does (G2)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2, window_duration=600))

    @hedging()
    @breaker
    async def work(seconds: list[float]) -> str:
        await library.pause(seconds.pop(0))
        return "value"

    for _ in range(3):
        assert library.run(work, [60, 0.5]) == "value"
    assert breaker.state.value == "closed"
    with pytest.raises(DeadlineExceeded):
        library.run(deadline(3)(work), [60, 60])
    assert breaker.state.value == "open"


def test_a_full_bulkhead_inside_refuses_only_the_added_attempt(library: Both, clock: VirtualClock) -> None:
    """A refusal of the second attempt is its failure; the first one goes on (G13, L3)."""
    gate = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))

    @hedging()
    @gate
    async def work() -> str:
        await library.pause(5)
        return "value"

    assert library.run(work) == "value"


class TestGrace:
    """Losers are waited for as long as the grace lasts; under Trio until they end."""

    def test_a_loser_that_goes_quickly(self, library: Both, clock: VirtualClock) -> None:
        """Its clean-up is over when the caller has the result (L3)."""
        cleaned: list[bool] = []
        calls: list[bool] = []

        async def work() -> str:
            calls.append(True)
            if len(calls) == 2:
                await library.pause(0.5)
                return "value"
            try:
                await library.pause(60)
            finally:
                cleaned.append(True)
            return "slow"

        assert library.run(hedging().execute, work) == "value"
        assert cleaned == [True]
        assert clock.monotonic() == 1001.5

    def test_a_loser_that_does_not_go(self, clock: VirtualClock) -> None:
        """It holds nobody up for longer than the grace, ends by itself, and its value is closed (L3)."""
        made = Closeable()
        calls: list[bool] = []

        async def work() -> Any:
            calls.append(True)
            if len(calls) == 2:
                await asyncio.sleep(0.5)
                return "value"
            for _ in range(2):
                await until_cancelled(Both("asyncio"), 10)
            return made

        async def main() -> None:
            assert await hedging(grace=0.2).execute(work) == "value"
            assert clock.monotonic() == 1001.7
            assert len(crew._left_behind) == 1
            assert made.closed == 0
            await asyncio.sleep(20)
            assert made.closed == 1
            assert not crew._left_behind

        Both("asyncio").run(main)

    def test_the_grace_is_for_all_together(self, clock: VirtualClock) -> None:
        """A loser that goes in time gives the others no more time (L3)."""
        calls: list[bool] = []

        async def work() -> Any:
            calls.append(True)
            number = len(calls)
            if number == 3:
                await asyncio.sleep(0.5)
                return "value"
            await until_cancelled(Both("asyncio"), 60)
            await asyncio.sleep(0.15 if number == 1 else 10)
            return None

        async def main() -> None:
            assert await hedging(grace=0.2, max_attempts=3).execute(work) == "value"
            assert clock.monotonic() == pytest.approx(1002.7)
            await asyncio.sleep(20)

        Both("asyncio").run(main)

    def test_no_grace(self, clock: VirtualClock) -> None:
        """With a grace of 0 losers are cancelled and not waited for (L3)."""
        ended: list[float] = []
        calls: list[bool] = []

        async def work() -> Any:
            calls.append(True)
            if len(calls) == 2:
                await asyncio.sleep(0.5)
                return "value"
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(clock.monotonic())

        async def main() -> None:
            assert await hedging(grace=0).execute(work) == "value"
            assert ended == []
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ended == [1001.5]

        Both("asyncio").run(main)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_a_loop_that_is_closed_over_its_losers(self, clock: VirtualClock) -> None:
        """They are not kept for ever: the next one that leaves somebody behind forgets them (G11)."""

        async def stubborn() -> None:
            await until_cancelled(Both("asyncio"), 60)
            await asyncio.sleep(60)

        for _ in range(2):
            loop = VirtualEventLoop()
            task = loop.create_task(hedging(grace=0).execute(stubborn))
            loop.call_later(2, task.cancel)
            loop.run_until_complete(asyncio.wait([task]))
            assert {each.get_loop() for each in crew._left_behind} == {loop}
            loop.close()
        crew._leave_behind(())
        assert not crew._left_behind

    def test_the_caller_cancels_while_losers_are_waited_for(self, clock: VirtualClock) -> None:
        """The cancellation comes out at once, and the value that was there already is closed (G2, R4)."""
        made = Closeable()
        calls: list[bool] = []

        async def work() -> Any:
            calls.append(True)
            if len(calls) == 2:
                await asyncio.sleep(0.5)
                return made
            for _ in range(2):
                await until_cancelled(Both("asyncio"), 10)
            return None

        async def main() -> None:
            task = asyncio.ensure_future(hedging(grace=5).execute(work))
            await asyncio.sleep(2)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert clock.monotonic() == 1002
            await asyncio.sleep(0)
            assert made.closed == 1
            await asyncio.sleep(20)
            assert not crew._left_behind

        Both("asyncio").run(main)


def test_the_caller_cancels_in_the_tick_of_the_winner(library: Both, clock: VirtualClock) -> None:
    """The cancellation wins, and the value that nobody takes is closed (G2, R4)."""
    made = Closeable()

    async def main_asyncio() -> None:
        async def work() -> Closeable:
            await asyncio.sleep(1)
            task.cancel()
            return made

        task = asyncio.ensure_future(hedging(delay=5).execute(work))
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def main_trio() -> None:
        import trio

        with trio.CancelScope() as scope:

            async def work() -> Closeable:
                await trio.sleep(1)
                scope.cancel()
                return made

            await hedging(delay=5).execute(work)
        assert scope.cancelled_caught

    library.run(main_asyncio if library.library == "asyncio" else main_trio)
    assert made.closed == 1


@pytest.mark.parametrize("steps", range(8))
def test_a_caller_may_cancel_at_every_await(clock: VirtualClock, steps: int) -> None:
    """Wherever the cancellation arrives, it comes out and no attempt runs on (G2)."""
    running: list[int] = []

    async def work() -> str:
        running.append(1)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        finally:
            running.pop()
        return "value"

    async def main() -> None:
        task = asyncio.ensure_future(hedging(delay=0).execute(work))
        for _ in range(steps):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is cancelled
        if not cancelled:
            assert task.result() == "value"

    Both("asyncio").run(main)
    assert running == []
    assert not crew._left_behind


def test_an_attempt_that_is_cancelled_by_somebody_else(clock: VirtualClock) -> None:
    """A cancellation inside an attempt is control flow and comes out, also before the attempt has begun (G2)."""

    async def stops() -> None:
        raise asyncio.CancelledError

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def main(work: Callable[[], Any], *, early: bool) -> bool:
        task = asyncio.ensure_future(hedging().execute(work))
        if early:
            await asyncio.sleep(0)
            tasks = [each for each in asyncio.all_tasks() if each.get_name() == "recoup-hedge"]
            tasks[0].cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert Both("asyncio").run(main, stops, early=False) is True
    assert Both("asyncio").run(main, hangs, early=True) is True


def test_a_coroutine_that_the_collector_closes(clock: VirtualClock) -> None:
    """Closing a call that is under way cancels its attempts and awaits nothing (G2)."""
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def main() -> None:
        coroutine = hedging().execute(work)
        coroutine.send(None)
        await asyncio.sleep(0)
        coroutine.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == [True]

    Both("asyncio").run(main)


def test_inside_a_task_group_and_a_timeout(clock: VirtualClock) -> None:
    """asyncio's own structures see nothing of the attempts (D2)."""

    async def work(seconds: list[float]) -> str:
        await asyncio.sleep(seconds.pop(0))
        return "value"

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hedging().execute(work, [60, 0.5])) for _ in range(3)]
        assert [task.result() for task in tasks] == ["value"] * 3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await hedging().execute(work, [60, 60])
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    Both("asyncio").run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks(clock: VirtualClock) -> None:
    """An attempt that ends before its task was ever scheduled wins (L3)."""

    async def work() -> str:
        return "value"

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
        result: str = await hedging().execute(work)
        return result

    assert Both("asyncio").run(main) == "value"


def test_one_hedge_for_many_loops_and_calls() -> None:
    """Threads with loops of their own share one hedge, and its counts are exact (G7, G8)."""
    shared = hedging(delay=0, burst=10_000)
    clock = VirtualClock()
    results: list[str] = []

    async def work(seconds: list[float]) -> str:
        await asyncio.sleep(seconds.pop(0))
        return "value"

    async def main() -> None:
        results.extend(await asyncio.gather(*(shared.execute(work, [60, 0.001]) for _ in range(25))))

    def thread() -> None:
        with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(clock)) as runner:
            runner.run(main())

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == ["value"] * 100
    assert shared.metrics == {"calls": 100, "hedges": 100, "wins": 100, "withheld": 0}
