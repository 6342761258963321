"""Half-open under pressure: never a herd, never stuck (C5, G2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from typing import Any

import pytest

from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock

CLOSED, OPEN, HALF_OPEN = list(CircuitBreakerState)[:3]


def half_open(clock: VirtualClock, **fields: Any) -> CircuitBreaker:
    """Make a circuit breaker whose open time has just ended."""
    breaker = CircuitBreaker(CircuitBreakerConfig(**{"failure_threshold": 1, "timeout": 60, **fields}), name="service")

    def down() -> None:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        breaker.call_sync(down)
    clock.advance(60)
    return breaker


@pytest.mark.parametrize(("fields", "expected"), [({}, 2), ({"half_open_max": 1}, 1), ({"half_open_max": 7}, 7)])
async def test_a_herd_of_tasks_does_not_get_through(clock: VirtualClock, fields: dict[str, int], expected: int) -> None:
    """Of 50 that wait for the end of the open time, the probes run and the rest is refused at once (C5)."""
    breaker = half_open(clock, **fields)
    running = 0

    @breaker
    async def work() -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(5)

    results = await asyncio.gather(*(work() for _ in range(50)), return_exceptions=True)
    assert running == expected
    refused = [result for result in results if isinstance(result, CircuitBreakerError)]
    assert len(refused) == 50 - expected
    assert {error.wait_time for error in refused} == {0.0}
    assert "its trial calls are still running" in str(refused[0])
    assert breaker.state is (CLOSED if expected > 1 else HALF_OPEN)


def test_a_herd_of_threads_does_not_get_through(clock: VirtualClock) -> None:
    """The same for 50 threads (C5)."""
    breaker = half_open(clock)
    start, running, go = threading.Barrier(50), [], threading.Event()
    refused = threading.Semaphore(0)

    @breaker
    def work() -> None:
        running.append(1)
        go.wait()

    def run() -> None:
        start.wait()
        try:
            work()
        except CircuitBreakerError:
            refused.release()

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for _ in range(48):
        assert refused.acquire(timeout=10)
    assert len(running) == 2
    go.set()
    for thread in threads:
        thread.join()
    assert breaker.state is CLOSED


async def test_a_cancelled_probe_gives_its_place_back(clock: VirtualClock) -> None:
    """At once, any number of times, and the circuit neither closes nor opens (C5, G2)."""
    breaker = half_open(clock, half_open_max=1, success_threshold=1)

    @breaker
    async def work() -> None:
        await asyncio.sleep(5)

    for _ in range(5):
        probe = asyncio.create_task(work())
        await asyncio.sleep(1)
        with pytest.raises(CircuitBreakerError):
            await work()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert breaker.state is HALF_OPEN
    await work()
    assert breaker.state is CLOSED


async def test_cancelled_calls_do_not_open_the_circuit(clock: VirtualClock) -> None:
    """Callers that lose patience say nothing about the dependency (G2)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    @breaker
    async def work() -> None:
        await asyncio.sleep(5)

    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(), 1)
    assert breaker.state is CLOSED


def test_a_probe_can_be_cancelled_at_every_await(clock: VirtualClock) -> None:
    """Stepped by hand: whichever suspension the cancellation meets, the probe is back (G2)."""

    class Step:
        def __await__(self) -> Any:
            yield

    steps = 4

    async def notified() -> None:
        await Step()

    def attempt(after: int) -> bool:
        breaker = half_open_async(clock, half_open_max=1, success_threshold=1, on_half_open=notified, on_close=notified)

        @breaker
        async def work() -> None:
            await Step()
            await Step()

        coroutine: Any = work()
        for _ in range(after):
            coroutine.send(None)
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
        closed = breaker.state is CLOSED
        retry: Any = work()
        with contextlib.suppress(StopIteration):
            while True:
                retry.send(None)
        assert breaker.state is CLOSED
        return closed

    # on_half_open, the two awaits of the function, on_close: by then the circuit is closed, whoever is told of it
    assert [attempt(after) for after in range(1, steps + 1)] == [False, False, False, True]


def half_open_async(clock: VirtualClock, **fields: Any) -> CircuitBreaker:
    """Make the same for asynchronous callbacks, which synchronous calls refuse."""
    breaker = CircuitBreaker(CircuitBreakerConfig(**{"failure_threshold": 1, "timeout": 60, **fields}), name="service")

    async def down() -> None:
        raise OSError("down")

    coroutine: Any = breaker.call(down)
    with pytest.raises(OSError, match="down"):
        coroutine.send(None)
    clock.advance(60)
    return breaker


async def test_a_probe_that_hangs_does_not_wedge_the_circuit(clock: VirtualClock) -> None:
    """It expires, the circuit opens again, and later probes close it; the hung one decides nothing (C4, C5)."""
    breaker = half_open(clock, half_open_max=1, success_threshold=1, half_open_timeout=10)
    stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @breaker
    async def work(*, hang: bool = False) -> None:
        if hang:
            await stuck

    hung = asyncio.create_task(work(hang=True))
    await asyncio.sleep(9)
    with pytest.raises(CircuitBreakerError) as refused:
        await work()
    assert refused.value.wait_time == 0.0
    await asyncio.sleep(1)
    assert breaker.state is OPEN
    with pytest.raises(CircuitBreakerError) as refused:
        await work()
    assert refused.value.wait_time == pytest.approx(60)
    await asyncio.sleep(60)
    stuck.set_result(None)
    await hung
    assert breaker.state is HALF_OPEN
    assert breaker.metrics == {"opened": 2, "refused": 2, "late": 1, "would_open": 0}
    await work()
    assert breaker.state is CLOSED


async def test_an_abandoned_probe_gives_its_place_back(clock: VirtualClock) -> None:
    """A coroutine that nobody resumes is collected, and its probe with it (G2)."""
    breaker = half_open(clock, half_open_max=1, success_threshold=1)
    gc.disable()
    try:
        for _ in range(3):

            @breaker
            async def work() -> None:
                await asyncio.sleep(5)

            coroutine: Any = work()
            coroutine.send(None)
            with pytest.raises(CircuitBreakerError):
                await work()
            del coroutine, work
    finally:
        gc.enable()
    await breaker.call(asyncio.sleep, 0)
    assert breaker.state is CLOSED


def test_an_interrupt_between_admission_and_the_call_returns_the_probe(clock: VirtualClock) -> None:
    """A permit that got no further than the frame that took it comes back with it (G2)."""
    breaker = half_open(clock, half_open_max=1)

    def interrupted() -> None:
        permit = breaker._calls.admit()
        assert permit is not None
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert breaker.state is HALF_OPEN
    breaker.call_sync(lambda: None)


async def test_a_probe_that_succeeds_in_time_counts_though_another_one_is_slow(clock: VirtualClock) -> None:
    """Two probes, one success each way round: the threshold is what closes (C5)."""
    breaker = half_open(clock, success_threshold=2)

    @breaker
    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)

    slow = asyncio.create_task(work(30))
    await asyncio.sleep(0)
    await work(1)
    assert breaker.state is HALF_OPEN
    await slow
    assert breaker.state is CLOSED


async def test_two_loops_share_one_circuit(clock: VirtualClock) -> None:
    """Nothing is bound to a loop (G7)."""
    breaker = half_open(clock, half_open_max=1, success_threshold=2)

    @breaker
    async def work() -> str:
        await asyncio.sleep(0)
        return "ok"

    assert await work() == "ok"
    elsewhere = threading.Thread(target=lambda: asyncio.run(work()))
    elsewhere.start()
    await asyncio.to_thread(elsewhere.join)
    assert breaker.state is CLOSED
