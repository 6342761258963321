"""The two ways to count where it is close: bounds, full windows ahead, clocks that go back, what adapts (L1)."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from recoup import AIMDRate, RateLimitConfig
from recoup.strategies.rate_limit.line import Line
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.window import SLICES, Window


def bucket(rate: int = 1, burst: int = 1, per: float = 1.0, now: float = 100.0, **options: Any) -> Bucket:
    return Bucket(RateLimitConfig(rate=rate, per=per, burst=burst, **options), now)


def window(rate: int = 10, per: float = 1.0, now: float = 100.0) -> Window:
    return Window(RateLimitConfig(rate=rate, per=per, mode="window"), now)


def full_window(rate: int = 10) -> Window:
    state = window(rate)
    assert state.take(rate, 100.0)
    return state


# Windows


@pytest.mark.parametrize("deep", range(1, 6))
@pytest.mark.parametrize("rate", [1, 4, 7])
def test_equal_weights_are_told_their_own_window(rate: int, deep: int) -> None:
    """Whoever waits behind so many windows full of others is told that many windows, and not one more (L1)."""
    state = full_window(rate)
    assert state.wait((deep - 1) * rate + 1, 100.0) == deep
    assert state.wait(deep * rate, 100.0) == deep


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([6, 5, 6, 4], 3.0),  # pairs of windows have room for 11 each
        ([10, 4, 10, 4], 5.0),  # room for 12, as all are even
        ([6, 4, 6, 4], 3.0),  # each window has room for 6 at least
        ([2, 2, 2, 2, 2, 2], 2.0),
    ],
)
def test_how_many_fit_into_windows_ahead(weights: list[int], told: float) -> None:
    """What is assumed of windows ahead depends on what the weights are multiples of, and how heavy they are (L1)."""
    state = full_window()
    line = Line(state, lambda turn: None)
    *before, last = weights
    for number, weight in enumerate(before):
        line.join(number, weight, 100.0, line.estimate(weight, 100.0), None)
    assert line.estimate(last, 100.0) == told


def test_nobody_begins_later_than_it_was_told() -> None:
    """Whatever the weights, what is told is late enough: those before have begun by then (L1)."""
    for weights in product((2, 3, 4, 6), repeat=4):
        state = window(6)
        assert state.take(4, 100.0)
        assert state.take(2, 100.5)
        line = state.line = Line(state, lambda turn: None)
        row = [line.join(number, each, 100.5, line.estimate(each, 100.5), None) for number, each in enumerate(weights)]
        told = [turn.due for turn in row]
        now = 100.5
        for turn, moment in zip(row, told, strict=True):
            while wait := line.look(turn, now):
                now += wait
            assert now <= moment, weights


def test_a_wait_for_what_just_fills_the_windows_ahead() -> None:
    """What is left of a whole number of windows waits for all that is in the window now (L1)."""
    state = window()
    assert state.take(9, 100.0)
    assert state.take(1, 100.5)
    assert state.wait(21, 100.5, 1, 5) == 3.0  # a pair of windows for 11, and the first ten at 101.5


def test_a_wait_for_less_than_the_windows_ahead_hold() -> None:
    """Weights from before the limit fell, more than a window now, are told no less than nothing (B5's way)."""
    state = full_window(2)
    assert state.wait(3, 100.0, 1, 9) == 2.0  # two windows, and all of the others are in them


def test_a_permit_counts_a_twentieth_too_long_at_most() -> None:
    """However many calls begin one by one, each comes back at most 5 % of the window late (L1)."""
    state = window(rate=200, per=20.0)
    for number in range(200):
        assert state.take(1, 100 + number / 10)
    for number in range(190):
        now = 120 + number / 10
        due = number - 10
        assert state.available(now) >= due, "those that began more than a twentieth before the window's begin are back"


def test_calls_of_one_moment_share_a_slice() -> None:
    """Calls that begin at one moment take the room of one, so those after it are still told apart (L1)."""
    state = window(rate=100, per=20.0)
    for _ in range(2 * SLICES):
        assert state.take(1, 100.0)
    assert state.take(1, 100.5)
    assert state.available(120.0) == 99


def test_slices_are_as_wide_after_a_clock_went_back() -> None:
    """A clock that goes back takes the begin of a slice along, so that it grows no wider than others (G12)."""
    state = window(rate=200, per=20.0)
    for number in range(SLICES):
        assert state.take(1, 1000 + number / 100)
    back = 900.0
    state.correct(back)
    assert state.take(1, back + 0.9)
    assert state.take(1, back + 1.1)  # more than a twentieth of the window after the slice began
    assert state.available(back + 20.95) == 199, "the two before are over"


def test_an_empty_window_has_no_time_to_go_back_to() -> None:
    """Without any permit out, a clock says nothing of those who wait (G12)."""
    state = full_window(1)
    line = state.line = Line(state, lambda turn: None)
    turn = line.join(0, 1, 100.0, line.estimate(1, 100.0), None)
    state._slices.clear()
    state.correct(100.0)
    assert turn.due == 101.0


# Buckets


def test_a_call_exactly_as_late_as_is_forgiven() -> None:
    """A call that begins a millisecond late counts from when it might have begun, not from later (L1)."""
    state = bucket(now=0.0)
    state.begin(1, 0.001)
    assert state.wait(1, 0.5) == 0.5


def test_a_full_bucket_and_more_to_come() -> None:
    """More permits than a bucket holds come one after another from now on, however long it has been full (L1)."""
    state = bucket(rate=2, burst=4)
    assert state.take(3, 100.0)
    assert state.wait(6, 500.0) == 1.0


def test_a_call_takes_no_more_than_there_can_be() -> None:
    """A call that weighs more than the limit has become takes all there is, and no more (B5's way)."""
    state = bucket(burst=2)
    state.begin(5, 100.0)
    assert state.wait(2, 100.0) == 2.0


def test_a_bucket_with_permits_left_goes_back_with_the_clock() -> None:
    """Permits that were there before a clock went back are there afterwards (G12)."""
    state = bucket(burst=5, now=1000.0)
    assert state.take(1, 1000.0)
    state.correct(995.0)
    assert state.available(995.0) == 4
    assert state.available(996.0) == 5


def test_rates_beyond_all_clocks() -> None:
    """So many permits in so short a time that a float cannot tell are always there: nothing is divided by 0 (L1)."""
    state = bucket(rate=2**53, per=1e-310, burst=10, now=0.0)
    for _ in range(3):
        assert state.take(10, 0.0)
        assert state.available(0.0) == 10


# Rates that adapt


AIMD = AIMDRate(min_rate=3, backoff_ratio=0.1, increase=0.5)


def test_a_bucket_tells_whether_its_rate_changed() -> None:
    """Only who hears of another rate wakes those who wait: not when it stayed, nor where none is learnt."""
    plain, learning = bucket(rate=20, per=2.0), bucket(rate=20, per=2.0, adaptive=AIMD)
    assert plain.learn(100.0, 101.0, less=True) is False
    assert learning.rate == 10.0
    assert learning.learn(100.0, 101.0, less=False) is False
    assert learning.learn(100.5, 101.0, less=True) is True
    assert learning.rate == pytest.approx(1.5), "no less than three in two seconds"
    assert learning.learn(101.0, 102.0, less=False) is True
    assert learning.rate == pytest.approx(6.5), "half of the rate a second is won back"
    assert learning.learn(101.0, 102.0, less=False) is False


def test_other_limits_are_learnt_anew() -> None:
    """What was learnt belongs to the limits that it was learnt for (B5's way)."""
    state = bucket(rate=20, per=2.0, adaptive=AIMD)
    assert state.learn(100.5, 101.0, less=True)
    state.reconfigure(RateLimitConfig(rate=40, per=2.0, burst=1, adaptive=AIMD), 101.0)
    assert state.rate == 20.0
    assert not state.learn(101.0, 102.0, less=False)
    assert state.learn(101.0, 102.0, less=True)
    state.reconfigure(RateLimitConfig(rate=40, per=2.0, burst=1), 102.0)
    assert not state.learn(101.0, 103.0, less=True)
