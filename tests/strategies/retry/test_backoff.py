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

from recoup import BackoffStrategy, RetryConfig, UnacceptableResult
from recoup.strategies.retry.backoff import Backoff
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_retry import Script, protect

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
    lowest = 0 if strategy is BackoffStrategy.FULL_JITTER else 0.5
    for memory in (None, 60.0):
        assert lowest <= backoff.delay(n, memory, random.Random(n).uniform)[0] <= 60
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


@pytest.mark.parametrize(("strategy", "low"), [("full_jitter", 0.0), ("equal_jitter", 0.5)])
def test_full_and_equal_jitter(strategy: str, low: float) -> None:
    """U(0, c) and U(c/2, c) of the capped exponential delay (R2)."""
    backoff = Backoff(RetryConfig(backoff_strategy=strategy, initial_delay=2, backoff_multiplier=3, max_delay=10))
    for n, capped in ((1, 2), (2, 6), (3, 10), (400, 10)):
        assert backoff.delay(n, None, lambda lowest, _: lowest) == (capped * low, None)
        assert backoff.delay(n, None, lambda _, highest: highest) == (capped, None)


def polly(count: int, dice: random.Random) -> list[float]:
    """Polly v8's DecorrelatedJitterBackoffV2 for a first delay of 1 s, written down plainly."""
    delays, before = [], 0.0
    for attempt in range(count):
        t = attempt + dice.random()
        reached = 2**t * math.tanh((4 * t) ** 0.5)
        delays.append((reached - before) / 1.4)
        before = reached
    return delays


def test_smooth_jitter_is_that_of_polly() -> None:
    """The same delays from the same dice, as long as they are below the cap (R2)."""
    backoff = Backoff(RetryConfig(backoff_strategy="smooth_jitter", initial_delay=2, max_delay=100_000))
    for seed in range(20):
        one, other, memory, delays = random.Random(seed), random.Random(seed), None, []
        for n in range(1, 9):
            delay, memory = backoff.delay(n, memory, one.uniform)
            delays.append(delay)
        assert delays == [pytest.approx(2 * delay) for delay in polly(8, other)]


def test_smooth_jitter_keeps_its_medians() -> None:
    """Near 0.9, 1.1, 2, 4 and 8 times the initial delay (R2)."""
    options: dict[str, Any] = {"backoff_strategy": "smooth_jitter", "max_delay": 1000}
    runs = [series_with(random.Random(seed), 5, **options) for seed in range(2001)]
    medians = [sorted(run[n] for run in runs)[1000] for n in range(5)]
    assert medians == [pytest.approx(median, rel=0.1) for median in (0.9, 1.1, 2, 4, 8)]


def test_smooth_jitter_goes_on_beyond_all_numbers() -> None:
    """From infinity to infinity is no number; such a delay is above the cap (R2)."""
    delays = series_with(random.Random(3), 1030, backoff_strategy="smooth_jitter", max_delay=30)
    assert all(15 <= delay <= 30 for delay in delays[8:])


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=40), st.floats(0.01, 5), st.floats(5, 50), st.floats(0, 1))
def test_smooth_jitter_above_the_cap_is_spread(
    moments: list[float], initial: float, longest: float, share: float
) -> None:
    """U(max_delay/2, max_delay) in place of what is above it; what is below stays as it is (R2)."""
    drawn = iter(moments)

    def uniform(low: float, high: float) -> float:
        return next(drawn) if (low, high) == (0.0, 1.0) else low + (high - low) * share

    backoff = Backoff(RetryConfig(backoff_strategy="smooth_jitter", initial_delay=initial, max_delay=longest))
    memory, before = None, 0.0
    for n, moment in enumerate(moments, start=1):
        delay, memory = backoff.delay(n, memory, uniform)
        reached = 2 ** (n - 1 + moment) * math.tanh((4 * (n - 1 + moment)) ** 0.5)
        step, before = (reached - before) / 1.4 * initial, reached
        assert delay == pytest.approx(step if step <= longest else longest * (0.5 + share / 2))
        assert delay <= longest


def series_with(dice: random.Random, count: int, **options: Any) -> list[float]:
    """Give the first delays of one call."""
    backoff, memory, delays = Backoff(RetryConfig(**options)), None, []
    for n in range(1, count + 1):
        delay, memory = backoff.delay(n, memory, dice.uniform)
        delays.append(delay)
    return delays


JITTERS = ["jitter", "decorrelated", "full_jitter", "equal_jitter", "smooth_jitter"]


@pytest.mark.parametrize("strategy", JITTERS)
def test_no_jitter_has_a_lump_at_the_cap(strategy: str) -> None:
    """Late delays of a fleet spread over half of the cap at least (R2)."""
    runs = [series_with(random.Random(seed), 14, backoff_strategy=strategy, max_delay=30)[-1] for seed in range(1000)]
    assert runs.count(30.0) < 3
    assert max(runs) - min(runs) > 14


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


def test_delays_that_depend_on_the_error(both: Both, clock: VirtualClock) -> None:
    """A function that needs a second argument gets the error, of a result its UnacceptableResult; capped (R2)."""
    asked: list[Any] = []

    def patience(n: int, error: Exception) -> float:
        asked.append((n, error))
        return 500 if isinstance(error, KeyError) else 0.25 * n

    errors = [OSError("a"), KeyError("b"), OSError("c")]
    options: dict[str, Any] = {"max_attempts": 9, "max_delay": 5, "retry_on_result": lambda result: result == "bad"}
    assert both.call(protect(both, Script(*errors, "bad", "ok"), backoff_strategy=patience, **options)) == "ok"
    assert clock.sleeps == [0.25, 5, 0.75, 1]
    assert [n for n, _ in asked] == [1, 2, 3, 4]
    assert [error for _, error in asked[:3]] == errors
    assert isinstance(asked[3][1], UnacceptableResult)


def test_a_second_parameter_with_a_default_is_the_functions_own(both: Both, clock: VirtualClock) -> None:
    """As in loops, `lambda n, step=step: n * step`: the error is not put there (R2, F2)."""
    step = 2
    function = protect(both, Script(OSError(), OSError(), "ok"), backoff_strategy=lambda n, step=step: n * step)
    assert both.call(function) == "ok"
    assert clock.sleeps == [2, 4]


def test_delays_by_the_error_are_not_known_before() -> None:
    """explain() says the cap, and asks nobody (R2, G14)."""

    def never(n: int, error: Exception) -> float:
        raise AssertionError

    backoff = Backoff(RetryConfig(backoff_strategy=never, max_delay=7))
    assert str(backoff) == "7 s at first and 7 s at most (delays of your own)"
    assert backoff.longest(3) == 21


def test_a_delay_by_the_error_that_is_none_comes_out(both: Both, clock: VirtualClock) -> None:
    """At once, as for other functions of delays (R2)."""

    def wrong(n: int, error: Exception) -> Any:
        return None

    with pytest.raises(TypeError, match="the delay that backoff_strategy gave must be seconds"):
        both.call(protect(both, Script(OSError()), backoff_strategy=wrong))


class Short:
    """An iterable that is no sequence."""

    def __init__(self, *delays: float) -> None:
        self.delays = delays

    def __iter__(self) -> Iterator[float]:
        return iter(self.delays)


def test_a_list_is_looked_up_by_the_number_of_the_retry() -> None:
    """An asynchronous pass that takes over goes on in the middle (G5)."""
    assert Backoff(RetryConfig(backoff_strategy=[1, 2, 3])).delay(3, None, random.Random(1).uniform) == (3, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backoff_strategy": "fixed", "initial_delay": 0.25}, "0.25 s at first and 60 s at most (fixed)"),
        ({"max_delay": 1.25}, "1.25 s at first and 1.25 s at most (jitter)"),
        ({"backoff_strategy": [7, 8], "max_delay": 9}, "7 s at first and 9 s at most (delays of your own)"),
    ],
)
def test_it_says_itself_in_words(options: dict[str, Any], words: str) -> None:
    """For explain(): the longest first wait, and the cap."""
    assert str(Backoff(RetryConfig(**options))) == words


@pytest.mark.parametrize(
    ("options", "retries", "seconds"),
    [
        ({"backoff_strategy": "exponential", "max_delay": 5}, 4, 1 + 2 + 4 + 5),
        ({"backoff_strategy": "jitter", "max_delay": 5}, 3, 1.5 + 3 + 5),
        ({"backoff_strategy": "decorrelated", "max_delay": 20}, 4, 3 + 9 + 20 + 20),
        ({"backoff_strategy": "fixed", "max_delay": 7}, 1000, 1000),
        ({"backoff_strategy": "fixed", "max_delay": 7}, 1002, 1002),
        ({"backoff_strategy": [1], "max_delay": 7}, 1002, 1000 + 2 * 7),
        ({"backoff_strategy": [1, 2]}, 3, 1 + 2 + 2),
        ({"backoff_strategy": "full_jitter", "max_delay": 5}, 4, 1 + 2 + 4 + 5),
        ({"backoff_strategy": "smooth_jitter", "max_delay": 5}, 1, 2 * math.tanh(2) / 1.4),
        ({"backoff_strategy": "smooth_jitter", "max_delay": 5}, 99, 8 * math.tanh(12**0.5) / 1.4 + 96 * 5),
        ({}, 0, 0),
    ],
)
def test_the_longest_wait_in_all(options: dict[str, Any], retries: int, seconds: float) -> None:
    """What explain() adds to the attempts; past the first thousand retries an upper bound."""
    assert Backoff(RetryConfig(**options)).longest(retries) == pytest.approx(seconds)
