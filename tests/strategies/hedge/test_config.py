"""What a hedge can be told, and what it refuses (G1, L3)."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from typing import Any

import pytest

from recoup.strategies.hedge.config import HedgeConfig
from recoup.strategies.hedge.strategy import Hedge, hedge


def config(**options: Any) -> HedgeConfig:
    return HedgeConfig(idempotent=True, **options)


def test_defaults() -> None:
    """Only that the call is idempotent has to be said."""
    assert dataclasses.asdict(config()) == {
        "idempotent": True,
        "delay": None,
        "quantile": 0.95,
        "minimum_samples": 100,
        "window_size": 1000,
        "max_attempts": 2,
        "failure_on_result": None,
        "budget": 0.1,
        "burst": 10,
        "grace": 0.1,
    }


@pytest.mark.parametrize("options", [{}, {"idempotent": False}, {"delay": 0.1}])
def test_a_call_has_to_be_declared_idempotent(options: dict[str, Any]) -> None:
    """Without the declaration the decoration is refused, and the message says why and what else to do (L3)."""
    with pytest.raises(TypeError, match="both may take effect: say idempotent=True if that does no harm"):
        hedge(**options)


def test_durations_may_be_timedeltas() -> None:
    """Durations become seconds."""
    made = config(delay=timedelta(milliseconds=200), grace=timedelta(seconds=1))
    assert (made.delay, made.grace) == (0.2, 1.0)


@pytest.mark.parametrize("field", ["delay", "grace"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_durations_out_of_range(field: str, value: float) -> None:
    """A duration is finite and not negative (G1)."""
    with pytest.raises(ValueError, match=f"{field} must be at least 0 and finite, not {value}"):
        config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("quantile", 0, "quantile must be greater than 0 and at most 1, not 0"),
        ("quantile", 1.5, "quantile must be greater than 0 and at most 1"),
        ("quantile", math.nan, "quantile must be greater than 0"),
        ("quantile", 1, "quantile must be below 1, not 1: no call is slower than the slowest"),
        ("minimum_samples", 99, "minimum_samples must be at least 100, not 99"),
        ("window_size", 0, "window_size must be at least 1, not 0"),
        ("window_size", 99, r"window_size must be at least minimum_samples \(100\), not 99"),
        ("max_attempts", 1, "max_attempts must be at least 2, not 1"),
        ("budget", 0, "budget must be greater than 0 and at most 1, not 0"),
        ("budget", 1.1, "budget must be greater than 0 and at most 1"),
        ("budget", math.nan, "budget must be greater than 0"),
        ("burst", 0, "burst must be at least 1, not 0"),
        ("burst", 2**63, "burst must be at most 9223372036854775807, not 9223372036854775808"),
        ("window_size", 2**63, "window_size must be at most 9223372036854775807, not 922337"),
    ],
)
def test_values_out_of_range(field: str, value: float, message: str) -> None:
    """Each message names the argument, the value and the range (G1)."""
    with pytest.raises(ValueError, match=message):
        config(**{field: value})


@pytest.mark.parametrize(
    "field", ["delay", "quantile", "minimum_samples", "window_size", "max_attempts", "budget", "burst", "grace"]
)
@pytest.mark.parametrize("value", ["1", True, [1]])
def test_values_of_another_type(field: str, value: Any) -> None:
    """A bool, a string or a list is no number (G1)."""
    with pytest.raises(TypeError, match=f"{field} must be "):
        config(**{field: value})


def test_idempotent_is_a_bool() -> None:
    """What is only truthy is refused (G1)."""
    with pytest.raises(TypeError, match="idempotent must be True or False, not 1"):
        HedgeConfig(idempotent=1)  # type: ignore[arg-type]


def test_a_fixed_delay_and_a_quantile_contradict_each_other() -> None:
    """Two given values that contradict each other are an error (G1)."""
    with pytest.raises(ValueError, match="delay and quantile contradict each other"):
        config(delay=1, quantile=0.95)


def test_a_default_window_yields() -> None:
    """More samples than the default window widen it (G1)."""
    assert config(minimum_samples=5000).window_size == 5000
    with pytest.raises(ValueError, match="window_size must be at least minimum_samples"):
        config(minimum_samples=5000, window_size=1000)


def test_ways_to_write_it() -> None:
    """Keywords, a config or a strategy object; never bare (G1)."""
    made = hedge(idempotent=True, delay=1, name="api")
    assert isinstance(made, Hedge)
    assert (made.name, made.config.delay) == ("api", 1.0)
    assert hedge(made) is made
    assert hedge(config(), name="api").name == "api"

    async def bare() -> None:
        """Never decorated."""

    with pytest.raises(TypeError, match="@hedge needs a HedgeConfig, a Hedge or keywords"):
        hedge(bare)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword argument 'dely'; did you mean 'delay'"):
        hedge(idempotent=True, dely=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="config must be a HedgeConfig"):
        Hedge(2)  # type: ignore[arg-type]
