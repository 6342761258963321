"""The plain view: a line for everything that happens, for logs, pipes and continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from recoup.demo.figures import Outcome
from recoup.demo.stage import BARE, PROTECTED
from recoup.demo.tables import deeds
from recoup.demo.words import percent

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from recoup.demo.script import Phase
    from recoup.demo.stage import Stage

__all__ = ["PlainView"]


class PlainView:
    """Print a line when a phase begins or ends and when the circuit changes."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self._console = console
        self._phase: Phase | None = None
        self._changes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end_phase()
            self._console.print(deeds(self._stage))

    def enter(self, phase: Phase) -> None:
        """Print what the last phase came to, and what comes now."""
        self._end_phase()
        self._phase = phase
        self._say(self._stage.elapsed(), f"{phase.title}: {phase.text}")

    def tick(self) -> None:
        """Print how the circuit changed."""
        for at, state in self._stage.activity.changes[self._changes :]:
            self._say(at, f"  circuit {state}")
            self._changes += 1

    def _end_phase(self) -> None:
        self.tick()
        if self._phase is None:
            return
        parts = []
        for side in (BARE, PROTECTED):
            account = self._stage.accounts[side]
            good, so_so = (account.rate(outcome, self._phase.name) for outcome in (Outcome.SUCCESS, Outcome.DEGRADED))
            parts.append(f"{side} {percent(good)} succeeded" + (f", {percent(so_so)} degraded" if so_so else ""))
        waiting = sum(self._stage.accounts[side].running for side in (BARE, PROTECTED))
        self._say(self._stage.elapsed(), f"  {'; '.join(parts)}" + (f" ({waiting} still wait)" if waiting else ""))

    def _say(self, at: float, line: str) -> None:
        self._console.print(f"{at:5.1f} s  {line}", markup=False, highlight=False, soft_wrap=True)
