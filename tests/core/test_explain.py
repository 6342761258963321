"""What explain() promises (G14)."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from recoup import (
    BulkheadConfig,
    CircuitBreakerConfig,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RetryBudget,
    RetryConfig,
    bulkhead,
    cached,
    circuit_breaker,
    compensate,
    deadline,
    explain,
    fallback,
    hedge,
    retry,
)
from recoup.strategies.retry import nesting


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


@pytest.mark.filterwarnings("ignore::recoup.StackWarning")  # some of these orders are none to be meant
def test_retries_that_pass_on_do_not_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is certain that an outer retry has nothing to repeat; else the product is the bound (R7)."""

    def calls(*layers: Any) -> float:
        def work() -> None: ...

        function: Any = work
        for layer in reversed(layers):
            function = layer(function)
        return explain(function).worst_calls

    once, five = retry(max_attempts=4, nested="once"), retry(max_attempts=5)
    assert calls(once, five) == 5
    assert calls(once, once, five) == 5
    assert calls(once, circuit_breaker(), five) == 5
    assert calls(retry(max_attempts=4, nested="once", on=OSError), five) == 5
    assert calls(retry(max_attempts=3), once, five) == 15
    assert calls(once, retry(max_attempts=5, on=OSError)) == 20, "what that does not retry, the outer one does"
    assert calls(once, retry(max_attempts=5, abort_on=OSError)) == 20
    assert calls(once, retry(max_attempts=5, idempotent=False)) == 20, "it passes timeouts on without giving up"
    assert calls(once, retry(max_attempts=5, retry_on_result=bool)) == 20
    assert calls(retry(max_attempts=4, nested="once", retry_on_result=bool), five) == 20
    assert calls(once, deadline(1, mode="thread"), five) == 20, "a timeout is a failure that nobody gave up on"
    monkeypatch.setattr(nesting, "once", True)
    assert calls(retry(max_attempts=3), five) == 5


def test_passing_on_costs_no_time_either() -> None:
    """The outer one adds neither attempts nor waits, unless it retries refusals that the inner one does not (R7)."""

    @retry(max_attempts=4, nested="once", backoff_strategy="fixed", initial_delay=10)
    @retry(max_attempts=2, attempt_timeout=1, backoff_strategy="fixed", initial_delay=1)
    async def fetch() -> None: ...

    assert explain(fetch).worst == ((2, 3), (2, 3))


def test_without_a_limit_on_attempts_there_is_none_on_calls() -> None:
    """Nor on the time, unless max_elapsed sets one (G14)."""

    @retry(max_attempts=None, attempt_timeout=2)
    @deadline(1)
    async def endless() -> None: ...

    @retry(max_attempts=None, max_elapsed=7)
    async def elapsed() -> None: ...

    explanation = explain(endless)
    assert explanation.worst[0] == (math.inf, math.inf)
    assert str(explanation).endswith("worst case: no limit on the calls of the function, no limit on the time")
    assert "calls any number of times" in str(explanation)
    assert explain(elapsed).worst == ((math.inf, 7),)


def test_absurd_numbers_are_explained_too() -> None:
    """The largest that a config takes (G1)."""

    shared = RetryBudget()

    @retry(max_attempts=sys.maxsize, initial_delay=1e300, max_delay=1e300, budget=shared)
    @hedge(idempotent=True, delay=1, max_attempts=sys.maxsize, budget=shared)
    @deadline(3)
    async def fetch() -> None: ...

    explanation = explain(fetch)
    assert explanation.worst_calls == sys.maxsize**2
    assert "e+" in str(explanation)
    assert "no limit" in explanation.table()


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
