"""What explain() promises (G14)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from recoup import (
    BulkheadConfig,
    CircuitBreakerConfig,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RetryConfig,
    bulkhead,
    cached,
    circuit_breaker,
    compensate,
    deadline,
    explain,
    fallback,
    retry,
)


@fallback(fallback_value=None)
@retry(max_attempts=3, backoff_strategy="fixed", initial_delay=1, on=OSError, abort_on=ConnectionRefusedError)
@circuit_breaker
@deadline(2)
@bulkhead(max_concurrent=4)
async def fetch() -> str:
    return "page"


def test_every_layer_says_what_it_does() -> None:
    """In order, each with at least one sentence."""
    explanation = explain(fetch)
    assert [layer.kind for layer in explanation.layers] == [
        "fallback",
        "retry",
        "circuit_breaker",
        "deadline",
        "bulkhead",
    ]
    assert all(explanation.says)
    assert "retries OSError, never ConnectionRefusedError" in " ".join(explanation.says[1])
    text = str(explanation)
    assert text.startswith("fetch, from outside in:\n  1. fallback")
    assert "\n  6. function         fetch\n" in text


def test_the_worst_case_is_worked_out_from_inside() -> None:
    """Three attempts of at most two seconds and two waits of one."""
    explanation = explain(fetch)
    assert (explanation.worst_calls, explanation.worst_seconds) == (3, 8)
    assert str(explanation).endswith("worst case: 3 calls of the function, 8 s")


def test_retries_multiply() -> None:
    """The load amplification of nested retries is their product (R7)."""

    @retry(max_attempts=4)
    @retry(max_attempts=5)
    async def nested() -> None: ...

    assert explain(nested).worst_calls == 20


def test_a_plain_function_is_not_bounded_by_what_cannot_interrupt_it() -> None:
    """Nobody is fooled about it (D3)."""

    @retry(max_attempts=2, attempt_timeout=1, max_elapsed=5)
    @deadline(1, mode="cooperative")
    def plain() -> None: ...

    explanation = explain(plain)
    assert (explanation.worst_calls, explanation.worst_seconds) == (2, math.inf)
    assert "no limit on the time" in str(explanation)


def test_limits_of_retry_bound_async_calls() -> None:
    """attempt_timeout each, max_elapsed all of them."""

    @retry(max_attempts=3, attempt_timeout=2, backoff_strategy="exponential")
    async def attempts() -> None: ...

    @retry(max_attempts=3, attempt_timeout=2, backoff_strategy="exponential", max_elapsed=7)
    async def elapsed() -> None: ...

    assert explain(attempts).worst_seconds == 9
    assert explain(elapsed).worst_seconds == 7


@pytest.mark.parametrize(
    "strategy",
    [
        retry(retry_on_result=bool, attempt_timeout=1, max_elapsed=9),
        circuit_breaker(),
        fallback(fallback_value=1),
        bulkhead(),
        deadline(1),
        cached(60),
        compensate(lambda: None),
    ],
    ids=lambda strategy: strategy.kind,
)
def test_a_strategy_object_explains_itself(strategy: Any) -> None:
    """Every kind has something to say."""
    explanation = explain(strategy)
    assert explanation.layers == (strategy,)
    assert explanation.says[0]
    assert all(sentence and sentence[0].islower() for sentence in explanation.says[0])
    assert strategy.kind in str(explanation)


def test_a_workflow_is_taken_apart() -> None:
    """Its layers are explained, not the workflow as a lump."""
    flow = ErrorRecoveryWorkflow(
        ErrorRecoveryConfig(
            retry_config=RetryConfig(max_attempts=2, backoff_strategy="fixed"),
            circuit_breaker_config=CircuitBreakerConfig(),
            bulkhead_config=BulkheadConfig(queue_timeout=1),
            fallback_config=FallbackConfig(fallback_value=1),
            global_timeout=20,
        )
    )

    @flow
    async def operation() -> int:
        return 1

    for target in (flow, operation):
        explanation = explain(target)
        assert [layer.kind for layer in explanation.layers] == [
            "fallback",
            "deadline",
            "retry",
            "circuit_breaker",
            "bulkhead",
        ]
        assert (explanation.worst_calls, explanation.worst_seconds) == (2, 20)


def test_what_is_not_protected_says_so() -> None:
    """And what is no callable is refused."""
    assert str(explain(len)) == "len is not protected by recoup"
    assert (explain(len).worst_calls, explain(len).worst_seconds) == (1, math.inf)
    with pytest.raises(TypeError, match="not callable"):
        explain(5)


def test_a_long_series_of_waits_is_summed_without_counting_to_a_million() -> None:
    """Every delay past the growth is the cap."""
    assert retry(max_attempts=1_000_001, backoff_strategy="fixed")._plan.backoff.longest(1_000_000) == 1_000_000
    assert retry(backoff_strategy="linear")._plan.backoff.longest(2_000) <= 2_000 * 60
    assert (
        explain(retry(backoff_strategy=[1, 2], max_attempts=9)).says[0][0].endswith("(delays of your own) in between")
    )
