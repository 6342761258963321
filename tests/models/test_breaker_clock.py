"""The window of a breaker when the clock goes backwards far (G12); a mutant lived without it."""

from __future__ import annotations

import math

from recoup.strategies.circuit_breaker.window import FailureWindow


def test_failures_from_the_future_grow_old_as_well() -> None:
    """After the clock went back, an earlier failure counts from then on, and not until its own time comes again."""
    window = FailureWindow(threshold=3, size=math.inf, duration=10)
    assert not window.failed(1, 1000.0)
    assert not window.failed(2, 500.0)
    assert not window.failed(3, 520.0)
    assert window.failed(4, 505.0)
