"""The two workflows people want most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup._core import checks
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.fallback.config import FallbackConfig
from recoup.strategies.retry.config import BackoffStrategy, RetryConfig
from recoup.workflow.config import ErrorRecoveryConfig, RecoveryStrategy
from recoup.workflow.workflow import ErrorRecoveryWorkflow

if TYPE_CHECKING:
    from recoup.typing import Seconds

__all__ = ["create_circuit_breaker_workflow", "create_retry_workflow"]


class _Unset:
    def __repr__(self) -> str:
        return "<not given>"


_UNSET: Any = _Unset()
_FAILURE_THRESHOLD = checks.DefaultInt(5)


def create_retry_workflow(
    max_attempts: int | None = 3,
    backoff_strategy: BackoffStrategy | str = BackoffStrategy.EXPONENTIAL,
    initial_delay: Seconds = 1.0,
    **options: Any,
) -> ErrorRecoveryWorkflow:
    """Make a workflow that retries.

    Args:
        max_attempts: Calls in all, the first one included; `None`: no limit. Default 3.
        backoff_strategy: How waits grow. Default "exponential".
        initial_delay: Seconds before the first retry. Default 1.0.
        options: Further fields of `RetryConfig`.

    Raises:
        TypeError, ValueError: As `RetryConfig`.

    >>> create_retry_workflow(max_attempts=5, initial_delay=0).execute_sync(int, args=("7",))
    7
    """
    retry = RetryConfig(
        max_attempts=max_attempts, backoff_strategy=backoff_strategy, initial_delay=initial_delay, **options
    )
    return ErrorRecoveryWorkflow(ErrorRecoveryConfig(primary_strategy=RecoveryStrategy.RETRY, retry_config=retry))


def create_circuit_breaker_workflow(
    failure_threshold: int = _FAILURE_THRESHOLD,
    timeout: Seconds = 60.0,
    fallback_value: Any = _UNSET,
    **options: Any,
) -> ErrorRecoveryWorkflow:
    """Make a workflow that stops calling what is down, and answers instead if it can.

    Args:
        failure_threshold: Failures that open the circuit. Default 5, or no such rule if the options have another.
        timeout: Seconds until a trial. Default 60.0.
        fallback_value: Answer to a failure and to an open circuit; `None` is a value. Not given: errors are raised.
        options: Further fields of `CircuitBreakerConfig`.

    Raises:
        TypeError, ValueError: As `CircuitBreakerConfig`.

    >>> workflow = create_circuit_breaker_workflow(fallback_value="service_unavailable")
    >>> workflow.execute_sync(int, args=("seven",))
    'service_unavailable'
    """
    breaker = CircuitBreakerConfig(failure_threshold=failure_threshold, timeout=timeout, **options)
    return ErrorRecoveryWorkflow(
        ErrorRecoveryConfig(
            primary_strategy=RecoveryStrategy.CIRCUIT_BREAKER,
            circuit_breaker_config=breaker,
            fallback_config=None if fallback_value is _UNSET else FallbackConfig(fallback_value=fallback_value),
        )
    )
