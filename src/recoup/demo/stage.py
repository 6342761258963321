"""What is on at the moment: all that the views show and the closing tables say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from recoup.demo.activity import Activity
from recoup.demo.figures import Account, Summary
from recoup.demo.script import total_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.demo.script import Phase

__all__ = ["BARE", "CELLS", "PROTECTED", "Stage"]

BARE = "bare"
PROTECTED = "recoup"

CELLS = 68
"""How many cells the run is drawn in from left to right: with its label it fits into 80 columns."""


class Stage:
    """Hold the state of one run.

    Args:
        script: The phases, with the seconds that they really last.
        now: The clock, in seconds.

    Attributes:
        script: The phases.
        phase: The phase that is on.
        accounts: What the calls came to, by client.
        activity: What the strategies of the protected client did.
        books: The server's last report, by client.
    """

    def __init__(self, script: tuple[Phase, ...], now: Callable[[], float] = time.monotonic) -> None:
        self.script = script
        self.phase = script[0]
        self.seconds = total_seconds(script)
        self.accounts = {side: Account(cell=self.seconds / CELLS) for side in (BARE, PROTECTED)}
        self.activity = Activity(now=self.elapsed)
        self.books: dict[str, dict[str, Any]] = {}
        self._now = now
        self._begin = now()

    def begin(self) -> None:
        """Start the clock."""
        self._begin = self._now()

    def elapsed(self) -> float:
        """Give the seconds since the start, in the time of the script."""
        return self._now() - self._begin

    def hold(self, seconds: float) -> None:
        """Stop the time of the script for some seconds that are gone already."""
        self._begin += seconds

    def summary(self, side: str) -> Summary:
        """Give the figures of a client."""
        return Summary(self.accounts[side], self.books.get(side, {"reached": {}, "peak": 0, "running": 0}))

    def circuit_cells(self) -> list[str]:
        """Give the state of the circuit in each cell of time so far; open beats half-open beats closed."""
        return strip(self.activity.changes, self.elapsed(), self.seconds / CELLS)


def strip(changes: list[tuple[float, str]], until: float, cell: float) -> list[str]:
    """Tell for each cell of time what was on in it: the last state entered in it, or before it.

    >>> strip([(1.5, "open"), (3.2, "half-open"), (3.3, "closed")], until=4.5, cell=1.0)
    ['closed', 'open', 'open', 'half-open', 'closed']
    """
    states: list[str] = []
    at = 0
    state = "closed"
    for index in range(int(until / cell) + 1):
        seen = []
        while at < len(changes) and changes[at][0] < (index + 1) * cell:
            state = changes[at][1]
            seen.append(state)
            at += 1
        states.append("half-open" if "half-open" in seen else state)
    return states
