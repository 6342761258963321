"""Every exception of recoup.

    RecoveryError                      the root: `except RecoveryError` catches all of ours
    ├── Refusal                        we did not even try: says nothing about the dependency
    │   ├── CircuitBreakerError        the circuit is open, or all its probes are out
    │   ├── RateLimitExceeded          too many calls in too short a time
    │   ├── WorkersBusyError           no thread is free to run a plain function under a deadline
    │   └── BulkheadTimeoutError       no place within `queue_timeout` (also a TimeoutError)
    │       └── BulkheadFullError      the queue itself is full
    ├── DeadlineExceeded               the time is up (also a TimeoutError)
    ├── RetryExhausted                 every attempt gave an unacceptable result
    ├── UnacceptableResult             one attempt gave an unacceptable result
    └── CompensationError              an operation failed, and undoing it failed as well

    StackWarning (a UserWarning)       decorators stand in an order that cannot mean what it says

All of them pickle, copy and deep-copy with their attributes, and build their message only when it is read:
a refusal has to stay cheap while a service is down and every call is refused.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CircuitBreakerError",
    "CompensationError",
    "DeadlineExceeded",
    "RateLimitExceeded",
    "RecoveryError",
    "Refusal",
    "RetryExhausted",
    "StackWarning",
    "UnacceptableResult",
    "WorkersBusyError",
]


def _rebuild(cls: type[RecoveryError], args: tuple[Any, ...], facts: dict[str, Any]) -> RecoveryError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(facts)
    return error


class RecoveryError(Exception):
    """The root of every exception that recoup itself raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class Refusal(RecoveryError):
    """A call that recoup refused before the function ran.

    A refusal is about us, not about the dependency: an enclosing circuit breaker ignores it, and an enclosing
    retry passes it on unless its condition names the class of the refusal itself.

    Attributes:
        name: Name of the strategy object that refused.
        retry_after: Seconds until a new try makes sense; `None` if unknown, `math.inf` for never by itself.
    """

    def __init__(self, *, name: str, retry_after: float | None = None) -> None:
        super().__init__()
        self.name = name
        self.retry_after = retry_after


class CircuitBreakerError(Refusal):
    """The circuit is open, or half-open with all its probes out.

    Attributes:
        name: Name of the circuit breaker.
        wait_time: Seconds until the next probe may run: 0.0 when half-open or just closed, `math.inf` when forced open.
        retry_after: The same as `wait_time`.
        last_error_type: Qualified type name of the error that opened the circuit; `None` if none did.
        last_error_text: Its text, at most 200 characters; never the exception, which would keep its frames alive.
        last_error_age: Seconds since that error; `None` if there was none.
    """

    retry_after: float

    def __init__(
        self,
        *,
        name: str,
        wait_time: float,
        last_error_type: str | None = None,
        last_error_text: str | None = None,
        last_error_age: float | None = None,
    ) -> None:
        super().__init__(name=name, retry_after=wait_time)
        self.wait_time = wait_time
        self.last_error_type = last_error_type
        self.last_error_text = last_error_text
        self.last_error_age = last_error_age

    def __str__(self) -> str:
        if self.wait_time == math.inf:
            when = "it was forced open and stays so until it is released"
        elif self.wait_time > 0:
            when = f"the next trial may run in {self.wait_time:.3g} s"
        else:
            when = "its trial calls are still running, or it closed just now and lets a part of the calls through"
        cause = f"; opened by {self.last_error_type}: {self.last_error_text}" if self.last_error_type else ""
        return f"circuit {self.name!r} refused the call: {when}{cause}"


class BulkheadTimeoutError(Refusal, TimeoutError):
    """A call waited `queue_timeout` (or until its deadline) for a place in a bulkhead and got none; it never ran.

    Attributes:
        name: Name of the bulkhead.
        retry_after: Always `None`: nobody knows when a place becomes free.
        max_concurrent: How many calls the bulkhead lets run at once.
        waited: Seconds this call waited.
    """

    def __init__(self, *, name: str, max_concurrent: int, waited: float = 0.0) -> None:
        super().__init__(name=name)
        self.max_concurrent = max_concurrent
        self.waited = waited

    def __str__(self) -> str:
        return (
            f"bulkhead {self.name!r} had no place within {self.waited:.3g} s: {self.max_concurrent} calls run at once; "
            "raise max_concurrent or queue_timeout, or send less"
        )


class BulkheadFullError(BulkheadTimeoutError):
    """A bulkhead and its queue are both full; the call was refused at once.

    Attributes:
        name: Name of the bulkhead.
        max_concurrent: How many calls the bulkhead lets run at once.
        max_queue_size: How many calls may wait.
        waited: Always 0.0.
    """

    def __init__(self, *, name: str, max_concurrent: int, max_queue_size: int) -> None:
        super().__init__(name=name, max_concurrent=max_concurrent)
        self.max_queue_size = max_queue_size

    def __str__(self) -> str:
        return (
            f"bulkhead {self.name!r} is full: {self.max_concurrent} calls run and {self.max_queue_size} wait; "
            "raise max_concurrent or max_queue_size, or send less"
        )


class RateLimitExceeded(Refusal):
    """A call would have to wait too long for its turn, so it was refused at once; it did not count.

    Attributes:
        name: Name of the rate limiter.
        retry_after: Seconds until the call could begin, as things are now.
        rate, per: So many permits come in so many seconds.
        patience: Seconds that the call could have waited: `max_wait`, or what was left of its deadline.
    """

    retry_after: float

    def __init__(self, *, name: str, retry_after: float, rate: int, per: float, patience: float) -> None:
        super().__init__(name=name, retry_after=retry_after)
        self.rate, self.per, self.patience = rate, per, patience

    def __str__(self) -> str:
        return (
            f"rate limit {self.name!r} refused the call: {self.rate} permits come in {self.per:g} s, its own in "
            f"{self.retry_after:.3g} s, and it may wait {self.patience:.3g} s; send less, or raise max_wait"
        )


class WorkersBusyError(Refusal):
    """All threads of a deadline with `mode="thread"` are busy; the call was refused at once.

    Attributes:
        name: Name of the deadline.
        retry_after: Always `None`: nobody knows when a thread becomes free.
        thread_workers: How many threads it may have.
    """

    def __init__(self, *, name: str, thread_workers: int) -> None:
        super().__init__(name=name)
        self.thread_workers = thread_workers

    def __str__(self) -> str:
        return (
            f"deadline {self.name!r} refused the call: no thread is free of {self.thread_workers}, calls that were "
            "given up but still run included; raise thread_workers, or find out what hangs"
        )


class DeadlineExceeded(RecoveryError, TimeoutError):
    """The time allowed for a call is up.

    Attributes:
        seconds: How long the deadline that struck was, in seconds.
        started: Whether the function had begun to run. `False` makes this a refusal: the dependency was never asked.
        name: What set the deadline: the decorated function, "global_timeout", "attempt_timeout", ...
        abandoned: Whether the work goes on all the same, in a thread that nobody can interrupt: a second try would run
            beside it.
    """

    def __init__(self, *, seconds: float, started: bool, name: str = "deadline", abandoned: bool = False) -> None:
        super().__init__()
        self.seconds = seconds
        self.started = started
        self.name = name
        self.abandoned = abandoned

    def __str__(self) -> str:
        if self.started:
            return f"{self.name}: not finished within {self.seconds:.3g} s"
        return f"{self.name}: {self.seconds:.3g} s were used up before the call could start, so it was not made"


class UnacceptableResult(RecoveryError):
    """What `on_retry` and `on_failure` are told when `retry_on_result` turned a result down.

    Attributes:
        result: The result. It is not part of the message: results may be private.
    """

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result

    def __str__(self) -> str:
        return f"retry_on_result turned down a result of type {type(self.result).__qualname__}"


class RetryExhausted(RecoveryError):
    """Every attempt gave a result that `retry_on_result` turned down, and `raise_on_result` asked for an error.

    Attributes:
        attempts: How many calls were made.
        elapsed: Seconds from the first failed attempt to giving up.
        reason: Which limit was hit, in words.
        last_result: The last result. It is not part of the message: results may be private.
    """

    def __init__(self, *, attempts: int, elapsed: float, reason: str, last_result: object) -> None:
        super().__init__()
        self.attempts = attempts
        self.elapsed = elapsed
        self.reason = reason
        self.last_result = last_result

    def __str__(self) -> str:
        calls = "attempt" if self.attempts == 1 else "attempts"
        return f"no acceptable result after {self.attempts} {calls} in {self.elapsed:.3g} s: {self.reason}"


class CompensationError(RecoveryError):
    """An operation failed, and at least one of the actions that undo it failed too.

    The operation's own error is `original` and the `__cause__`. Somebody has to look at what was not undone.

    Attributes:
        original: The error of the operation.
        failures: The errors of the actions, in the order in which they ran.
        undone: How many actions succeeded.
    """

    def __init__(self, *, original: BaseException, failures: Sequence[BaseException], undone: int) -> None:
        super().__init__()
        self.original = original
        self.failures = tuple(failures)
        self.undone = undone

    def __str__(self) -> str:
        listed = "; ".join(f"{type(failure).__qualname__}: {failure}" for failure in self.failures)
        return (
            f"{len(self.failures)} of {len(self.failures) + self.undone} compensations failed ({listed}) "
            f"after {type(self.original).__qualname__}: {self.original}"
        )


class StackWarning(UserWarning):
    """Decorators are stacked in an order that cannot mean what it says; the text gives the reason and the mend."""


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error is a local refusal: the function was not run, so it is no evidence about it.

    >>> is_refusal(CircuitBreakerError(name="api", wait_time=3.0)), is_refusal(TimeoutError())
    (True, False)
    """
    if isinstance(error, Refusal):
        return True
    return isinstance(error, DeadlineExceeded) and not error.started
