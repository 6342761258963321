"""The closing tables, and whether the run kept what the demo promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from recoup.demo.figures import Outcome, share
from recoup.demo.stage import BARE, PROTECTED
from recoup.demo.tables import by_phase, in_all
from recoup.demo.words import percent

if TYPE_CHECKING:
    from rich.console import Console

    from recoup.demo.stage import Stage

__all__ = ["Promise", "close", "promises"]

SUCCESS_UNDER_ERRORS = 0.97
REACHED_IN_OUTAGE = 0.05


@dataclass(frozen=True, slots=True)
class Promise:
    """Hold one thing that the demo promises, and whether this run kept it."""

    text: str
    kept: bool


def promises(stage: Stage) -> list[Promise]:
    """Compare the run with what the demo promises."""
    success = stage.accounts[PROTECTED].rate(Outcome.SUCCESS, "errors")
    reached, bare = (stage.summary(side).reached("outage") for side in (PROTECTED, BARE))
    part = share(reached, bare)
    return [
        Promise(
            f"{percent(success)} success under 30 % errors (at least 97 %)",
            success >= SUCCESS_UNDER_ERRORS,
        ),
        Promise(
            f"{percent(part)} of the bare client's requests in the outage (at most 5 %)",
            part <= REACHED_IN_OUTAGE,
        ),
    ]


def close(stage: Stage, console: Console) -> bool:
    """Print the tables; tell whether all promises were kept."""
    judged = promises(stage)
    for table in (by_phase(stage), in_all(stage)):
        console.print()
        console.print(table)
    console.print()
    for promise in judged:
        verdict = ("kept    ", "green") if promise.kept else ("BROKEN  ", "bold red")
        console.print(Text.assemble(verdict, promise.text))
    return all(promise.kept for promise in judged)
