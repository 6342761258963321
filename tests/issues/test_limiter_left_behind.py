"""A limiter whose waiting calls will never come: their event loop was closed over them (L1, B1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Deadline, RateLimitConfig, RateLimiter, RateLimitExceeded
from recoup.testing import VirtualEventLoop

if TYPE_CHECKING:
    from recoup.testing import VirtualClock

MODES: list[dict[str, Any]] = [{"rate": 10, "burst": 1}, {"rate": 1, "per": 0.1, "mode": "window"}]


def leave_behind(limiter: RateLimiter, **names: Any) -> list[asyncio.Task[None]]:
    """Have three calls wait in an event loop, and close it over them; give their tasks, which are never collected."""
    loop = VirtualEventLoop()

    async def wait() -> list[asyncio.Task[None]]:
        tasks = [asyncio.ensure_future(limiter.acquire_async(**names)) for _ in range(4)]
        await asyncio.sleep(0.01)
        return tasks

    tasks = loop.run_until_complete(wait())
    loop.close()
    return [task for task in tasks if not task.done()]


def forget(tasks: list[Any]) -> None:
    """Have nobody told that tasks were destroyed."""
    for task in tasks:
        task._log_destroy_pending = False


@pytest.mark.parametrize("options", MODES, ids=["smooth", "window"])
@pytest.mark.parametrize("keyed", [False, True], ids=["one", "keyed"])
def test_calls_that_may_not_wait_get_past_a_closed_loop(
    clock: VirtualClock, options: dict[str, Any], keyed: bool
) -> None:
    """Those who wait in a closed loop hold up nobody for long, also if all others are refused at once (L1)."""
    if keyed:
        options = {**options, "key": str}
    limiter = RateLimiter(RateLimitConfig(max_wait=10, **options))
    names: dict[str, Any] = {"key": "a"} if keyed else {}
    tasks = leave_behind(limiter, **names)
    assert len(tasks) == 3
    clock.advance(60)
    assert not limiter.try_acquire(**names), "the first who asks finds out that nobody comes"
    clock.advance(0.1)
    assert limiter.try_acquire(**names)
    assert not limiter.try_acquire(**names), "the rate holds as before"
    forget(tasks)


@pytest.mark.parametrize("options", MODES, ids=["smooth", "window"])
def test_who_only_drains_gets_past_a_closed_loop(clock: VirtualClock, options: dict[str, Any]) -> None:
    """Those who wait in a closed loop do not keep permits from one who never waits (L1)."""
    limiter = RateLimiter(RateLimitConfig(max_wait=10, **options))
    tasks = leave_behind(limiter)
    clock.advance(60)
    assert limiter.drain() == 0, "the first who asks finds out that nobody comes"
    clock.advance(0.1)
    assert limiter.drain() == 1
    assert limiter.drain() == 0
    forget(tasks)


def test_calls_with_little_time_get_past_a_closed_loop(clock: VirtualClock) -> None:
    """A call whose deadline is sooner than the line promises does not pay for those who never come (L1, D1)."""
    limiter = RateLimiter(RateLimitConfig(rate=10, burst=1))
    tasks = leave_behind(limiter)
    clock.advance(60)
    with Deadline.from_header("0.15"), pytest.raises(RateLimitExceeded):
        limiter.acquire()
    clock.advance(0.1)
    with Deadline.from_header("0.15"):
        limiter.acquire()
    forget(tasks)


async def test_those_who_will_come_are_not_overtaken(clock: VirtualClock) -> None:
    """Asking in vain, however often, takes nothing from those who wait and are not late (L1)."""
    limiter = RateLimiter(RateLimitConfig(rate=10, burst=1, max_wait=10))
    began: list[float] = []

    async def call() -> None:
        await limiter.acquire_async()
        began.append(clock.monotonic())

    start = clock.monotonic()
    tasks = [asyncio.ensure_future(call()) for _ in range(4)]
    for _ in range(34):
        await asyncio.sleep(0.01)
        got = limiter.try_acquire()
        assert not got or len(began) == 4
    await asyncio.gather(*tasks)
    assert [round(moment - start, 3) for moment in began] == [0.0, 0.1, 0.2, 0.3]
