"""The balance of requests and accepts, step by step (L2)."""

from __future__ import annotations

import sys

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


def test_memory_is_fixed() -> None:
    """The lists keep their length, whatever the traffic."""
    made = balance()
    sizes = set()
    for step in range(3000):
        made.record(step * 0.7, accepted=step % 3 == 0)
        sizes.add((sys.getsizeof(made._requested), sys.getsizeof(made._accepted), len(made._requested)))
    assert {size[2] for size in sizes} == {SLICES}
    assert len(sizes) == 1
