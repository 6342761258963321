"""What a workflow counts: exact under threads, without a lock on the way of an execution.

An execution that ends puts its numbers into a deque; whoever looks, folds them in. So a signal handler or a finaliser
may end an execution or look at the counters at any moment, and after a fork nobody waits for a lock that the parent
held (rules G7, G18).
"""

from __future__ import annotations

from collections import deque
from itertools import count
from threading import RLock
from typing import NamedTuple

from recoup._core.waiting import at_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.workflow.record import ExecutionRecord

__all__ = ["Metrics", "rates", "verdict"]

_DEGRADED = 0.1  # the error rate from which the specification's own health check starts an investigation
_FAILING = 0.5
_KEYS: tuple[str, ...] = (
    "attempts",
    "successes",
    "fallbacks",
    "failures",
    "compensations",
    "calls",
    "retries",
    "rejections",
)
_OUTCOMES = {"function": "successes", "fallback": "fallbacks", None: "failures"}
_MOST_WAITING = 1000  # records that wait to be folded in


class _Ended(NamedTuple):
    """The numbers of one execution; `outcome` is None if it was cut off and came to nothing."""

    outcome: str | None
    numbers: dict[str, int]
    seconds: float


class Metrics:
    """The counters of one workflow.

    At every moment attempts = successes + fallbacks + failures: an execution is counted when it ends.

    Attributes:
        changing: Held by whoever changes the workflow: it has many parts, and one change must not mix with another.
    """

    def __init__(self, *, enabled: bool, alert_threshold: int) -> None:
        self.after_fork()
        self.reconfigure(enabled=enabled, alert_threshold=alert_threshold)
        self.reset()
        at_fork(self)

    def reconfigure(self, *, enabled: bool, alert_threshold: int) -> None:
        """Count or do not; another threshold arms the alert again."""
        self._enabled = enabled
        if getattr(self, "_threshold", None) != alert_threshold:
            self._threshold = alert_threshold
            self._alert = deque((True,))

    def reset(self) -> None:
        """Begin anew: all counters to 0, and the alert is armed again."""
        with self._lock:  # or somebody who folds at the moment brings the old numbers back
            self._ended: deque[_Ended] = deque()
            self._counts = dict.fromkeys(_KEYS, 0)
            self._last = 0.0
            self._total = 0.0
        self._alert = deque((True,))
        self._errors = count(1)

    def failed(self) -> int | None:
        """Count a failed execution, answered by a fallback or not; give the count once it reaches the threshold."""
        errors = next(self._errors)  # atomic: each number is given once
        if errors < self._threshold:
            return None
        try:
            self._alert.pop()  # atomic: one of those who come here at the same time gets it
        except IndexError:
            return None
        return errors

    def ended(self, record: ExecutionRecord, *, cut: bool = False) -> None:
        """Count an execution that ended; one that was cut off has no outcome, but made its calls all the same."""
        if not self._enabled:
            return
        numbers = {
            "compensations": int(record.compensated),
            "calls": record.calls,
            "retries": record.retries,
            "rejections": record.rejections,
        }
        self._ended.append(_Ended(None if cut else _OUTCOMES[record.answered_by], numbers, record.seconds))
        if len(self._ended) > _MOST_WAITING and self._lock.acquire(blocking=False):
            try:
                self._fold_locked()
            finally:
                self._lock.release()

    def snapshot(self) -> dict[str, float]:
        """Give a consistent copy."""
        with self._lock:
            self._fold_locked()
            return {**self._counts, "last_execution_time": self._last, "total_execution_time": self._total}

    def after_fork(self) -> None:
        """Take locks that nobody holds, in the child of a fork."""
        self._lock = RLock()
        self.changing = RLock()
        self._folding = False

    def _fold_locked(self) -> None:
        if self._folding:  # a signal handler looks while its own thread is folding: it sees what is folded in so far
            return
        self._folding = True
        try:
            while self._ended:
                ended = self._ended.popleft()
                counts = dict(self._counts)
                for key, number in ended.numbers.items():
                    counts[key] += number
                if ended.outcome is not None:
                    counts["attempts"] += 1
                    counts[ended.outcome] += 1
                    self._last = ended.seconds
                    self._total += ended.seconds
                self._counts = counts  # at once, so that the sums always hold
        finally:
            self._folding = False


def rates(counts: dict[str, float]) -> dict[str, float]:
    """Give the shares of executions that failed and succeeded; 0.0 before any work."""
    attempts = counts["attempts"]
    if not attempts:
        return {"error_rate": 0.0, "success_rate": 0.0}
    return {
        "error_rate": (counts["fallbacks"] + counts["failures"]) / attempts,
        "success_rate": counts["successes"] / attempts,
    }


def verdict(error_rate: float, circuit: str | None) -> str:
    """Sum up the health of a workflow in a word."""
    if circuit in ("open", "forced_open") or error_rate >= _FAILING:
        return "failing"
    if circuit == "half_open" or error_rate > _DEGRADED:
        return "degraded"
    return "healthy"
