"""Faults of circuit breakers that were seen in published libraries (peers.md)."""

from __future__ import annotations

import asyncio
import math
import threading
import traceback
from typing import Any

import pytest

from recoup import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError
from recoup.strategies.circuit_breaker.window import FailureWindow
from recoup.testing import VirtualClock, run
from tests.peers import naive
from tests.peers.judge import only_ours

REFUSED = (CircuitBreakerError, naive.Refused)


def breaker() -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, success_threshold=1, timeout=10))


class Service:
    """Fails once, and can be made to wait."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = asyncio.Event()

    async def fail(self) -> None:
        raise ConnectionError("down")

    async def answer(self) -> str:
        self.calls += 1
        await self.gate.wait()
        return "served"


async def opened(guard: Any, service: Service) -> None:
    with pytest.raises(ConnectionError):
        await guard.call(service.fail)
    await asyncio.sleep(10.001)  # its open time is over


def test_half_open_lets_no_herd_through(clock: VirtualClock) -> None:
    """C5: of 50 callers one may try (circuitbreaker, aiobreaker, purgatory, pyresilience, fluxgate: 50 of 50)."""

    def promise(guard: Any) -> None:
        async def main() -> int:
            service = Service()
            await opened(guard, service)
            callers = [asyncio.ensure_future(guard.call(service.answer)) for _ in range(50)]
            await asyncio.sleep(0.01)
            service.gate.set()
            await asyncio.gather(*callers, return_exceptions=True)
            return service.calls

        assert run(main(), clock=clock) == 1

    only_ours(promise, breaker(), naive.Breaker())


@pytest.mark.parametrize("ends", ["cancelled", "hangs"])
def test_a_probe_that_never_answers_wedges_nothing(ends: str, clock: VirtualClock) -> None:
    """C5: cancelled or hung, the next probe gets its turn (grit, circuitbreaker, Polly, SmallRye: refused for ever)."""

    def promise(guard: Any) -> None:
        async def main() -> str:
            service = Service()
            await opened(guard, service)
            probe = asyncio.ensure_future(guard.call(service.answer))
            await asyncio.sleep(0)
            if ends == "cancelled":
                probe.cancel()
            await asyncio.sleep(50)  # long enough to give up a probe and to be open once more
            service.gate.set()
            try:
                return str(await guard.call(service.answer))
            except REFUSED:
                return "wedged"
            finally:
                probe.cancel()

        assert run(main(), clock=clock) == "served"

    only_ours(promise, breaker(), naive.SlotBreaker())


def test_a_late_success_of_an_earlier_state_closes_nothing(clock: VirtualClock) -> None:
    """C4: a call that began before the circuit opened says nothing now (circuitbreaker, resilix, grelmicro, Polly)."""

    def promise(guard: Any) -> None:
        async def main() -> None:
            service = Service()
            late = asyncio.ensure_future(guard.call(service.answer))
            await asyncio.sleep(0)
            with pytest.raises(ConnectionError):
                await guard.call(service.fail)
            service.gate.set()
            await late
            try:
                await guard.call(service.answer)
            except REFUSED:
                return
            raise AssertionError("a late success closed the circuit")

        run(main(), clock=clock)

    only_ours(promise, breaker(), naive.Breaker())


def test_no_lock_is_held_while_the_users_function_runs() -> None:
    """G7: two calls of one breaker run at the same time (pybreaker runs one after the other)."""

    def promise(guard: Any) -> None:
        meeting = threading.Barrier(2)

        def meet() -> None:
            meeting.wait(timeout=0.5)

        def call() -> None:
            try:
                guard.call_sync(meet)
            except threading.BrokenBarrierError:
                missed.append(True)

        missed: list[bool] = []
        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not missed

    only_ours(promise, breaker(), naive.LockedBreaker())


def test_a_window_forgets_while_it_idles() -> None:
    """C3: failures of an hour ago are none of the last minute (fluxgate, cockatiel look only at what comes)."""

    def promise(make: Any) -> None:
        failed = make()
        assert not failed(0.0)
        assert not failed(3600.0)

    def ours() -> Any:
        window, numbers = FailureWindow(2, math.inf, 60.0), iter(range(1, 9))
        return lambda now: window.failed(next(numbers), now)

    def others() -> Any:
        window = naive.TimeWindow(60.0)

        def failed(now: float) -> bool:
            window.failed(now)
            return len(window.failures) >= 2

        return failed

    only_ours(promise, ours, others)


def test_the_wall_clock_decides_nothing(clock: VirtualClock) -> None:
    """An hour back on the wall, and the circuit still closes in time (fluxgate, pybreaker, Polly's break)."""

    def promise(guard: Any) -> None:
        async def main() -> str:
            service = Service()
            service.gate.set()
            with pytest.raises(ConnectionError):
                await guard.call(service.fail)
            clock.jump_wall(-3600)
            await asyncio.sleep(10.001)
            try:
                return str(await guard.call(service.answer))
            except REFUSED:
                return "refused"

        assert run(main(), clock=clock) == "served"

    only_ours(promise, breaker(), naive.Breaker(now=clock.wall))


def test_each_refusal_is_an_error_of_its_own(clock: VirtualClock) -> None:
    """G3: its traceback stays as long as it was (purgatory raises one object for ever, and it grows)."""

    def promise(guard: Any) -> None:
        async def main() -> list[int]:
            service = Service()
            with pytest.raises(ConnectionError):
                await guard.call(service.fail)
            depths = []
            for _ in range(3):
                try:
                    await guard.call(service.answer)
                except REFUSED as error:
                    depths.append(len(traceback.extract_tb(error.__traceback__)))
            return depths

        depths = run(main(), clock=clock)
        assert depths == depths[:1] * 3

    only_ours(promise, breaker(), naive.Breaker())


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_an_open_time_that_never_ends_is_refused(seconds: float) -> None:
    """G1: NaN and infinity would keep a circuit open for ever (interlock takes both)."""

    def promise(make: Any) -> None:
        with pytest.raises(ValueError, match="timeout"):
            make(seconds)

    promise(lambda value: CircuitBreakerConfig(timeout=value))
    with pytest.raises(pytest.fail.Exception):
        promise(lambda value: naive.Breaker(seconds=value))


def test_a_minimum_above_its_window_is_refused() -> None:
    """G1: such a circuit could never open, and nobody would notice."""
    with pytest.raises(ValueError, match=r"window_size \(10\) must be at least minimum_calls \(20\)"):
        CircuitBreakerConfig(failure_rate=0.5, minimum_calls=20, window_size=10)
    with pytest.raises(ValueError, match=r"window_size \(3\) must be at least failure_threshold \(5\)"):
        CircuitBreakerConfig(failure_threshold=5, window_size=3)
