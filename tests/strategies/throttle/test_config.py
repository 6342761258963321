"""What a throttle can be told, and what it refuses (G1)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from recoup import AdaptiveThrottle, AdaptiveThrottleConfig, adaptive_throttle


def test_defaults() -> None:
    """The formula's own figures are the defaults: twice the accepts, two minutes (L2)."""
    config = AdaptiveThrottleConfig()
    assert (config.multiplier, config.window_duration) == (2.0, 120.0)
    assert (config.failure_on, config.ignore_on, config.failure_on_result) == (None, None, None)
    assert AdaptiveThrottleConfig(window_duration=timedelta(minutes=1)).window_duration == 60.0


@pytest.mark.parametrize(
    ("field", "value", "kind", "message"),
    [
        ("multiplier", 0.5, ValueError, "multiplier must be at least 1 and finite, not 0.5"),
        ("multiplier", -2, ValueError, "multiplier must be at least 1 and finite, not -2"),
        ("multiplier", math.nan, ValueError, "multiplier must be at least 1 and finite, not nan"),
        ("multiplier", math.inf, ValueError, "multiplier must be at least 1 and finite, not inf"),
        ("multiplier", True, TypeError, "multiplier must be a number, not True"),
        ("multiplier", "2", TypeError, "multiplier must be a number, not '2'"),
        ("window_duration", 0, ValueError, "window_duration must be greater than 0 and finite, not 0"),
        ("window_duration", -1, ValueError, "window_duration must be greater than 0 and finite, not -1"),
        ("window_duration", math.nan, ValueError, "window_duration must be greater than 0 and finite, not nan"),
        ("window_duration", math.inf, ValueError, "window_duration must be greater than 0 and finite, not inf"),
        ("window_duration", True, TypeError, "window_duration must be seconds"),
        ("failure_on", 3, TypeError, "failure_on must be an exception type"),
        ("failure_on", KeyboardInterrupt, ValueError, "failure_on must not list KeyboardInterrupt"),
        ("ignore_on", "OSError", TypeError, "ignore_on must be an exception type"),
        ("failure_on_result", 3, TypeError, "failure_on_result must be callable or None, not 3"),
    ],
)
def test_bad_values(field: str, value: Any, kind: type[Exception], message: str) -> None:
    """A bad value is an error at once, with the argument, the value and the range (G1)."""
    with pytest.raises(kind, match=f"^{message}"):
        AdaptiveThrottleConfig(**{field: value})


def test_an_async_predicate() -> None:
    """A predicate that would have to be awaited is refused at once (G4)."""

    async def judge(result: object) -> bool:
        return bool(result)

    with pytest.raises(TypeError, match="failure_on_result must be a plain function"):
        AdaptiveThrottleConfig(failure_on_result=judge)  # type: ignore[arg-type]


def test_the_ways_to_write_it() -> None:
    """Bare, with keywords, with a config or with a shared object."""
    assert AdaptiveThrottle().config == AdaptiveThrottleConfig()
    config = AdaptiveThrottleConfig(multiplier=3)
    made = adaptive_throttle(config, name="search")
    assert (made.config, made.name) == (config, "search")
    assert adaptive_throttle(made) is made
    assert adaptive_throttle(on=OSError).config.failure_on is OSError
    assert adaptive_throttle(len)("abc") == 3
    with pytest.raises(TypeError, match="did you mean 'multiplier'"):
        adaptive_throttle(multiplie=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="config must be a AdaptiveThrottleConfig"):
        AdaptiveThrottle(3)  # type: ignore[arg-type]
