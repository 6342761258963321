"""What RetryConfig refuses and how defaults yield (G1)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from recoup import BackoffStrategy, RetryBudget, RetryConfig


class Delays:
    """An iterable that is no sequence."""

    def __init__(self, *delays: float) -> None:
        self.delays = delays

    def __iter__(self) -> Iterator[float]:
        return iter(self.delays)


BAD: list[tuple[str, Any, type[Exception], str]] = [
    ("max_attempts", 0, ValueError, "max_attempts must be at least 1, not 0"),
    ("max_attempts", -1, ValueError, "max_attempts must be at least 1, not -1"),
    ("max_attempts", 2.0, TypeError, "max_attempts must be a whole number, not 2.0 (float)"),
    ("max_attempts", True, TypeError, "max_attempts must be a whole number, not True (bool)"),
    ("max_attempts", math.inf, TypeError, "max_attempts must be a whole number, not inf (float)"),
    ("initial_delay", -1, ValueError, "initial_delay must be at least 0 and finite, not -1"),
    ("initial_delay", math.nan, ValueError, "initial_delay must be at least 0 and finite, not nan"),
    ("initial_delay", math.inf, ValueError, "initial_delay must be at least 0 and finite, not inf"),
    ("initial_delay", True, TypeError, "initial_delay must be seconds (int or float) or a timedelta, not True (bool)"),
    ("initial_delay", "1", TypeError, "initial_delay must be seconds (int or float) or a timedelta, not '1' (str)"),
    ("max_delay", -1, ValueError, "max_delay must be at least 0 and finite, not -1"),
    ("max_delay", math.nan, ValueError, "max_delay must be at least 0 and finite, not nan"),
    ("max_delay", math.inf, ValueError, "max_delay must be at least 0 and finite, not inf"),
    ("max_delay", None, TypeError, "max_delay must be seconds (int or float) or a timedelta, not None (NoneType)"),
    ("backoff_strategy", "expo", ValueError, "backoff_strategy must be one of 'fixed', 'linear', 'exponential'"),
    ("backoff_strategy", 3, TypeError, "backoff_strategy must be a BackoffStrategy, one of 'fixed'"),
    ("backoff_strategy", [], ValueError, "backoff_strategy must list at least one delay"),
    ("backoff_strategy", Delays(), ValueError, "backoff_strategy must list at least one delay"),
    ("backoff_strategy", Delays(-1), ValueError, "backoff_strategy must be at least 0 and finite, not -1"),
    ("backoff_strategy", [1, -1], ValueError, "backoff_strategy must be at least 0 and finite, not -1"),
    ("backoff_strategy", [1, True], TypeError, "backoff_strategy must be seconds"),
    ("backoff_strategy", itertools.count(), TypeError, "backoff_strategy must not be a one-shot iterator"),
    ("backoff_multiplier", 0.5, ValueError, "backoff_multiplier must be at least 1 and finite, not 0.5"),
    ("backoff_multiplier", math.nan, ValueError, "backoff_multiplier must be at least 1 and finite, not nan"),
    ("backoff_multiplier", math.inf, ValueError, "backoff_multiplier must be at least 1 and finite, not inf"),
    ("backoff_multiplier", True, TypeError, "backoff_multiplier must be a number, not True (bool)"),
    ("jitter_range", -0.1, ValueError, "jitter_range must be at least 0 and at most 1, not -0.1"),
    ("jitter_range", 1.5, ValueError, "jitter_range must be at least 0 and at most 1, not 1.5"),
    ("jitter_range", math.nan, ValueError, "jitter_range must be at least 0 and at most 1, not nan"),
    ("jitter_range", True, TypeError, "jitter_range must be a number, not True (bool)"),
    ("retry_on_exceptions", [int], TypeError, "retry_on_exceptions must list exception types, not <class 'int'>"),
    ("retry_on_exceptions", 5, TypeError, "retry_on_exceptions must be an exception type, a list of them"),
    ("retry_on_exceptions", KeyboardInterrupt, ValueError, "retry_on_exceptions must not list KeyboardInterrupt"),
    ("abort_on", [BaseException], ValueError, "abort_on must not list BaseException: it is control flow"),
    ("abort_on", "x", TypeError, "abort_on must be an exception type, a list of them"),
    ("retry_on_result", 5, TypeError, "retry_on_result must be callable or None, not 5 (int)"),
    ("raise_on_result", 1, TypeError, "raise_on_result must be True or False, not 1 (int)"),
    ("raise_on_result", True, ValueError, "raise_on_result=True needs retry_on_result"),
    ("retry_after", "wait", ValueError, "retry_after must be one of 'obey', 'clamp', 'ignore', not 'wait'"),
    ("retry_after", True, TypeError, "retry_after must be a RetryAfter or one of 'obey', 'clamp', 'ignore', not True"),
    ("nested", "twice", ValueError, "nested must be 'allow' or 'once', not 'twice'"),
    ("nested", True, ValueError, "nested must be 'allow' or 'once', not True"),
    ("nested", [], ValueError, "nested must be 'allow' or 'once', not []"),
    ("idempotent", "no", TypeError, "idempotent must be True or False, not 'no' (str)"),
    ("idempotent", 0, TypeError, "idempotent must be True or False, not 0 (int)"),
    ("before_retry", 5, TypeError, "before_retry must be callable or None, not 5 (int)"),
    ("replay", "again", ValueError, "replay must be 'repeat', 'resume' or None, not 'again'"),
    ("replay", True, ValueError, "replay must be 'repeat', 'resume' or None, not True"),
    ("budget", 5, TypeError, "budget must be a RetryBudget, not 5 (int)"),
    ("budget", RetryBudget, TypeError, "budget must be a RetryBudget, not <class"),
    ("attempt_timeout", 0, ValueError, "attempt_timeout must be greater than 0 and finite, not 0"),
    ("attempt_timeout", math.inf, ValueError, "attempt_timeout must be greater than 0 and finite, not inf"),
    ("attempt_timeout", math.nan, ValueError, "attempt_timeout must be greater than 0 and finite, not nan"),
    ("attempt_timeout", True, TypeError, "attempt_timeout must be seconds (int or float) or a timedelta, not True"),
    ("max_elapsed", -1, ValueError, "max_elapsed must be greater than 0 and finite, not -1"),
    ("max_elapsed", "1", TypeError, "max_elapsed must be seconds (int or float) or a timedelta, not '1'"),
    ("on_retry", 5, TypeError, "on_retry must be callable or None, not 5 (int)"),
    ("on_failure", "x", TypeError, "on_failure must be callable or None, not 'x' (str)"),
]


@pytest.mark.parametrize(("field", "value", "error", "message"), BAD)
def test_bad_values_are_named(field: str, value: Any, error: type[Exception], message: str) -> None:
    """Each field refuses each kind of bad value with argument, value and range (G1)."""
    with pytest.raises(error) as caught:
        RetryConfig(**{field: value})
    assert str(caught.value).startswith(message)


def test_every_field_has_a_bad_value_above() -> None:
    """A new field gets its tests."""
    assert {field.name for field in dataclasses.fields(RetryConfig)} == {row[0] for row in BAD}


def test_async_delays_are_refused() -> None:
    """How long to wait is worked out without waiting (G4)."""

    async def delay(n: int) -> float:
        return 1.0

    options: dict[str, Any] = {"backoff_strategy": delay}
    with pytest.raises(TypeError, match="backoff_strategy must be a plain function"):
        RetryConfig(**options)


def test_contradictions_are_refused() -> None:
    """Two given values that cannot both hold (G1)."""
    with pytest.raises(ValueError, match=r"initial_delay \(5 s\) must not be longer than max_delay \(2 s\)"):
        RetryConfig(initial_delay=5, max_delay=2)
    with pytest.raises(ValueError, match=r"attempt_timeout \(9 s\) must not be longer than max_elapsed \(3 s\)"):
        RetryConfig(attempt_timeout=9, max_elapsed=3)
    for kind in ("decorrelated", "full_jitter", "equal_jitter", "smooth_jitter"):
        with pytest.raises(ValueError, match=f"jitter_range has no meaning with {kind.upper()}, which draws from its"):
            RetryConfig(backoff_strategy=kind, jitter_range=0.1)
    with pytest.raises(ValueError, match="jitter_range has no meaning beside delays of your own"):
        RetryConfig(backoff_strategy=[1, 2], jitter_range=0.1)


def test_defaults_yield_to_given_values() -> None:
    """A longer first delay widens the cap, a lower cap shortens the first delay (G1)."""
    longer, shorter = RetryConfig(initial_delay=120), RetryConfig(max_delay=0.5)
    assert (longer.initial_delay, longer.max_delay) == (120, 120)
    assert (shorter.initial_delay, shorter.max_delay) == (0.5, 0.5)
    assert dataclasses.replace(RetryConfig(), initial_delay=120).max_delay == 120


def test_durations_may_be_timedeltas() -> None:
    """They become seconds."""
    config = RetryConfig(
        initial_delay=timedelta(milliseconds=100),
        max_delay=timedelta(minutes=1),
        attempt_timeout=timedelta(seconds=2),
        max_elapsed=timedelta(seconds=9),
    )
    listed = RetryConfig(backoff_strategy=[timedelta(seconds=1), 2])
    assert (config.initial_delay, config.max_delay) == (0.1, 60.0)
    assert (config.attempt_timeout, config.max_elapsed, listed.backoff_strategy) == (2.0, 9.0, (1.0, 2.0))


def test_the_defaults_are_those_of_the_contract() -> None:
    """Three attempts, jitter (R12), waits from 1 to 60 seconds."""
    config = RetryConfig()
    assert (config.max_attempts, config.initial_delay, config.max_delay) == (3, 1.0, 60.0)
    assert (config.backoff_strategy, config.backoff_multiplier) == (BackoffStrategy.JITTER, 2.0)
    assert all(
        getattr(config, name) is None
        for name in ("jitter_range", "retry_on_exceptions", "abort_on", "retry_on_result", "on_retry", "on_failure")
    )


def test_a_config_is_immutable_comparable_and_pickles() -> None:
    """It may be shared between threads."""
    import pickle

    config = RetryConfig(max_attempts=5, retry_on_exceptions=[OSError])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_attempts = 6  # type: ignore[misc]
    copied = pickle.loads(pickle.dumps(config))  # noqa: S301 - our own bytes
    assert copied == config == RetryConfig(max_attempts=5, retry_on_exceptions=[OSError])


def test_an_iterable_that_starts_anew_each_time_is_accepted() -> None:
    """A range, a tuple, a class of the user's."""

    assert RetryConfig(backoff_strategy=range(1, 4)).backoff_strategy == (1.0, 2.0, 3.0)
    own = Delays(1, 2)
    assert RetryConfig(backoff_strategy=own).backoff_strategy is own


@pytest.mark.parametrize("delays", [[1, 2], lambda n: n, range(1, 4)])
def test_an_initial_delay_beside_delays_of_ones_own_is_refused(delays: Any) -> None:
    """It would be ignored silently (G1)."""
    with pytest.raises(ValueError, match="initial_delay has no meaning beside delays of your own"):
        RetryConfig(initial_delay=5, backoff_strategy=delays)
    lowered = RetryConfig(max_delay=0.5, backoff_strategy=delays)
    assert dataclasses.replace(lowered, max_attempts=5).max_delay == 0.5, "a default that yielded stays a default"


def test_a_default_that_yielded_yields_again() -> None:
    """`replace` sees no difference between what was given and what was filled in (G1)."""
    assert dataclasses.replace(RetryConfig(initial_delay=120), initial_delay=200).max_delay == 200
    assert dataclasses.replace(RetryConfig(max_delay=0.5), max_delay=0.1).initial_delay == 0.1


@pytest.mark.parametrize(
    "function", [lambda: 1.0, lambda n, error, more: 1.0, BackoffStrategy, float, {1: 2.0}, {1.0, 2.0}, b"12"]
)
def test_delays_that_could_never_work_are_refused_at_once(function: Any) -> None:
    """Not at the first failure, in production (G1)."""
    with pytest.raises(TypeError, match="backoff_strategy must be a"):
        RetryConfig(backoff_strategy=function)


def test_a_builtin_without_a_signature_may_give_delays() -> None:
    """What cannot be checked is believed."""
    builtin: Any = max
    assert RetryConfig(backoff_strategy=builtin).backoff_strategy is builtin
