"""The stage: what the views see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import events
from recoup.demo.activity import Activity
from recoup.demo.script import SCRIPT
from recoup.demo.stage import BARE, CELLS, PROTECTED, Stage, strip


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_the_stage_counts_seconds_from_its_beginning() -> None:
    """Elapsed time begins with `begin`, and changes of the circuit are noted by it."""
    hands = Hands()
    stage = Stage(SCRIPT, hands)
    hands.at = 200.0
    stage.begin()
    hands.at = 203.5
    stage.activity.listen(events.CircuitOpened("prices", 2.0, "TimeoutError"))
    assert stage.elapsed() == 3.5
    assert stage.activity.changes == [(3.5, "open")]


def test_the_stage_has_figures_before_the_first_report() -> None:
    """A client that the server has not seen has sent nothing."""
    stage = Stage(SCRIPT)
    assert stage.summary(BARE).reached() == stage.summary(PROTECTED).peak == 0


def test_cells_cover_the_whole_run() -> None:
    """The last moment of the run falls into the last cell."""
    hands = Hands()
    stage = Stage(SCRIPT, hands)
    hands.at += stage.seconds - 0.001
    assert len(stage.circuit_cells()) == CELLS


@given(
    st.lists(st.tuples(st.floats(0, 9.99), st.sampled_from(["open", "closed", "half-open"])), max_size=12).map(
        lambda changes: sorted(changes, key=lambda change: change[0])
    )
)
def test_each_cell_shows_the_last_state_in_it_or_that_it_was_half_open(changes: list[tuple[float, str]]) -> None:
    """Half-open lasts milliseconds and is the interesting part: a cell that saw it shows it."""
    cells = strip(changes, until=9.99, cell=1.0)
    assert len(cells) == 10
    for index, cell in enumerate(cells):
        inside = [state for at, state in changes if index <= at < index + 1]
        before = [state for at, state in changes if at < index + 1]
        expected = "half-open" if "half-open" in inside else (before or ["closed"])[-1]
        assert cell == expected


def test_every_event_is_counted_with_the_strategy_that_told_it() -> None:
    """Each strategy's deeds are counted from its own events, and told outermost first."""
    activity = Activity(now=lambda: 1.0)
    for event, times in (
        (events.FallbackUsed("f", "cache", "TimeoutError"), 2),
        (events.FallbackUsed("f", "function", "TimeoutError"), 3),
        (events.DeadlineStruck("patience", 2.0, True), 4),
        (events.RetryScheduled("f", 1, 0.1, "TimeoutError"), 5),
        (events.CircuitOpened("prices", 2.0, None), 1),
        (events.CircuitHalfOpened("prices"), 1),
        (events.CircuitOpened("prices", 2.0, "OSError"), 1),
        (events.CallRefused("prices", "circuit_breaker", 1.0), 7),
        (events.DeadlineStruck("attempt", 0.5, False), 8),
        (events.CallQueued("f", 1), 9),
        (events.CallRefused("f", "bulkhead", None), 10),
        (events.CacheMiss("f"), 11),
        (events.CircuitHalfOpened("prices"), 1),
        (events.CircuitClosed("prices"), 1),
    ):
        for _ in range(times):
            activity.listen(event)
    assert activity.lines() == [
        ("@fallback", "2 last known prices, 3 times no price"),
        ("@deadline, total", "4 callers' patience ran out"),
        ("@retry", "5 attempts after the first"),
        ("@circuit_breaker", "7 attempts refused (opened: 1, failed probes: 1)"),
        ("@deadline, attempt", "8 attempts were cut off"),
        ("@bulkhead", "9 attempts waited for a place, 10 got none"),
    ]
    assert activity.circuit == "closed"
    assert [state for _, state in activity.changes] == ["open", "half-open", "open", "half-open", "closed"]


@pytest.mark.parametrize("side", [BARE, PROTECTED])
def test_the_stage_gives_the_servers_books_of_each_client(side: str) -> None:
    """The figures of a client join its own account and what the server says of it."""
    stage = Stage(SCRIPT)
    stage.books = {side: {"reached": {"outage": 3}, "peak": 2}}
    assert stage.summary(side).reached("outage") == 3
    assert stage.summary(side).account is stage.accounts[side]
