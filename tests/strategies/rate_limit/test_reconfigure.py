"""Limits that change while calls are made and wait (B5's way, G1)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded

if TYPE_CHECKING:
    from recoup.testing import VirtualClock


def made(**options: Any) -> RateLimiter:
    return RateLimiter(RateLimitConfig(**{"rate": 2, "burst": 1, **options}))


@pytest.mark.parametrize(("rate", "moments"), [(10, [0, 0.3, 0.4, 0.5, 0.6]), (1, [0, 0.75, 1.75, 2.75, 3.75])])
async def test_places_are_kept(clock: VirtualClock, rate: int, moments: list[float]) -> None:
    """Calls that wait keep their places, and begin at the new rate: earlier, if it is faster, or later."""
    limiter = made()
    start = clock.monotonic()
    begun: list[float] = []

    async def work() -> None:
        begun.append(clock.monotonic() - start)

    tasks = [asyncio.ensure_future(limiter.execute(work)) for _ in range(3)]
    await asyncio.sleep(0.25)
    limiter.reconfigure(rate=rate)
    tasks += [asyncio.ensure_future(limiter.execute(work)) for _ in range(2)]
    await asyncio.gather(*tasks)
    assert begun == pytest.approx(moments)


async def test_calls_of_before_may_be_cancelled(clock: VirtualClock) -> None:
    """A call that waited before the change is cancelled after it: nothing is given back twice, or too early (G2)."""
    limiter = made()
    assert limiter.try_acquire()
    task = asyncio.ensure_future(limiter.acquire_async())
    await asyncio.sleep(0.1)
    limiter.reconfigure(rate=4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    start = clock.monotonic()
    await limiter.acquire_async()
    assert clock.monotonic() - start == pytest.approx(0.2)  # half of what is left of the half second


def test_the_decorated_function_follows(clock: VirtualClock) -> None:
    """What was decorated before has the new limits, too."""
    limiter = made(max_wait=0)
    work = limiter(len)
    work("abc")
    with pytest.raises(RateLimitExceeded, match="2 permits come in 1 s"):
        work("abc")
    config = RateLimitConfig(rate=100, weight=20, max_wait=0)
    limiter.reconfigure(config)
    assert limiter.config is config
    clock.advance(1)
    assert [work("abc") for _ in range(5)] == [3] * 5
    with pytest.raises(RateLimitExceeded, match="100 permits"):
        work("abc")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rate": 0}, ValueError, "rate must be at least 1, not 0"),
        ({"rate": 5, "max_wait": -1}, ValueError, "max_wait must be"),
        ({"rat": 5}, TypeError, "unexpected keyword argument 'rat'; did you mean 'rate'"),
        ({"weight": 2}, ValueError, r"weight must be at most burst \(1\)"),
        (
            {"mode": "window", "burst": None},
            ValueError,
            "mode must stay as it is in <RateLimiter 'rate_limit' .*make another RateLimiter",
        ),
        ({"key": str}, ValueError, "key must stay as it is in <RateLimiter 'rate_limit' .*make another RateLimiter"),
        (
            {"weight": len},
            ValueError,
            "weight must stay as it is in <RateLimiter 'rate_limit' .*make another RateLimiter",
        ),
    ],
)
def test_bad_values_change_nothing(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """A mistake in one field leaves all of them as they were (G1)."""
    limiter = made()
    before = limiter.config
    with pytest.raises(error, match=message):
        limiter.reconfigure(**changes)
    assert limiter.config is before


def test_a_config_and_changes() -> None:
    """One or the other, as with the decorator (G1)."""
    with pytest.raises(TypeError, match="a config or fields, not both: rate given"):
        made().reconfigure(RateLimitConfig(rate=1), rate=3)
    with pytest.raises(TypeError, match="config must be a RateLimitConfig, not 3"):
        made().reconfigure(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["smooth", "window"])
async def test_begin_anew(clock: VirtualClock, mode: Any) -> None:
    """After a reset all permits are there, for those who wait first; nothing was counted, no key is known."""
    limiter = made(rate=3, burst=None, mode=mode, per=60, max_wait=600)
    begun: list[int] = []

    async def call(number: int) -> None:
        await limiter.acquire_async()
        begun.append(number)

    tasks = [asyncio.ensure_future(call(number)) for number in range(5)]
    await asyncio.sleep(0.5)
    assert (begun, limiter.metrics) == ([0, 1, 2], {"waited": 2, "refused": 0, "slowed": 0, "drained": 0})
    limiter.reset()
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    assert (begun, limiter.metrics) == ([0, 1, 2, 3, 4], {"waited": 0, "refused": 0, "slowed": 0, "drained": 0})
    assert limiter.available() == 1
    await asyncio.gather(*tasks)
    keyed = made(key=str, max_wait=60)
    assert keyed.try_acquire(key="a")
    assert keyed.try_acquire(key="b")
    waiting = asyncio.ensure_future(keyed.acquire_async(key="b"))
    waiting_on = asyncio.ensure_future(keyed.acquire_async(key="b"))
    await asyncio.sleep(0)
    keyed.reset()
    assert list(keyed._desk._states) == ["b"]
    assert keyed.available(key="a") == 1
    await waiting
    assert clock.monotonic() - 1000 == pytest.approx(0.501)
    await waiting_on
    assert clock.monotonic() - 1000 == pytest.approx(1.001)


@pytest.mark.parametrize("mode", ["smooth", "window"])
def test_changes_while_threads_call(mode: Any) -> None:
    """Limits may change, and all begin anew, while 32 threads call: nobody hangs, and nothing is left over (B5)."""
    limiter = made(rate=1000, burst=None, mode=mode, per=0.01, max_wait=60)
    done: list[int] = []
    over = threading.Event()

    @limiter
    def work() -> None:
        done.append(1)

    def change() -> None:
        for rate in itertools.cycle((50, 2000, 7)):
            limiter.reconfigure(rate=rate)
            limiter.reset()
            if over.is_set():
                return

    threads = [threading.Thread(target=lambda: [work() for _ in range(20)]) for _ in range(32)]
    changing = threading.Thread(target=change)
    for thread in (changing, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    changing.join()
    assert len(done) == 640
    assert limiter._desk.only.queued == 0
