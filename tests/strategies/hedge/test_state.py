"""What a hedge decides: the live delay, the budget, who wins (L3)."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import RetryBudget
from recoup._core import waiting
from recoup.strategies.hedge.config import HedgeConfig
from recoup.strategies.hedge.state import HedgeRun, Latencies, Pace


def pace(**options: Any) -> Pace:
    return Pace(HedgeConfig(idempotent=True, **options))


def run_of(shared: Pace, most: int = 2, now: float = 0.0) -> HedgeRun:
    return HedgeRun(shared, most, now)


@given(st.lists(st.floats(0, 100), max_size=80), st.floats(0.01, 0.99), st.integers(1, 20), st.integers(0, 30))
def test_the_quantile_is_exact_over_the_last_durations(
    seconds: list[float], quantile: float, minimum: int, more: int
) -> None:
    """At least that share of the window is not longer, and no shorter one of the window would do (L3)."""
    latencies = Latencies(quantile, minimum, minimum + more)
    for each in seconds:
        latencies.add(each)
    window = seconds[-(minimum + more) :]
    if len(window) < minimum:
        assert latencies.value is None
        return
    ordered = sorted(window)
    assert latencies.value is not None
    assert latencies.value == ordered[math.ceil(quantile * len(window)) - 1]
    assert sum(each <= latencies.value for each in window) >= quantile * len(window) - 1e-9


def test_memory_is_fixed() -> None:
    """However many durations come, only a window of them is kept (L3)."""
    latencies = Latencies(0.95, 100, 200)
    for n in range(10_000):
        latencies.add(n % 7)
    assert len(latencies._sorted) == len(latencies._last) == 200


def test_nothing_is_hedged_before_the_warm_up() -> None:
    """One duration fewer than `minimum_samples` says nothing (L3)."""
    shared = pace(quantile=0.5)
    for n in range(99):
        shared.succeeded(n, 1)
    assert shared.delay is None
    assert run_of(shared).wait(0, None) is None
    shared.succeeded(99, 1)
    assert shared.delay == 49


def test_a_fixed_delay_needs_no_warm_up() -> None:
    """A given delay holds from the first call on (L3)."""
    shared = pace(delay=0.25)
    assert shared.delay == 0.25


@given(st.lists(st.booleans(), max_size=300), st.floats(0.01, 1), st.integers(1, 5))
def test_the_budget_bounds_what_is_added(wishes: list[bool], budget: float, burst: int) -> None:
    """Of n calls at most `burst + budget * n` attempts are added, and no wish within that is refused for long (L3)."""
    shared = pace(delay=0, budget=budget, burst=burst)
    added = 0
    for calls, wish in enumerate(wishes, start=1):
        shared.called()
        if wish:
            added += shared.spend(0)
        assert added <= burst + budget * calls + 1e-6
    counts = shared.counts()
    assert counts["hedges"] == added
    assert counts["withheld"] == sum(wishes) - added


def test_ten_calls_earn_one_attempt() -> None:
    """Ten tenths are one, although ten floats of 0.1 are not (L3)."""
    shared = pace(delay=0, budget=0.1, burst=1)
    assert shared.spend(0)
    for _ in range(10):
        assert not shared.spend(0)
        shared.called()
    assert shared.spend(0)


def test_the_budget_is_exact_under_threads() -> None:
    """Threads cannot spend a token twice (G7)."""
    shared = pace(delay=0, burst=50)
    added: list[bool] = []

    def work() -> None:
        added.extend(shared.spend(0) for _ in range(40))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == 50
    assert shared.counts() == {"calls": 0, "hedges": 50, "wins": 0, "withheld": 110}


def test_a_forked_child_begins_anew() -> None:
    """A lock that is held by a thread of the parent is none of the child's (G18)."""
    shared = pace(quantile=0.5)
    assert shared in waiting._forkable
    for n in range(100):
        shared.succeeded(n, 2)
    shared._lock.acquire()
    shared.after_fork()
    assert shared.counts() == {"calls": 0, "hedges": 0, "wins": 0, "withheld": 0}
    assert shared.delay is None


def test_a_budget_that_is_shared_with_retries() -> None:
    """A hedge takes from a shared budget what a retry would, and puts nothing in (R6, L3)."""
    budget = RetryBudget(ratio=1, minimum_rate=0, capacity=2)
    one, other = pace(delay=0, budget=budget), pace(delay=0, budget=budget)
    one.called()
    assert [one.spend(0), other.spend(0), one.spend(0)] == [True, True, False]
    assert (budget.tokens, budget.metrics["retries"]) == (0, 2)
    assert one.counts() == {"calls": 1, "hedges": 1, "wins": 0, "withheld": 1}


class TestRun:
    """One call and its attempts."""

    def test_the_first_success_wins(self) -> None:
        """A value decides the call; what comes later is nobody's (L3)."""
        run = run_of(pace(delay=1))
        assert (run.start(0), run.start(1)) == (1, 2)
        assert run.succeeded(2, "second", 3)
        assert not run.succeeded(1, "first", 3)
        run.failed(1, ValueError())
        assert (run.over, run.winner, run.value, run.outcome()) == (True, 2, "second", None)

    def test_a_failure_waits_for_the_others(self) -> None:
        """A failure decides nothing while another attempt runs (L3)."""
        run = run_of(pace(delay=1))
        run.start(0)
        run.start(1)
        run.failed(2, ValueError("second"))
        assert not run.over
        assert run.succeeded(1, "first", 3)

    def test_when_all_failed_the_first_error_counts(self) -> None:
        """The error of the first attempt comes out, in whichever order they failed; nothing is kept (L3, G11)."""
        for order in ((1, 2), (2, 1)):
            run = run_of(pace(delay=1))
            run.start(0)
            run.start(1)
            for attempt in order:
                run.failed(attempt, ValueError(attempt))
            assert run.over
            error = run.outcome()
            assert error is not None
            assert error.args == (1,)
            assert not run.failures

    def test_control_flow_stops_the_call(self) -> None:
        """A KeyboardInterrupt in any attempt comes out at once (G2)."""
        run = run_of(pace(delay=1))
        run.start(0)
        run.start(1)
        stop = KeyboardInterrupt()
        run.failed(2, stop)
        assert run.over
        assert run.outcome() is stop
        assert run.control is None

    def test_each_attempt_has_its_delay(self) -> None:
        """The next attempt is due a delay after the last one, however often somebody asks (L3)."""
        run = run_of(pace(delay=2), most=3)
        run.start(10)
        assert [run.wait(now, None) for now in (10, 11.5, 12, 99)] == [2, 0.5, 0, 0]
        run.start(12)
        assert run.wait(13, None) == 1
        run.start(14)
        assert run.wait(14, None) is None

    @pytest.mark.parametrize(("left", "seconds"), [(None, 2), (2.5, 2), (2, None), (0, None)])
    def test_no_attempt_past_the_deadline(self, left: float | None, seconds: float | None) -> None:
        """Where the deadline comes before the delay, no attempt is waited for (D1)."""
        run = run_of(pace(delay=2))
        run.start(0)
        assert run.wait(0, left) == seconds

    def test_without_budget_the_call_goes_on_alone(self) -> None:
        """An attempt that the budget does not allow is not asked for again in the same call (L3)."""
        shared = pace(delay=2, burst=1)
        assert shared.spend(0)
        run = run_of(shared)
        run.start(0)
        assert not run.add(2)
        assert run.wait(2, None) is None

    def test_a_clock_that_goes_backwards(self) -> None:
        """A duration is never negative (G12)."""
        shared = pace(quantile=0.5)
        for _ in range(100):
            run_of(shared, now=50).succeeded(1, None, 40)
        assert shared.delay == 0
