"""From a configuration to strategy objects, in the canonical order (rule W2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from recoup._core.conditions import when
from recoup.strategies.bulkhead.config import BulkheadConfig
from recoup.strategies.bulkhead.strategy import Bulkhead
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.strategies.compensation.strategy import Compensation
from recoup.strategies.deadline.config import DeadlineConfig
from recoup.strategies.deadline.strategy import TimeLimiter
from recoup.strategies.fallback.config import FallbackConfig
from recoup.strategies.fallback.strategy import Fallback
from recoup.strategies.rate_limit.strategy import RateLimiter
from recoup.strategies.retry.config import RetryConfig
from recoup.strategies.retry.strategy import RetryExecutor
from recoup.workflow.config import RecoveryStrategy

if TYPE_CHECKING:
    from recoup.workflow.config import ErrorRecoveryConfig

__all__ = ["Layers", "build"]


class Layers(NamedTuple):
    """The strategy objects of a workflow, outermost first; `None` where one is not active.

    The order has reasons. The fallback is outermost because it answers whatever failed, the deadline included.
    Compensation undoes what the whole of the attempts left behind, so it stands outside retry and has its own time.
    The deadline bounds all attempts and their waits. The breaker is inside retry, so that each attempt counts and an
    open circuit ends the retrying. The rate limit is inside the breaker, so that an open circuit takes no permit; its
    waits are no part of an attempt's time. The limit of one attempt is inside the breaker, which counts what it cuts
    off. The bulkhead is innermost: a call holds a place only while it runs, not while it waits for its next attempt.
    """

    fallback: Fallback | None
    compensation: Compensation | None
    deadline: TimeLimiter | None
    retry: RetryExecutor | None
    breaker: CircuitBreaker | None
    limiter: RateLimiter | None
    attempt: TimeLimiter | None
    bulkhead: Bulkhead | None


def build(config: ErrorRecoveryConfig, name: str | None) -> Layers:
    """Make the strategy objects of a configuration."""
    listed = config.listed

    def named(kind: str) -> str | None:
        return None if name is None else f"{name}.{kind}"

    fallback = _fallback(config)
    compensation = config.compensation_config
    limit: Any = config.global_timeout
    retry = _retry(config)
    attempt: Any = None if config.retry_config is None else config.retry_config.attempt_timeout
    breaker = config.circuit_breaker_config
    if breaker is None and RecoveryStrategy.CIRCUIT_BREAKER in listed:
        breaker = CircuitBreakerConfig()
    rate = config.rate_limit_config
    bulkhead = config.bulkhead_config
    if bulkhead is None and RecoveryStrategy.BULKHEAD in listed:
        bulkhead = BulkheadConfig()
    return Layers(
        fallback=None if fallback is None else Fallback(fallback, name=named("fallback")),
        compensation=None
        if compensation is None
        else Compensation(replace(compensation, raise_original=True), name=named("compensation")),
        deadline=None if limit is None else _limiter(limit, "global_timeout", name),
        retry=None if retry is None else _executor(retry, config, named("retry")),
        breaker=None if breaker is None else CircuitBreaker(breaker, name=named("circuit_breaker")),
        limiter=None if rate is None else RateLimiter(rate, name=named("rate_limit")),
        attempt=None if attempt is None else _limiter(attempt, "attempt_timeout", name),
        bulkhead=None if bulkhead is None else Bulkhead(bulkhead, name=named("bulkhead")),
    )


def _limiter(seconds: float, kind: str, name: str | None) -> TimeLimiter:
    """Limit the time of what is inside; plain functions are only checked between steps."""
    config = DeadlineConfig(seconds=seconds, mode="cooperative")
    if name is not None:
        return TimeLimiter(config, name=f"{name}.{kind}")
    limiter = TimeLimiter(config)
    limiter._given_name = kind  # for errors; every nameless workflow has one, so it is not listed
    return limiter


def _executor(retry: RetryConfig, config: ErrorRecoveryConfig, name: str | None) -> RetryExecutor:
    executor = RetryExecutor(retry, name=name)
    if config.retry_config is not None and config.retry_config.max_attempts > config.max_total_attempts:
        executor._plan.limit = "max_total_attempts"
    return executor


def _fallback(config: ErrorRecoveryConfig) -> FallbackConfig | None:
    """Settle the fallback; CACHE means that an earlier success answers a failure."""
    if RecoveryStrategy.CACHE not in config.listed:
        return config.fallback_config
    if config.fallback_config is None:
        return FallbackConfig(use_cache=True)
    return replace(config.fallback_config, use_cache=True)


def _retry(config: ErrorRecoveryConfig) -> RetryConfig | None:
    """Settle what is retried: permanent errors never, transient ones only once they are given (rule W3)."""
    retry = config.retry_config
    if retry is None:
        if RecoveryStrategy.RETRY not in config.listed:
            return None
        retry = RetryConfig()
    changes: dict[str, Any] = {
        "max_attempts": min(retry.max_attempts, config.max_total_attempts),
        "attempt_timeout": None,  # a layer of its own, inside the breaker
    }
    if config.transient_errors is not None:
        changes["retry_on_exceptions"] = config.transient_errors
    if config.permanent_errors:
        permanent = when(*config.permanent_errors)
        changes["abort_on"] = permanent if retry.abort_on is None else permanent | when(retry.abort_on)
    return replace(retry, **changes)
