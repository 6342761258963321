"""What a budget of retries promises (R6)."""

from __future__ import annotations

import copy
import math
import os
import threading
from contextlib import suppress
from typing import Any

import pytest

from recoup import RetryBudget, explain, retry, subscribe
from recoup._core import waiting
from recoup.events import RetryStopped
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both
from tests.strategies.retry.test_retry import Script, protect


def failing(both: Both, budget: RetryBudget, **options: Any) -> tuple[Any, Script]:
    """Make a function that always fails, and what counts its calls."""
    script = Script(OSError("x"))
    return protect(both, script, budget=budget, initial_delay=0, **options), script


def calls(both: Both, function: Any, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="x"):
            both.call(function)


def test_without_a_token_the_error_comes_out_at_once(both: Both, clock: VirtualClock) -> None:
    """The original one, with a note; on_failure and listeners are told; nothing is slept (R6, R10)."""
    seen: list[Any] = []
    budget = RetryBudget(ratio=0, minimum_rate=0.001, capacity=1, name="shop")
    function, script = failing(both, budget, on_failure=seen.append, name="buy")
    with subscribe(seen.append), pytest.raises(OSError, match="x") as caught:
        both.call(function)
    assert len(script.calls) == 2
    assert caught.value.__notes__ == ["recoup: 2 attempts, given up 0 s after the first failure: shop is used up"]
    assert seen[-2:] == [caught.value, RetryStopped("buy", 2, 0.0, "shop is used up")]
    assert budget.metrics == {"retries": 1, "denied": 1}


def test_an_outage_is_not_multiplied(both: Both, clock: VirtualClock) -> None:
    """In the long run the share of retries among all calls is the ratio; without a budget it is two thirds (R6)."""
    budget = RetryBudget(ratio=0.2, minimum_rate=0, capacity=10)
    function, script = failing(both, budget)
    calls(both, function, 400)
    assert len(script.calls) == pytest.approx((400 + 10) / 0.8, abs=3)
    bare, unlimited = failing(both, RetryBudget(ratio=1, capacity=10_000))
    calls(both, bare, 400)
    assert len(unlimited.calls) == 1200


def test_it_is_shared_by_functions_of_both_colours(both: Both, clock: VirtualClock) -> None:
    """What one spends the other lacks (R6)."""
    budget = RetryBudget(ratio=0, minimum_rate=0.001, capacity=2)
    calls(both, failing(both, budget)[0], 1)
    for other in (Both("sync"), Both("asyncio")):
        function, script = failing(other, budget)
        calls(other, function, 1)
        assert len(script.calls) == 1


def test_time_brings_tokens(both: Both, clock: VirtualClock) -> None:
    """A quiet client may retry at the minimum rate (R6); a clock that goes backwards brings none (G12)."""
    budget = RetryBudget(ratio=0, minimum_rate=2, capacity=4)
    calls(both, failing(both, budget)[0], 2)
    assert budget.tokens == 0
    clock.advance(0.5)
    assert budget.tokens == 1
    budget._failed(clock.monotonic() - 100, to_retry=True)
    assert budget.tokens == 4, "the time since then counts, up to the capacity"
    assert RetryBudget()._spend(clock.monotonic() - 1, timeout=False) == 1


@pytest.mark.parametrize("judged", [False, True])
def test_successes_bring_tokens(both: Both, clock: VirtualClock, judged: bool) -> None:
    """Every try pays its share, a successful one without a lock; a result that is turned down is a failed one (R6)."""
    budget = RetryBudget(ratio=0.5, minimum_rate=0, capacity=2)
    calls(both, failing(both, budget)[0], 1)
    left = budget.tokens
    options: dict[str, Any] = {"retry_on_result": lambda result: result == "bad"} if judged else {}
    fine = protect(both, Script("ok"), budget=budget, **options)
    assert both.call(fine) == "ok"
    assert budget.tokens == pytest.approx(min(2, left + 0.5))
    if judged:
        before = budget.tokens
        answers = protect(both, Script("bad", "ok"), budget=budget, initial_delay=0, **options)
        assert both.call(answers) == "ok"
        assert budget.tokens == pytest.approx(min(2, before + 0.5) - 1 + 0.5)


def test_grpc_stops_at_half(both: Both, clock: VirtualClock) -> None:
    """maxTokens 10: the fifth failure in a row is the last that is not throttled; successes bring it back (R6)."""
    budget = RetryBudget.grpc(max_tokens=10, token_ratio=0.1)
    function, script = failing(both, budget, max_attempts=99)
    calls(both, function, 1)
    assert len(script.calls) == 5
    assert budget.tokens == 5
    fine = protect(both, Script("ok"), budget=budget)
    for _ in range(20):
        both.call(fine)
    assert budget.tokens == pytest.approx(7)
    calls(both, function, 1)
    assert len(script.calls) == 7
    never, others = protect(both, Script(KeyError("x")), budget=budget, on=OSError), budget.tokens
    with pytest.raises(KeyError):
        both.call(never)
    assert budget.tokens == others, "an error that is not to be retried says nothing"


@pytest.mark.parametrize("form", ["function", "judged", "block", "stream"])
def test_botocore_gives_back_what_worked(both: Both, clock: VirtualClock, form: str) -> None:
    """A retry costs 5, after a timeout 10, and gets it back if it succeeds; else a success puts 1 in (R6)."""
    budget = RetryBudget.botocore()
    options: dict[str, Any] = {"budget": budget, "initial_delay": 0, "max_attempts": 4}
    if form == "judged":
        options["retry_on_result"] = lambda result: result == "bad"
    calls(both, failing(both, budget, max_attempts=9)[0], 1)
    assert budget.tokens == 460

    def run(*answers: Any) -> None:
        script = Script(*answers)
        if form == "block":
            looped(both, retry(**options), script)
        elif form == "stream":
            both.call(retry(**options)(both.wrap(streamed(script))))
        else:
            both.call(protect(both, script, **options))

    run("ok")
    assert budget.tokens == 461
    run(OSError(), "ok")
    assert budget.tokens == 461
    run(OSError(), TimeoutError(), "ok")
    assert budget.tokens == 461 - 5, "only the last one is given back"
    with suppress(TimeoutError):
        run(TimeoutError(), TimeoutError(), TimeoutError(), TimeoutError())
    assert budget.tokens == 456 - 30


def streamed(script: Script) -> Any:
    def stream() -> Any:
        yield script()

    return stream


def looped(both: Both, executor: Any, script: Script) -> None:
    async def main() -> None:
        async for attempt in executor:
            async with attempt:
                script()

    if both.is_async:
        both.run(main)
        return
    for attempt in executor:
        with attempt:
            script()


class ReadTimeout(Exception):
    """As httpx has it, by way of TimeoutException."""


class Timeout(Exception):
    """As requests has it."""


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        (TimeoutError(), 10),
        (type("ReadTimeout", (type("TimeoutException", (Exception,), {}),), {})(), 10),
        (Timeout(), 10),
        (ReadTimeout(), 5),
        (ExceptionGroup("g", [OSError(), TimeoutError()]), 10),
        (OSError(), 5),
    ],
)
def test_timeouts_are_known_by_name(clock: VirtualClock, error: Exception, cost: float) -> None:
    """Those of the known clients too, none of which is imported (R6, R12)."""
    budget = RetryBudget.botocore()
    with pytest.raises(type(error)):
        protect(Both("sync"), Script(error), budget=budget, initial_delay=0, max_attempts=2)()
    assert budget.tokens == 500 - cost


def test_switched_off_nothing_is_spent(both: Both, clock: VirtualClock) -> None:
    """disabled() leaves the budget alone (G16)."""
    budget = RetryBudget(ratio=0.5, minimum_rate=0, capacity=5)
    with disabled():
        calls(both, failing(both, budget)[0], 3)
    assert budget.metrics == {"retries": 0, "denied": 0}


def test_a_retry_that_does_not_fit_the_deadline_costs_nothing(both: Both, clock: VirtualClock) -> None:
    """It is asked last, before the sleep (R6, R3)."""
    budget = RetryBudget()
    function = protect(both, Script(OSError("x")), budget=budget, backoff_strategy="fixed", max_elapsed=0.5)
    calls(both, function, 1)
    assert budget.metrics == {"retries": 0, "denied": 0}


def test_threads_lose_no_token() -> None:
    """Successes and retries of many threads add up to the last token (R6, G7)."""
    budget = RetryBudget(ratio=0.25, minimum_rate=0, capacity=10_000)
    for _ in range(10_000):
        assert budget._spend(0.0, timeout=False) == 1
    assert budget._spend(0.0, timeout=False) is None

    def work() -> None:
        for _ in range(4000):
            budget._succeeded()
            budget._spend(0.0, timeout=False)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.tokens + budget.metrics["retries"] - 10_000 == 8 * 4000 * 0.25


def test_a_fork_in_the_middle_of_a_decision_hangs_nobody() -> None:
    """The child has a lock of its own (G18)."""
    budget = RetryBudget()
    with budget._lock:
        child = os.fork()
        if not child:
            os._exit(0 if budget.tokens == 100 else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RetryBudget(ratio=1.5), ValueError, "ratio must be at least 0 and at most 1, not 1.5"),
        (lambda: RetryBudget(ratio=math.nan), ValueError, "ratio must be at least 0 and at most 1, not nan"),
        (lambda: RetryBudget(ratio=True), TypeError, "ratio must be a number, not True"),
        (lambda: RetryBudget(minimum_rate=-1), ValueError, "minimum_rate must be at least 0 and finite, not -1"),
        (lambda: RetryBudget(minimum_rate=math.inf), ValueError, "minimum_rate must be at least 0 and finite, not inf"),
        (lambda: RetryBudget(capacity=0.5), ValueError, "capacity must be at least 1 and finite, not 0.5"),
        (lambda: RetryBudget(ratio=0, minimum_rate=0), ValueError, "ratio and minimum_rate must not both be 0"),
        (lambda: RetryBudget(name=""), TypeError, "name must be a non-empty string or None, not ''"),
        (lambda: RetryBudget.grpc(max_tokens=0), ValueError, "max_tokens must be greater than 0 and at most 1000"),
        (lambda: RetryBudget.grpc(max_tokens=1001), ValueError, "max_tokens must be greater than 0 and at most 1000"),
        (lambda: RetryBudget.grpc(token_ratio=0), ValueError, "token_ratio must be greater than 0 and finite, not 0"),
        (lambda: RetryBudget.botocore(name=""), TypeError, "name must be a non-empty string or None, not ''"),
    ],
)
def test_bad_values_are_named(make: Any, error: type[Exception], message: str) -> None:
    """Argument, value and range (G1)."""
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_it_shows_its_state() -> None:
    """In repr and explain(); a copy is itself, because it is shared (R6)."""
    budget = RetryBudget(capacity=7, name="shop")
    assert repr(budget) == "<RetryBudget 'shop' 7 of 7 tokens>"
    assert RetryBudget.botocore().name == "retry budget"
    assert copy.copy(budget) is budget
    assert copy.deepcopy([budget])[0] is budget
    assert "shares 'shop' with whoever has it too" in str(explain(retry(budget=budget)))


def test_a_child_process_gets_new_locks() -> None:
    """What runs in it after a fork (G18)."""
    budget = RetryBudget()
    before = budget._lock
    waiting._after_fork()
    assert budget._lock is not before
    assert not budget._lock.locked()
