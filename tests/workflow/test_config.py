"""What ErrorRecoveryConfig refuses (G1) and how it reads (W2, W3)."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from typing import Any

import pytest

from recoup import (
    BulkheadConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    CompensationConfig,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RateLimitConfig,
    RecoveryStrategy,
    RetryConfig,
    create_circuit_breaker_workflow,
    create_retry_workflow,
)

BAD: list[tuple[str, Any, type[Exception], str]] = [
    ("primary_strategy", "retries", ValueError, "primary_strategy must be one of 'retry', 'circuit_breaker'"),
    ("primary_strategy", None, TypeError, "primary_strategy must be a RecoveryStrategy or one of 'retry'"),
    ("secondary_strategies", "retry", TypeError, "secondary_strategies must be a list of RecoveryStrategy members"),
    ("secondary_strategies", RecoveryStrategy.CACHE, TypeError, "secondary_strategies must be a list"),
    ("secondary_strategies", ["x"], ValueError, "secondary_strategies must be one of 'retry'"),
    ("retry_config", {}, TypeError, "retry_config must be a RetryConfig, not {} (dict)"),
    ("circuit_breaker_config", RetryConfig(), TypeError, "circuit_breaker_config must be a CircuitBreakerConfig, not"),
    ("fallback_config", 5, TypeError, "fallback_config must be a FallbackConfig, not 5 (int)"),
    ("compensation_config", [], TypeError, "compensation_config must be a CompensationConfig, not [] (list)"),
    ("rate_limit_config", 10, TypeError, "rate_limit_config must be a RateLimitConfig, not 10 (int)"),
    ("bulkhead_config", 10, TypeError, "bulkhead_config must be a BulkheadConfig, not 10 (int)"),
    ("max_total_attempts", 0, ValueError, "max_total_attempts must be at least 1, not 0"),
    ("max_total_attempts", True, TypeError, "max_total_attempts must be a whole number, not True (bool)"),
    ("max_total_attempts", math.inf, TypeError, "max_total_attempts must be a whole number, not inf (float)"),
    ("global_timeout", 0, ValueError, "global_timeout must be greater than 0 and finite, not 0"),
    ("global_timeout", -1, ValueError, "global_timeout must be greater than 0 and finite, not -1"),
    ("global_timeout", math.nan, ValueError, "global_timeout must be greater than 0 and finite, not nan"),
    ("global_timeout", math.inf, ValueError, "global_timeout must be greater than 0 and finite, not inf"),
    ("global_timeout", True, TypeError, "global_timeout must be seconds (int or float) or a timedelta, not True"),
    ("transient_errors", [int], TypeError, "transient_errors must list exception types, not <class 'int'>"),
    ("transient_errors", [KeyboardInterrupt], ValueError, "transient_errors must not list KeyboardInterrupt"),
    ("permanent_errors", ["x"], TypeError, "permanent_errors must list exception types, not 'x'"),
    ("permanent_errors", [BaseException], ValueError, "permanent_errors must not list BaseException"),
    ("log_errors", 1, TypeError, "log_errors must be True or False, not 1 (int)"),
    ("metrics_enabled", None, TypeError, "metrics_enabled must be True or False, not None"),
    ("alert_threshold", 0, ValueError, "alert_threshold must be at least 1, not 0"),
    ("alert_threshold", 2.5, TypeError, "alert_threshold must be a whole number, not 2.5 (float)"),
]


@pytest.mark.parametrize(("field", "value", "error", "message"), BAD)
def test_bad_values_are_named(field: str, value: Any, error: type[Exception], message: str) -> None:
    """Each field refuses each kind of bad value with argument, value and range (G1)."""
    with pytest.raises(error) as caught:
        ErrorRecoveryConfig(**{field: value})
    assert str(caught.value).startswith(message)


def test_every_field_has_a_bad_value_above() -> None:
    """A new field gets its tests."""
    assert {field.name for field in dataclasses.fields(ErrorRecoveryConfig)} == {row[0] for row in BAD}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"primary_strategy": "fallback"}, "FALLBACK is listed, but fallback_config is missing"),
        ({"secondary_strategies": ["compensate"]}, "COMPENSATE is listed, but compensation_config is missing"),
        ({"primary_strategy": "deadline", "global_timeout": None}, "DEADLINE is listed, but global_timeout is None"),
    ],
)
def test_a_listed_strategy_needs_what_it_cannot_do_without(options: dict[str, Any], message: str) -> None:
    """A strategy that could do nothing is an error, not silence (G1)."""
    with pytest.raises(ValueError, match=message):
        ErrorRecoveryConfig(**options)


def kinds(**options: Any) -> list[str]:
    """Give the kinds of layers of a configuration, outermost first."""
    return [layer.kind for layer in ErrorRecoveryWorkflow(ErrorRecoveryConfig(**options)).layers]


def test_the_order_is_canonical() -> None:
    """Whatever order strategies are listed in (W2)."""
    canonical = ["fallback", "compensation", "deadline", "retry", "circuit_breaker", "bulkhead"]
    configs: dict[str, Any] = {
        "fallback_config": FallbackConfig(fallback_value=1),
        "compensation_config": CompensationConfig(compensation_actions=[]),
    }
    assert (
        kinds(
            primary_strategy="bulkhead",
            secondary_strategies=["circuit_breaker", "fallback", "retry", "compensate"],
            **configs,
        )
        == kinds(
            primary_strategy="compensate", secondary_strategies=["retry", "bulkhead", "circuit_breaker"], **configs
        )
        == canonical
    )


def test_a_rate_limit_and_the_limit_of_an_attempt_have_their_places() -> None:
    """Inside the breaker, in this order, and outside the bulkhead (W2)."""
    assert kinds(
        primary_strategy="bulkhead",
        circuit_breaker_config=CircuitBreakerConfig(),
        rate_limit_config=RateLimitConfig(rate=5),
        retry_config=RetryConfig(attempt_timeout=1),
    ) == ["deadline", "retry", "circuit_breaker", "rate_limit", "deadline", "bulkhead"]


def test_a_config_activates_its_strategy() -> None:
    """Listed or not; a listed one without a config has its defaults."""
    assert kinds() == ["deadline", "retry"]
    assert kinds(global_timeout=None) == ["retry"]
    assert kinds(primary_strategy="circuit_breaker") == ["deadline", "circuit_breaker"]
    assert kinds(primary_strategy="deadline") == ["deadline"]
    assert kinds(primary_strategy="cache") == ["fallback", "deadline"]
    assert kinds(primary_strategy="deadline", bulkhead_config=BulkheadConfig()) == ["deadline", "bulkhead"]
    assert kinds(primary_strategy="deadline", rate_limit_config=RateLimitConfig(rate=5)) == ["deadline", "rate_limit"]
    assert kinds(
        primary_strategy="deadline", retry_config=RetryConfig(), circuit_breaker_config=CircuitBreakerConfig()
    ) == ["deadline", "retry", "circuit_breaker"]


def test_the_default_rule_of_the_factory_yields_to_another() -> None:
    """As that of the config does (C2): who asks for a rate gets a rate, and not 5 failures as well."""
    flow = create_circuit_breaker_workflow(failure_rate=0.5)
    (config,) = [layer.config for layer in flow.layers if isinstance(layer, CircuitBreaker)]
    assert (config.failure_threshold, config.failure_rate) == (None, 0.5)
    flow = create_circuit_breaker_workflow(failure_threshold=5, failure_rate=0.5)
    (config,) = [layer.config for layer in flow.layers if isinstance(layer, CircuitBreaker)]
    assert (config.failure_threshold, config.failure_rate) == (5, 0.5)


def test_strings_and_timedeltas_are_coerced() -> None:
    """As everywhere."""
    config = ErrorRecoveryConfig(
        primary_strategy="cache", secondary_strategies=["retry"], global_timeout=timedelta(minutes=1)
    )
    assert config.primary_strategy is RecoveryStrategy.CACHE
    assert config.secondary_strategies == (RecoveryStrategy.RETRY,)
    assert config.listed == (RecoveryStrategy.CACHE, RecoveryStrategy.RETRY)
    assert config.global_timeout == 60.0


def test_the_factories_pass_everything_on() -> None:
    """Their own parameters and those of the configs behind them."""
    retry = create_retry_workflow(max_attempts=20, backoff_strategy="linear", initial_delay=0.5, max_delay=2)
    config = retry.config.retry_config
    assert config is not None
    assert (config.max_attempts, config.max_delay, retry.config.max_total_attempts) == (20, 2, 20)
    guarded = create_circuit_breaker_workflow(failure_threshold=2, timeout=5, success_threshold=1)
    breaker = guarded.config.circuit_breaker_config
    assert breaker is not None
    assert (breaker.failure_threshold, breaker.success_threshold) == (2, 1)
    assert guarded.config.fallback_config is None
    answered = create_circuit_breaker_workflow(fallback_value=None)
    assert answered.execute_sync(int, ("x",)) is None, "None is a value"
    with pytest.raises(TypeError, match="max_tries"):
        create_retry_workflow(max_tries=3)


def test_the_wrong_config_is_refused() -> None:
    """An object of another class is named."""
    with pytest.raises(TypeError, match="config must be a ErrorRecoveryConfig, not 3"):
        ErrorRecoveryWorkflow(3)  # type: ignore[arg-type]
