"""What `CircuitBreakerConfig` accepts, and what it says to the rest (G1)."""

from __future__ import annotations

import dataclasses
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest

from recoup._core.conditions import when
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

COUNTS = [
    *("failure_threshold", "success_threshold", "window_size", "consecutive_failures", "minimum_calls"),
    "half_open_max",
]
DURATIONS = ["timeout", "window_duration", "half_open_timeout", "slow_call_duration", "ramp_up"]
RATES = ["failure_rate", "slow_call_rate"]
CALLBACKS = ["on_open", "on_close", "on_half_open", "failure_on_result"]
CONDITIONS = ["failure_on", "ignore_on"]


def made(**fields: Any) -> CircuitBreakerConfig:
    """Make a config of values that a type checker would not let through."""
    return CircuitBreakerConfig(**fields)


def test_defaults_are_those_of_the_contract() -> None:
    """The specification's fields have the contract's defaults; ours change nothing."""
    config = CircuitBreakerConfig()
    assert dataclasses.asdict(config) == {
        "failure_threshold": 5,
        "success_threshold": 2,
        "timeout": 60.0,
        "window_size": 10,
        "window_duration": 60.0,
        "failure_on": None,
        "ignore_on": None,
        "failure_on_result": None,
        "consecutive_failures": None,
        "failure_rate": None,
        "slow_call_rate": None,
        "slow_call_duration": None,
        "minimum_calls": 10,
        "open_when": "any",
        "half_open_max": None,
        "half_open_timeout": None,
        "ramp_up": None,
        "on_open": None,
        "on_close": None,
        "on_half_open": None,
    }


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [True, False, 1.0, math.nan, math.inf, "3", b"3", [3], object()])
def test_a_count_that_is_no_whole_number_is_refused(field: str, value: object) -> None:
    """Wrong types, bool included, name the argument and the value (G1)."""
    with pytest.raises(TypeError, match=rf"^{field} must be a whole number, not "):
        made(**{field: value})


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [0, -1, -(10**30)])
def test_a_count_below_one_is_refused(field: str, value: int) -> None:
    """Zero and negatives are senseless (G1)."""
    with pytest.raises(ValueError, match=rf"^{field} must be at least 1, not {value}$"):
        made(**{field: value})


@pytest.mark.parametrize("field", ["success_threshold", "minimum_calls", "timeout"])
def test_what_cannot_be_absent_refuses_none(field: str) -> None:
    """None is no count and no duration (G1)."""
    with pytest.raises(TypeError, match=rf"^{field} must be "):
        made(**{field: None})


@pytest.mark.parametrize("field", DURATIONS)
@pytest.mark.parametrize("value", [True, "60", [1], object(), 1j])
def test_a_duration_of_the_wrong_type_is_refused(field: str, value: object) -> None:
    """Wrong types, bool included, name the argument and the value (G1)."""
    if (field, value) == ("timeout", [1]):
        return  # a list of open times
    with pytest.raises(TypeError, match=rf"^{field} must be seconds \(int or float\) or a timedelta, not "):
        made(**{field: value})


@pytest.mark.parametrize("field", DURATIONS)
@pytest.mark.parametrize(
    "value", [0, 0.0, -1, -0.5, math.nan, math.inf, -math.inf, timedelta(0), timedelta(seconds=-1)]
)
def test_a_duration_out_of_range_is_refused(field: str, value: object) -> None:
    """NaN or infinity would leave a circuit open for ever; zero would never open it (G1)."""
    with pytest.raises(ValueError, match=rf"^{field} must be greater than 0 and finite, not "):
        made(**{field: value})


@pytest.mark.parametrize("field", DURATIONS)
def test_durations_may_be_timedeltas_and_become_seconds(field: str) -> None:
    """A duration is seconds as a float, or a timedelta."""
    others = {"slow_call_rate": 0.5} if field == "slow_call_duration" else {}
    assert getattr(made(**{field: timedelta(minutes=2)}, **others), field) == 120.0
    value = getattr(made(**{field: 3}, **others), field)
    assert value == 3.0
    assert type(value) is float


@pytest.mark.parametrize("field", RATES)
@pytest.mark.parametrize("value", [True, "0.5", [0.5], object(), 1j])
def test_a_share_that_is_no_number_is_refused(field: str, value: object) -> None:
    """Wrong types, bool included, name the argument and the value (G1)."""
    with pytest.raises(TypeError, match=rf"^{field} must be a number, not "):
        made(**{field: value, "slow_call_duration": 1})


@pytest.mark.parametrize("field", RATES)
@pytest.mark.parametrize("value", [0, 0.0, -0.1, 1.01, 50, math.nan, math.inf])
def test_a_share_out_of_range_is_refused(field: str, value: float) -> None:
    """A share of none would open a healthy circuit, one above all never would; 50 is no percentage (G1)."""
    with pytest.raises(ValueError, match=rf"^{field} must be greater than 0 and at most 1, not "):
        made(**{field: value, "slow_call_duration": 1})


def test_the_default_rule_yields_to_those_that_are_given() -> None:
    """Who asks for a share does not get five failures as well, unless they say so (G1, C2)."""
    assert made(failure_rate=0.5).failure_threshold is None
    assert made(consecutive_failures=3).failure_threshold is None
    assert made(slow_call_rate=0.5, slow_call_duration=1).failure_threshold is None
    assert made(failure_rate=0.5, failure_threshold=5).failure_threshold == 5
    assert dataclasses.replace(made(failure_rate=0.5), timeout=1).failure_threshold is None


def test_a_circuit_that_nothing_opens_is_refused() -> None:
    """At construction (G1, C2)."""
    with pytest.raises(ValueError, match=r"^failure_threshold=None leaves no rule that opens the circuit: give "):
        made(failure_threshold=None)


@pytest.mark.parametrize("fields", [{"slow_call_rate": 0.5}, {"slow_call_duration": 1}])
def test_half_a_rule_is_refused(fields: dict[str, float]) -> None:
    """How many may be slow, and which are: neither means anything alone (G1)."""
    with pytest.raises(ValueError, match=r"^slow_call_rate and slow_call_duration go together: "):
        made(**fields)


def test_a_minimum_without_a_share_is_refused() -> None:
    """Counting failures needs none (G1)."""
    with pytest.raises(ValueError, match=r"^minimum_calls has a meaning only with failure_rate or slow_call_rate"):
        made(minimum_calls=5)


def test_a_minimum_larger_than_its_window_is_refused() -> None:
    """It would never open: a fault of peers (G1). Defaults yield on either side."""
    with pytest.raises(ValueError, match=r"^window_size \(9\) must be at least minimum_calls \(10\): "):
        made(failure_rate=0.5, window_size=9, minimum_calls=10)
    assert made(failure_rate=0.5, minimum_calls=25).window_size == 25
    assert made(failure_rate=0.5, window_size=9).minimum_calls == 9
    assert made(failure_rate=0.5, window_size=100).minimum_calls == 10
    assert made(failure_rate=0.5, window_size=None).minimum_calls == 10


def test_a_window_has_an_end() -> None:
    """Calls or seconds; either may be left out (G1, C2)."""
    with pytest.raises(ValueError, match=r"^window_size and window_duration must not both be None"):
        made(window_size=None, window_duration=None)
    assert made(window_size=None, failure_threshold=20).window_size is None
    assert made(window_duration=None).window_duration is None


@pytest.mark.parametrize("field", CALLBACKS)
@pytest.mark.parametrize("value", [0, "print", object(), True])
def test_a_callback_that_cannot_be_called_is_refused(field: str, value: object) -> None:
    """Not at the first opening, months later (G1)."""
    with pytest.raises(TypeError, match=rf"^{field} must be callable or None, not "):
        made(**{field: value})


def test_an_async_result_predicate_is_refused() -> None:
    """Decisions are made without waiting (G4)."""

    async def judge(result: object) -> bool:
        return True

    with pytest.raises(TypeError, match="failure_on_result must be a plain function"):
        made(failure_on_result=judge)


@pytest.mark.parametrize("field", CONDITIONS)
@pytest.mark.parametrize("value", [1, "ValueError", [1], ValueError("instance"), True, object()])
def test_a_condition_that_is_none_is_refused(field: str, value: object) -> None:
    """A non-exception where exceptions are listed is an error at construction (G1, G4)."""
    with pytest.raises(TypeError, match=rf"^{field} must "):
        made(**{field: value})


@pytest.mark.parametrize("field", CONDITIONS)
def test_listing_control_flow_is_refused(field: str) -> None:
    """Cancellation is never counted (G2)."""
    with pytest.raises(ValueError, match=rf"^{field} must not list KeyboardInterrupt: it is control flow"):
        made(**{field: [ValueError, KeyboardInterrupt]})


@pytest.mark.parametrize("field", CONDITIONS)
def test_an_async_condition_is_refused(field: str) -> None:
    """A coroutine would always be true (G4)."""

    async def matches(error: BaseException) -> bool:
        return False

    with pytest.raises(TypeError, match=rf"^{field} must be a plain function, not the coroutine function"):
        made(**{field: matches})


@pytest.mark.parametrize("field", CONDITIONS)
@pytest.mark.parametrize(
    "value", [OSError, [OSError, ValueError], (OSError,), when(OSError) & ~when(TimeoutError), bool]
)
def test_conditions_take_types_lists_predicates_and_conditions(field: str, value: object) -> None:
    """What is given is kept as it is (G4)."""
    if value is bool:
        value = lambda error: bool(error.args)  # noqa: E731 - a predicate
    assert getattr(made(**{field: value}), field) is value


def test_a_given_window_smaller_than_the_threshold_is_refused() -> None:
    """Two given values that contradict each other: such a circuit would never open (G1)."""
    with pytest.raises(ValueError, match=r"window_size \(4\) must be at least failure_threshold \(5\)"):
        made(window_size=4)
    with pytest.raises(ValueError, match=r"window_size \(10\) must be at least failure_threshold \(11\)"):
        made(window_size=10, failure_threshold=11)
    assert made(window_size=5).window_size == 5


def test_a_default_window_yields_to_the_threshold() -> None:
    """`failure_threshold=20` widens the default window, and a copy with another threshold has another one (G1)."""
    wide = made(failure_threshold=20)
    assert wide.window_size == 20
    assert dataclasses.replace(wide, failure_threshold=30).window_size == 30
    assert dataclasses.replace(wide, failure_threshold=3).window_size == 10
    with pytest.raises(ValueError, match="window_size"):
        dataclasses.replace(made(window_size=20), failure_threshold=30)


def test_configs_are_immutable_and_pickle() -> None:
    """A config may be shared and sent anywhere."""
    config = made(failure_threshold=20, timeout=timedelta(seconds=5), failure_on=[OSError])
    copy = pickle.loads(pickle.dumps(config))  # noqa: S301 - our own bytes
    assert copy == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.timeout = 1.0  # type: ignore[misc]
    assert dataclasses.replace(copy, failure_threshold=40).window_size == 40
