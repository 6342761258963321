"""Which failures are recent: those in the last `size` calls, and of these in the last `duration` seconds.

Failures in a row are those of a window that is no larger than their number, so this serves that rule as well (C2).

Calls are numbered as they end. A success takes a number and leaves no trace, so it needs no lock: `itertools.count`
hands out each number exactly once. Only failures are kept, with number and time. Numbers say how far apart failures
are: while none is in the window successes need none.

Why the `threshold` newest failures are enough. The circuit opens when a failure is recorded and the window then holds
at least `threshold` failures; no success and no passing of time can open it, since both only push failures out. Numbers
grow from one failure to the next and times never fall (see below), so if the window holds a failure it holds all
newer ones too. It therefore holds `threshold` of them exactly when it holds the `threshold`-th newest: look at that
one, and forget everything older. Memory is fixed, the cost of a failure does not depend on `size` or `duration`, and
however long the circuit idles, nothing old is counted afterwards.

Times never fall because a clock that goes backwards restarts the ages of what is kept (rule G12).
"""

from __future__ import annotations

import math
import sys
from array import array
from itertools import count, islice
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FailureWindow", "Tally", "numbers", "some"]

_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
_ENDLESS = 2**62  # calls, since `islice` counts no further; a thousand years of them


class FailureWindow:
    """The newest failures of a circuit. The caller holds the lock.

    Args:
        threshold: So many failures are too many.
        size: The last `size` calls are recent; `math.inf` for any number of them.
        duration: And so are the last `duration` seconds: a failure exactly that old still is. `math.inf` for ever.
    """

    __slots__ = ("_duration", "_kept", "_next", "_size", "_threshold")

    def __init__(self, threshold: int, size: float, duration: float) -> None:
        self._threshold = threshold
        self._size = size
        self._duration = duration
        # Number and time of each, in turn: a ring, made when it is needed, of plain floats, because there may be a
        # hundred thousand breakers (C9). Numbers are exact up to 2**53, the calls of three hundred thousand years.
        self._kept: array[float] | None = None
        self._next = 0

    def failed(self, number: int, now: float) -> bool:
        """Record a failure; tell whether there are too many now.

        Args:
            number: The number of the call; greater than any given before.
            now: Seconds on a monotonic clock.
        """
        kept = self._kept
        if kept is None:
            kept = self._kept = array("d")
        elif kept[self._next - 1] > now:
            self._go_back(kept, now)
        whole = 2 * self._threshold
        if len(kept) < whole:
            kept.extend((number, now))
        else:
            kept[self._next] = number
            kept[self._next + 1] = now
        self._next = oldest = (self._next + 2) % whole
        if len(kept) < whole:
            return False
        return number - kept[oldest] < self._size and now - kept[oldest + 1] <= self._duration

    def holds(self, number: int, now: float) -> bool:
        """Tell whether there are too many, now that a call has succeeded.

        Asked only where rules have to hold together: by itself no success opens the circuit, but it may be what
        another rule waited for.

        Args:
            number: As for `failed`.
            now: As for `failed`.
        """
        kept = self._kept
        if kept is None:
            return False
        if kept[self._next - 1] > now:
            self._go_back(kept, now)
        if len(kept) < 2 * self._threshold:
            return False
        return number - kept[self._next] < self._size and now - kept[self._next + 1] <= self._duration

    def _go_back(self, kept: array[float], now: float) -> None:
        """Have ages begin anew after a clock that went backwards (G12)."""
        for index in range(1, len(kept), 2):
            kept[index] = min(kept[index], now)

    def move_up(self) -> None:
        """Have every failure have a number that is greater by one."""
        kept = self._kept
        if kept is not None:
            for index in range(0, len(kept), 2):
                kept[index] += 1

    def recent(self, last: int, now: float) -> list[tuple[int | None, float]]:
        """Give the recent failures, the oldest first: how many calls ended since, if that matters, and the age.

        Args:
            last: The number of the call that ended last.
            now: Seconds on a monotonic clock.
        """
        kept = self._kept or ()
        start = self._next if len(kept) == 2 * self._threshold else 0
        found: list[tuple[int | None, float]] = []
        for index in (*range(start, len(kept), 2), *range(0, start, 2)):
            since, age = last - kept[index], max(0.0, now - kept[index + 1])
            if since < self._size and age <= self._duration:
                found.append((int(since) if self._size < math.inf else None, age))
        return found

    def load(self, last: int, failures: list[tuple[int | None, float]], now: float) -> float:
        """Put failures into an empty window, as `recent` gave them; those that are not known to be recent stay out.

        Returns:
            The number of the newest of them, if numbers matter; else minus infinity.
        """
        endless = self._size == math.inf
        fit = [(since or 0, age) for since, age in failures if endless or (since is not None and since < self._size)]
        if not fit:
            return -math.inf
        newest = fit[-self._threshold :]
        self._kept = array("d", [part for since, age in newest for part in (last - since, now - age)])
        self._next = len(self._kept) % (2 * self._threshold)
        return -math.inf if endless else last - newest[-1][0]


class Tally:
    """A count that any number of threads may add to without a lock, and no addition is lost.

    Attributes:
        add: Count one more.
    """

    __slots__ = ("_lock", "_looks", "add")

    def __init__(self) -> None:
        self.add = numbers().__next__
        self._looks = 0
        self._lock = Lock()

    def renew(self) -> None:
        """Begin anew in the child of a fork: the same count, and a lock that nobody holds (G18)."""
        self._lock = Lock()

    def value(self) -> int:
        """Tell how often `add` was called."""
        with self._lock:  # an atomic counter tells its value only by counting on, so looks are deducted
            self._looks += 1
            return self.add() - self._looks


def numbers(*, locked: bool = not _GIL) -> Iterator[int]:
    """Make an iterator that gives 1, 2, 3 ... to any number of threads, each number once.

    Args:
        locked: Whether a lock is needed: `itertools.count` is atomic under the GIL only. Default: if there is no GIL.
    """
    return _Locked(count(1)) if locked else count(1)


def some(source: Iterator[int], most: int) -> Iterator[int]:
    """Make an iterator that hands on so many numbers of another one, to any number of threads, and then ends."""
    most = min(most, _ENDLESS)
    return _Locked(islice(source, most)) if isinstance(source, _Locked) else islice(source, most)


class _Locked:
    """An iterator that one thread at a time may ask."""

    __slots__ = ("_lock", "_source")

    def __init__(self, source: Iterator[int]) -> None:
        self._source = source
        self._lock = Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._source)
