"""What can happen, as immutable objects; `recoup.subscribe(listener)` has them told to a function.

Events carry names, counts and durations, never arguments, results or exceptions of user functions: those may be
private, and an exception keeps the locals of its whole call alive.
"""

from __future__ import annotations

from dataclasses import dataclass

from recoup.events.root import Event
from recoup.events.workers import WorkerEnded, WorkerStarted

__all__ = [
    "CacheHit",
    "CacheMiss",
    "CacheShared",
    "CallDelayed",
    "CallQueued",
    "CallRefused",
    "CircuitClosed",
    "CircuitHalfOpened",
    "CircuitOpened",
    "CircuitWouldOpen",
    "CompensationFinished",
    "CompensationStarted",
    "DeadlineStruck",
    "Event",
    "ExecutionFinished",
    "FallbackUsed",
    "FaultInjected",
    "HedgeStarted",
    "HedgeWon",
    "LateResultIgnored",
    "RetryNested",
    "RetryScheduled",
    "RetryStopped",
    "WorkerEnded",
    "WorkerStarted",
]


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """An attempt failed and another one will follow.

    Attributes:
        attempt: Number of the attempt that failed, from 1.
        delay: Seconds until the next one.
        error_type: Type name of the error, or "UnacceptableResult".
    """

    attempt: int
    delay: float
    error_type: str


@dataclass(frozen=True, slots=True)
class RetryNested(Event):
    """A retry repeats what a retry further in has given up on: their attempts multiply.

    Attributes:
        attempt: Number of the attempt that failed, from 1.
        inner: Name of the retry further in.
        inner_attempts: How many calls that one made.
    """

    attempt: int
    inner: str
    inner_attempts: int


@dataclass(frozen=True, slots=True)
class RetryStopped(Event):
    """A retry gave up.

    Attributes:
        attempts: How many calls were made.
        elapsed: Seconds since the first failure.
        reason: Which limit was hit, in words.
    """

    attempts: int
    elapsed: float
    reason: str


@dataclass(frozen=True, slots=True)
class CircuitOpened(Event):
    """A circuit opened.

    Attributes:
        open_time: Seconds until the first probe; `math.inf` when it was forced open.
        error_type: Type name of the error that opened it, or "FailureRate", "SlowCallRate" or "AllRules" where rules
            did; `None` if it was opened by hand or by a lost probe.
    """

    open_time: float
    error_type: str | None


@dataclass(frozen=True, slots=True)
class CircuitHalfOpened(Event):
    """A circuit lets probes through."""


@dataclass(frozen=True, slots=True)
class CircuitClosed(Event):
    """A circuit closed: calls flow again."""


@dataclass(frozen=True, slots=True)
class CircuitWouldOpen(Event):
    """A circuit that is only watched (`metrics_only`) would have opened.

    Attributes:
        error_type: Type name of the error, or of the rule, that would have opened it.
    """

    error_type: str | None


@dataclass(frozen=True, slots=True)
class LateResultIgnored(Event):
    """A call that began in an earlier state of a circuit ended; its outcome decides nothing."""


@dataclass(frozen=True, slots=True)
class CallRefused(Event):
    """A call was refused before the function ran.

    Attributes:
        kind: Kind of the strategy: "circuit_breaker", "bulkhead", "deadline", ...
        retry_after: Seconds until a new try makes sense; `None` if unknown.
    """

    kind: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class CallDelayed(Event):
    """A call waits for its turn under a rate limit.

    Attributes:
        delay: Seconds until it begins.
    """

    delay: float


@dataclass(frozen=True, slots=True)
class CallQueued(Event):
    """A call waits for a place in a bulkhead.

    Attributes:
        waiting: How many wait now, this one included.
    """

    waiting: int


@dataclass(frozen=True, slots=True)
class FallbackUsed(Event):
    """A failure was answered by a fallback.

    Attributes:
        source: "cache", "service", "function" or "value".
        error_type: Type name of the error that was answered.
    """

    source: str
    error_type: str


@dataclass(frozen=True, slots=True)
class FaultInjected(Event):
    """Something was done to a call on purpose.

    Attributes:
        fault: "run", "delay", "error" or "result".
        call: Number of the call, from 1, since the injection was armed.
    """

    fault: str
    call: int


@dataclass(frozen=True, slots=True)
class HedgeStarted(Event):
    """A call took long, and another attempt was started beside it.

    Attributes:
        attempt: Number of the attempt, from 2.
        delay: Seconds that the attempt before had.
    """

    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class HedgeWon(Event):
    """A call was answered by an attempt that was added.

    Attributes:
        attempt: Number of the attempt, from 2.
    """

    attempt: int


@dataclass(frozen=True, slots=True)
class CacheHit(Event):
    """A call was answered from a cache.

    Attributes:
        age: Seconds since the result was stored.
        stale: Whether it was past its time to live and used all the same, as configured.
    """

    age: float
    stale: bool = False


@dataclass(frozen=True, slots=True)
class CacheMiss(Event):
    """A call was not in the cache, and the function runs."""


@dataclass(frozen=True, slots=True)
class CacheShared(Event):
    """A call waits for the same call that is already running."""


@dataclass(frozen=True, slots=True)
class DeadlineStruck(Event):
    """The time allowed for a call ran out.

    Attributes:
        seconds: How long the deadline was.
        started: Whether the function had begun to run.
    """

    seconds: float
    started: bool


@dataclass(frozen=True, slots=True)
class CompensationStarted(Event):
    """An operation failed, and the actions that undo it begin.

    Attributes:
        actions: How many actions there are.
        error_type: Type name of the operation's error.
    """

    actions: int
    error_type: str


@dataclass(frozen=True, slots=True)
class CompensationFinished(Event):
    """The actions that undo an operation have run.

    Attributes:
        undone: How many succeeded.
        failed: How many failed.
    """

    undone: int
    failed: int


@dataclass(frozen=True, slots=True)
class ExecutionFinished(Event):
    """An execution of a workflow is over.

    Attributes:
        outcome: "function", "fallback", "failed" or "cancelled".
        attempts: How many times retry let the call through.
        calls: How many times the function ran.
        seconds: How long it took.
    """

    outcome: str
    attempts: int
    calls: int
    seconds: float


for _event in (Event, WorkerEnded, WorkerStarted):
    _event.__module__ = __name__  # where users import it from, and what is shown of it
