"""All decorators together under Trio: who is neutral, what is given back, whose time it is (G15)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from recoup import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    CircuitBreakerState,
    CompensationError,
    DeadlineExceeded,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RetryConfig,
    cached,
    circuit_breaker,
    compensate,
    deadline,
    fallback,
    retry,
)
from recoup.testing import VirtualClock
from tests.conftest import run_trio


class Down(Exception):
    pass


def passed(clock: VirtualClock) -> float:
    return round(clock.monotonic() - 1000, 6)


def breaker(threshold: int = 1) -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerConfig(failure_threshold=threshold, success_threshold=1, timeout=30))


def test_retry_sleeps_in_trio(clock: VirtualClock) -> None:
    """The waits between attempts are Trio's, and attempts that hang are cut off (R3)."""
    began: list[float] = []

    @retry(max_attempts=3, initial_delay=2, backoff_strategy="fixed", attempt_timeout=5)
    async def fetch() -> str:
        began.append(passed(clock))
        if len(began) == 1:
            raise Down
        if len(began) == 2:
            await trio.sleep_forever()
        return "value"

    async def main() -> str:
        return await fetch()

    assert run_trio(main) == "value"
    assert began == [0, 2, 9]


def test_retry_sleeps_by_trios_own_mock_clock() -> None:
    """Under a MockClock alone, without recoup's virtual clock, a retry takes no real time either (G12)."""
    attempts: list[float] = []

    @deadline(100)
    @retry(max_attempts=5, initial_delay=30, max_delay=30, backoff_strategy="fixed", attempt_timeout=50)
    async def fetch() -> None:
        attempts.append(trio.current_time())
        raise Down

    async def main() -> None:
        with pytest.raises(Down):
            await fetch()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [round(at - attempts[0]) for at in attempts] == [0, 30, 60, 90]  # a fifth would be past the deadline


def test_the_callers_cancellation_is_neutral_to_a_breaker(clock: VirtualClock) -> None:
    """A cancelled call is neither failure nor success, and a probe is given back (G2, C5)."""
    guard = breaker()
    call = guard(trio.sleep)

    async def broken() -> None:
        raise Down

    async def main() -> None:
        with trio.move_on_after(1):
            await call(50)
        assert guard.state is CircuitBreakerState.CLOSED
        with pytest.raises(Down):
            await guard(broken)()
        assert guard.state is CircuitBreakerState.OPEN
        await trio.sleep(31)
        with trio.move_on_after(1):
            await call(50)  # a probe
        assert guard.state is CircuitBreakerState.HALF_OPEN
        await call(0)
        assert guard.state is CircuitBreakerState.CLOSED

    run_trio(main)


@pytest.mark.parametrize("kind", ["deadline", "attempt_timeout"])
def test_a_timer_of_the_same_stack_is_a_failure_to_a_breaker(clock: VirtualClock, kind: str) -> None:
    """A dependency that hangs opens the breaker inside the deadline or the attempt timeout (G2)."""
    guard = breaker()
    outer: Any = deadline(5) if kind == "deadline" else retry(max_attempts=1, attempt_timeout=5)
    call = outer(guard(trio.sleep_forever))

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await call()
        with pytest.raises(CircuitBreakerError):
            await guard(trio.sleep)(0)

    run_trio(main)


def test_an_inherited_deadline_is_neutral_to_a_breaker(clock: VirtualClock) -> None:
    """A deadline that the caller set says nothing about the dependency (G2)."""
    guard = breaker()
    inner = guard(trio.sleep_forever)

    @deadline(5)
    async def outer() -> None:
        await inner()

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await outer()
        assert guard.state is CircuitBreakerState.CLOSED

    run_trio(main)


def test_permits_come_back(clock: VirtualClock) -> None:
    """A place is given back when its holder, or one in the queue, is cancelled, and FIFO goes on (B1, G2)."""
    box = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=2, queue_timeout=20))
    call = box(trio.sleep)
    log: list[str] = []

    async def visit(name: str, seconds: float, patience: float = 1000) -> None:
        with trio.move_on_after(patience) as scope:
            try:
                await call(seconds)
                log.append(f"{name} done at {passed(clock):g}")
            except (BulkheadFullError, BulkheadTimeoutError) as error:
                log.append(f"{name} {type(error).__name__} at {passed(clock):g}")
        if scope.cancelled_caught:
            log.append(f"{name} cancelled at {passed(clock):g}")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for visitor in (("a", 50, 3), ("b", 50, 1), ("c", 10), ("d", 1)):
                nursery.start_soon(visit, *visitor)
                await trio.sleep(0.1)
            await trio.sleep(1)
            nursery.start_soon(visit, "e", 30)
            await trio.sleep(3)
            nursery.start_soon(visit, "f", 1)

    run_trio(main)
    assert log[0] == "d BulkheadFullError at 0.3"
    assert log[1:3] == ["b cancelled at 1.1", "a cancelled at 3"]
    assert log[3] == "c done at 13"
    assert log[4:] == ["f BulkheadTimeoutError at 24.4", "e done at 43"]
    assert box.metrics["running"] == box.metrics["waiting"] == 0


def test_a_deadline_in_the_queue_is_a_refusal(clock: VirtualClock) -> None:
    """Time that runs out in our queue is no evidence about the dependency: the breaker outside stays closed (G13)."""
    guard = breaker()
    box = Bulkhead(BulkheadConfig(max_concurrent=1))
    call = guard(deadline(5)(box(trio.sleep)))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(box(trio.sleep), 50)
            await trio.sleep(1)
            with pytest.raises(DeadlineExceeded) as caught:
                await call(1)
            assert caught.value.started is False
            assert guard.state is CircuitBreakerState.CLOSED
            nursery.cancel_scope.cancel()

    run_trio(main)
    assert box.metrics["running"] == 0


def test_fallback_answers_a_deadline_but_no_cancellation(clock: VirtualClock) -> None:
    """A deadline's error is answered; the caller's cancellation never is (F4, G2)."""

    @fallback(fallback_value="fallback")
    @deadline(5)
    async def fetch() -> str:
        await trio.sleep(50)
        return "value"

    async def main() -> None:
        assert await fetch() == "fallback"
        with trio.move_on_after(2) as scope:
            await fetch()
        assert scope.cancelled_caught

    run_trio(main)
    assert passed(clock) == 7


def test_a_cache_miss_is_shared_and_survives_its_leader(clock: VirtualClock) -> None:
    """Callers of a cold key share one call; when its leader is cancelled another one takes over (F6)."""
    calls: list[float] = []

    @cached(60)
    async def fetch() -> str:
        calls.append(passed(clock))
        await trio.sleep(10)
        return "value"

    got: list[str] = []

    async def follow() -> None:
        got.append(await fetch())

    async def lead() -> None:
        with trio.move_on_after(4):
            await fetch()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lead)
            await trio.sleep(1)
            for _ in range(5):
                nursery.start_soon(follow)

    run_trio(main)
    assert got == ["value"] * 5
    assert len(calls) <= 2
    assert passed(clock) in {10, 14}


def test_compensation_runs_to_its_end(clock: VirtualClock) -> None:
    """Undoing is shielded from the cancellation and the deadline that made it necessary (S1)."""
    undone: list[str] = []

    async def undo(result: object) -> None:
        await trio.sleep(3)
        undone.append(f"undone at {passed(clock):g}")

    @compensate(undo)
    async def reserve() -> str:
        return "reservation"

    from recoup import saga

    async def order() -> None:
        async with saga():
            await reserve()
            await trio.sleep_forever()

    async def main() -> None:
        with trio.move_on_after(2):
            await order()
        with pytest.raises((DeadlineExceeded, CompensationError)):
            await deadline(2)(order)()

    run_trio(main)
    assert undone == ["undone at 5", "undone at 10"]


def test_a_workflow(clock: VirtualClock) -> None:
    """A workflow with everything in it runs under Trio, and its total time is kept (W2)."""
    calls: list[float] = []

    async def flaky() -> str:
        calls.append(passed(clock))
        if len(calls) < 3:
            raise Down
        return "value"

    workflow = ErrorRecoveryWorkflow(
        ErrorRecoveryConfig(
            retry_config=RetryConfig(max_attempts=3, initial_delay=1, backoff_strategy="fixed"),
            circuit_breaker_config=CircuitBreakerConfig(failure_threshold=5),
            fallback_config=FallbackConfig(fallback_value="fallback"),
            bulkhead_config=BulkheadConfig(max_concurrent=2),
            global_timeout=10,
        )
    )

    async def main() -> None:
        assert await workflow.execute(flaky) == "value"
        assert await workflow.execute(trio.sleep_forever) == "fallback"

    run_trio(main)
    assert calls == [0, 1, 2]
    assert passed(clock) == 12
    metrics = workflow.get_metrics()
    assert (metrics["attempts"], metrics["successes"], metrics["fallbacks"]) == (2, 1, 1)


@pytest.mark.parametrize("steps", range(12))
def test_a_whole_stack_cancelled_at_every_checkpoint(steps: int) -> None:
    """Wherever the caller cancels, nothing stays taken: no permit, no probe, no open scope (G2)."""
    box = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=5))
    guard = breaker(50)
    attempts: list[int] = []

    @fallback(fallback_value="fallback", on=ZeroDivisionError)
    @deadline(60)
    @retry(max_attempts=3, initial_delay=0.001, attempt_timeout=30, on=Down)
    @guard
    @box
    async def work() -> str:
        attempts.append(1)
        for _ in range(2):
            await trio.lowlevel.checkpoint()
        if len(attempts) < 3:
            raise Down
        return "value"

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def caller() -> None:
                with trio.CancelScope() as scope:
                    nursery.start_soon(cancel, scope)
                    await work()

            async def cancel(scope: trio.CancelScope) -> None:
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            nursery.start_soon(caller)
        assert box.metrics["running"] == box.metrics["waiting"] == 0
        assert guard.state is CircuitBreakerState.CLOSED
        attempts.extend([1, 1])
        assert await work() == "value"

    trio.run(main)


def test_keyword_and_bare_decorators() -> None:
    """Bare decorators work on Trio functions as on any other (G5)."""

    @retry
    @circuit_breaker
    async def work(x: int) -> int:
        await trio.lowlevel.checkpoint()
        return x

    async def main() -> int:
        return await work(3)

    assert trio.run(main) == 3
