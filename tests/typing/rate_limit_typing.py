"""What a type checker knows of rate limits: the decorated function stays what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from recoup import AIMDRate, CubicRate, RateLimitConfig, RateLimiter, RateLimitExceeded, rate_limit

assert_type(rate_limit(rate=100, per=60, burst=5), RateLimiter)
assert_type(rate_limit(RateLimitConfig(rate=1, mode="window")), RateLimiter)
assert_type(rate_limit(rate=100, adaptive=AIMDRate(slow_down_on=TimeoutError)).current_rate(), float)
assert_type(CubicRate(min_rate=2).start(10.0, 1.0, 0.0).learn(0.0, 1.0, less=True), float)
limiter = RateLimiter(RateLimitConfig(rate=10, weight=len, key=lambda text: text[:1]), name="mail")


@limiter
def send(text: str) -> bytes:
    return text.encode()


@rate_limit(rate=3, max_wait=0)
async def send_later(text: str) -> bytes:
    return text.encode()


async def awaited() -> None:
    assert_type(await send_later("a"), bytes)
    assert_type(await limiter.execute(send, "a"), bytes)
    await limiter.acquire_async(2, key="a")
    async with limiter as entered:
        assert_type(entered, RateLimiter)


def called() -> None:
    assert_type(send("a"), bytes)
    assert_type(limiter.execute_sync(send, "a"), bytes)
    assert_type(limiter.try_acquire(key="a"), bool)
    assert_type(limiter.available(key="a"), int)
    assert_type(limiter.metrics, Mapping[str, int])
    assert_type(limiter.config, RateLimitConfig)
    limiter.acquire(key="a")
    limiter.reconfigure(rate=5)
    with limiter as entered:
        assert_type(entered, RateLimiter)
    send(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the parameters are kept
    rate_limit(per=3, mode="fast")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # unknown


def refused(error: RateLimitExceeded) -> None:
    assert_type(error.retry_after, float)
    assert_type(error.rate, int)
    assert_type(error.per, float)
    assert_type(error.patience, float)
