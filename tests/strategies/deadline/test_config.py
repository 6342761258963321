"""What `DeadlineConfig` and `@deadline` accept, and what they say to the rest (G1)."""

from __future__ import annotations

import dataclasses
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest

from recoup import DeadlineConfig, TimeLimiter, deadline


def made(*args: Any, **fields: Any) -> DeadlineConfig:
    """Make a config of values that a type checker would not let through."""
    return DeadlineConfig(*args, **fields)


def test_defaults() -> None:
    """Only the time has to be given."""
    assert dataclasses.asdict(DeadlineConfig(2)) == {"seconds": 2.0, "mode": None, "thread_workers": 10, "reserve": 0.0}
    with pytest.raises(TypeError, match="seconds"):
        made()


@pytest.mark.parametrize("value", [2, 2.0, timedelta(seconds=2)])
def test_the_time_is_seconds_or_a_timedelta(value: Any) -> None:
    """int, float and timedelta mean the same."""
    assert DeadlineConfig(value).seconds == 2.0
    assert DeadlineConfig(seconds=value) == DeadlineConfig(2)


@pytest.mark.parametrize("value", [True, False, "2", None, [2], b"2"])
def test_a_time_of_another_type_is_refused(value: object) -> None:
    """Wrong types, bool included, name the argument and the value (G1)."""
    with pytest.raises(TypeError, match=r"^seconds must be seconds \(int or float\) or a timedelta, not "):
        made(value)


@pytest.mark.parametrize("value", [0, 0.0, -1, math.nan, math.inf, -math.inf, timedelta(0), timedelta(seconds=-1)])
def test_a_time_out_of_range_is_refused(value: object) -> None:
    """Zero, negatives, NaN and infinity are senseless (G1)."""
    with pytest.raises(ValueError, match=r"^seconds must be greater than 0 and finite, not "):
        made(value)


@pytest.mark.parametrize("value", ["threads", "Cooperative", ""])
def test_an_unknown_mode_is_refused(value: str) -> None:
    """An unknown mode names the known ones (G1)."""
    with pytest.raises(ValueError, match=rf'^mode must be "cooperative" or "thread" or None, not {value!r}$'):
        made(2, mode=value)


@pytest.mark.parametrize("value", [1, True, ["thread"], object()])
def test_a_mode_of_another_type_is_refused(value: object) -> None:
    """A mode is a string (G1)."""
    with pytest.raises(TypeError, match=r'^mode must be "cooperative" or "thread" or None, not '):
        made(2, mode=value)


@pytest.mark.parametrize("value", [True, 1.0, math.nan, "3", None])
def test_workers_that_are_no_whole_number_are_refused(value: object) -> None:
    """Wrong types, bool included, name the argument and the value (G1)."""
    with pytest.raises(TypeError, match=r"^thread_workers must be a whole number, not "):
        made(2, thread_workers=value)


@pytest.mark.parametrize("value", [0, -1])
def test_workers_below_one_are_refused(value: int) -> None:
    """Without a thread nothing could ever run (G1)."""
    with pytest.raises(ValueError, match=rf"^thread_workers must be at least 1, not {value}$"):
        made(2, thread_workers=value)


def test_only_the_time_goes_by_position() -> None:
    """The mode has to be named, so that `@deadline(2, 5)` is nobody's guess."""
    with pytest.raises(TypeError, match="positional"):
        made(2, "thread")


def test_configs_are_values() -> None:
    """A config is immutable, hashable, comparable, and pickles."""
    config = DeadlineConfig(2, mode="thread", thread_workers=3)
    assert config == pickle.loads(pickle.dumps(config))  # noqa: S301 - our own bytes
    assert hash(config) == hash(dataclasses.replace(config))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seconds = 3  # type: ignore[misc]  # the point of this test


@pytest.mark.parametrize("bare", [lambda: None, int, object()])
def test_bare_use_is_refused(bare: Any) -> None:
    """`@deadline` alone says what to write instead (G1)."""
    with pytest.raises(TypeError, match=r"@deadline needs a time: write @deadline\(2\.5\) above the function, not "):
        deadline(bare)
    with pytest.raises(TypeError, match=r"@deadline needs a time: write @deadline\(2\.5\) above the function$"):
        deadline()  # type: ignore[call-overload]  # the point of this test


def test_the_time_given_twice_is_refused() -> None:
    """By position or by name, not both (G1)."""
    with pytest.raises(TypeError, match="got the time twice"):
        deadline(2, seconds=3)  # type: ignore[call-overload]  # the point of this test


def test_unknown_keywords_are_refused() -> None:
    """A misspelt keyword is an error that suggests the right one (G1)."""
    with pytest.raises(TypeError, match="did you mean 'mode'"):
        deadline(2, mod="thread")  # type: ignore[call-overload]  # the point of this test


def test_a_limiter_needs_a_config() -> None:
    """A bare number is not a config (G1)."""
    with pytest.raises(TypeError, match="config must be a DeadlineConfig, not 2"):
        TimeLimiter(2)  # type: ignore[arg-type]  # the point of this test


def test_ways_to_write_it() -> None:
    """By position, by name, from a config, from a limiter: all the same."""
    config = DeadlineConfig(2, mode="cooperative")
    limiter = deadline(config, name="shared")
    assert limiter.config is config
    assert limiter.name == "shared"
    assert deadline(limiter) is limiter
    assert deadline(2, mode="cooperative").config == deadline(seconds=2, mode="cooperative").config == config
    assert deadline(timedelta(minutes=1)).config.seconds == 60
    assert repr(deadline(2.5, name="fetch")) == "<TimeLimiter 'fetch' 2.5 s>"
