"""What happens to the worker processes of an isolation."""

from __future__ import annotations

from dataclasses import dataclass

from recoup.events.root import Event

__all__ = ["WorkerEnded", "WorkerStarted"]


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """An isolation started a worker process.

    Attributes:
        pid: The process.
    """

    pid: int


@dataclass(frozen=True, slots=True)
class WorkerEnded(Event):
    """A worker process of an isolation is gone.

    Attributes:
        pid: The process.
        how: "crashed" by itself; "killed", out of time or left by its caller; "recycled" after so many calls; "ended"
            because it was not needed any more.
        exitcode: What it ended with; negative for a signal; `None` if the system did not tell.
    """

    pid: int
    how: str
    exitcode: int | None
