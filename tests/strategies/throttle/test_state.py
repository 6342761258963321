"""The balance of requests and accepts, step by step (L2)."""

from __future__ import annotations

import sys
from inspect import isfunction

import pytest

from recoup.strategies.throttle.state import SLICES, Balance, ticks


def balance(multiplier: float = 2.0, seconds: float = 120.0) -> Balance:
    return Balance(multiplier, seconds, now=0.0)


def fill(made: Balance, requests: int, accepts: int, now: float = 0.0) -> None:
    for number in range(requests):
        made.record(now, accepted=number < accepts)


@pytest.mark.parametrize(
    ("requests", "accepts", "odds"),
    [(0, 0, 0.0), (1, 0, 1 / 2), (2, 1, 0.0), (10, 5, 0.0), (10, 4, 2 / 11), (100, 0, 100 / 101), (100, 100, 0.0)],
)
def test_the_formula(requests: int, accepts: int, odds: float) -> None:
    """The odds are max(0, (requests - 2 * accepts) / (requests + 1)) (L2)."""
    made = balance()
    fill(made, requests, accepts)
    assert made.odds(0.0) == pytest.approx(odds)


def test_the_multiplier() -> None:
    """With a smaller multiplier less gets through (L2)."""
    made = balance(multiplier=1.0)
    fill(made, 10, 9)
    assert made.odds(0.0) == pytest.approx(1 / 11)


def test_the_draw() -> None:
    """A call is held back if the draw is below the odds, and only then; without odds nobody draws (L2)."""
    made = balance()

    def never() -> float:
        pytest.fail("nothing to draw for")

    assert made.admits(0.0, never)
    fill(made, 1, 0)
    assert made.admits(0.0, lambda: 0.5)
    assert not made.admits(0.0, lambda: 0.4999)


def test_what_is_held_back_is_a_request() -> None:
    """A call that was held back counts as a request; one that was let through only when it ends (L2)."""
    made = balance()
    fill(made, 1, 0)
    assert made.admits(0.0, lambda: 0.99)
    assert (made.requests, made.accepts, made.held_back) == (1, 0, 0)
    assert not made.admits(0.0, lambda: 0.0)
    assert (made.requests, made.accepts, made.held_back) == (2, 0, 1)
    assert made.odds(0.0) == pytest.approx(2 / 3)


def test_a_call_counts_for_the_window() -> None:
    """A call counts for 23 to 24 slices of the window, then no more (L2)."""
    made = balance(seconds=24.0)
    fill(made, 3, 1, now=0.5)
    assert made.odds(23.999) > 0
    assert (made.requests, made.accepts) == (3, 1)
    assert made.odds(24.0) == 0
    assert (made.requests, made.accepts) == (0, 0)


def test_slices_go_one_by_one() -> None:
    """Old calls go as time goes, newer ones stay (L2)."""
    made = balance(seconds=24.0)
    for second in range(24):
        made.record(float(second), accepted=second % 2 == 0)
    assert (made.requests, made.accepts) == (24, 12)
    made.odds(24.0)
    assert (made.requests, made.accepts) == (23, 11)
    made.odds(26.5)
    assert (made.requests, made.accepts) == (21, 10)


def test_slices_of_any_length() -> None:
    """A slice is a 24th of the window, and its bounds stay where they are, whenever somebody looks (L2)."""
    made = balance(seconds=48.0)
    fill(made, 4, 0, now=1.9)
    fill(made, 2, 0, now=7.0)
    assert made.calm_from == 6.0
    made.odds(47.9)
    assert made.requests == 6
    made.odds(48.0)
    assert (made.requests, made.calm_from) == (2, 48.0)
    made.odds(53.9)
    assert made.requests == 2
    made.odds(54.0)
    assert made.requests == 0


def test_idling_forgets_everything() -> None:
    """After idling longer than the window nothing old counts, however long it was (L2)."""
    for idle in (120.0, 121.0, 1e12):
        made = balance()
        fill(made, 50, 0)
        assert made.odds(idle) == 0
        assert (made.requests, made.accepts) == (0, 0)


def test_a_clock_that_goes_backwards() -> None:
    """It restarts the slice: nothing is lost, and nothing counts for ever (G12)."""
    made = balance(seconds=24.0)
    made.record(20.0, accepted=False)
    assert made.odds(3.0) == pytest.approx(1 / 2)
    assert made.odds(26.9) == pytest.approx(1 / 2)
    assert made.odds(27.0) == 0


def test_calm() -> None:
    """`calm_until` says how long nobody needs to ask; it is over at once when the odds are not zero."""
    made = balance(seconds=24.0)
    assert (made.calm_from, made.calm_until) == (0.0, 1.0)
    made.record(0.5, accepted=False)
    assert made.calm_until < 0
    made.record(0.6, accepted=True)
    assert (made.calm_from, made.calm_until) == (0.0, 1.0)
    made.odds(1.5)
    assert (made.calm_from, made.calm_until) == (1.0, 2.0)
    made.odds(0.25)
    assert (made.calm_from, made.calm_until) == (0.25, 1.25)


def test_ticks() -> None:
    """What is ticked off counts like what is recorded, in the slice in which it was (L2)."""
    made = balance(seconds=24.0)
    for _ in range(3):
        made.tick()
    fill(made, 7, 0, now=1.0)
    assert made.odds(1.0) == pytest.approx(4 / 11)
    assert (made.requests, made.accepts) == (10, 3)
    assert made.odds(24.0) == pytest.approx(7 / 8), "the ticks were in the slice before"
    assert (made.requests, made.accepts) == (7, 0)
    assert [ticks(locked=True)() for _ in range(2)] == [1, 1]
    number = ticks(locked=True)
    assert [number(), number()] == [1, 2]


def test_ticks_take_a_lock_only_where_counting_is_not_atomic() -> None:
    """A healthy call pays for none under the GIL; without one it needs it (L2)."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert not isfunction(ticks(locked=False))
    assert isfunction(ticks(locked=True))
    assert isfunction(ticks()) is not gil


@pytest.mark.parametrize("seconds", [24.0, 30.0, 96.0, 1000.0])
@pytest.mark.parametrize("at", [47.0, 48.0, 49.5])
def test_another_window_keeps_the_age_of_each_call(seconds: float, at: float) -> None:
    """What is in the window and would be in the new one goes when it would have gone, by its slice (B5)."""
    made, width = balance(seconds=48.0), seconds / SLICES
    moments = [moment for moment in range(0, 46, 2) if moment > at - 48]  # those before are forgotten by then
    for moment in moments:
        made.record(moment + 0.5, accepted=moment % 4 == 0)
    made.reconfigure(2.0, seconds, at)
    running = at % 2  # the slice that is going on
    ages = {moment: max(0.0, running + (at - running - moment) - 2) for moment in moments}  # of its newest call
    goes = {moment: at + seconds - int(age / width) * width for moment, age in ages.items() if age < seconds}
    for step in range(SLICES + 1):
        now = at + step * width + 1e-6
        there = [moment for moment, end in goes.items() if end > now]
        made.odds(now)
        assert (made.requests, made.accepts) == (len(there), sum(moment % 4 == 0 for moment in there)), step
        if step == 0:
            assert there
    assert made.requests == 0


def test_memory_is_fixed() -> None:
    """The lists keep their length, whatever the traffic."""
    made = balance()
    sizes = set()
    for step in range(3000):
        made.record(step * 0.7, accepted=step % 3 == 0)
        sizes.add((sys.getsizeof(made._requested), sys.getsizeof(made._accepted), len(made._requested)))
    assert {size[2] for size in sizes} == {SLICES}
    assert len(sizes) == 1
