"""What a hedge decides where it is close: at the begin, under other options, out of another's budget (L3)."""

from __future__ import annotations

from typing import Any

from recoup import RetryBudget
from recoup.strategies.hedge.config import HedgeConfig
from recoup.strategies.hedge.state import HedgeRun, Pace


def options(**given: Any) -> HedgeConfig:
    return HedgeConfig(idempotent=True, **given)


def test_a_call_begins_with_nothing() -> None:
    """Before its first attempt nobody has answered, and the first one is due at once (L3)."""
    run = HedgeRun(Pace(options(delay=5.0)), 2, 100.0)
    assert (run.value, run.winner, run.over, run.attempts) == (None, 0, False, 0)
    assert run.wait(100.0, None) == 0.0
    unknown = HedgeRun(Pace(options()), 2, 100.0)
    assert (unknown.delay, unknown.wait(100.0, None)) == (0.0, None)


def test_another_quantile_holds_for_the_durations_that_are_known() -> None:
    """They are kept, and looked at by the new options at once (B5)."""
    pace = Pace(options(quantile=0.5))
    for seconds in range(1, 101):
        pace.succeeded(float(seconds), 1)
    assert pace.delay == 50.0
    pace.reconfigure(options(quantile=0.75))
    assert pace.delay == 75.0
    pace.reconfigure(options(quantile=0.75, minimum_samples=101))
    assert pace.delay is None


def test_calls_that_another_budget_pays_for_bring_no_tokens() -> None:
    """Own tokens neither come nor go while a shared budget pays (L3, B5)."""
    pace = Pace(options(delay=0.0, budget=0.5, burst=2))
    assert [pace.spend(0.0) for _ in range(3)] == [True, True, False]
    pace.reconfigure(options(delay=0.0, budget=RetryBudget(ratio=0.1, minimum_rate=0, capacity=20), burst=2))
    for _ in range(10):
        pace.called()
    pace.reconfigure(options(delay=0.0, budget=0.5, burst=2))
    assert pace.spend(0.0) is False
    pace.called()
    pace.called()
    assert [pace.spend(0.0) for _ in range(2)] == [True, False]


def test_a_hedge_costs_a_shared_budget_what_a_retry_costs() -> None:
    """It is no retry after a timeout, which may cost more (L3, R10)."""
    budget = RetryBudget.botocore()
    pace = Pace(options(delay=0.0, budget=budget))
    assert pace.spend(0.0)
    assert budget.tokens == 495
    assert pace.counts()["hedges"] == 1
