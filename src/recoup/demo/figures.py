"""What is counted, and what it comes to."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Account", "Outcome", "Summary", "percentile", "share"]


class Outcome(Enum):
    """What a caller got.

    SUCCESS is an answer that the service gave to this very call, in time. DEGRADED is any other answer: one that was
    given before, or a placeholder. FAILED is an exception.
    """

    SUCCESS = "success"
    DEGRADED = "degraded"
    FAILED = "failed"


def percentile(values: Sequence[float], rank: float) -> float:
    """Give the smallest value that at least this share of the values do not exceed; NaN if there are none.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5), percentile([1.0, 2.0], 0.99), percentile([], 0.5)
    (2.0, 2.0, nan)
    """
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(rank * len(values)) - 1)]


def share(part: float, whole: float) -> float:
    """Divide; NaN if there is nothing to divide by.

    >>> share(1, 4), share(0, 0)
    (0.25, nan)
    """
    return part / whole if whole else math.nan


@dataclass(slots=True)
class Account:
    """Keep what the calls of one client came to, by the phase in which each was made.

    Args:
        cell: Length of a cell of `cells`, which hold the outcomes by the time of the call, in seconds.
    """

    cell: float = 1.0
    cells: dict[int, Counter[Outcome]] = field(default_factory=dict)
    outcomes: dict[str, Counter[Outcome]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    in_vain: float = 0.0
    running: int = 0

    def begin(self) -> None:
        """Note a call that was made."""
        self.running += 1

    def end(self, phase: str, outcome: Outcome, *, at: float, seconds: float) -> None:
        """Note what became of a call made `at` seconds after the start, and how long the caller waited for that."""
        self.running -= 1
        self.cells.setdefault(int(at / self.cell), Counter())[outcome] += 1
        self.outcomes.setdefault(phase, Counter())[outcome] += 1
        self.seconds.setdefault(phase, []).append(seconds)
        if outcome is Outcome.FAILED:
            self.in_vain += seconds

    def count(self, outcome: Outcome | None = None, phase: str | None = None) -> int:
        """Count calls that ended: of this outcome or any, of this phase or all."""
        counted = self.outcomes.values() if phase is None else [self.outcomes.get(phase, Counter())]
        return sum(each.total() if outcome is None else each[outcome] for each in counted)

    def rate(self, outcome: Outcome, phase: str | None = None) -> float:
        """Give the share of the calls that ended in this way; NaN if none ended."""
        return share(self.count(outcome, phase), self.count(None, phase))

    def percentile(self, rank: float, phase: str | None = None) -> float:
        """Give a percentile of the time that callers waited, in seconds, whatever they got."""
        if phase is not None:
            return percentile(self.seconds.get(phase, []), rank)
        return percentile([each for listed in self.seconds.values() for each in listed], rank)


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold the figures of one client: its own account, and the server's books about it.

    `books` is what the server reports: `reached` by phase, `answered`, `refused`, `abandoned`, `peak`.
    """

    account: Account
    books: dict[str, Any]

    def reached(self, phase: str | None = None) -> int:
        """Count the requests that reached the server: in this phase or in all."""
        reached: dict[str, int] = self.books["reached"]
        return sum(reached.values()) if phase is None else reached.get(phase, 0)

    @property
    def wasted(self) -> int:
        """Count the requests that the server worked on and that helped nobody.

        Every request that reached it, less the answers that a caller got in time: errors, requests whose client
        had hung up, and answers that came when nobody was waiting any more.
        """
        return self.reached() - self.account.count(Outcome.SUCCESS)

    @property
    def peak(self) -> int:
        """Give the most requests that the server had in work at once."""
        return int(self.books["peak"])
