"""Shares of recent calls, in fixed memory (C2, C3, G12)."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.strategies.circuit_breaker.rates import SLICES, Breach, Rates, RateWindow, Thresholds


def counted(window: RateWindow) -> tuple[int, int, int]:
    total = window.total
    return total.calls, total.failed, total.slow


def fed(window: RateWindow, outcomes: list[tuple[float, bool, bool]]) -> tuple[int, int, int]:
    for now, failed, slow in outcomes:
        window.record(now, failed=failed, slow=slow)
    return counted(window)


def test_outcomes_are_counted_by_what_they_are() -> None:
    """Failed, slow, both or neither (C2)."""
    outcomes = [(0.0, False, False), (0.0, True, False), (0.0, False, True), (0.0, True, True)]
    assert fed(RateWindow(10, 10.0), outcomes) == (4, 2, 2)


@pytest.mark.parametrize(("size", "expected"), [(1, (1, 0, 1)), (2, (2, 1, 1)), (3, (3, 1, 1)), (4, (4, 2, 1))])
def test_only_the_last_calls_count(size: int, expected: tuple[int, int, int]) -> None:
    """Each call pushes out the one that was `size` before it (C2)."""
    outcomes = [(0.0, True, True), (0.0, True, False), (0.0, False, False), (0.0, True, False), (0.0, False, True)]
    assert fed(RateWindow(size, None), outcomes) == expected
    assert fed(RateWindow(size, 10.0), outcomes) == expected


@pytest.mark.parametrize(("now", "expected"), [(9.9, 2), (10.0, 2), (10.1, 1), (14.0, 1), (14.1, 0), (1e9, 0)])
def test_only_the_last_seconds_count(now: float, expected: int) -> None:
    """An outcome of exactly that age still does; after idling for longer, nothing old is counted (C2, C3)."""
    window = RateWindow(None, 10.0)
    fed(window, [(0.0, True, False), (4.0, True, True)])
    window.forget(now)
    assert counted(window) == (expected, expected, min(expected, 1))


class NeverForgets:
    """What peers do (fluxgate, cockatiel): buckets are emptied only when a call comes that falls into them anew."""

    def __init__(self, seconds: int) -> None:
        self.buckets = [0] * seconds

    def failed(self, now: float) -> None:
        self.buckets[int(now) % len(self.buckets)] += 1

    def failures(self, _: float) -> int:
        return sum(self.buckets)


def test_an_idle_window_forgets() -> None:
    """A day later a new failure stands alone; in the naive window it joins yesterday's (C3, peers)."""
    naive, window = NeverForgets(10), RateWindow(None, 10.0)
    for now in (0.0, 1.0, 86_402.0):
        naive.failed(now)
        window.record(now, failed=True, slow=False)
    assert naive.failures(86_402.0) == 3
    assert counted(window) == (1, 1, 0)


def test_what_was_pushed_out_is_not_forgotten_twice() -> None:
    """Both limits take away, each only what is still there (C2)."""
    window = RateWindow(2, 10.0)
    fed(window, [(0.0, True, False), (1.0, False, True), (2.0, False, False)])
    assert counted(window) == (2, 0, 1)
    window.forget(10.9)
    assert counted(window) == (2, 0, 1)
    assert fed(window, [(11.5, True, True)]) == (2, 1, 1)
    assert fed(window, [(30.0, True, False)]) == (1, 1, 0)
    assert fed(window, [(30.0, True, False), (30.0, False, False)]) == (2, 1, 0)


def test_a_clock_that_goes_backwards_restarts_the_ages() -> None:
    """Nothing is forgotten by the jump, nor counted for longer than the duration after it (G12)."""
    window = RateWindow(None, 10.0)
    fed(window, [(1000.0, True, False), (1005.0, True, False), (0.0, False, False)])
    assert counted(window) == (3, 2, 0)
    window.forget(10.0)
    assert counted(window) == (3, 2, 0)
    window.forget(10.1)
    assert counted(window) == (0, 0, 0)


def test_many_small_jumps_make_no_many_slices() -> None:
    """Memory is fixed whatever the clock does (C3, G12)."""
    window = RateWindow(None, 10.0)
    for step in range(1000):
        window.record(100.0 + step * 0.001, failed=True, slow=False)
        window.record(102.0, failed=True, slow=False)
    assert len(window._slices) <= SLICES + 1
    assert window.total.calls == 2000


@given(
    size=st.none() | st.integers(1, 30),
    steps=st.lists(st.tuples(st.floats(0, 15), st.booleans(), st.booleans()), max_size=80),
)
def test_the_window_beside_a_list_of_everything(size: int | None, steps: list[tuple[float, bool, bool]]) -> None:
    """Every outcome counts for at least 19/20 of the duration, and never longer than all of it (C2, C3)."""
    duration, now, window = 10.0, 0.0, RateWindow(size, 10.0)
    everything: list[tuple[float, bool, bool]] = []
    for gap, failed, slow in steps:
        now += gap
        everything.append((now, failed, slow))
        window.record(now, failed=failed, slow=slow)
        last = everything if size is None else everything[-size:]
        most = [each for each in last if now - each[0] <= duration]
        least = [each for each in last if now - each[0] <= duration * (1 - 1 / SLICES)]
        calls = window.total.calls
        assert len(least) <= calls <= len(most)
        exact = everything[len(everything) - calls :]
        assert counted(window) == (calls, sum(each[1] for each in exact), sum(each[2] for each in exact))
        assert len(window._slices) <= SLICES + 1


def footprint(window: RateWindow) -> int:
    parts: list[Any] = [window, window.total, window._ring, window._slices, *window._slices]
    return sum(sys.getsizeof(part) for part in parts)


@pytest.mark.parametrize(("size", "duration"), [(None, 1.0), (None, 3600.0), (100, None), (100, 60.0)])
def test_memory_does_not_grow_with_traffic(size: int | None, duration: float | None) -> None:
    """However many calls fall into the window (C3)."""
    window = RateWindow(size, duration)
    sizes = set()
    for step in range(5000):
        window.record(step * 0.01, failed=step % 3 == 0, slow=step % 7 == 0)
        sizes.add(footprint(window))
    assert max(sizes) < 4096


def test_memory_does_not_grow_with_the_duration_and_is_a_byte_a_call_of_the_size() -> None:
    """The two limits cost what they say (C3)."""
    lasting = footprint(RateWindow(None, 1e9))
    assert lasting == footprint(RateWindow(None, 1.0))
    assert footprint(RateWindow(100_000, 60.0)) - lasting < 100_100


def rates(**limits: Any) -> Rates:
    given = {"minimum_calls": 1, "failure_rate": None, "slow_call_rate": None, "slow_call_duration": None, **limits}
    return Rates(RateWindow(10, None), Thresholds(**given))


@pytest.mark.parametrize(("limit", "calls"), [(0.1, 10), (0.3, 10), (0.7, 10), (1 / 3, 3), (2 / 3, 3), (1.0, 4)])
def test_shares_are_inclusive_and_exact(limit: float, calls: int) -> None:
    """Exactly the share is too large, and no rounding error hides it (C2)."""
    made = rates(failure_rate=limit, minimum_calls=calls)
    bad = round(limit * calls)
    for _ in range(calls - bad):
        assert made.record(0.0, failed=False, slow=False) is None
    for _ in range(bad - 1):
        assert made.record(0.0, failed=True, slow=False) is None
    assert made.record(0.0, failed=True, slow=False) is Breach.FAILURES


def test_an_unknown_share_is_none() -> None:
    """Not zero, which would say that all is well (C2)."""
    made = rates(failure_rate=0.5, slow_call_rate=0.9, slow_call_duration=2.0, minimum_calls=2)
    assert made.shares(0.0) == (None, None)
    made.record(0.0, failed=False, slow=True)
    assert made.shares(0.0) == (None, None)
    made.record(0.0, failed=True, slow=False)
    assert made.shares(0.0) == (0.5, 0.5)
    assert rates(failure_rate=0.5).shares(0.0) == (None, None)
    slowless = rates(failure_rate=0.5)
    slowless.record(0.0, failed=False, slow=False)
    assert slowless.shares(0.0) == (0.0, None)


def test_looking_at_shares_changes_nothing() -> None:
    """What is too old now is recent again if the clock goes backwards; it goes with the next outcome (C1, G12)."""
    made = Rates(RateWindow(10, 2.0), Thresholds(1, 0.5, None, None))
    made.record(100.0, failed=True, slow=False)
    assert [made.shares(now) for now in (103.0, 102.0, 50.0)] == [(None, None), (1.0, None), (1.0, None)]


def test_a_breach_is_put_into_words() -> None:
    """With numbers (C7)."""
    made = rates(failure_rate=0.5, slow_call_rate=0.5, slow_call_duration=2.0)
    made.record(0.0, failed=True, slow=False)
    assert made.record(0.0, failed=False, slow=True) is Breach.FAILURES
    assert made.words(Breach.FAILURES) == "1 of 2 calls failed"
    assert made.words(Breach.SLOWNESS) == "1 of 2 calls took 2 s or longer"
    made.record(0.0, failed=False, slow=False)
    assert made.record(0.0, failed=False, slow=True) is Breach.SLOWNESS
