"""Blocks 1 to 7 of the specification: enumerations and configurations."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

import recoup
from recoup import BackoffStrategy, RecoveryStrategy
from tests.spec.document import MODULE, blocks, run


class ServiceUnavailable(Exception):
    """Stands for the exception the document does not define."""


def test_the_document_has_27_blocks() -> None:
    """The specification is the one these tests were written for."""
    assert len(blocks()) == 27


def test_every_name_imported_by_the_document_is_ours() -> None:
    """Whatever the document imports can be imported flat from recoup."""
    imported = set()
    for block in blocks():
        for names in re.findall(rf"from {MODULE} import (\([^)]*\)|[^\n]*)", block):
            imported |= {name.strip() for name in names.strip("()").split(",") if name.strip()}
    assert imported == {
        "BackoffStrategy",
        "Bulkhead",
        "BulkheadConfig",
        "CircuitBreaker",
        "CircuitBreakerConfig",
        "CompensationConfig",
        "ErrorRecoveryConfig",
        "ErrorRecoveryWorkflow",
        "FallbackConfig",
        "RecoveryStrategy",
        "RetryConfig",
        "RetryExecutor",
        "create_circuit_breaker_workflow",
        "create_retry_workflow",
    }
    for name in imported | {"CircuitBreakerError", "BulkheadTimeoutError"}:
        assert getattr(recoup, name).__name__ == name


def test_block_1_recovery_strategies() -> None:
    """RecoveryStrategy has the seven members of the document and no others, with lower-case values."""
    run(1)
    assert [member.name for member in RecoveryStrategy] == [
        "RETRY",
        "CIRCUIT_BREAKER",
        "FALLBACK",
        "COMPENSATE",
        "DEADLINE",
        "BULKHEAD",
        "CACHE",
    ]
    assert all(member.value == member.name.lower() for member in RecoveryStrategy)


def test_block_2_backoff_strategies() -> None:
    """BackoffStrategy begins with the five members of the document; R2 adds kinds of jitter. Values are lower-case."""
    run(2)
    document = ["FIXED", "LINEAR", "EXPONENTIAL", "JITTER", "DECORRELATED"]
    ours = ["FULL_JITTER", "EQUAL_JITTER", "SMOOTH_JITTER"]
    assert [member.name for member in BackoffStrategy] == document + ours
    assert all(member.value == member.name.lower() for member in BackoffStrategy)


def given(number: int, config: Any) -> set[str]:
    """Give the parameters that a block sets, checked to be fields."""
    names = set(re.findall(r"^    (\w+)=", blocks()[number - 1], flags=re.MULTILINE))
    assert names <= {field.name for field in dataclasses.fields(config)}
    return names


def test_block_3_retry_config(capsys: pytest.CaptureFixture[str]) -> None:
    """RetryConfig takes every parameter of the document and keeps it."""
    config = run(3)["retry_config"]
    assert len(given(3, config)) == 10
    assert (config.max_attempts, config.initial_delay, config.max_delay) == (3, 1.0, 60.0)
    assert (config.backoff_strategy, config.backoff_multiplier) == (BackoffStrategy.EXPONENTIAL, 2.0)
    assert config.jitter_range == 0.1
    assert list(config.retry_on_exceptions) == [ConnectionError, TimeoutError]
    config.on_retry(1, "lost")
    config.on_failure("lost")
    assert capsys.readouterr().out == "Retry 1: lost\nFinal failure: lost\n"


def test_block_4_circuit_breaker_config(capsys: pytest.CaptureFixture[str]) -> None:
    """CircuitBreakerConfig takes every parameter of the document and keeps it."""
    config = run(4)["circuit_config"]
    assert len(given(4, config)) == 8
    assert (config.failure_threshold, config.success_threshold, config.timeout) == (5, 2, 60.0)
    assert (config.window_size, config.window_duration) == (10, 60.0)
    config.on_open()
    config.on_half_open()
    config.on_close()
    assert capsys.readouterr().out == "Circuit opened\nCircuit half-open\nCircuit closed\n"


def test_block_5_fallback_config() -> None:
    """FallbackConfig takes every parameter of the document and keeps it."""
    config = run(5, ServiceUnavailable=ServiceUnavailable)["fallback_config"]
    assert len(given(5, config)) == 7
    assert config.fallback_value == "default_response"
    assert config.fallback_function(OSError("x")) == "Error occurred: x"
    assert config.fallback_service == "https://backup.api.com"
    assert (config.use_cache, config.cache_ttl, config.fallback_on_timeout) == (True, 300.0, True)
    assert list(config.fallback_on_exceptions) == [ServiceUnavailable]


def test_block_6_compensation_config() -> None:
    """CompensationConfig takes every parameter of the document; the list of actions stays the user's own."""
    done: list[Any] = []
    names: dict[str, Any] = {
        name: (lambda state, name=name: done.append((name, state)))
        for name in ("rollback_database", "cancel_payment", "notify_failure")
    }
    config = run(6, **names)["compensation_config"]
    assert len(given(6, config)) == 6
    for action in config.compensation_actions:
        action("state")
    assert done == [("rollback_database", "state"), ("cancel_payment", "state"), ("notify_failure", "state")]
    assert (config.save_state, config.use_sagas, config.saga_timeout) == (True, True, 300.0)


def test_block_7_bulkhead_config() -> None:
    """BulkheadConfig takes every parameter of the document and keeps it."""
    config = run(7)["bulkhead_config"]
    assert len(given(7, config)) == 6
    assert (config.max_concurrent, config.max_queue_size, config.queue_timeout) == (10, 100, 30.0)
    assert (config.use_thread_pool, config.thread_pool_size, config.track_metrics) == (False, 5, True)
