"""What a type checker knows of adaptive throttles: the decorated function stays what it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from recoup import AdaptiveThrottle, AdaptiveThrottleConfig, ThrottledError, adaptive_throttle

assert_type(adaptive_throttle(multiplier=1.5, on=OSError), AdaptiveThrottle)
assert_type(adaptive_throttle(AdaptiveThrottleConfig(window_duration=60)), AdaptiveThrottle)
throttle = AdaptiveThrottle(AdaptiveThrottleConfig(ignore_on=[KeyError]), name="search")


@throttle
def search(words: str) -> bytes:
    return words.encode()


@adaptive_throttle
async def search_later(words: str) -> bytes:
    return words.encode()


async def awaited() -> None:
    assert_type(await search_later("a"), bytes)
    assert_type(await throttle.execute(search, "a"), bytes)
    async with throttle as entered:
        assert_type(entered, AdaptiveThrottle)


def called() -> None:
    assert_type(search("a"), bytes)
    assert_type(throttle.execute_sync(search, "a"), bytes)
    assert_type(throttle.metrics, Mapping[str, int])
    assert_type(throttle.odds, float)
    assert_type(throttle.config, AdaptiveThrottleConfig)
    with throttle as entered:
        assert_type(entered, AdaptiveThrottle)
    search(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the parameters are kept


def held_back(error: ThrottledError) -> None:
    assert_type(error.odds, float)
    assert_type(error.retry_after, float | None)
