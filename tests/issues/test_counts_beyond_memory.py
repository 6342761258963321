"""Counts that fit nowhere were taken, and what they were for failed later, with an OverflowError; by fuzzing (G1)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from recoup import CircuitBreakerConfig, ErrorRecoveryConfig, HedgeConfig, RetryConfig

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE = 10**400


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("window_size", lambda: CircuitBreakerConfig(failure_rate=0.5, window_size=HUGE)),
        ("failure_threshold", lambda: CircuitBreakerConfig(failure_threshold=HUGE)),
        ("minimum_calls", lambda: CircuitBreakerConfig(failure_rate=0.5, minimum_calls=HUGE)),
        ("max_attempts", lambda: RetryConfig(max_attempts=HUGE)),
        ("max_total_attempts", lambda: ErrorRecoveryConfig(max_total_attempts=HUGE)),
        ("max_attempts", lambda: HedgeConfig(idempotent=True, max_attempts=HUGE)),
        ("minimum_samples", lambda: HedgeConfig(idempotent=True, minimum_samples=HUGE)),
        ("window_size", lambda: HedgeConfig(idempotent=True, window_size=HUGE)),
        ("burst", lambda: HedgeConfig(idempotent=True, burst=HUGE)),
    ],
)
def test_a_count_that_fits_nowhere_is_refused(argument: str, make: Callable[[], object]) -> None:
    """When the config is made, by name."""
    with pytest.raises(ValueError, match=rf"{argument} must be at most {sys.maxsize}, not 1000"):
        make()


def test_the_greatest_size_will_do() -> None:
    """Nobody means it, but it works."""
    assert CircuitBreakerConfig(failure_rate=0.5, window_size=sys.maxsize).window_size == sys.maxsize
