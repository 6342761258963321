"""Whose cancellation is it: a timer of the same stack is a failure, everybody else's is neutral (G2, G13)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from recoup._core import timing
from recoup.errors import CircuitBreakerError, DeadlineExceeded, StackWarning
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.strategies.retry.decorator import retry
from recoup.testing import VirtualClock
from tests.conftest import Both

CLOSED, OPEN, HALF_OPEN = list(CircuitBreakerState)[:3]


def breaking(**fields: Any) -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerConfig(**{"failure_threshold": 2, **fields}), name="service")


async def test_a_dependency_that_hangs_opens_the_breaker_inside_the_timer(clock: VirtualClock) -> None:
    """Attempts cut off by the retry of the same stack are failures, else it would never open (G2)."""
    breaker = breaking()

    @retry(max_attempts=2, attempt_timeout=1, initial_delay=0)
    @breaker
    async def hang() -> None:
        await asyncio.sleep(100)

    with pytest.raises(DeadlineExceeded):
        await hang()
    assert breaker.state is OPEN
    with pytest.raises(CircuitBreakerError) as refused:
        await hang()
    assert refused.value.last_error_type == "CancelledError"


async def test_a_probe_cut_off_by_the_timer_fails(clock: VirtualClock) -> None:
    """It is not given back (G2, C5)."""
    breaker = breaking(failure_threshold=1, timeout=10)

    @retry(max_attempts=1, attempt_timeout=1)
    @breaker
    async def hang() -> None:
        await asyncio.sleep(100)

    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            await hang()
        assert breaker.state is OPEN
        await asyncio.sleep(10)
        assert breaker.state is HALF_OPEN


async def test_an_inherited_deadline_is_neutral(clock: VirtualClock) -> None:
    """The caller was out of time: that says nothing about the dependency (G2)."""
    breaker = breaking(failure_threshold=1)

    @breaker
    async def work() -> None:
        await asyncio.sleep(100)

    @retry(max_attempts=3, attempt_timeout=1, initial_delay=0)
    async def caller() -> None:
        await work()

    with pytest.raises(DeadlineExceeded):
        await caller()
    assert breaker.state is CLOSED


async def test_the_callers_cancellation_is_neutral_though_a_timer_is_set(clock: VirtualClock) -> None:
    """A timer that has not fired has nothing to do with it (G2)."""
    breaker = breaking(failure_threshold=1, window_duration=100)

    @retry(attempt_timeout=50)
    @breaker
    async def work() -> None:
        await asyncio.sleep(100)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.state is CLOSED


async def test_a_timer_inside_the_breaker_is_a_failure_like_any_other(clock: VirtualClock) -> None:
    """It comes out as an error: our timer cut running work (G13)."""
    breaker = breaking(failure_threshold=1)

    @retry(max_attempts=1, attempt_timeout=1)
    async def hang() -> None:
        await asyncio.sleep(100)

    with pytest.warns(StackWarning, match="circuit_breaker stands outside retry"):
        hang = breaker(hang)
    with pytest.raises(DeadlineExceeded):
        await hang()
    assert breaker.state is OPEN


async def test_a_stream_cut_off_by_the_timer_fails(clock: VirtualClock) -> None:
    """As a function does (G2)."""
    breaker = breaking(failure_threshold=1)

    @retry(max_attempts=1, attempt_timeout=1)
    @breaker
    async def stream() -> Any:
        await asyncio.sleep(100)
        yield 1

    with pytest.raises(DeadlineExceeded):
        async for _ in stream():
            pass
    assert breaker.state is OPEN


def test_other_control_flow_is_neutral_though_the_timer_has_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a cancellation can be the timer's; and only if there are layers outside (G2)."""
    breaker = breaking(failure_threshold=1)
    outer = (retry(attempt_timeout=1),)
    asked: list[object] = []

    def struck_in(layers: object) -> bool:
        asked.append(layers)
        return True

    monkeypatch.setattr(timing, "struck_in", struck_in)

    def end(stop: BaseException, layers: tuple[Any, ...]) -> CircuitBreakerState:
        permit = breaker._calls.circuit.era
        assert permit is not None
        assert breaker._calls.failed(permit, stop, layers) is (breaker.state is OPEN)
        return breaker.state

    assert [end(stop(), outer) for stop in (KeyboardInterrupt, SystemExit, GeneratorExit)] == [CLOSED] * 3
    assert end(asyncio.CancelledError(), ()) is CLOSED
    assert asked == []
    assert end(asyncio.CancelledError(), outer) is OPEN
    assert asked == [outer]


@pytest.mark.asyncio_only
def test_a_refusal_inside_a_retry_is_not_retried(both: Both, clock: VirtualClock) -> None:
    """An open circuit stops the retrying at once; named, it is retried no sooner than it says (G13)."""
    breaker = breaking(failure_threshold=1, timeout=60)
    calls = []

    def down() -> None:
        calls.append(clock.monotonic())
        raise OSError("down")

    fn = retry(max_attempts=5, initial_delay=1)(breaker(both.wrap(down)))
    with pytest.raises(CircuitBreakerError):
        both.call(fn)
    assert len(calls) == 1
    patient = retry(max_attempts=2, initial_delay=1, on=CircuitBreakerError)(breaker(both.wrap(down)))
    began = clock.monotonic()
    with pytest.raises(OSError, match="down"):
        both.call(patient)
    assert len(calls) == 2
    assert clock.monotonic() - began >= 58


def test_threads_of_a_shared_breaker_have_their_own_stacks(clock: VirtualClock) -> None:
    """`outer` belongs to the decorated function, not to the breaker (G2)."""
    breaker = breaking(failure_threshold=1)
    plain = breaker(lambda: None)
    stacked: Any = retry(breaker(lambda: None))
    threads = [threading.Thread(target=each) for each in (plain, stacked) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.state is CLOSED
