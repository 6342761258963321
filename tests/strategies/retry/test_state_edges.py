"""What one call decides where it is close: what it remembers, what it forgets, who is told (R3, R4, R5, R6, R10)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from recoup import RetryBudget, RetryConfig
from recoup._core.chain import Pending
from recoup.strategies.retry.backoff import Backoff
from recoup.strategies.retry.state import RetryPlan, RetryRun

DICE: Any = SimpleNamespace(uniform=lambda low, high: high, wall=lambda: 0.0)


def begun(**options: Any) -> RetryRun:
    """Begin a run at the moment 100."""
    return RetryRun(RetryPlan(RetryConfig(**{"backoff_strategy": "fixed", **options}), key=7), 100.0)


class Busy(Exception):
    """What a client raises for an answer that says when to come again."""

    def __init__(self, seconds: int) -> None:
        self.response = SimpleNamespace(status_code=503, headers={"Retry-After": str(seconds)})


def test_a_run_begins_with_nothing() -> None:
    """Before its first failure there is nothing to say, to close or to blame."""
    run, end = begun(), asyncio.CancelledError()
    assert (run.reason, run.held, run.delay, run.failure) == ("", None, None, None)
    run.recheck(0.0, "limit")
    run.ended(end)
    assert (end.__cause__, end.__context__, getattr(end, "__notes__", [])) == (None, None, [])
    assert not vars(end), "nobody is to blame"
    assert run.last("result") == "result"


def test_an_error_that_is_not_retried_is_not_where_results_are_judged() -> None:
    """Judging results says nothing of errors: those that are not named come out at once (R4, R2)."""
    run, error = begun(retry_on_exceptions=ConnectionError, retry_on_result=lambda result: result is None), ValueError()
    run.failed(error, 100.0, None, DICE)
    assert (run.attempts, run.delay, run.gave_up) == (1, None, False)
    run.failed(ConnectionError(), 100.0, None, DICE)
    assert run.delay == 1.0


@pytest.mark.parametrize("kind", ["fixed", "exponential", "decorrelated"])
@pytest.mark.parametrize("looks", [False, True])
def test_waits_follow_the_backoff(kind: str, looks: bool) -> None:
    """The n-th wait is the backoff's n-th, whether an error is seen to quickly or closely (R5)."""
    options: dict[str, Any] = {"backoff_strategy": kind, "max_attempts": 9, "initial_delay": 3.0, "max_delay": 1000.0}
    if looks:
        options["abort_on"] = lambda error: False
    run, backoff = begun(**options), Backoff(RetryConfig(**options))
    memory: Any = None
    for step in range(1, 6):
        error = OSError()
        run.failed(error, 100.0, None, DICE)
        expected, memory = backoff.delay(step, memory, DICE.uniform, error)
        assert run.delay == expected


def test_a_service_may_ask_for_the_longest_wait() -> None:
    """A wait as long as `max_delay` is made; a longer one is given up (R6)."""
    run = begun(max_delay=60.0)
    run.failed(Busy(60), 100.0, None, DICE)
    assert run.delay is not None
    run = begun(max_delay=60.0)
    run.failed(Busy(61), 100.0, None, DICE)
    assert (run.delay, run.reason) == (None, "the service asks for a wait of 61 s, and max_delay is 60 s")


def test_what_is_over_is_not_checked_again() -> None:
    """After callbacks there is nothing left to give up of a run that has given up, or has forgotten why (R3)."""
    run = begun(max_attempts=1)
    run.failed(OSError(), 100.0, None, DICE)
    run.recheck(0.0, "limit")
    assert run.reason == "max_attempts is 1"
    run = begun()
    run.failed(OSError(), 100.0, None, DICE)
    run.forget()
    run.recheck(0.0, "limit")
    assert (run.delay, run.gave_up) == (1.0, False)


def test_a_cancellation_is_told_which_failure_came_before_it() -> None:
    """As long as the run knows it; one that has forgotten it blames nobody (R3)."""
    run, end, error = begun(), asyncio.CancelledError(), OSError("no")
    run.failed(error, 100.0, None, DICE)
    run.ended(end)
    assert vars(end), "the failure is on it"
    run.forget()
    other = asyncio.CancelledError()
    run.ended(other)
    assert not vars(other)


def test_the_asynchronous_pass_goes_on_counting() -> None:
    """A coroutine in place of an answer takes the number of attempts along (G5)."""
    run = begun()
    for _ in range(2):
        run.failed(OSError(), 100.0, None, DICE)
    coroutine: Any = None
    pending = Pending(coroutine)
    run.ended(pending)
    assert pending.spent == {7: 2}
    assert RetryRun(run.plan, 100.0, 2).attempts == 2


def test_a_result_that_is_good_after_all() -> None:
    """Once it was awaited that nothing is to be retried, nothing is open, and nothing is there to be closed (R4)."""
    run = begun(retry_on_result=lambda result: result is None)
    run.ask()
    run.held = object()
    assert (run.open, run.tells, run.delay) == (True, True, None)
    run.accept()
    assert (run.open, run.held) == (False, None)


def test_a_predicate_that_raised_ends_the_run() -> None:
    """Its error comes out, and there is no wait (R4)."""

    def judge(result: object) -> bool:
        raise ZeroDivisionError

    run = begun(retry_on_result=judge)
    rejection: Any = run.plan.judge("result")
    run.delay = 1.0
    assert run.unjudged(rejection)
    assert run.delay is None
    with pytest.raises(ZeroDivisionError):
        run.last("result")


def test_a_result_that_was_judged_leaves_the_decision_alone() -> None:
    """Only a predicate that raised takes the wait away (R4)."""
    run = begun(retry_on_result=lambda result: result is None)
    rejection: Any = run.plan.judge(None)
    run.failed(rejection, 100.0, None, DICE)
    assert not run.unjudged(rejection)
    assert run.delay == 1.0


def test_a_success_that_paid_nothing_gets_nothing_back() -> None:
    """A pass that takes over after somebody else's attempts has paid for none of them (R10)."""
    budget = RetryBudget.botocore()
    payer = begun(budget=budget)
    payer.failed(OSError(), 100.0, None, DICE)
    assert budget.tokens == 495
    RetryRun(payer.plan, 100.0, 1).succeeded()
    assert budget.tokens == 494, "what its success has put in is taken back, and nothing else is put in"
    payer.succeeded()
    assert budget.tokens == 498, "five came back, one of them for its success"


def test_attempts_without_a_wait_give_others_a_turn_now_and_then() -> None:
    """Every tenth, and not each one: a turn costs more than an attempt (R5)."""
    run = begun(initial_delay=0.0, max_attempts=99)
    turns = []
    for attempt in range(1, 21):
        run.attempts = attempt
        run.goes_on(OSError(), DICE)
        turns.append(run.waits)
    assert turns == [attempt in (10, 20) for attempt in range(1, 21)]
    patient = begun()
    patient.attempts = 1
    patient.goes_on(OSError(), DICE)
    assert patient.waits


def test_an_error_is_marked_whenever_its_attempts_are_used_up() -> None:
    """At once or after a while: it says what was tried, and those further out know that it was (R7, G3)."""
    marks: list[dict[str, object]] = []
    for now, seconds in ((100.0, "0"), (103.0, "3")):
        run, error = begun(max_attempts=1), OSError()
        run.attempts = 1
        run.used_up(error, now, "fetch")
        assert (run.delay, run.gave_up, run.reason) == (None, True, "max_attempts is 1")
        marks.append({name: mark for name, mark in vars(error).items() if name != "__notes__"})
        assert error.__notes__ == [
            f"recoup: 1 attempt, given up {seconds} s after the first failure: max_attempts is 1"
        ]
    assert marks[0] == marks[1] != {}
