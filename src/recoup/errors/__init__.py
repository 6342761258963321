"""Every exception of recoup.

    RecoveryError                      the root: `except RecoveryError` catches all of ours
    ├── Refusal                        we did not even try: says nothing about the dependency
    │   ├── CircuitBreakerError        the circuit is open, or all its probes are out
    │   ├── RateLimitExceeded          too many calls in too short a time
    │   ├── ThrottledError             held back by chance: the service turns too many calls away
    │   ├── IsolationBusyError         no worker process is free, or none took the call in time
    │   ├── WorkersBusyError           no thread is free to run a plain function under a deadline
    │   └── BulkheadTimeoutError       no place within `queue_timeout` (also a TimeoutError)
    │       └── BulkheadFullError      the queue itself is full
    ├── DeadlineExceeded               the time is up (also a TimeoutError)
    ├── RetryExhausted                 every attempt gave an unacceptable result
    ├── WorkerCrashed                  the process that ran a call is gone
    ├── UnpicklableError               a value cannot go from one process to another (also a TypeError)
    ├── UnacceptableResult             one attempt gave an unacceptable result
    └── CompensationError              an operation failed, and undoing it failed as well

    StackWarning (a UserWarning)       decorators stand in an order that cannot mean what it says

All of them pickle, copy and deep-copy with their attributes, and build their message only when it is read:
a refusal has to stay cheap while a service is down and every call is refused.
"""

from __future__ import annotations

from recoup.errors.failures import (
    CompensationError,
    DeadlineExceeded,
    RetryExhausted,
    StackWarning,
    UnacceptableResult,
    UnpicklableError,
    WorkerCrashed,
)
from recoup.errors.failures import is_refusal as is_refusal
from recoup.errors.refusals import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreakerError,
    IsolationBusyError,
    RateLimitExceeded,
    ThrottledError,
    WorkersBusyError,
)
from recoup.errors.root import RecoveryError, Refusal

__all__ = [
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CircuitBreakerError",
    "CompensationError",
    "DeadlineExceeded",
    "IsolationBusyError",
    "RateLimitExceeded",
    "RecoveryError",
    "Refusal",
    "RetryExhausted",
    "StackWarning",
    "ThrottledError",
    "UnacceptableResult",
    "UnpicklableError",
    "WorkerCrashed",
    "WorkersBusyError",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # where users import it from, and what a traceback calls it
