"""From a configuration to strategy objects, in the canonical order (rule W2)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from recoup._core import checks
from recoup._core.conditions import when
from recoup._core.options import same
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
    from collections.abc import Callable
    from typing import TypeVar

    from recoup._core.strategy import Strategy
    from recoup.strategies.compensation.config import CompensationConfig
    from recoup.strategies.rate_limit.config import RateLimitConfig
    from recoup.workflow.config import ErrorRecoveryConfig

    T = TypeVar("T")

__all__ = ["Configs", "Layers", "adopt", "build", "configs", "settled"]


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


class Configs(NamedTuple):
    """The configs of the strategy objects, in the same order; `None` where one is not active."""

    fallback: FallbackConfig | None
    compensation: CompensationConfig | None
    deadline: DeadlineConfig | None
    retry: RetryConfig | None
    breaker: CircuitBreakerConfig | None
    limiter: RateLimitConfig | None
    attempt: DeadlineConfig | None
    bulkhead: BulkheadConfig | None


def configs(config: ErrorRecoveryConfig) -> Configs:
    """Work out what each strategy object is told."""
    breaker, bulkhead, compensation = config.circuit_breaker_config, config.bulkhead_config, config.compensation_config
    if breaker is None and RecoveryStrategy.CIRCUIT_BREAKER in config.listed:
        breaker = CircuitBreakerConfig()
    if bulkhead is None and RecoveryStrategy.BULKHEAD in config.listed:
        bulkhead = BulkheadConfig()
    attempt = None if config.retry_config is None else config.retry_config.attempt_timeout
    return Configs(
        fallback=_fallback(config),
        compensation=None if compensation is None else replace(compensation, raise_original=True),
        deadline=_limit(config.global_timeout),
        retry=_retry(config),
        breaker=breaker,
        limiter=config.rate_limit_config,
        attempt=_limit(attempt),
        bulkhead=bulkhead,
    )


def build(config: ErrorRecoveryConfig, name: str | None) -> Layers:
    """Make the strategy objects of a configuration."""
    told = configs(config)

    def made(kind: Callable[..., T], config: object, what: str) -> T | None:
        if config is None:
            return None
        return kind(config, name=None if name is None else f"{name}.{what}")

    parts = Layers(
        fallback=made(Fallback, told.fallback, "fallback"),
        compensation=made(Compensation, told.compensation, "compensation"),
        deadline=None if told.deadline is None else _limiter(told.deadline, "global_timeout", name),
        retry=made(RetryExecutor, told.retry, "retry"),
        breaker=made(CircuitBreaker, told.breaker, "circuit_breaker"),
        limiter=made(RateLimiter, told.limiter, "rate_limit"),
        attempt=None if told.attempt is None else _limiter(told.attempt, "attempt_timeout", name),
        bulkhead=made(Bulkhead, told.bulkhead, "bulkhead"),
    )
    if parts.fallback is not None:
        parts.fallback._judged_apart = True
    _name_the_bound(parts, config)
    return parts


def settled(workflow: Strategy, parts: Layers, told: Configs) -> None:
    """Raise for configs that the strategy objects of a workflow cannot change to.

    Raises:
        ValueError: If a strategy would appear or disappear, or cannot change so.
        TypeError: If a config does not suit a function that is decorated.
    """
    there = zip(Layers._fields, parts, told, strict=True)
    same(workflow, **{f"whether there is a {kind}": (part is None, new is None) for kind, part, new in there})
    for part, new in _pairs(parts, told):
        part._settled(new)


def adopt(parts: Layers, config: ErrorRecoveryConfig) -> None:
    """Have the strategy objects take over what is new to them."""
    for part, new in _pairs(parts, configs(config)):
        if part.config is not new:
            part._adopt(new)
    _name_the_bound(parts, config)


def _pairs(parts: Layers, told: Configs) -> list[tuple[Any, Any]]:
    """Give the strategy objects there are, each with what it is told; their types go together by their places."""
    return [(part, new) for part, new in zip(parts, told, strict=True) if part is not None]


def _name_the_bound(parts: Layers, config: ErrorRecoveryConfig) -> None:
    """Have retry say which of the two bounds on attempts it was."""
    retry = config.retry_config
    if parts.retry is not None and retry is not None:
        most = math.inf if retry.max_attempts is None else retry.max_attempts
        parts.retry._plan.limit = "max_total_attempts" if most > config.max_total_attempts else "max_attempts"


def _limit(seconds: Any) -> DeadlineConfig | None:
    """Limit the time of what is inside; plain functions are only checked between steps."""
    return None if seconds is None else DeadlineConfig(seconds=seconds, mode="cooperative")


def _limiter(config: DeadlineConfig, kind: str, name: str | None) -> TimeLimiter:
    if name is not None:
        return TimeLimiter(config, name=f"{name}.{kind}")
    limiter = TimeLimiter(config)
    limiter._given_name = kind  # for errors; every nameless workflow has one, so it is not listed
    return limiter


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
    endless = retry.max_attempts is None and isinstance(config.max_total_attempts, checks.DefaultInt)
    changes: dict[str, Any] = {
        "max_attempts": None if endless else min(retry.max_attempts or math.inf, config.max_total_attempts),
        "attempt_timeout": None,  # a layer of its own, inside the breaker
    }
    if config.transient_errors is not None:
        changes["retry_on_exceptions"] = config.transient_errors
    if config.permanent_errors:
        permanent = when(*config.permanent_errors)
        changes["abort_on"] = permanent if retry.abort_on is None else permanent | when(retry.abort_on)
    return replace(retry, **changes)
