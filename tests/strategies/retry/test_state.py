"""What one call decides, at its edges (R3, R10, G13)."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from recoup import CircuitBreakerError, RetryConfig
from recoup.strategies.retry.state import RetryPlan, RetryRun

DICE: Any = SimpleNamespace(uniform=lambda low, high: low, wall=lambda: 0.0)


def begun(**options: Any) -> RetryRun:
    """Begin a run at the moment 100."""
    return RetryRun(RetryPlan(RetryConfig(backoff_strategy="fixed", **options)), 100.0)


@pytest.mark.parametrize(("left", "delay"), [(1.0, None), (1.001, 1.0), (None, 1.0), (-5.0, None)])
def test_a_wait_fits_if_some_time_is_left_after_it(left: float | None, delay: float | None) -> None:
    """A wait that ends with the deadline leaves no time for the attempt (R3)."""
    run, error = begun(), OSError()
    run.failed(error, 100.0, left, DICE)
    assert run.delay == delay
    assert run.gave_up is (delay is None)
    if left == -5.0:
        assert run.reason == "the next wait of 1 s does not fit the deadline (0 s left)"


@pytest.mark.parametrize(("left", "delay"), [(1.0, None), (1.001, 1.0)])
def test_a_wait_fits_after_callbacks_by_the_same_rule(left: float, delay: float | None) -> None:
    """As before them (R3)."""
    run = begun()
    run.recheck(0.0, "limit")
    assert run.delay is None
    assert not run.gave_up
    run.failed(OSError(), 100.0, 50.0, DICE)
    run.held = held = object()
    run.recheck(left, "limit")
    assert run.delay == delay
    assert run.held is (held if delay else None)


def test_it_says_what_was_tried() -> None:
    """One attempt and several, and a clock that went backwards (G3, G12)."""
    run, error = begun(max_attempts=1), OSError()
    run.failed(error, 90.0, None, DICE)
    assert error.__notes__ == ["recoup: 1 attempt, given up 0 s after the first failure: max_attempts is 1"]
    run, error = begun(max_attempts=2), OSError()
    for now in (100.0, 103.5):
        run.failed(error, now, None, DICE)
    assert error.__notes__ == ["recoup: 2 attempts, given up 3.5 s after the first failure: max_attempts is 2"]
    assert (run.attempts, run.elapsed) == (2, 3.5)
    assert RetryRun(RetryPlan(RetryConfig()), 1.0).elapsed == 0


def test_switched_off_it_counts_the_attempt() -> None:
    """And gives up without a word (G16)."""
    run = begun()
    run.failed(OSError(), 100.0, None, DICE)
    run.off()
    assert (run.attempts, run.delay, run.gave_up) == (2, None, False)


def test_a_refusal_that_never_ends_is_not_waited_for() -> None:
    """A circuit that was forced open (G13)."""
    run, error = begun(retry_on_exceptions=CircuitBreakerError), CircuitBreakerError(name="c", wait_time=math.inf)
    run.failed(error, 100.0, None, DICE)
    assert (run.delay, run.gave_up, run.reason) == (None, True, "the refusal does not end by itself")


@pytest.mark.parametrize("argument", ["retry_on_exceptions", "abort_on"])
def test_an_awaitable_answer_names_the_argument(argument: str) -> None:
    """A predicate that turns out to be asynchronous is refused when it answers (G4)."""

    async def verdict() -> bool:
        return True

    options: Any = {argument: lambda _: verdict()}
    plan = RetryPlan(RetryConfig(**options))
    with pytest.raises(TypeError, match=f"^{argument} returned an awaitable"):
        plan.retries(OSError())
    run = begun(retry_on_result=lambda _: verdict())
    rejection = run.plan.judge("result")
    assert run.unjudged(rejection)  # type: ignore[arg-type]  # a predicate that raised turns down
    with pytest.raises(TypeError, match=r"^retry_on_result returned an awaitable"):
        run.last("result")


def test_abort_on_may_name_refusals_by_a_base_class() -> None:
    """What is not to be retried need not be named by our own class (G4, G13)."""
    plan = RetryPlan(RetryConfig(retry_on_exceptions=CircuitBreakerError, abort_on=Exception))
    assert not plan.retries(CircuitBreakerError(name="c", wait_time=1.0))
