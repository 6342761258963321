"""What the delay maths promises (R1, R2)."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import BackoffStrategy, RetryConfig
from recoup.strategies.retry.backoff import Backoff

EXACT = [BackoffStrategy.FIXED, BackoffStrategy.LINEAR, BackoffStrategy.EXPONENTIAL]


def series(count: int, **options: Any) -> list[float]:
    """Give the first delays of a configuration."""
    backoff = Backoff(RetryConfig(**options))
    delays: list[float] = []
    memory: Any = None
    for n in range(1, count + 1):
        delay, memory = backoff.delay(n, memory, random.Random(n).uniform)
        delays.append(delay)
    return delays


def test_the_series_are_exact() -> None:
    """min(max_delay, initial_delay * f(n)), the first one being initial_delay (R1)."""
    assert series(5, backoff_strategy="fixed", initial_delay=0.5) == [0.5] * 5
    assert series(5, backoff_strategy="linear", initial_delay=2, max_delay=7) == [2, 4, 6, 7, 7]
    assert series(5, backoff_strategy="exponential", max_delay=10) == [1, 2, 4, 8, 10]
    assert series(4, backoff_strategy="exponential", backoff_multiplier=3, initial_delay=0.1, max_delay=60) == [
        pytest.approx(value) for value in (0.1, 0.3, 0.9, 2.7)
    ]
    assert series(3, backoff_strategy="exponential", backoff_multiplier=1) == [1, 1, 1]


def test_lists_and_functions_of_delays() -> None:
    """The last of a list repeats; a function gets the number of the retry; both are capped (R2)."""
    assert series(4, backoff_strategy=[0.1, 5]) == [0.1, 5, 5, 5]
    assert series(3, backoff_strategy=lambda n: n * 10, max_delay=25) == [10, 20, 25]
    with pytest.raises(ValueError, match="the delay that backoff_strategy gave must be at least 0 and finite, not -1"):
        series(1, backoff_strategy=lambda n: -n)


@pytest.mark.parametrize("strategy", BackoffStrategy)
@pytest.mark.parametrize("n", [1023, 1024, 1025, 100_000])
def test_nothing_overflows(strategy: BackoffStrategy, n: int) -> None:
    """Attempt 100,000 of somebody patient waits the longest delay, or its share (R2)."""
    backoff = Backoff(RetryConfig(backoff_strategy=strategy, max_delay=60))
    assert 0.5 <= backoff.delay(n, 60.0, random.Random(n).uniform)[0] <= 60
    nothing = Backoff(RetryConfig(backoff_strategy=strategy, initial_delay=0))
    assert nothing.delay(n, 0.0, random.Random(n).uniform)[0] == 0


configs: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    initial_delay=st.floats(0, 10),
    max_delay=st.floats(10, 100),
    backoff_multiplier=st.floats(1, 10),
)


@given(configs, st.sampled_from([*EXACT, BackoffStrategy.JITTER]), st.floats(0, 1), st.integers(1, 2000), st.randoms())
def test_jitter_stays_inside_the_cap(
    options: dict[str, Any], strategy: BackoffStrategy, spread: float, n: int, dice: random.Random
) -> None:
    """U(c(1-j), min(c(1+j), max_delay)) for every strategy that has a jitter_range (R2)."""
    backoff = Backoff(RetryConfig(**options, backoff_strategy=strategy, jitter_range=spread))
    capped = backoff.capped(n)
    assert capped <= options["max_delay"]
    low, high = capped * (1 - spread), min(capped * (1 + spread), options["max_delay"])
    assert low - 1e-9 <= backoff.delay(n, None, dice.uniform)[0] <= high


@given(configs, st.randoms())
def test_decorrelated_jitter_follows_its_predecessor(options: dict[str, Any], dice: random.Random) -> None:
    """U(base, min(max_delay, 3 * previous)), beginning with the base (R2)."""
    backoff = Backoff(RetryConfig(**options, backoff_strategy="decorrelated"))
    base, memory, previous = options["initial_delay"], None, options["initial_delay"]
    for n in range(1, 30):
        delay, memory = backoff.delay(n, memory, dice.uniform)
        assert base <= delay <= min(options["max_delay"], 3 * previous + 1e-9)
        previous = delay


def test_late_retries_of_a_fleet_do_not_coincide() -> None:
    """The fault of Polly and resilience4j: with the cap after the jitter 55-99 % of late delays are exactly the cap."""
    config = RetryConfig(backoff_strategy="jitter", initial_delay=1, max_delay=30)
    dice = random.Random(1)
    delays = [Backoff(config).delay(12, None, dice.uniform)[0] for _ in range(2000)]
    naive = [min(30.0, 2.0**11 * dice.uniform(0.5, 1.5)) for _ in range(2000)]
    assert naive.count(30.0) == 2000
    assert delays.count(30.0) < 5
    assert max(delays) <= 30
    assert len({round(delay) for delay in delays}) == 16, "spread over all of 15..30"


def test_the_default_jitter_is_half() -> None:
    """RetryConfig() spreads each wait from half to one and a half of it (R12)."""
    assert Backoff(RetryConfig()).delay(1, None, lambda low, _: low)[0] == 0.5
    assert Backoff(RetryConfig()).delay(1, None, lambda _, high: high)[0] == 1.5
    assert series(3, backoff_strategy="exponential") == [1, 2, 4], "and plain EXPONENTIAL stays exact"


def test_a_draw_above_its_range_by_a_rounding_stays_under_the_cap() -> None:
    """`low + (high - low) * random()` may round to more than `high`; max_delay is never exceeded (R2)."""
    backoff = Backoff(RetryConfig(backoff_strategy="jitter", initial_delay=0.3, max_delay=0.3))
    assert backoff.delay(5, None, lambda _, high: math.nextafter(high, 1))[0] == 0.3


def test_an_iterable_is_gone_through_anew_by_each_call() -> None:
    """Endless ones and those with jitter of their own work; the last one of a short one repeats (R2, G8)."""

    class Doubling:
        begun = 0

        def __iter__(self) -> Iterator[float]:
            self.begun += 1
            scale = self.begun
            return (scale * 2.0**n for n in itertools.count())

    def endless() -> Iterator[timedelta]:
        while True:
            yield timedelta(seconds=2)

    backoff = Backoff(RetryConfig(backoff_strategy=Doubling()))  # the check at construction was the first to begin
    one, other = (backoff.delay(1, None, random.Random(1).uniform) for _ in range(2))
    assert (one[0], other[0]) == (2, 3)
    assert backoff.delay(2, one[1], random.Random(1).uniform)[0] == 4
    assert backoff.delay(2, other[1], random.Random(1).uniform)[0] == 6
    assert series(3, backoff_strategy=endless) == [2, 2, 2]
    assert series(4, backoff_strategy=Short(1, 5)) == [1, 5, 5, 5]
    with pytest.raises(ValueError, match="the delay that backoff_strategy gave must be at least 0 and finite, not -1"):
        series(2, backoff_strategy=Short(1, -1))


class Short:
    """An iterable that is no sequence."""

    def __init__(self, *delays: float) -> None:
        self.delays = delays

    def __iter__(self) -> Iterator[float]:
        return iter(self.delays)


@pytest.mark.parametrize(
    ("options", "retries", "seconds"),
    [
        ({"backoff_strategy": "exponential", "max_delay": 5}, 4, 1 + 2 + 4 + 5),
        ({"backoff_strategy": "jitter", "max_delay": 5}, 3, 1.5 + 3 + 5),
        ({"backoff_strategy": "decorrelated", "max_delay": 20}, 4, 3 + 9 + 20 + 20),
        ({"backoff_strategy": "fixed", "max_delay": 7}, 1000, 1000),
        ({"backoff_strategy": "fixed", "max_delay": 7}, 1002, 1000 + 2 * 7),
        ({"backoff_strategy": [1, 2]}, 3, 1 + 2 + 2),
        ({}, 0, 0),
    ],
)
def test_the_longest_wait_in_all(options: dict[str, Any], retries: int, seconds: float) -> None:
    """What explain() adds to the attempts; past the first thousand retries an upper bound."""
    assert Backoff(RetryConfig(**options)).longest(retries) == pytest.approx(seconds)
