"""Which failures are recent, and counters that need no lock (C2, C3, C10)."""

from __future__ import annotations

import math
import sys
import threading
from itertools import count, islice
from typing import Any

import pytest

from recoup.strategies.circuit_breaker.window import FailureWindow, Tally, numbers, some


def window(threshold: int = 3, size: int = 5, duration: float = 10.0) -> FailureWindow:
    return FailureWindow(threshold, size, duration)


def fed(failures: list[tuple[int, float]], **rules: Any) -> list[bool]:
    """Record failures, each with number and time, and give the answers."""
    made = window(**rules)
    return [made.failed(number, now) for number, now in failures]


def test_the_threshold_is_inclusive() -> None:
    """The third of three failures is too many, neither the second nor the fourth only (C2)."""
    assert fed([(1, 0.0), (2, 0.0), (3, 0.0)]) == [False, False, True]


def test_one_failure_may_be_too_many() -> None:
    """A threshold of one opens at the first failure, in a window of one as well (C2)."""
    assert fed([(1, 0.0)], threshold=1, size=1) == [True]


@pytest.mark.parametrize(("last", "opens"), [(3, True), (5, True), (6, False), (100, False)])
def test_only_the_last_calls_count(last: int, opens: bool) -> None:
    """With a window of 5 calls, call 1 counts up to call 5 and not at call 6 (C2)."""
    assert fed([(1, 0.0), (2, 0.0), (last, 0.0)])[-1] is opens


@pytest.mark.parametrize(("now", "opens"), [(9.9, True), (10.0, True), (10.1, False), (1e9, False)])
def test_only_the_last_seconds_count(now: float, opens: bool) -> None:
    """With 10 seconds, a failure of exactly that age still counts; after idling longer nothing old does (C2, C3)."""
    assert fed([(1, 0.0), (2, 5.0), (3, now)])[-1] is opens


def test_both_limits_apply_at_once() -> None:
    """Young enough but too many calls ago is not recent, and the other way round (C2)."""
    assert fed([(1, 0.0), (5, 1.0), (6, 2.0), (7, 3.0)]) == [False, False, False, True]
    assert fed([(1, 0.0), (2, 11.0), (3, 12.0), (4, 13.0)]) == [False, False, False, True]


def test_old_failures_do_not_hide_new_ones() -> None:
    """Fixed memory keeps the newest failures, so any number of old ones before them changes nothing (C3)."""
    old = [(number, 0.0) for number in range(1, 3)]
    assert fed([*old, (10, 100.0), (11, 100.0), (12, 100.0)]) == [False, False, False, False, True]


def test_memory_does_not_grow_with_the_window() -> None:
    """However many calls and seconds are recent, only as many failures are kept as open the circuit (C3)."""
    made = window(threshold=4, size=10**9, duration=1e9)
    for number in range(1, 1000):
        made.failed(number, float(number))
    assert made._kept is not None
    assert len(made._kept) == 8


def test_a_clock_that_goes_backwards_restarts_the_ages() -> None:
    """Nothing is counted longer than its time after the jump, and nothing is forgotten by it (G12)."""
    assert fed([(1, 1000.0), (2, 1000.0), (3, 0.0)]) == [False, False, True]
    assert fed([(1, 1000.0), (2, 0.0), (3, 10.0)]) == [False, False, True]
    assert fed([(1, 1000.0), (2, 0.0), (3, 10.1)]) == [False, False, False]


def test_a_clock_that_goes_back_a_little_touches_only_what_is_ahead() -> None:
    """What is older than the jump keeps its age (G12)."""
    assert fed([(1, 0.0), (2, 9.0), (3, 8.0)]) == [False, False, True]
    assert fed([(1, 0.0), (2, 12.0), (3, 11.0)]) == [False, False, False]


def test_a_clock_that_goes_backwards_leaves_numbers_alone() -> None:
    """It restarts the ages of all failures ahead of it, how many there may be, and says nothing of calls (G12)."""
    made = window(threshold=6, size=100)
    for number in (20, 30, 40, 50):
        made.failed(number, 1000.0 + number)
    made.failed(60, 25.0)
    assert made.recent(60, 30.0) == [(40, 5.0), (30, 5.0), (20, 5.0), (10, 5.0), (0, 5.0)]


def test_recent_failures_come_in_order() -> None:
    """The oldest comes first, with calls and seconds since, also when the ring has gone round (C10)."""
    made = window(threshold=3, size=50, duration=100.0)
    told = []
    for number, now in ((1, 1.0), (3, 10.0), (7, 20.0), (12, 40.0), (20, 60.0)):
        made.failed(number, now)
        told.append(made.recent(21, 61.0))
    assert told == [
        [(20, 60.0)],
        [(20, 60.0), (18, 51.0)],
        [(20, 60.0), (18, 51.0), (14, 41.0)],
        [(18, 51.0), (14, 41.0), (9, 21.0)],
        [(14, 41.0), (9, 21.0), (1, 1.0)],
    ]
    assert made.recent(62, 140.0) == [(42, 80.0)], "those are 50 calls ago, or more, or 100 seconds"
    assert window().recent(5, 5.0) == []


def test_failures_are_put_in_as_they_were_taken_out() -> None:
    """Those that are in the window go on where they were; those out of it, or of unknown number, are left out (C10)."""
    made = window(threshold=3, size=5)
    assert made.load(20, [(9, 9.0), (5, 8.0), (None, 7.0), (4, 6.0), (1, 2.0)], 100.0) == 19
    assert made.recent(20, 100.0) == [(4, 6.0), (1, 2.0)]
    assert not made.failed(22, 101.0), "the first of them is six calls ago"
    assert made.failed(23, 101.0)
    full = window(threshold=2, size=5)
    assert full.load(20, [(4, 6.0), (3, 5.0), (2, 2.0)], 100.0) == 18
    assert full.recent(20, 100.0) == [(3, 5.0), (2, 2.0)]
    assert full.failed(21, 101.0)
    assert full.recent(21, 101.0) == [(3, 3.0), (0, 0.0)]


def test_failures_of_a_window_without_numbers() -> None:
    """Where calls do not matter, only seconds are told, and no number is needed to go on (C10)."""
    made = FailureWindow(3, math.inf, 10.0)
    assert made.load(0, [(None, 9.0), (4, 6.0)], 100.0) == -math.inf
    assert made.recent(0, 100.5) == [(None, 9.5), (None, 6.5)]
    assert made.failed(1, 100.5)
    empty = window()
    assert empty.load(20, [(5, 9.0), (None, 1.0)], 100.0) == -math.inf
    assert empty.recent(20, 100.0) == []


@pytest.mark.parametrize("locked", [False, True])
def test_each_number_is_given_once(locked: bool) -> None:
    """Numbers are exact under threads, with the lock of a build without GIL as well (C10)."""
    source = numbers(locked=locked)
    taken: list[list[int]] = [[] for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda mine=mine: mine.extend(next(source) for _ in range(2000))) for mine in taken
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(each for mine in taken for each in mine) == list(range(1, 8001))


def test_numbers_take_a_lock_only_where_counting_is_not_atomic() -> None:
    """A healthy call pays for none under the GIL (C10)."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert isinstance(numbers(locked=False), count)
    assert not isinstance(numbers(locked=True), count)
    assert isinstance(numbers(), count) is gil


@pytest.mark.parametrize("locked", [False, True])
def test_some_numbers_are_taken_from_all(locked: bool) -> None:
    """Whoever takes them, none is given twice, and there are no more than so many (C10)."""
    source = numbers(locked=locked)
    first, second = some(source, 2), some(source, 2)
    assert iter(first) is first
    assert [next(each, None) for each in (first, second, first, first, source, second, second)] == [
        *(1, 2, 3, None),
        *(4, 5, None),
    ]
    assert list(some(source, 0)) == []
    endless = some(source, 10**30)
    assert next(endless) == 6
    assert isinstance(endless, islice) is not locked, "a lock is taken where the source has one, and only there"


def test_looking_at_a_tally_does_not_change_it() -> None:
    """A counter is read any number of times, and tells how often it was added to."""
    tally = Tally()
    assert [tally.value(), tally.value()] == [0, 0]
    for _ in range(3):
        tally.add()
    assert [tally.value(), tally.value()] == [3, 3]
    tally.add()
    assert tally.value() == 4
