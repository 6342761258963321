"""What a rate limit can be told, and what it refuses (G1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recoup import RateLimitConfig, RateLimiter, rate_limit


async def later(*_: object) -> int:
    return 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rate": 0}, ValueError, "rate must be at least 1, not 0"),
        ({"rate": 2.5}, TypeError, "rate must be a whole number, not 2.5"),
        ({"rate": True}, TypeError, "rate must be a whole number, not True"),
        ({"rate": 1, "per": 0}, ValueError, "per must be greater than 0"),
        ({"rate": 1, "per": float("nan")}, ValueError, "per must be"),
        ({"rate": 1, "per": "1s"}, TypeError, "per must be seconds"),
        ({"rate": 1, "burst": 0}, ValueError, "burst must be at least 1, not 0"),
        ({"rate": 1, "mode": "window", "burst": 1}, ValueError, 'burst has no meaning with mode="window"'),
        ({"rate": 1, "mode": "fast"}, ValueError, 'mode must be "smooth" or "window", not \'fast\''),
        ({"rate": 1, "mode": 3}, TypeError, 'mode must be "smooth" or "window", not 3'),
        ({"rate": 1, "max_wait": -1}, ValueError, "max_wait must be at least 0"),
        ({"rate": 1, "max_wait": float("inf")}, ValueError, "max_wait must be at least 0 and finite"),
        ({"rate": 1, "weight": 0}, ValueError, "weight must be at least 1"),
        ({"rate": 2, "weight": 3}, ValueError, r"weight must be at most rate \(2\), not 3: it would wait for ever"),
        ({"rate": 9, "burst": 2, "weight": 3}, ValueError, r"weight must be at most burst \(2\), not 3"),
        ({"rate": 1, "weight": "1"}, TypeError, "weight must be a whole number"),
        ({"rate": 1, "weight": later}, TypeError, "weight must be a plain function, not the async function"),
        ({"rate": 1, "key": later}, TypeError, "key must be a plain function, not the async function"),
        ({"rate": 1, "key": "user"}, TypeError, "key must be callable or None"),
        ({"rate": 10**400}, ValueError, r"rate must be at most 2\*\*53, not 1000"),
        ({"rate": 10**5000, "mode": "window"}, ValueError, r"rate must be at most 2\*\*53, not an object of type int"),
        ({"rate": 1, "burst": 2**53 + 1}, ValueError, r"burst must be at most 2\*\*53, not 9007199254740993"),
        ({"rate": 1, "weight": 10**5000}, ValueError, r"weight must be at most rate \(1\), not an object of type int"),
        ({"rate": 1, "max_keys": 0}, ValueError, "max_keys must be at least 1"),
    ],
)
def test_bad_values(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """A value that cannot be meant is an error at once, which names it and the range (G1)."""
    with pytest.raises(error, match=message):
        RateLimitConfig(**options)


def test_durations() -> None:
    """Durations may be timedeltas, and are seconds afterwards."""
    config = RateLimitConfig(rate=5, per=timedelta(minutes=1), max_wait=timedelta(seconds=2))
    assert (config.per, config.max_wait, config.most) == (60.0, 2.0, 5)
    assert RateLimitConfig(rate=5, burst=9).most == 9


def test_ways_to_write_it() -> None:
    """Keywords, a config or a limiter to share; never bare, because nobody can guess the rate."""
    shared = rate_limit(RateLimitConfig(rate=3), name="shared")
    assert rate_limit(shared) is shared
    assert (shared.name, shared.config) == ("shared", RateLimitConfig(rate=3))
    assert rate_limit(rate=3, per=2).config == RateLimitConfig(rate=3, per=2)
    with pytest.raises(TypeError, match="@rate_limit needs a rate: write @rate_limit"):
        rate_limit(per=3)
    with pytest.raises(TypeError, match="@rate_limit does not say how many calls are allowed round <function"):
        rate_limit(test_durations)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'brust'; did you mean 'burst'"):
        rate_limit(rate=3, brust=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="config must be a RateLimitConfig, not 3"):
        RateLimiter(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["smooth", "window"])
@pytest.mark.parametrize("per", [5e-324, 1e-12, 1e308])
@pytest.mark.parametrize("rate", [1, 10**9, 2**53])
def test_rates_and_times_at_the_edge(mode: Any, per: float, rate: int) -> None:
    """The largest and smallest values that are taken divide by nothing and overflow nowhere (G1)."""
    limiter = RateLimiter(RateLimitConfig(rate=rate, per=per, mode=mode, max_wait=0))
    assert limiter.try_acquire(rate)
    for other in (1e308, 5e-324, 1.0):
        assert 0 <= limiter.available() <= rate
        limiter.try_acquire()
        limiter.reconfigure(per=other)
