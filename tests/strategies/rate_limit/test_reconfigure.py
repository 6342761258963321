"""Limits that change while calls are made and wait (B5's way, G1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded

if TYPE_CHECKING:
    from recoup.testing import VirtualClock


def made(**options: Any) -> RateLimiter:
    return RateLimiter(RateLimitConfig(**{"rate": 2, "burst": 1, **options}))


async def test_promises_are_kept(clock: VirtualClock) -> None:
    """Calls that wait keep their moments; the next ones follow at the new rate."""
    limiter = made()
    start = clock.monotonic()
    begun: list[float] = []

    async def work() -> None:
        begun.append(clock.monotonic() - start)

    tasks = [asyncio.ensure_future(limiter.execute(work)) for _ in range(3)]
    await asyncio.sleep(0.25)
    limiter.reconfigure(rate=10)
    tasks += [asyncio.ensure_future(limiter.execute(work)) for _ in range(2)]
    await asyncio.gather(*tasks)
    assert begun == pytest.approx([0, 0.5, 1.0, 1.1, 1.2])


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
    assert clock.monotonic() - start == pytest.approx(0.65)


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
        ({"rat": 5}, TypeError, "rat"),
        ({"weight": 2}, ValueError, r"weight must be at most burst \(1\)"),
        ({"mode": "window", "burst": None}, ValueError, "mode of rate limiter 'rate_limit' must stay of its kind"),
        ({"key": str}, ValueError, "key of rate limiter 'rate_limit' must stay of its kind"),
        ({"weight": len}, ValueError, "weight of rate limiter 'rate_limit' must stay of its kind"),
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
