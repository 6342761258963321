"""The four limits of a retry, and cancellation at every await (R3, G2, D1)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recoup import (
    CircuitBreakerError,
    DeadlineExceeded,
    RetryConfig,
    RetryExecutor,
    RetryExhausted,
    StackWarning,
    current_deadline,
    deadline,
    retry,
    subscribe,
)
from recoup.events import RetryStopped
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_retry import Script, protect


def test_a_wait_that_would_cross_max_elapsed_is_not_slept(both: Both, clock: VirtualClock) -> None:
    """It gives up now and says which limit (R3)."""
    script = Script(OSError("x"))
    with pytest.raises(OSError, match="x") as caught:
        both.call(protect(both, script, max_attempts=9, backoff_strategy="exponential", max_elapsed=5))
    assert clock.sleeps == [1.0, 2.0]
    assert "the next wait of 4 s does not fit max_elapsed (2 s left)" in caught.value.__notes__[0]


def test_attempts_without_a_limit(both: Both, clock: VirtualClock) -> None:
    """None goes on for as long as it takes; another limit ends it, and is named (R3)."""
    script = Script(*[OSError("x")] * 2000, "ok")
    assert both.call(protect(both, script, max_attempts=None, initial_delay=0)) == "ok"
    assert len(script.calls) == 2001
    script = Script(OSError("x"))
    patient = protect(both, script, max_attempts=None, backoff_strategy="fixed", max_elapsed=10.5)
    with pytest.raises(OSError, match="x") as caught:
        both.call(patient)
    assert len(script.calls) == 11
    assert "11 attempts, given up 10 s after" in caught.value.__notes__[0]
    assert "does not fit max_elapsed" in caught.value.__notes__[0]


def test_a_limit_on_attempts_can_be_lifted(both: Both, clock: VirtualClock) -> None:
    """For calls that begin from then on, and set again (B5)."""
    executor = RetryExecutor(RetryConfig(max_attempts=2, initial_delay=0))
    executor.reconfigure(max_attempts=None)
    assert repr(executor).endswith("max_attempts=None>")
    assert both.execute(executor, both.wrap(Script(*[OSError("x")] * 20, "ok").__call__)) == "ok"
    executor.reconfigure(max_attempts=2)
    with pytest.raises(OSError, match="x") as caught:
        both.execute(executor, both.wrap(Script(OSError("x")).__call__))
    assert "max_attempts is 2" in caught.value.__notes__[0]


def test_a_wait_that_would_cross_the_ambient_deadline_is_not_slept(both: Both, clock: VirtualClock) -> None:
    """An outer deadline counts like an own limit (R3, D1)."""
    script = Script(OSError("x"))
    with pytest.warns(StackWarning, match="nothing limits one attempt"):
        inner = deadline(5, mode="cooperative")(
            protect(both, script, max_attempts=9, backoff_strategy="fixed", initial_delay=2)
        )
    with pytest.raises(OSError, match="x") as caught:
        both.call(inner)
    assert clock.sleeps == [2.0, 2.0]
    assert "work (1 s left)" in caught.value.__notes__[0]


def test_a_callback_that_takes_long_leaves_no_wait_that_crosses_the_limit(clock: VirtualClock) -> None:
    """The time left is looked at again after on_retry (R3); on_failure is told (R10)."""
    told: list[Any] = []

    def slow_callback(n: int, error: Exception) -> None:
        told.append(n)
        clock.advance(3)

    script = Script(OSError("x"))
    function = protect(
        Both("sync"),
        script,
        max_elapsed=5,
        backoff_strategy="fixed",
        initial_delay=2.5,
        on_retry=slow_callback,
        on_failure=told.append,
    )
    with subscribe(told.append), pytest.raises(OSError, match="x") as caught:
        function()
    assert clock.sleeps == []
    assert len(script.calls) == 1
    assert "the next wait of 2.5 s does not fit max_elapsed (2 s left)" in caught.value.__notes__[0]
    assert told[:2] == [1, caught.value]
    assert isinstance(told[2], RetryStopped)
    assert len(told) == 3


def test_a_result_that_became_the_last_one_is_not_closed(clock: VirtualClock) -> None:
    """It goes to the caller, on the error (R3, R4)."""

    class Response:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    made: list[Response] = []

    @retry(
        max_elapsed=5,
        retry_on_result=lambda _: True,
        raise_on_result=True,
        backoff_strategy="fixed",
        on_retry=lambda n, _: clock.advance(2 * n),
    )
    def work() -> Response:
        made.append(Response())
        return made[-1]

    with pytest.raises(RetryExhausted) as caught:
        work()
    assert caught.value.last_result is made[1]
    assert [each.closed for each in made] == [1, 0]


def test_a_wait_that_a_refusal_asked_for_is_not_remembered(both: Both, clock: VirtualClock) -> None:
    """Decorrelated jitter goes on from its own last wait, not from three times the refusal's (R2, G13)."""
    refusal = CircuitBreakerError(name="c", wait_time=100.0)
    function = protect(
        both,
        Script(refusal, OSError(), "ok"),
        on=(OSError, CircuitBreakerError),
        backoff_strategy="decorrelated",
        max_delay=300,
    )
    assert both.call(function) == "ok"
    assert clock.sleeps[0] == 100.0
    assert 1 <= clock.sleeps[1] <= 9


def test_a_slow_async_attempt_is_cancelled_and_retried(clock: VirtualClock) -> None:
    """attempt_timeout turns a hanging attempt into a DeadlineExceeded, which is retried (R3, G13)."""
    attempts: list[float] = []

    @retry(attempt_timeout=2, backoff_strategy="fixed", initial_delay=1)
    async def slow() -> str:
        attempts.append(clock.monotonic())
        if len(attempts) < 3:
            await asyncio.sleep(100)
        return "ok"

    assert Both("async").call(slow) == "ok"
    assert [at - attempts[0] for at in attempts] == [0, 3, 6]


def test_a_plain_attempt_sees_its_limit(clock: VirtualClock) -> None:
    """It cannot be interrupted: it may ask, and its late result counts (D3)."""
    seen: list[Any] = []

    @retry(attempt_timeout=2)
    def slow() -> str:
        limit = current_deadline()
        assert limit is not None
        seen.append(limit.remaining())
        clock.advance(5)
        return "late"

    assert slow() == "late"
    assert seen == [2.0]


def test_an_attempt_cut_by_max_elapsed_says_what_came_before(clock: VirtualClock) -> None:
    """The running attempt is cancelled, and the previous failure is the cause (R3)."""
    first = OSError("first")
    calls = 0

    @retry(max_attempts=5, max_elapsed=10, backoff_strategy="fixed", initial_delay=1)
    async def hangs_later() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise first
        await asyncio.sleep(100)

    with pytest.raises(DeadlineExceeded, match="max_elapsed: not finished within 10 s") as caught:
        Both("async").call(hangs_later)
    assert caught.value.__cause__ is first
    assert caught.value.started
    assert calls == 2


def stepped(coroutine: Any, cancel_at: int) -> tuple[str, Any]:
    """Step a coroutine by hand and throw CancelledError at its n-th suspension; how did it end?"""
    try:
        for step in range(1000):
            if step == cancel_at:
                coroutine.throw(asyncio.CancelledError())
            else:
                coroutine.send(None)
    except StopIteration as end:
        return "returned", end.value
    except asyncio.CancelledError:
        return "cancelled", None
    raise AssertionError("it never ended")


class Suspends:
    """An awaitable that suspends a number of times, as a future would."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __await__(self) -> Any:
        for _ in range(self.times):
            yield


def test_cancellation_at_every_await_ends_the_call() -> None:
    """In the attempts, in the callbacks and in the waits: never swallowed, never retried (G2)."""
    outcomes: list[str] = []
    for cancel_at in range(1, 20):
        calls = 0

        async def callback(*args: Any) -> None:
            await Suspends(1)

        @retry(max_attempts=3, initial_delay=0, on_retry=callback, on_failure=callback)
        async def work() -> str:
            nonlocal calls
            calls += 1
            await Suspends(2)
            if calls < 3:
                raise OSError
            return "ok"

        outcome, value = stepped(work(), cancel_at)
        outcomes.append(outcome)
        assert value in (None, "ok")
        if outcome == "cancelled":
            assert calls <= 3
    suspensions = outcomes.index("returned")
    assert outcomes[:suspensions] == ["cancelled"] * suspensions
    assert suspensions == 8, "two in each attempt, one in each callback; a wait of nothing is none"
    assert set(outcomes[suspensions:]) == {"returned"}


def test_a_refusal_that_is_named_is_retried_within_a_deadline(both: Both, clock: VirtualClock) -> None:
    """It does not say that the function was called, and its wait has to fit (G13, D1)."""
    refusal = CircuitBreakerError(name="c", wait_time=4.0)
    script = Script(refusal, "ok")
    options: Any = {"on": CircuitBreakerError, "initial_delay": 0}
    began = clock.monotonic()
    assert both.call(protect(both, script, max_elapsed=5, **options)) == "ok"
    assert clock.monotonic() - began == 4
    with pytest.raises(CircuitBreakerError) as raised:
        both.call(protect(both, Script(refusal, "never"), max_elapsed=3, **options))
    assert "does not fit" in raised.value.__notes__[0]


def test_attempts_without_waits_give_others_their_turn() -> None:
    """With no delay, and a function that fails without awaiting anything, a task still lets go of the loop."""
    turns: list[int] = []

    @retry(max_attempts=35, initial_delay=0)
    async def work() -> None:
        turns.append(0)
        raise OSError("down")

    async def main() -> None:
        task = asyncio.ensure_future(work())
        while not task.done():
            await asyncio.sleep(0)
            turns.append(1)
        with pytest.raises(OSError, match="down"):
            await task

    asyncio.run(main())
    assert "".join(map(str, turns)).startswith(("0" * 10 + "1") * 3)


def test_a_task_cancelled_while_waiting_stops_at_once(clock: VirtualClock) -> None:
    """No attempt after the cancellation (G2)."""
    script = Script(OSError())
    both = Both("async")
    function = protect(both, script, initial_delay=50)

    async def main() -> None:
        task = asyncio.ensure_future(function())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(500)

    both.run(main)
    assert len(script.calls) == 1
