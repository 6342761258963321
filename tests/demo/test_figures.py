"""The figures: counted by phase, rounded to nobody's favour, and honest about what they do not know."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.demo.figures import Account, Outcome, Summary, percentile, share
from recoup.demo.words import milliseconds, percent


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], rank: float) -> None:
    """At least this share of the values do not exceed it, and that is true of no smaller value."""
    found = percentile(values, rank)
    needed = rank * len(values)
    assert sum(value <= found for value in values) >= needed
    assert all(sum(value <= other for value in values) < needed for other in values if other < found)


def test_nothing_measured_is_not_zero() -> None:
    """Figures of nothing are NaN, and shown as a dash."""
    account = Account()
    figures = (percentile([], 0.5), share(0, 0), account.rate(Outcome.SUCCESS), account.percentile(0.5, "errors"))
    assert all(math.isnan(figure) for figure in figures)
    assert percent(math.nan) == milliseconds(math.nan) == "-"


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (0.0, "0.0 %"),
        (0.0005, "0.0 %"),
        (0.29, "29.0 %"),
        (0.97, "97.0 %"),
        (0.96999, "96.9 %"),
        (0.99999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages_are_rounded_down(part: float, shown: str) -> None:
    """A run that missed 97 % by a hair is not shown as 97 %, and only all is 100 %."""
    assert percent(part) == shown


def test_an_account_counts_by_phase_and_in_all() -> None:
    """What callers got and how long they waited is kept by the phase of the call; waiting in vain is added up."""
    account = Account(cell=0.5)
    for phase, outcome, at, seconds in (
        ("one", Outcome.SUCCESS, 0.1, 0.01),
        ("one", Outcome.FAILED, 0.6, 2.0),
        ("two", Outcome.DEGRADED, 0.7, 0.03),
        ("two", Outcome.FAILED, 1.2, 1.0),
    ):
        account.begin()
        account.end(phase, outcome, at=at, seconds=seconds)
    assert account.count() == 4
    assert account.count(Outcome.FAILED) == 2
    assert account.count(Outcome.FAILED, "one") == 1
    assert account.count(None, "two") == 2
    assert account.count(None, "three") == 0
    assert account.rate(Outcome.SUCCESS, "one") == 0.5
    assert account.rate(Outcome.SUCCESS) == 0.25
    assert account.percentile(0.5, "one") == 0.01
    assert account.percentile(1.0) == 2.0
    assert account.in_vain == 3.0
    assert {cell: dict(counts) for cell, counts in account.cells.items()} == {
        0: {Outcome.SUCCESS: 1},
        1: {Outcome.FAILED: 1, Outcome.DEGRADED: 1},
        2: {Outcome.FAILED: 1},
    }


def test_calls_that_run_are_counted_until_they_end() -> None:
    """Running calls are those that have begun and not ended."""
    account = Account()
    account.begin()
    account.begin()
    account.end("one", Outcome.SUCCESS, at=0.0, seconds=0.1)
    assert account.running == 1


def test_wasted_work_is_what_reached_the_server_and_helped_nobody() -> None:
    """Of ten requests with three successes seven were wasted, whatever they ended in; remembered answers are none."""
    account = Account()
    for outcome in (Outcome.SUCCESS,) * 3 + (Outcome.DEGRADED,) * 4 + (Outcome.FAILED,):
        account.begin()
        account.end("one", outcome, at=0.0, seconds=0.1)
    summary = Summary(account, {"reached": {"one": 6, "two": 4}, "peak": 5})
    assert summary.reached() == 10
    assert summary.reached("two") == 4
    assert summary.reached("three") == 0
    assert summary.wasted == 7
    assert summary.peak == 5
