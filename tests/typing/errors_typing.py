"""What a type checker knows of errors: each carries its facts, and stands for the builtin where there is one."""

from __future__ import annotations

from typing import assert_type

from recoup import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreakerError,
    CompensationError,
    DeadlineExceeded,
    RecoveryError,
    Refusal,
    RetryExhausted,
    StackWarning,
    UnacceptableResult,
    WorkersBusyError,
)

every: list[type[RecoveryError]] = [
    CompensationError,
    DeadlineExceeded,
    Refusal,
    RetryExhausted,
    UnacceptableResult,
]
refusals: list[type[Refusal]] = [BulkheadFullError, BulkheadTimeoutError, CircuitBreakerError, WorkersBusyError]
timeouts: list[type[TimeoutError]] = [BulkheadFullError, BulkheadTimeoutError, DeadlineExceeded]
warning: type[UserWarning] = StackWarning


def refused(error: Refusal, circuit: CircuitBreakerError, gate: BulkheadFullError, busy: WorkersBusyError) -> None:
    assert_type(error.name, str)
    assert_type(error.retry_after, float | None)
    assert_type(circuit.wait_time, float)
    assert_type(circuit.last_error_type, str | None)
    assert_type(gate.max_concurrent, int)
    assert_type(gate.max_queue_size, int)
    assert_type(busy.thread_workers, int)


def given_up(retried: RetryExhausted, result: UnacceptableResult, late: DeadlineExceeded) -> None:
    assert_type(retried.attempts, int)
    assert_type(retried.elapsed, float)
    assert_type(retried.last_result, object)
    assert_type(result.result, object)
    assert_type(late.seconds, float)
    assert_type(late.started, bool)


def undone(error: CompensationError) -> None:
    assert_type(error.original, BaseException)
    assert_type(error.failures, tuple[BaseException, ...])
    assert_type(error.undone, int)
