"""The views and the tables: what they say is what happened."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from recoup import events
from recoup.demo.closing import close, promises
from recoup.demo.figures import Outcome
from recoup.demo.live import LiveView
from recoup.demo.plain import PlainView
from recoup.demo.script import SCRIPT
from recoup.demo.stage import BARE, PROTECTED, Stage


class Scene:
    """A stage whose clock and calls are made by hand."""

    def __init__(self) -> None:
        self.at = 0.0
        self.stage = Stage(SCRIPT, lambda: self.at)
        self.stage.begin()

    def calls(self, side: str, phase: str, **outcomes: int) -> None:
        """Make calls of a side in a phase end now, so many with each outcome."""
        account = self.stage.accounts[side]
        for outcome, times in outcomes.items():
            for _ in range(times):
                account.begin()
                account.end(phase, Outcome(outcome), at=self.at, seconds=0.02)


@pytest.fixture
def scene() -> Scene:
    """Give a stage in the middle of the outage: the circuit is open, the bare client fails."""
    scene = Scene()
    scene.stage.books = {
        BARE: {"reached": {"errors": 100, "outage": 200}, "peak": 70},
        PROTECTED: {"reached": {"errors": 140, "outage": 10}, "peak": 40},
    }
    scene.calls(BARE, "healthy", success=50)
    scene.calls(PROTECTED, "healthy", success=50)
    scene.at = 6.0
    scene.calls(BARE, "errors", success=70, failed=30)
    scene.calls(PROTECTED, "errors", success=97, degraded=3)
    scene.at = 22.0
    scene.stage.phase = next(phase for phase in SCRIPT if phase.name == "outage")
    scene.calls(BARE, "outage", failed=200)
    scene.stage.activity.listen(events.CircuitOpened("prices", 2.0, None))
    scene.calls(PROTECTED, "outage", degraded=200)
    return scene


def shown(view: type[LiveView | PlainView], scene: Scene) -> str:
    """Let a view look at a scene, in a terminal of 80 columns; give what it wrote."""
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=view is LiveView, color_system=None)
    with view(scene.stage, console) as looking:
        looking.enter(scene.stage.phase)
        looking.tick()
    return out.getvalue()


def test_the_live_view_shows_phase_clock_strips_circuit_and_figures(scene: Scene) -> None:
    """Progress, phase, circuit, both clients and the strategies are on one screen of 80 by 24."""
    screen = shown(LiveView, scene).split("\x1b[2K")[-1]
    assert "22.0 of 40.0 s" in screen
    assert "full outage: every request gets a 503" in screen
    assert "circuit open" in screen
    for strategy in ("@fallback", "@deadline", "@retry", "@circuit_breaker", "@bulkhead"):
        assert strategy in screen
    lines = [line for line in screen.splitlines() if line.strip()]
    assert all(len(line.rstrip()) <= 80 for line in lines)
    bare = next(line for line in lines if line.startswith("bare"))
    assert bare[9] == "█"  # the first half second: all succeeded
    assert bare[9 + 10] == "▆"  # 70 % did
    assert bare[9 + 37] == " "  # none did
    assert len(screen.splitlines()) <= 24


def test_one_failure_in_a_thousand_shows(scene: Scene) -> None:
    """A cell is full only if all calls in it succeeded: what went wrong is never rounded away."""
    scene.at = 30.0
    scene.calls(BARE, "outage", success=999, failed=1)
    bare = next(line for line in shown(LiveView, scene).splitlines() if line.startswith("bare"))
    assert bare[9 + int(30.0 / 40 * 68)] == "▇"


def test_the_plain_view_prints_a_line_for_everything_that_happens(scene: Scene) -> None:
    """Without a terminal there are lines: phases, circuit, rates, and those who still wait; no control characters."""
    scene.stage.accounts[BARE].begin()
    lines = shown(PlainView, scene).splitlines()
    assert [line.rstrip() for line in lines[:3]] == [
        " 22.0 s    circuit open",
        " 22.0 s  full outage: every request gets a 503",
        " 22.0 s    bare 0.0 % succeeded; recoup 0.0 % succeeded, 100 % degraded (1 still wait)",
    ]
    assert lines[3].startswith("@fallback")
    assert "\x1b" not in "".join(lines)


def test_the_plain_view_sums_up_a_phase_when_the_next_begins(scene: Scene) -> None:
    """Each phase's line comes when it is over."""
    out = io.StringIO()
    view = PlainView(scene.stage, Console(file=out, width=80))
    errors, slow = SCRIPT[1], SCRIPT[2]
    view.enter(errors)
    before = out.getvalue()
    view.enter(slow)
    after = out.getvalue()[len(before) :]
    assert "bare" not in before
    assert "bare 70.0 % succeeded; recoup 97.0 % succeeded, 3.0 % degraded" in after
    assert after.splitlines()[-1].endswith(f"slow: {slow.text}")


def test_a_view_that_ends_in_an_error_sums_nothing_up(scene: Scene) -> None:
    """After Ctrl-C there are no figures: half a run has none."""
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), PlainView(scene.stage, Console(file=out, width=80)):
        raise KeyboardInterrupt
    assert out.getvalue() == ""


def closed(scene: Scene) -> tuple[bool, str]:
    """Close the stage in a console of 80 columns; give whether promises were kept, and what was printed."""
    out = io.StringIO()
    kept = close(scene.stage, Console(file=out, width=80))
    return kept, out.getvalue()


def test_the_closing_tables_give_every_figure(scene: Scene) -> None:
    """The tables fit into 80 columns and give rates and requests by phase, the outage and the wasted work."""
    kept, text = closed(scene)
    lines = [line.split() for line in text.splitlines()]
    assert all(len(line) <= 80 for line in text.splitlines())
    assert ["recoup", "97.0", "%", "3.0", "%", "0.0", "%", "20", "ms", "20", "ms", "140"] in lines
    assert ["30", "%", "errors", "bare", "70.0", "%", "0.0", "%", "30.0", "%", "20", "ms", "20", "ms", "100"] in lines
    assert ["slow", "bare", "-", "-", "-", "-", "-", "0"] in lines
    assert ["calls", "that", "failed", "230", "0"] in lines
    assert any(line[-2:] == ["200", "10"] and "outage" in line for line in lines)
    assert "180 (60.0 %)" in text  # of 300 requests of the bare client 120 were answered in time
    assert "3 (2.0 %)" in text  # of 150 requests of the protected one 147 were
    assert kept


def test_promises_are_kept_or_broken_at_their_bounds(scene: Scene) -> None:
    """97 % success and 5 % of the requests are just enough; anything less is said to be broken."""
    assert [promise.kept for promise in promises(scene.stage)] == [True, True]
    scene.stage.books[PROTECTED]["reached"]["outage"] = 11
    assert [promise.kept for promise in promises(scene.stage)] == [True, False]
    scene.calls(PROTECTED, "errors", failed=1)
    assert [promise.kept for promise in promises(scene.stage)] == [False, False]
    kept, text = closed(scene)
    assert not kept
    assert "BROKEN  96.0 % success under 30 % errors (at least 97 %)" in text
    assert "BROKEN  5.5 % of the bare client's requests in the outage (at most 5 %)" in text


def test_a_run_without_calls_keeps_no_promise() -> None:
    """Figures that are unknown keep no promise."""
    assert not any(promise.kept for promise in promises(Stage(SCRIPT)))
