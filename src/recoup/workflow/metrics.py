"""What a workflow counts: exact under threads, one short lock per execution."""

from __future__ import annotations

from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.workflow.record import ExecutionRecord

__all__ = ["Metrics"]

_DEGRADED = 0.1  # the error rate from which the specification's own health check starts an investigation
_FAILING = 0.5


class Metrics:
    """The counters of one workflow.

    At every moment attempts = successes + fallbacks + failures: an execution is counted when it ends.
    """

    __slots__ = ("_counts", "_enabled", "_errors", "_last", "_lock", "_threshold", "_total")

    def __init__(self, *, enabled: bool, alert_threshold: int) -> None:
        self._lock = Lock()
        self._enabled = enabled
        self._threshold = alert_threshold
        self.reset()

    def reset(self) -> None:
        """Begin anew: all counters to 0, and the alert is armed again."""
        with self._lock:
            self._counts = dict.fromkeys(
                ("attempts", "successes", "fallbacks", "failures", "compensations", "calls", "retries", "rejections"), 0
            )
            self._last = 0.0
            self._total = 0.0
            self._errors = 0

    def failed(self) -> int | None:
        """Count a failed execution, answered by a fallback or not; give the count when it reaches the threshold."""
        with self._lock:
            self._errors += 1
            return self._errors if self._errors == self._threshold else None

    def ended(self, record: ExecutionRecord) -> None:
        """Count an execution that ended; a cancelled one, neither answered nor failed, counts nowhere."""
        if not self._enabled:
            return
        outcome = {"function": "successes", "fallback": "fallbacks", None: "failures"}[record.answered_by]
        with self._lock:
            counts = self._counts
            counts["attempts"] += 1
            counts[outcome] += 1
            counts["compensations"] += record.compensated
            counts["calls"] += record.calls
            counts["retries"] += record.retries
            counts["rejections"] += record.rejections
            self._last = record.seconds
            self._total += record.seconds

    def snapshot(self) -> dict[str, float]:
        """Give a consistent copy."""
        with self._lock:
            return {**self._counts, "last_execution_time": self._last, "total_execution_time": self._total}

    def rates(self) -> dict[str, float]:
        """Give the shares of executions that failed and succeeded; 0.0 before any work."""
        counts = self.snapshot()
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
