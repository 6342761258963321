"""Faults of other limiters, each with the naive version that has it beside ours, which has not (peers.md)."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded
from recoup._core import clock as seam

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.testing import VirtualClock


class Sleepy:
    """Sleeps as long as it may, and refuses then (resilience4j)."""

    def __init__(self, step: float, timeout: float) -> None:
        self.step, self.timeout, self.next = step, timeout, 0.0

    def acquire(self) -> None:
        wait = max(0.0, self.next - seam.monotonic())
        seam.sleep(min(wait, self.timeout))
        if wait > self.timeout:
            raise RateLimitExceeded(name="naive", retry_after=wait, rate=1, per=self.step, patience=self.timeout)
        self.next = max(self.next, seam.monotonic()) + self.step


@pytest.mark.parametrize(
    ("make", "slept"),
    [
        (lambda: Sleepy(10.0, 2.0), [2.0]),
        (lambda: RateLimiter(RateLimitConfig(rate=1, per=10, max_wait=2)), []),
    ],
    ids=["naive", "ours"],
)
def test_refuses_before_it_sleeps(make: Callable[[], Any], slept: list[float], clock: VirtualClock) -> None:
    """What will be refused is refused at once, not after the whole wait (L1; resilience4j)."""
    limiter = make()
    limiter.acquire()
    with pytest.raises(RateLimitExceeded):
        limiter.acquire()
    assert clock.sleeps == slept


class Forgetful:
    """Takes the next moment and sleeps; who is cancelled has taken it all the same (aioresilience's way)."""

    def __init__(self, step: float) -> None:
        self.step, self.next = step, 0.0

    async def acquire_async(self) -> None:
        moment = max(self.next, seam.monotonic())
        self.next = moment + self.step
        await seam.pause_async(moment - seam.monotonic())


@pytest.mark.parametrize(
    ("make", "waited"),
    [(lambda: Forgetful(1.0), 50.0), (lambda: RateLimiter(RateLimitConfig(rate=1, max_wait=100)), 1.0)],
    ids=["naive", "ours"],
)
async def test_cancelled_calls_leave_nothing(make: Callable[[], Any], waited: float, clock: VirtualClock) -> None:
    """Callers that leave while they wait keep no permits (G2; aioresilience)."""
    limiter = make()
    start = clock.monotonic()
    await limiter.acquire_async()
    tasks = [asyncio.ensure_future(limiter.acquire_async()) for _ in range(49)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await limiter.acquire_async()
    assert clock.monotonic() - start == pytest.approx(waited)


class PerThread(threading.local):
    """Has a limit for each thread (others have one for each loop: nopanic, resilix, pyresilience)."""

    left = 5

    def try_acquire(self) -> bool:
        self.left -= 1
        return self.left >= 0


class Racing:
    """Looks, and then takes: another thread may look in between."""

    left = 5

    def try_acquire(self) -> bool:
        left = self.left
        time.sleep(0.001)
        self.left = left - 1
        return left > 0


@pytest.mark.parametrize(
    ("make", "exact"),
    [(PerThread, False), (Racing, False), (lambda: RateLimiter(RateLimitConfig(rate=5, per=3600)), True)],
    ids=["per thread", "racing", "ours"],
)
def test_one_limit_for_all_threads(make: Callable[[], Any], exact: bool) -> None:
    """All threads together get as many permits as there are (G7; nopanic, resilix, pyresilience)."""
    limiter, together = make(), threading.Barrier(4)
    got: list[bool] = []

    def take() -> None:
        together.wait()
        got.extend(limiter.try_acquire() for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(got) == 5) is exact


class WallClock:
    """Asks for the time of day, which may be set (fluxgate, pybreaker)."""

    next = 0.0

    def try_acquire(self) -> bool:
        if seam.wall() < self.next:
            return False
        self.next = seam.wall() + 60.0
        return True


@pytest.mark.parametrize(
    ("make", "allowed"),
    [(WallClock, True), (lambda: RateLimiter(RateLimitConfig(rate=1, per=60)), False)],
    ids=["naive", "ours"],
)
def test_the_time_of_day_does_not_matter(make: Callable[[], Any], allowed: bool, clock: VirtualClock) -> None:
    """Setting the clock on the wall makes no permits (G12; fluxgate, pybreaker)."""
    limiter = make()
    assert limiter.try_acquire()
    clock.jump_wall(3600)
    assert limiter.try_acquire() is allowed
