"""What a stack of layers promises as a whole (G2, G3, G11, G13)."""

from __future__ import annotations

import asyncio
import gc
import inspect
import time
import weakref
from typing import Any

import pytest

from recoup import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFullError,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    DeadlineExceeded,
    bulkhead,
    circuit_breaker,
    deadline,
    fallback,
    layers_of,
    retry,
)
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_limits import Suspends
from tests.strategies.retry.test_retry import Script


def stack(both: Both, script: Script, **parts: Any) -> tuple[Any, CircuitBreaker, Bulkhead]:
    """Put the canonical stack round a script."""
    breaker = CircuitBreaker(CircuitBreakerConfig(**{"failure_threshold": 5, "timeout": 60, **parts}))
    gate = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=0))

    def work(*args: Any, **kwargs: Any) -> Any:
        return script(*args, **kwargs)

    limited = deadline(2, mode="cooperative")(gate(both.wrap(work)))
    return retry(max_attempts=3, backoff_strategy="fixed")(breaker(limited)), breaker, gate


def test_the_layers_work_together(both: Both, clock: VirtualClock) -> None:
    """Two failures, two waits, an answer; the circuit counted both and the bulkhead is empty again."""
    function, breaker, gate = stack(both, Script(OSError(), OSError(), "ok"))
    assert both.call(function, 1, b=2) == "ok"
    assert clock.sleeps == [1.0, 1.0]
    assert (gate.running, gate.metrics["executed"]) == (0, 3)
    assert breaker.state.value == "closed"
    assert [layer.kind for layer in layers_of(function)] == ["retry", "circuit_breaker", "deadline", "bulkhead"]


def test_the_error_comes_out_itself_through_all_layers(both: Both, clock: VirtualClock) -> None:
    """Same object, no context, no cause, one note (G3)."""
    errors = [OSError("a"), OSError("b"), OSError("c")]
    function, _, _ = stack(both, Script(*errors))
    outer = retry(max_attempts=1)(function)
    with pytest.raises(OSError, match="c") as caught:
        both.call(outer)
    error = caught.value
    assert error is errors[2]
    assert error.__context__ is error.__cause__ is None
    assert len(error.__notes__) == 1


def test_an_open_circuit_ends_the_retrying(both: Both, clock: VirtualClock) -> None:
    """The refusal is not retried (G13), and the function is not called."""
    script = Script(OSError("down"))
    function, breaker, _ = stack(both, script, failure_threshold=2)
    with pytest.raises(CircuitBreakerError) as caught:
        both.call(function)
    assert len(script.calls) == 2
    assert breaker.state.value == "open"
    assert caught.value.wait_time == 59.0
    assert caught.value.last_error_type == "OSError"


def test_a_full_bulkhead_does_not_open_the_circuit(clock: VirtualClock) -> None:
    """Our own refusals are no evidence (G13; nopanic and interlock open the circuit of a healthy service)."""

    async def slow() -> str:
        await asyncio.sleep(1)
        return "ok"

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    function = breaker(bulkhead(max_concurrent=1, max_queue_size=0)(slow))

    async def main() -> list[Any]:
        return await asyncio.gather(*(function() for _ in range(20)), return_exceptions=True)

    answers = Both("async").run(main)
    assert answers.count("ok") == 1
    assert sum(type(answer) is BulkheadFullError for answer in answers) == 19
    assert breaker.state.value == "closed"


def test_a_service_that_hangs_opens_the_circuit(clock: VirtualClock) -> None:
    """A timer inside the breaker, or of the same stack outside it, is a failure of the call (G2)."""

    async def hangs() -> None:
        await asyncio.sleep(1000)

    builds: list[Any] = [
        lambda breaker: breaker(deadline(2)(hangs)),
        lambda breaker: deadline(2)(breaker(hangs)),
        lambda breaker: retry(max_attempts=1, attempt_timeout=2)(breaker(hangs)),
        lambda breaker: retry(max_attempts=1, max_elapsed=2)(breaker(hangs)),
    ]
    for build in builds:
        breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2, window_duration=600))
        function = build(breaker)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                Both("async").call(function)
        assert breaker.state.value == "open"


def test_somebody_elses_cancellation_says_nothing(clock: VirtualClock) -> None:
    """Neither the caller's nor an inherited deadline's (G2)."""

    async def hangs() -> None:
        await asyncio.sleep(1000)

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    function = breaker(hangs)

    @deadline(2)
    async def inherited() -> None:
        await function()

    async def waited() -> None:
        await asyncio.wait_for(function(), timeout=2)

    async def grouped() -> None:
        async with asyncio.timeout(2):
            await function()

    for call in (inherited, waited, grouped):
        with pytest.raises(TimeoutError):
            Both("async").call(call)
        assert breaker.state.value == "closed"


def test_a_slow_attempt_is_retried(clock: VirtualClock) -> None:
    """Our timer cutting running work is a failure to every layer outside it (G13)."""
    starts: list[float] = []

    @retry(max_attempts=3, initial_delay=0)
    @deadline(2)
    async def work() -> str:
        starts.append(clock.monotonic())
        await asyncio.sleep(0 if len(starts) == 3 else 100)
        return "ok"

    assert Both("async").call(work) == "ok"
    assert [start - starts[0] for start in starts] == [0, 2, 4]


def test_a_deadline_that_leaves_no_time_is_a_refusal(both: Both, clock: VirtualClock) -> None:
    """The function is not called, the circuit learns nothing, the retry does not repeat it (G13)."""
    script = Script("ok")
    function, breaker, _ = stack(both, script, failure_threshold=1)

    @deadline(5, mode="cooperative")
    def outer() -> Any:
        clock.advance(6)
        return function()

    @deadline(5)
    async def outer_async() -> Any:
        clock.advance(6)
        return await function()

    with pytest.raises(DeadlineExceeded) as caught:
        both.call(outer_async if both.is_async else outer)
    assert caught.value.started is False
    assert script.calls == []
    assert breaker.state.value == "closed"


@pytest.mark.parametrize("state", ["closed", "half_open"])
def test_cancellation_at_every_await_leaks_nothing(state: str) -> None:
    """Whatever was held is given back exactly once, wherever the call is cut (G2)."""
    outcomes: list[str] = []
    for cut in range(1, 16):
        config = CircuitBreakerConfig(failure_threshold=9, window_size=9, success_threshold=1, timeout=0.001)
        breaker = CircuitBreaker(config)
        gate = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))
        script = Script(OSError(), OSError(), "ok") if state == "closed" else Script("ok")
        function = working(script, breaker, gate)
        if state == "half_open":
            for _ in range(9):
                with pytest.raises(OSError, match="down"), breaker:
                    raise OSError("down")
            time.sleep(0.002)
            assert breaker.state.value == "half_open"
        outcomes.append(cut_at(function(), cut))
        assert gate.running == 0
        script.answers = ["ok"]
        assert cut_at(function(), 10**9) == "ok", "no permit is lost, and no probe that was cut wedges the circuit"
        assert breaker.state.value == "closed"
    cuts = outcomes.index("ok")
    assert cuts == (6 if state == "closed" else 2)
    assert outcomes == ["CancelledError"] * cuts + ["ok"] * (15 - cuts)


def working(script: Script, breaker: CircuitBreaker, gate: Bulkhead) -> Any:
    """Protect a function that suspends twice in each attempt; a wait of no time suspends nothing."""

    @fallback(fallback_value="late", on=KeyError)
    @retry(max_attempts=4, initial_delay=0)
    @breaker
    @gate
    async def work() -> Any:
        await Suspends(2)
        return script()

    return work


def cut_at(coroutine: Any, cut: int) -> str:
    """Step a coroutine by hand and cancel it at its n-th suspension; how did it end?"""
    try:
        for step in range(100):
            if step == cut:
                coroutine.throw(asyncio.CancelledError())
            else:
                coroutine.send(None)
    except StopIteration as end:
        return str(end.value)
    except asyncio.CancelledError:
        return "CancelledError"
    raise AssertionError("it never ended")


def test_no_layer_keeps_the_callers_locals(both: Both) -> None:
    """With the collector off everything dies with a call that failed (G11)."""

    class Local:
        pass

    def work(kept: Any) -> Any:
        raise OSError("x")

    function, _, _ = stack(both, Script(OSError()))
    guarded = circuit_breaker()(deadline(5, mode="cooperative")(bulkhead()(both.wrap(work))))
    answered: Any = fallback(fallback_function=lambda error: "x", on=KeyError)(
        retry(max_attempts=2, initial_delay=0)(guarded)
    )

    def call() -> weakref.ref[Local]:
        local = Local()
        made = None
        try:
            made = answered(local)
            while inspect.iscoroutine(made):
                made.send(None)
        except OSError:
            pass
        finally:
            del made
        return weakref.ref(local)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()
    assert function is not None


def test_the_sync_pass_is_neutral_for_a_coroutine_in_disguise(clock: VirtualClock) -> None:
    """A plain function that returns a coroutine: one permit, one outcome, counted where it happens (G5)."""
    gate = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2))
    seen: list[int] = []

    async def work() -> None:
        seen.append(gate.running)
        await asyncio.sleep(0)
        raise OSError

    function = retry(max_attempts=2, initial_delay=0)(breaker(gate(lambda: work())))  # noqa: PLW0108 - looks plain
    with pytest.raises(OSError):  # noqa: PT011 - made above, without words
        Both("async").call(function)
    assert seen == [1, 1]
    assert gate.running == 0
    assert breaker.state.value == "open"
