"""What a type checker knows of workflows: `execute` gives what the function gives, or the record when asked."""

from __future__ import annotations

from typing import Any, assert_type

from recoup import (
    BackoffStrategy,
    BulkheadConfig,
    CircuitBreakerConfig,
    CompensationConfig,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    ExecutionRecord,
    FallbackConfig,
    RecoveryStrategy,
    RetryConfig,
    Strategy,
    create_circuit_breaker_workflow,
    create_retry_workflow,
)

workflow = ErrorRecoveryWorkflow(
    ErrorRecoveryConfig(
        primary_strategy=RecoveryStrategy.RETRY,
        secondary_strategies=[RecoveryStrategy.CIRCUIT_BREAKER, "fallback"],
        retry_config=RetryConfig(backoff_strategy=BackoffStrategy.DECORRELATED),
        circuit_breaker_config=CircuitBreakerConfig(),
        fallback_config=FallbackConfig(fallback_value=None),
        compensation_config=CompensationConfig(),
        bulkhead_config=BulkheadConfig(),
    )
)


def fetch(key: str) -> bytes:
    return key.encode()


async def fetch_later(key: str) -> bytes:
    return key.encode()


@workflow
def decorated(key: str) -> bytes:
    return key.encode()


async def executed() -> None:
    assert_type(await workflow.execute(fetch_later, ("a",)), bytes)
    assert_type(await workflow.execute(fetch, args=("a",)), bytes)
    assert_type(await workflow.execute(fetch_later, kwargs={"key": "a"}, result=True), ExecutionRecord)
    assert_type(workflow.execute_sync(fetch, ("a",)), bytes)
    assert_type(workflow.execute_sync(fetch, ("a",), result=True), ExecutionRecord)
    assert_type(decorated("a"), bytes)


def figures(record: ExecutionRecord) -> None:
    assert_type(record.calls, int)
    assert_type(record.attempts, int)
    assert_type(record.retries, int)
    assert_type(record.delays, list[float])
    assert_type(record.succeeded, bool)
    assert_type(record.error, BaseException | None)
    assert_type(workflow.get_metrics(), dict[str, Any])
    assert_type(workflow.get_health_status(), dict[str, Any])
    assert_type(workflow.layers, tuple[Strategy, ...])


assert_type(create_retry_workflow(max_attempts=5, backoff_strategy="exponential"), ErrorRecoveryWorkflow)
assert_type(create_circuit_breaker_workflow(failure_threshold=3, fallback_value=0), ErrorRecoveryWorkflow)
