"""What happened in one execution of a workflow."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["ExecutionRecord", "current"]


class ExecutionRecord:
    """What happened in one execution; `await workflow.execute(func, result=True)` returns it instead of raising.

    Attributes:
        value: What the function, or a fallback, answered; `None` if neither did.
        error: The error the execution would have raised; `None` if there was an answer.
        answered_by: "function", "fallback", or `None` if nothing answered.
        attempts: How many times retry let a call through; at least 1 unless the deadline was over before.
        calls: How many times the function really ran; fewer than attempts if one of our own layers refused.
        rejections: How many attempts our own circuit breaker, rate limit or bulkhead refused.
        delays: Seconds between the end of an attempt and the begin of the next, one number per retry.
        errors: The errors of the attempts, in order.
        compensated: Whether compensation ran.
        seconds: How long the execution took.

    A record belongs to one execution; read it when that is over.
    """

    __slots__ = (
        "_ended_at",
        "answered_by",
        "attempts",
        "calls",
        "compensated",
        "delays",
        "error",
        "errors",
        "keeps",
        "rejections",
        "seconds",
        "started_at",
        "value",
    )

    def __init__(self, started_at: float, *, keeps: bool) -> None:
        self.value: object = None
        self.error: BaseException | None = None
        self.answered_by: str | None = None
        self.attempts = 0
        self.calls = 0
        self.rejections = 0
        self.delays: list[float] = []
        self.errors: list[BaseException] = []
        self.compensated = False
        self.seconds = 0.0
        self.started_at = started_at
        self.keeps = keeps  # whether somebody asked for the errors: kept unasked, they would keep their frames alive
        self._ended_at: float | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the function itself answered in the end."""
        return self.answered_by == "function"

    @property
    def retries(self) -> int:
        """How many attempts there were after the first."""
        return max(0, self.attempts - 1)

    def attempt_begins(self, now: float) -> None:
        """Take note of an attempt."""
        if self._ended_at is not None:
            self.delays.append(max(0.0, now - self._ended_at))
        self.attempts += 1

    def attempt_failed(self, error: BaseException, now: float, *, refused: bool) -> None:
        """Take note of how an attempt ended."""
        self._ended_at = now
        self.rejections += refused
        if self.keeps:
            self.errors.append(error)

    def __repr__(self) -> str:
        answer = f"answered by {self.answered_by}" if self.answered_by else f"failed: {type(self.error).__qualname__}"
        return f"<ExecutionRecord {answer}, {self.attempts} attempts, {self.calls} calls, {self.seconds:.3g} s>"


current: ContextVar[ExecutionRecord | None] = ContextVar("recoup_execution", default=None)
