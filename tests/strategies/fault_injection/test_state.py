"""Which calls are hit: by number, by seed, by chance."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import FaultInjectionConfig
from recoup.strategies.fault_injection.state import Fault, FaultPlan, uniform


def plan(**options: Any) -> FaultPlan:
    return FaultPlan(FaultInjectionConfig(delay=1, **options))


def never() -> float:
    raise AssertionError("no chance is to be asked")


def test_draws_are_those_of_splitmix64() -> None:
    """The reference implementation (Vigna, https://prng.di.unimi.it/splitmix64.c) gives these for a state of 0."""
    words = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [uniform(0, number) for number in (1, 2, 3)] == [(word >> 11) / 2**53 for word in words]
    assert uniform(2**64 - 1, 10**30) < 1


@given(seed=st.integers(), numbers=st.lists(st.integers(1, 10**9), max_size=20), rate=st.floats(0.01, 0.99))
def test_a_seed_decides_by_number_alone(seed: int, numbers: list[int], rate: float) -> None:
    """The same calls are hit in whatever order they are asked about, and more of them at a higher rate."""
    one, more = plan(seed=seed, rate=rate), plan(seed=seed, rate=min(0.995, rate * 2))
    hits = {number: one.hits(number, never) for number in numbers}
    assert {number: plan(seed=seed, rate=rate).hits(number, never) for number in reversed(numbers)} == hits
    assert all(more.hits(number, never) for number, hit in hits.items() if hit)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**64, 12345678901234567890123])
@pytest.mark.parametrize("rate", [0.01, 0.5, 0.9])
def test_a_rate_is_met(seed: int, rate: float) -> None:
    """Of 20,000 calls the share is that of the rate, within five standard deviations."""
    made = plan(seed=seed, rate=rate)
    hits = sum(made.hits(number, never) for number in range(1, 20_001))
    assert abs(hits - 20_000 * rate) < 5 * (20_000 * rate * (1 - rate)) ** 0.5


def test_seeds_differ() -> None:
    """Another seed hits other calls, neighbours too."""
    chosen = {
        tuple(number for number in range(1, 65) if plan(seed=seed, rate=0.5).hits(number, never))
        for seed in range(-50, 50)
    }
    assert len(chosen) == 100


@pytest.mark.parametrize(("draw", "hit"), [(0.0, True), (0.2999, True), (0.3, False), (0.999, False)])
def test_chance_is_asked_without_a_seed(draw: float, hit: bool) -> None:
    """A draw below the rate hits."""
    assert plan(rate=0.3).hits(1, lambda: draw) is hit
    assert plan().hits(1, lambda: 1 - 2**-53)
    assert not plan(rate=0).hits(1, lambda: 0.0)


def test_a_schedule_is_asked_first() -> None:
    """Calls that are not on schedule use up no chance."""
    draws = iter([0.0])
    made = plan(rate=0.5, schedule=[2])
    assert [made.hits(number, lambda: next(draws)) for number in (1, 2, 3)] == [False, True, False]
    listed: list[int] = []
    growing = plan(schedule=listed)
    assert not growing.hits(1, lambda: 0.0)
    listed.append(1)  # it is the user's own list
    assert growing.hits(1, lambda: 0.0)


def test_items_are_counted() -> None:
    """The error comes in place of the item after the last good one."""
    two, never = (FaultInjectionConfig(error=OSError, after_items=items) for items in (2, None))
    fault, endless = Fault(two, 1), Fault(never, 1)
    assert [fault.item() for _ in range(3)] == [False, False, True]
    assert [endless.item() for _ in range(3)] == [False] * 3
    assert not fault.begun
