"""Taking all permits that are left (L1)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.window import Window
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both

MODES = pytest.mark.parametrize("mode", ["smooth", "window"])


def made(**fields: Any) -> RateLimiter:
    """Make a limiter of ten permits in ten seconds that lets nobody wait."""
    given: dict[str, Any] = {"rate": 10, "per": 10, "max_wait": 0, **fields}
    return RateLimiter(RateLimitConfig(**given), name="mail")


@MODES
def test_all_that_is_left_is_taken(both: Both, clock: VirtualClock, mode: str) -> None:
    """It tells how many, a second time none, and calls are refused until others have come (L1)."""
    limiter = made(mode=mode)
    fn = limiter(both.wrap(lambda: "sent"))
    assert both.call(fn) == "sent"
    assert limiter.try_acquire(3)
    assert limiter.drain() == 6
    assert limiter.drain() == 0
    assert limiter.available() == 0
    assert limiter.metrics == {"waited": 0, "refused": 0, "slowed": 0, "drained": 6}
    with pytest.raises(RateLimitExceeded) as refused:
        both.call(fn)
    assert refused.value.retry_after == pytest.approx(1 if mode == "smooth" else 10)
    clock.advance(10)
    assert limiter.drain() == 10
    assert limiter.metrics["drained"] == 16
    limiter.reset()
    assert limiter.metrics["drained"] == 0


def test_what_has_come_in_meanwhile_is_taken_whole_permit_by_whole_permit(clock: VirtualClock) -> None:
    """What is left of an interval is not lost (L1)."""
    limiter = made()
    assert limiter.drain() == 10
    clock.advance(2.5)
    assert limiter.drain() == 2
    clock.advance(0.5)
    assert limiter.drain() == 1
    clock.advance(1000)
    assert [limiter.drain(), limiter.drain()] == [10, 0]


@MODES
def test_each_key_has_its_own(clock: VirtualClock, mode: str) -> None:
    """Also one that is not known yet, whose permits are then gone (L1)."""
    limiter = made(mode=mode, key=lambda host: host)
    assert limiter.try_acquire(4, key="a")
    assert limiter.drain(key="a") == 6
    assert limiter.drain(key="b") == 10
    assert not limiter.try_acquire(key="b")
    assert limiter.try_acquire(key="c")
    with pytest.raises(TypeError, match="has a limit for each key"):
        limiter.drain()
    with pytest.raises(TypeError, match="has no keys"):
        made().drain(key="a")


@MODES
def test_those_who_wait_go_first(clock: VirtualClock, mode: str) -> None:
    """While a call waits none is taken, so it begins when it was told; afterwards all that is there is (L1)."""
    limiter = made(mode=mode, rate=2, per=2, max_wait=60)
    began: list[float] = []

    async def wait() -> None:
        await limiter.acquire_async()
        began.append(clock.monotonic())

    async def main() -> None:
        start = clock.monotonic()
        assert limiter.drain() == 2
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0.1)
        assert limiter.drain() == 0
        await task
        assert began == [pytest.approx(start + (1 if mode == "smooth" else 2))]
        await asyncio.sleep(10)
        assert limiter.drain() == 2

    Both("asyncio").run(main)
    assert limiter.metrics["drained"] == 4


@pytest.mark.parametrize("kind", [Bucket, Window])
def test_a_clock_that_goes_backwards_gives_nothing_back(kind: type[Bucket | Window]) -> None:
    """What was drained stays drained, and comes again in as long a time as ever (G12)."""
    state = kind(RateLimitConfig(rate=10, per=10, mode="smooth" if kind is Bucket else "window"), 1000.0)
    assert state.drain(1000.0) == 10
    state.correct(500.0)
    assert state.drain(500.0) == 0
    assert state.drain(510.0) == 10


@MODES
def test_a_limiter_goes_back_with_its_clock(clock: VirtualClock, mode: str) -> None:
    """Who only drains waits no longer for permits than the limits say (G12)."""
    limiter = made(mode=mode)
    assert limiter.drain() == 10
    clock.rewind(500)
    assert limiter.drain() == 0
    clock.advance(10)
    assert limiter.drain() == 10


@MODES
def test_a_lower_rate_leaves_nothing_to_drain(clock: VirtualClock, mode: str) -> None:
    """More may have been taken than there can be now (B5)."""
    limiter = made(mode=mode)
    assert limiter.try_acquire(8)
    limiter.reconfigure(rate=5)
    assert limiter.drain() in ((0,) if mode == "window" else (0, 1, 2))
    assert limiter.drain() == 0


def test_rates_beyond_what_clocks_tell(clock: VirtualClock) -> None:
    """Rounding makes it neither hang nor take more than there can be (G1)."""
    limiter = RateLimiter(RateLimitConfig(rate=2**53, per=1, max_wait=0))
    assert 0 < limiter.drain() <= 2**53
    clock.advance(1e-6)
    assert 0 <= limiter.drain() <= 2**53


def test_a_bucket_that_changes_while_it_is_drained_is_drained_anew() -> None:
    """A call takes its permit without the lock: it may come between a look and the taking (G7)."""

    class Meddled(Bucket):
        __slots__ = ("others",)
        others: int

        def available(self, now: float) -> int:
            count = super().available(now)
            if self.others:
                self.others -= 1
                assert self.admit(now)
            return count

    bucket = Meddled(RateLimitConfig(rate=10, per=10), 0.0)
    bucket.others = 3
    assert bucket.drain(0.0) == 7
    assert not bucket.take(1, 0.0)


def test_a_window_from_the_future_is_left_alone() -> None:
    """Whoever has not corrected it first takes nothing (G12)."""
    window = Window(RateLimitConfig(rate=10, per=10, mode="window"), 0.0)
    assert window.take(4, 100.0)
    assert window.drain(50.0) == 0
    assert window.drain(100.0) == 6


def test_nothing_is_taken_where_strategies_are_off(clock: VirtualClock) -> None:
    """As calls take none there (G17)."""
    limiter = made()
    with disabled():
        assert limiter.drain() == 0
    assert limiter.available() == 10


@MODES
def test_threads_share_what_there_is(clock: VirtualClock, mode: str) -> None:
    """Time stands still: calls and those who drain take exactly what there was (G7)."""
    limiter = made(rate=5000, per=60, mode=mode)
    ready = threading.Barrier(8)
    taken: list[int] = []

    def call() -> None:
        ready.wait()
        for _ in range(200):
            try:
                taken.append(limiter.execute_sync(int) + 1)
            except RateLimitExceeded:
                return

    def drain() -> None:
        ready.wait()
        taken.extend(limiter.drain() for _ in range(20))

    threads = [threading.Thread(target=each) for each in [call] * 6 + [drain] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 5000
    assert limiter.available() == 0
