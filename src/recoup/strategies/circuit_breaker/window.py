"""Which failures are recent: the last `size` calls, and of these the last `duration` seconds.

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

import sys
from collections import deque
from itertools import count, islice
from threading import Lock
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["FailureWindow", "Tally", "numbers", "some"]

_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
_ENDLESS = 2**62  # calls, since `islice` counts no further; a thousand years of them


class FailureWindow:
    """The newest failures of a circuit. The caller holds the lock.

    Args:
        config: `failure_threshold` failures are too many; the last `window_size` calls are recent, and so are the last
            `window_duration` seconds: a failure exactly that old still is.
    """

    __slots__ = ("_duration", "_newest", "_size", "_threshold")

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self._threshold = config.failure_threshold
        self._size = config.window_size
        self._duration = cast("float", config.window_duration)
        self._newest: deque[tuple[int, float]] = deque(maxlen=config.failure_threshold)

    def failed(self, number: int, now: float) -> bool:
        """Record a failure; tell whether there are too many now.

        Args:
            number: The number of the call; greater than any given before.
            now: Seconds on a monotonic clock.
        """
        newest = self._newest
        if newest and newest[-1][1] > now:
            self._newest = newest = deque(((n, min(t, now)) for n, t in newest), self._threshold)
        newest.append((number, now))
        if len(newest) < self._threshold:
            return False
        oldest_number, oldest_time = newest[0]
        return oldest_number > number - self._size and now - oldest_time <= self._duration


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
