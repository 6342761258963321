"""What an isolation counts."""

from __future__ import annotations

from threading import RLock
from typing import NamedTuple

__all__ = ["Counts", "Tally"]


class Counts(NamedTuple):
    """What a crew has counted, at one moment.

    Attributes:
        executed: Calls whose function began, or was sent to a worker to begin.
        rejected: Calls that were refused at once: the queue was full.
        timeout: Calls that no worker took in time.
        started: Worker processes that were started.
        crashed: Worker processes that ended by themselves in the middle of a call, or of starting.
        killed: Worker processes that were killed: out of time, or their caller had left.
        recycled: Worker processes that were replaced after `max_calls_per_worker` calls.
        running: Keepers that have a job now.
        waiting: Calls in the queue now.
    """

    executed: int
    rejected: int
    timeout: int
    started: int
    crashed: int
    killed: int
    recycled: int
    running: int
    waiting: int


class Tally:
    """What a crew and its keepers count. Keepers that are idle hold this, and not the crew."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything."""
        self._lock = RLock()  # a signal handler may count while this thread does
        self._counts = dict.fromkeys(Counts._fields[:-2], 0)

    def add(self, what: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts[what] += 1

    def told(self) -> dict[str, int]:
        """Tell everything, as it is at one moment."""
        with self._lock:
            return dict(self._counts)
