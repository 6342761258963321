"""What a layer says to a call that it does not let through."""

from __future__ import annotations

import math

from recoup.errors.root import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CircuitBreakerError",
    "IsolationBusyError",
    "RateLimitExceeded",
    "ThrottledError",
    "WorkersBusyError",
]


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

    if not TYPE_CHECKING:  # for type checkers every name would do

        def __getattr__(self, name: str) -> Any:
            """Put the facts in their places when somebody asks for one.

            While a service is down a breaker refuses more calls than anything else does, and few look at the refusals.
            So it makes them with `args` alone: what tells the facts, and what it has to be given.
            """
            args = self.args
            if args and callable(args[0]):
                self.__dict__.update(args[0](*args[1:]))
                self.args = ()  # last: another thread may ask meanwhile
            try:
                return self.__dict__[name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        _ = self.wait_time  # the facts are in their places now
        return super().__reduce__()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

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
        # Not by way of three classes: who sheds load refuses a lot.
        self.name, self.retry_after = name, None
        self.max_concurrent, self.waited = max_concurrent, 0.0
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
        self.name, self.retry_after = name, retry_after  # not by way of two classes: who sheds load refuses a lot
        self.rate, self.per, self.patience = rate, per, patience

    def __str__(self) -> str:
        return (
            f"rate limit {self.name!r} refused the call: {self.rate} permits come in {self.per:g} s, its own in "
            f"{self.retry_after:.3g} s, and it may wait {self.patience:.3g} s; send less, or raise max_wait"
        )


class ThrottledError(Refusal):
    """An adaptive throttle held a call back by chance, because the service turned too many of the last ones away.

    Attributes:
        name: Name of the throttle.
        retry_after: Always `None`: every new try has its own chance, and a better one the later it comes.
        odds: With which probability calls are held back now.
    """

    def __init__(self, *, name: str, odds: float) -> None:
        super().__init__(name=name)
        self.odds = odds

    def __str__(self) -> str:
        return (
            f"throttle {self.name!r} held the call back, as it does with {self.odds:.0%} of them now: the service "
            "turns too many away; send less, or try again later"
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


class IsolationBusyError(Refusal):
    """No worker process took a call in time, or too many calls wait for one already; it never ran.

    Attributes:
        name: Name of the isolation.
        retry_after: Always `None`: nobody knows when a worker becomes free.
        workers: How many worker processes there may be.
        waited: Seconds that this call waited; 0.0 if it was refused at once.
    """

    def __init__(self, *, name: str, workers: int, waited: float = 0.0) -> None:
        super().__init__(name=name)
        self.workers = workers
        self.waited = waited

    def __str__(self) -> str:
        how = f"no worker took it within {self.waited:.3g} s" if self.waited else "too many calls wait already"
        return (
            f"isolation {self.name!r} refused the call: {how}, and {self.workers} run at once; "
            "raise workers or queue_timeout, or send less"
        )
