"""The demo itself: the real server, the real clients, and the figures that it promises."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from recoup.cli import main
from recoup.demo import closing, run
from recoup.demo.figures import Outcome
from recoup.demo.plain import PlainView
from recoup.demo.script import SCRIPT
from recoup.demo.service import Service, ServiceError, running_service
from recoup.demo.stage import BARE, PROTECTED, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from recoup.demo.script import Phase

pytestmark = pytest.mark.slow

PARTLY = ("errors", "slow", "hanging")
SPEED = 2.0


class Run:
    """A whole run of the command: its stage, exit code, output and duration."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(closing, "close", self._spy(closing.close))
            patch.setattr(sys, "stdout", out)
            begin = time.monotonic()
            self.code = main(["demo", "--speed", str(SPEED)])
            self.seconds = time.monotonic() - begin
        self.stage = self.stages[0]
        self.output = out.getvalue()

    def _spy(self, close: Any) -> Any:
        def spying(stage: Stage, console: Console) -> bool:
            self.stages.append(stage)
            kept: bool = close(stage, console)
            return kept

        return spying


@pytest.fixture(scope="module")
def whole() -> Run:
    """Run the demo once, twice as fast as usual."""
    return Run()


def test_the_demo_keeps_its_promises_and_says_so(whole: Run) -> None:
    """At least 97 % success under 30 % errors, at most 5 % of the bare requests in the outage, and exit code 0."""
    protected, bare = whole.stage.summary(PROTECTED), whole.stage.summary(BARE)
    assert protected.account.rate(Outcome.SUCCESS, "errors") >= 0.97
    assert protected.reached("outage") <= 0.05 * bare.reached("outage")
    assert whole.code == 0
    assert whole.output.count("kept ") == 2


def test_it_takes_less_than_a_minute(whole: Run) -> None:
    """The whole command takes less than a minute; see also the script's own test."""
    assert whole.stage.seconds == 20.0
    assert whole.seconds < 60


def test_the_service_really_misbehaved(whole: Run) -> None:
    """The bare client fails as often as the script says: the promises are not kept by a service that is well."""
    bare = whole.stage.accounts[BARE]
    assert 0.63 < bare.rate(Outcome.SUCCESS, "errors") < 0.77
    assert bare.rate(Outcome.SUCCESS, "outage") < 0.02
    assert bare.rate(Outcome.SUCCESS, "slow") < 0.9
    assert bare.rate(Outcome.SUCCESS, "hanging") < 0.85
    assert bare.rate(Outcome.SUCCESS, "healthy") > 0.98
    assert bare.count(Outcome.DEGRADED) == 0
    assert bare.percentile(0.99, "hanging") >= 2.0 / SPEED


def test_the_outage_has_calls_enough_for_five_per_cent_to_mean_something(whole: Run) -> None:
    """In the outage the bare client sends some 800 requests, and the circuit of the other lets some probes out.

    How many requests open the circuit depends on the window of the phase before; after that one goes out every second.
    """
    assert whole.stage.summary(BARE).reached("outage") > 700
    assert whole.stage.summary(PROTECTED).reached("outage") > 3


def test_both_clients_got_the_same_traffic(whole: Run) -> None:
    """Each phase has as many calls of one client as of the other, and every call ended."""
    for phase in SCRIPT:
        bare, protected = (whole.stage.accounts[side].count(None, phase.name) for side in (BARE, PROTECTED))
        assert bare == protected > 100
    assert all(account.running == 0 for account in whole.stage.accounts.values())


def test_every_strategy_did_its_part(whole: Run) -> None:
    """Retries, an opened circuit, deadlines and last known prices all took part, and the circuit closed at the end."""
    activity = whole.stage.activity
    assert activity.retries > 100
    assert activity.opened >= 1
    assert activity.refused["circuit_breaker"] > 400
    assert activity.struck["attempt"] > 50
    assert activity.answered["cache"] > 400
    assert activity.circuit == "closed"


def test_the_protected_client_is_better_in_every_trouble(whole: Run) -> None:
    """In the phases that fail in part it succeeds more often; nobody gets an exception; it wastes less work."""
    bare, protected = (whole.stage.accounts[side] for side in (BARE, PROTECTED))
    assert protected.rate(Outcome.SUCCESS, "errors") > bare.rate(Outcome.SUCCESS, "errors") + 0.2
    # Together, because a machine that is too busy for half a second makes calls in flight time out all at once.
    assert sum(protected.count(Outcome.SUCCESS, phase) for phase in PARTLY) > sum(
        bare.count(Outcome.SUCCESS, phase) for phase in PARTLY
    )
    assert protected.count(Outcome.FAILED) == 0
    assert protected.rate(Outcome.DEGRADED, "outage") > 0.98
    assert whole.stage.summary(PROTECTED).wasted < whole.stage.summary(BARE).wasted


def test_the_clients_and_the_server_agree(whole: Run) -> None:
    """Each call of the bare client is one request; every success is an answer that the server gave."""
    for side in (BARE, PROTECTED):
        summary, books = whole.stage.summary(side), whole.stage.books[side]
        assert summary.account.count(Outcome.SUCCESS) <= books["answered"]
        assert summary.reached() == books["answered"] + books["refused"] + books["abandoned"] + books["running"]
        assert 0 <= summary.wasted <= summary.reached()
    assert whole.stage.summary(BARE).reached() == whole.stage.accounts[BARE].count()


def test_the_output_has_no_control_characters_without_a_terminal(whole: Run) -> None:
    """Plain lines when it is not a terminal: every phase, the circuit and the tables, within 80 columns or so."""
    assert "\x1b" not in whole.output
    assert all(phase.title in whole.output for phase in SCRIPT)
    assert "circuit open" in whole.output
    assert "wasted work" in whole.output


def test_it_leaves_nothing_running(whole: Run) -> None:
    """Once the command has returned, this process has no child and no thread of the demo's left."""
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


SHORT = tuple(replace(phase, seconds=0.1) for phase in SCRIPT)
"""The same phases, over in less than a second."""


def unseen(view: type[PlainView]) -> Callable[[Stage], run.View]:
    """Have a view write what nobody reads."""
    return lambda stage: view(stage, Console(file=io.StringIO()))


class Looking(PlainView):
    """A view that raises when the outage begins."""

    def enter(self, phase: Phase) -> None:
        if phase.name == "outage":
            raise LookupError("mine")


class Ticking(PlainView):
    """A view that raises at its first look."""

    def tick(self) -> None:
        raise LookupError("mine")


def test_an_error_of_the_view_ends_the_run_and_comes_out_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks on and fails ends everything; the error is not wrapped in a group."""
    monkeypatch.setattr(run, "SCRIPT", SHORT)
    for view in (Looking, Ticking):
        with pytest.raises(LookupError, match="mine"):
            asyncio.run(run.perform(unseen(view)))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


async def test_a_server_that_dies_in_the_middle_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its server there is no demo, and the error says so instead of counting failures to the end."""
    pids = []

    @asynccontextmanager
    async def noting(**options: Any) -> AsyncGenerator[Service, None]:
        async with running_service(**options) as service:
            pids.append(service.pid)
            yield service

    class Killing(PlainView):
        def enter(self, phase: Phase) -> None:
            os.kill(pids[0], signal.SIGKILL)

    monkeypatch.setattr(run, "running_service", noting)
    with pytest.raises(ServiceError, match=r"ended by itself \(exit code -9\)"):
        await run.perform(unseen(Killing))
