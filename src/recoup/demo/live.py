"""The live view: the whole run on one screen, from left to right as time goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from recoup.demo.figures import Outcome
from recoup.demo.stage import BARE, CELLS, PROTECTED
from recoup.demo.tables import deeds, so_far

if TYPE_CHECKING:
    from collections import Counter
    from types import TracebackType

    from rich.console import Console, RenderableType

    from recoup.demo.script import Phase
    from recoup.demo.stage import Stage

__all__ = ["LiveView", "render"]

LABEL = 9
BLOCKS = " ▁▂▃▄▅▆▇█"
CIRCUIT = {"closed": ("━", "green"), "half-open": ("╌", "yellow"), "open": ("░", "red")}


class LiveView:
    """Draw the stage anew at every tick, in place."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        # No thread of its own: the demo's loop says when to draw.
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tick()
        self._live.__exit__(kind, error, trace)

    def enter(self, phase: Phase) -> None:  # noqa: ARG002 - the other view names it
        """Draw the beginning of a phase."""
        self.tick()

    def tick(self) -> None:
        """Draw what is on now."""
        self._live.update(render(self._stage), refresh=True)


def render(stage: Stage) -> RenderableType:
    """Draw the stage as it is."""
    elapsed = min(stage.elapsed(), stage.seconds)
    rows = [_title(elapsed, stage.seconds), Text(), _row("service", _phases(stage, elapsed))]
    for side in (BARE, PROTECTED):
        account = stage.accounts[side]
        rows += [Text(), _row(side, _strip(account.cells, int(elapsed / account.cell)))]
    rows += [_row("circuit", _circuit(stage.circuit_cells())), Text(), _row("now", _now(stage)), Text()]
    for row in rows:
        row.no_wrap = True
        row.overflow = "crop"
    return Group(*rows, so_far(stage), Text(), deeds(stage))


def _title(elapsed: float, seconds: float) -> Text:
    title = Text.assemble(("recoup demo", "bold"), ("   one service, two clients, the same traffic", "bright_black"))
    clock = f"{elapsed:.1f} of {seconds:.1f} s"
    return title.append(clock.rjust(LABEL + CELLS - len(title)))


def _now(stage: Stage) -> Text:
    state = stage.activity.circuit
    service = Text.assemble((stage.phase.title, "bold"), f": {stage.phase.text}")
    return service.append(f"circuit {state}".rjust(CELLS - len(service)), CIRCUIT[state][1])


def _row(label: str, content: Text) -> Text:
    return Text.assemble((label.ljust(LABEL), "bold" if label in {BARE, PROTECTED} else ""), content)


def _phases(stage: Stage, elapsed: float) -> Text:
    """Draw the script: each phase as wide as it is long, bright as far as it has come."""
    drawn = Text()
    end = 0.0
    for phase in stage.script:
        start, end = end, end + phase.seconds
        left, right, here = (round(at * CELLS / stage.seconds) for at in (start, end, elapsed))
        label = phase.title.ljust(right - left - 1)[: right - left - 1]
        done = max(0, here - left)
        drawn.append(label[:done], f"on {_shade(phase)}").append(label[done:], "bright_black").append(" ")
    return drawn


def _shade(phase: Phase) -> str:
    trouble = phase.errors + phase.stalls + phase.hangs
    return "dark_green" if trouble == 0 else "dark_red" if trouble == 1 else "orange4"


def _strip(cells: dict[int, Counter[Outcome]], last: int) -> Text:
    """Draw what the calls came to: in each cell a bar of successes, before a ground that says what the others were."""
    drawn = Text()
    for index in range(min(last + 1, CELLS)):
        cell = cells.get(index)
        if cell is None:
            drawn.append("·", "bright_black")
            continue
        good = cell[Outcome.SUCCESS] / cell.total()
        # No rest, no ground: one failure among a hundred still shows as a sliver.
        height = len(BLOCKS) - 1 if good == 1 else min(int(good * 8 + 0.5), 7)
        ground = "red" if cell[Outcome.FAILED] > cell[Outcome.DEGRADED] else "yellow"
        drawn.append(BLOCKS[height], "green" if good == 1 else f"green on {ground}")
    return drawn


def _circuit(states: list[str]) -> Text:
    drawn = Text()
    for state in states[:CELLS]:
        drawn.append(*CIRCUIT[state])
    return drawn
