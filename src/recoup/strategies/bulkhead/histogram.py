"""Histograms of durations: fixed memory, no lock on the way of a call."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from threading import Lock

from recoup._core import checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Histogram", "Recorder"]

PARTS = 8  # of each power of two: a bound is at most one eighth above what it stands for
BATCH = 256
LEAST = 2.0**-30  # about a nanosecond: all that is shorter is counted there


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long something took, at the moment of asking.

    Attributes:
        count: How many durations were recorded.
        total: Their sum, in seconds.
        longest: The longest of them, in seconds; 0.0 if there are none.
        buckets: How many durations lie below each bound (in seconds, ascending) and not below the one before. A bound
            is at most an eighth above what it stands for, so there are few of them, whatever was recorded.

    >>> Histogram(4, 5.0, 2.0, {1.0: 3, 2.25: 1}).quantile(0.5)
    1.0
    """

    count: int
    total: float
    longest: float
    buckets: Mapping[float, int]

    def quantile(self, share: float) -> float | None:
        """Tell within how many seconds a share of all ended: at most an eighth too many; `None` if there are none.

        Args:
            share: 0 to 1; 0.99 for what only one in a hundred exceeds.

        Raises:
            TypeError: If it is no number.
            ValueError: If it is out of range.
        """
        checks.fraction("share", share)
        if not self.count:
            return None
        left, within = share * self.count, 0.0
        for bound, number in self.buckets.items():
            if left > 0 or not within:
                within = bound
            left -= number
        return min(within, self.longest)


class Recorder:
    """Takes durations, from any thread, finaliser or signal handler.

    What comes in is put on a pile, which is an atomic step, and sorted in when somebody asks or the pile has grown.
    """

    __slots__ = ("_count", "_found", "_lock", "_longest", "_pile", "_total")

    def __init__(self) -> None:
        self._pile: deque[float] = deque()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything; in a forked child the lock may be held by a thread that is not there (G18)."""
        self._lock = Lock()
        self._pile.clear()
        self._found: dict[int, int] = {}
        self._count = 0
        self._total = self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Record a duration; one below zero, after the clock was set back, counts as zero (G12)."""
        self._pile.append(max(0.0, seconds))
        if len(self._pile) >= BATCH and self._lock.acquire(blocking=False):
            try:
                self._sort()
            finally:
                self._lock.release()

    def histogram(self) -> Histogram:
        """Tell what was recorded."""
        if self._lock.acquire(timeout=1):  # only a signal handler that interrupts the sorting itself waits in vain
            try:
                self._sort()
            finally:
                self._lock.release()
        found = self._found.copy()
        buckets = {_bound(part): found[part] for part in sorted(found)}
        return Histogram(self._count, self._total, self._longest, buckets)

    def _sort(self) -> None:
        pile = self._pile
        for _ in range(len(pile)):
            seconds = pile.popleft()
            part = _part(seconds)
            self._found[part] = self._found.get(part, 0) + 1
            self._count += 1
            self._total += seconds
            self._longest = max(self._longest, seconds)


def _part(seconds: float) -> int:
    mantissa, exponent = math.frexp(max(seconds, LEAST))  # mantissa: 0.5 to 1
    return exponent * PARTS + int((mantissa - 0.5) * 2 * PARTS)


def _bound(part: int) -> float:
    """Give the upper end of a part."""
    exponent, number = divmod(part, PARTS)
    return math.ldexp(0.5 + (number + 1) / (2 * PARTS), exponent)
