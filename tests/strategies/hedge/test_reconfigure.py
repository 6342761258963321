"""A hedge that changes, or begins anew, while calls are made (L3, B5, G1)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import HedgeConfig, RetryBudget
from recoup.strategies.hedge.state import Latencies, Pace
from tests.strategies.hedge.scenes import hedging

if TYPE_CHECKING:
    from recoup.testing import VirtualClock


def slow_then_quick(*seconds: float) -> Any:
    waits = list(seconds)

    async def fetch() -> float:
        wait = waits.pop(0)
        await asyncio.sleep(wait)
        return wait

    return fetch


async def test_another_delay(clock: VirtualClock) -> None:
    """It holds for the next call, of functions that were decorated before; a call that runs keeps its own (B5)."""
    hedge = hedging(delay=5.0)
    fetch = hedge(slow_then_quick(20, 1, 20, 2))
    began = clock.monotonic()
    running = asyncio.ensure_future(fetch())
    await asyncio.sleep(0.5)
    hedge.reconfigure(delay=0.5)
    assert hedge.delay == hedge.config.delay == 0.5
    assert await running == 1
    assert clock.monotonic() - began == 6
    assert await fetch() == 2
    assert clock.monotonic() - began == 8.5


async def test_more_attempts(clock: VirtualClock) -> None:
    """How many attempts a call may have holds from the next call on (B5)."""
    hedge = hedging()
    fetch = hedge(slow_then_quick(20, 20, 1))
    hedge.reconfigure(max_attempts=3)
    assert await fetch() == 1
    assert hedge.metrics["hedges"] == 2


def test_another_budget() -> None:
    """What was saved is kept, up to the new burst; a shared budget may take its place, and go again (L3)."""
    pace = Pace(HedgeConfig(delay=1, budget=0.5, burst=4, idempotent=True))
    assert pace.spend(0.0)
    pace.reconfigure(HedgeConfig(delay=1, budget=0.5, burst=2, idempotent=True))
    assert [pace.spend(0.0) for _ in range(3)] == [True, True, False]
    pace.reconfigure(HedgeConfig(delay=1, budget=1.0, burst=9, idempotent=True))
    assert not pace.spend(0.0)
    pace.called()
    assert [pace.spend(0.0) for _ in range(2)] == [True, False]
    pace.reconfigure(HedgeConfig(delay=1, budget=RetryBudget(ratio=0.1, minimum_rate=2), idempotent=True))
    assert pace.spend(0.0)
    pace.reconfigure(HedgeConfig(delay=1, idempotent=True))
    assert not pace.spend(0.0)
    assert pace.counts() == {"calls": 1, "hedges": 5, "wins": 0, "withheld": 4}


def test_another_quantile() -> None:
    """The durations that were seen are kept, as many of the last ones as the new window holds (L3)."""
    latencies = Latencies(0.5, 100, 400)
    for seconds in range(400):
        latencies.add(float(seconds))
    assert latencies.value == 199.0
    assert latencies.resized(0.9, 100, 400).value == 359.0
    smaller = latencies.resized(0.5, 100, 200)
    assert smaller.value == 299.0
    smaller.add(0.0)
    assert smaller.value == 299.0
    assert latencies.resized(0.5, 401, 500).value is None


def test_from_a_fixed_delay_to_a_live_one_and_back() -> None:
    """A hedge that begins to follow the calls has seen them all the time (L3)."""
    hedge = hedging(delay=2)
    for _ in range(100):
        hedge._pace.succeeded(0.25, 1)
    hedge.reconfigure(delay=None)
    assert hedge.delay == 0.25
    hedge.reconfigure(HedgeConfig(delay=3, idempotent=True))
    assert hedge.delay == 3.0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"delay": -1}, ValueError, "delay must be"),
        ({"delay": 2.0, "quantile": 0.9}, ValueError, "delay and quantile contradict each other"),
        ({"idempotent": False}, TypeError, "hedge makes a second call"),
        ({"burst": 3, "dely": 1}, TypeError, "unexpected keyword argument 'dely'; did you mean 'delay'"),
    ],
)
def test_bad_values_change_nothing(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """A mistake in one field leaves all of them as they were (G1)."""
    hedge = hedging()
    before = hedge.config
    with pytest.raises(error, match=message):
        hedge.reconfigure(**changes)
    assert hedge.config is before


async def test_begin_anew(clock: VirtualClock) -> None:
    """After a reset the durations and counts are forgotten and the tokens are there; what runs goes on (B5's way)."""
    hedge = hedging(delay=None, burst=1)
    for _ in range(100):
        hedge._pace.succeeded(1.0, 1)
    fetch = hedge(slow_then_quick(20, 20, 3))
    assert hedge.delay == 1.0
    running = asyncio.ensure_future(fetch())
    await asyncio.sleep(1.5)
    assert hedge.metrics == {"calls": 1, "hedges": 1, "wins": 0, "withheld": 0}
    hedge.reset()
    assert hedge.delay is None
    assert hedge.metrics == {"calls": 0, "hedges": 0, "wins": 0, "withheld": 0}
    assert hedge._pace.spend(0.0)
    assert await running == 20
    assert hedge.metrics == {"calls": 0, "hedges": 1, "wins": 0, "withheld": 0}
    assert await fetch() == 3
    assert repr(hedge) == "<Hedge 'api' learning>"


def test_changes_while_threads_call() -> None:
    """While 32 threads call, the hedge changes and begins anew all the time, and nothing breaks (G7, B5)."""
    hedge = hedging(delay=None)
    over = threading.Event()

    async def quick() -> int:
        return 1

    fetch = hedge(quick)

    async def several() -> int:
        return sum([await fetch() for _ in range(30)])

    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(asyncio.run(several()))) for _ in range(32)]

    def change() -> None:
        for size, delay in zip(itertools.cycle((100, 200)), itertools.cycle((None, 60.0, 0.0)), strict=False):
            hedge.reconfigure(delay=delay, window_size=size)
            hedge.reset()
            if over.is_set():
                return

    changing = threading.Thread(target=change)
    for thread in (changing, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    changing.join()
    assert done == [30] * 32
    latencies = hedge._pace._latencies
    assert sorted(latencies._last) == latencies._sorted
