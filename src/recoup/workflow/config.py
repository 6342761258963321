"""What a workflow can be told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence  # noqa: TC003 - typing.get_type_hints looks for it here
from dataclasses import dataclass
from enum import Enum
from typing import Any

from recoup._core import checks
from recoup.strategies.bulkhead.config import BulkheadConfig
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.compensation.config import CompensationConfig
from recoup.strategies.fallback.config import FallbackConfig
from recoup.strategies.rate_limit.config import RateLimitConfig
from recoup.strategies.retry.config import RetryConfig
from recoup.typing import Seconds  # noqa: TC001 - as above

__all__ = ["ErrorRecoveryConfig", "RecoveryStrategy"]

_MAX_TOTAL_ATTEMPTS = checks.DefaultInt(10)
_GLOBAL_TIMEOUT = checks.DefaultFloat(300.0)


class RecoveryStrategy(Enum):
    """The strategies a workflow is made of.

    `RETRY` calls again, `CIRCUIT_BREAKER` stops calling what is down, `FALLBACK` answers instead, `COMPENSATE` undoes,
    `DEADLINE` limits the time, `BULKHEAD` limits how many calls run at once, `CACHE` answers a failure with an earlier
    success.
    """

    RETRY = "retry"
    CIRCUIT_BREAKER = "circuit_breaker"
    FALLBACK = "fallback"
    COMPENSATE = "compensate"
    DEADLINE = "deadline"
    BULKHEAD = "bulkhead"
    CACHE = "cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecoveryConfig:
    """Say which strategies a workflow has, and what holds for all of them.

    A strategy is active if it is listed or if its config is given. The order in which they are listed does not matter:
    they always stand, from outside in, as fallback and cache, compensation, deadline, retry, circuit breaker,
    rate limit, limit of one attempt, bulkhead, function.

    Args:
        primary_strategy: A `RecoveryStrategy` or its value as a string. Default RETRY.
        secondary_strategies: Further strategies. Default `None`: none.
        retry_config: Config of RETRY. Default `None`: `RetryConfig()` if RETRY is listed.
        circuit_breaker_config: Config of CIRCUIT_BREAKER. Default `None`: `CircuitBreakerConfig()` if it is listed.
        fallback_config: Config of FALLBACK and CACHE. FALLBACK cannot be listed without it; CACHE alone means
            `FallbackConfig(use_cache=True)`, and turns `use_cache` on in a config that is given.
        compensation_config: Config of COMPENSATE, which cannot be listed without it.
        bulkhead_config: Config of BULKHEAD. Default `None`: `BulkheadConfig()` if it is listed.
        rate_limit_config: How many attempts may begin in a time; what it refuses is no failure to the breaker and is
            not retried unless its class is named. Default `None`: no such limit.
        max_total_attempts: Most calls of the function in one execution, retries included; at least 1. A call that a
            `fallback_service` makes elsewhere is not one of them. Default 10; a larger `max_attempts` raises
            it, and `max_attempts=None` lifts it.
        global_timeout: Seconds for one execution, waits included. An async function is cancelled, a plain one is
            checked between steps and its own late answer or error counts; what is cut off raises `DeadlineExceeded`
            (a `TimeoutError`) unless a fallback answers. For a generator it counts to the last item, the consumer's
            time included. Default 300.0, raised by a longer limit in `retry_config`; `None`: no limit.
        transient_errors: Exception types that are retried; once given, no others are. Default `None`: what
            `retry_config` says.
        permanent_errors: Exception types that are never retried, whatever else says so. Default `None`: none.
        log_errors: Whether a failed execution is logged, as a warning of the logger "recoup". Default True.
        metrics_enabled: Whether `get_metrics()` counts. Default True.
        alert_threshold: How many failed executions make `on_alert` be called; at least 1. Default 10.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or a listed strategy lacks its config.

    Configs are immutable and may be shared between threads and event loops.

    >>> ErrorRecoveryConfig(primary_strategy="retry", global_timeout=30).primary_strategy
    <RecoveryStrategy.RETRY: 'retry'>
    """

    primary_strategy: RecoveryStrategy | str = RecoveryStrategy.RETRY
    secondary_strategies: Sequence[RecoveryStrategy | str] | None = None
    retry_config: RetryConfig | None = None
    circuit_breaker_config: CircuitBreakerConfig | None = None
    fallback_config: FallbackConfig | None = None
    compensation_config: CompensationConfig | None = None
    bulkhead_config: BulkheadConfig | None = None
    rate_limit_config: RateLimitConfig | None = None
    max_total_attempts: int = _MAX_TOTAL_ATTEMPTS
    global_timeout: Seconds | None = _GLOBAL_TIMEOUT
    transient_errors: Sequence[type[Exception]] | None = None
    permanent_errors: Sequence[type[Exception]] | None = None
    log_errors: bool = True
    metrics_enabled: bool = True
    alert_threshold: int = 10

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "primary_strategy", checks.member("primary_strategy", self.primary_strategy, RecoveryStrategy))
        put(self, "secondary_strategies", _secondary(self.secondary_strategies))
        for argument, kind in _CONFIGS.items():
            if getattr(self, argument) is not None:
                checks.instance(argument, getattr(self, argument), kind)
        checks.size("max_total_attempts", self.max_total_attempts)
        if not isinstance(self.global_timeout, checks.DefaultFloat):
            put(self, "global_timeout", checks.optional_duration("global_timeout", self.global_timeout, zero=False))
        for argument in ("transient_errors", "permanent_errors"):
            if getattr(self, argument) is not None:
                put(self, argument, checks.exceptions(argument, getattr(self, argument)))
        checks.boolean("log_errors", self.log_errors)
        checks.boolean("metrics_enabled", self.metrics_enabled)
        checks.count("alert_threshold", self.alert_threshold)
        self._check_listed()
        self._settle_retry(put)

    def _check_listed(self) -> None:
        if RecoveryStrategy.FALLBACK in self.listed and self.fallback_config is None:
            raise ValueError("FALLBACK is listed, but fallback_config is missing: say what to answer with")
        if RecoveryStrategy.COMPENSATE in self.listed and self.compensation_config is None:
            raise ValueError("COMPENSATE is listed, but compensation_config is missing: say what undoes the operation")
        if RecoveryStrategy.DEADLINE in self.listed and self.global_timeout is None:
            raise ValueError(
                "DEADLINE is listed, but global_timeout is None: say how many seconds an execution may take"
            )

    def _settle_retry(self, put: Callable[[object, str, object], None]) -> None:
        """Compare what is said of retrying in two places; a default yields to what was given (rule G1)."""
        retry = self.retry_config
        if retry is None:
            if self.transient_errors is not None and RecoveryStrategy.RETRY not in self.listed:
                raise ValueError(
                    "transient_errors says what to retry, but nothing retries: list RETRY or give retry_config"
                )
            return
        if isinstance(self.max_total_attempts, checks.DefaultInt):
            most = sys.maxsize if retry.max_attempts is None else retry.max_attempts
            put(self, "max_total_attempts", checks.DefaultInt(max(self.max_total_attempts, most)))
        for argument in ("attempt_timeout", "max_elapsed"):
            seconds: Any = getattr(retry, argument)
            total: Any = self.global_timeout
            if seconds is None or total is None or seconds <= total:
                continue
            if not isinstance(total, checks.DefaultFloat):
                raise ValueError(  # noqa: TRY004 - the type only tells a default from what was given
                    f"{argument} of retry_config ({seconds:g} s) must not be longer than global_timeout ({total:g} s)"
                )
            put(self, "global_timeout", checks.DefaultFloat(seconds))

    @property
    def listed(self) -> tuple[RecoveryStrategy, ...]:
        """The primary strategy and the secondary ones."""
        listed: Any = (self.primary_strategy, *(self.secondary_strategies or ()))  # members since __post_init__
        return tuple(listed)


_CONFIGS: dict[str, type[Any]] = {
    "retry_config": RetryConfig,
    "circuit_breaker_config": CircuitBreakerConfig,
    "fallback_config": FallbackConfig,
    "compensation_config": CompensationConfig,
    "bulkhead_config": BulkheadConfig,
    "rate_limit_config": RateLimitConfig,
}


def _secondary(value: Any) -> tuple[RecoveryStrategy, ...]:
    if value is None:
        return ()
    if isinstance(value, (str, RecoveryStrategy)) or not isinstance(value, (list, tuple, set, frozenset)):
        raise TypeError(f"secondary_strategies must be a list of RecoveryStrategy members, not {checks.shown(value)}")
    return tuple(checks.member("secondary_strategies", each, RecoveryStrategy) for each in value)
