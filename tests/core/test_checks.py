"""What validation promises (G1)."""

from __future__ import annotations

import asyncio
import functools
import math
from datetime import timedelta
from enum import Enum
from typing import Any

import pytest

from recoup._core import checks


class Fruit(Enum):
    """An enumeration."""

    APPLE = "apple"
    PEAR = "pear"


@pytest.mark.parametrize("value", [0, 1, 2.5, timedelta(minutes=1), timedelta(0)])
def test_durations_are_seconds_or_timedeltas(value: Any) -> None:
    """A duration comes back as float seconds."""
    seconds = checks.duration("wait", value)
    assert isinstance(seconds, float)
    assert seconds == (value.total_seconds() if isinstance(value, timedelta) else value)


@pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, -math.inf, 10**400, timedelta(seconds=-1)])
def test_a_duration_out_of_range_names_argument_value_and_range(value: Any) -> None:
    """Negative, NaN and infinite durations are refused with a full message."""
    with pytest.raises(ValueError, match=r"^wait must be at least 0 and finite, not "):
        checks.duration("wait", value)


def test_a_number_that_cannot_be_shown_is_refused_all_the_same() -> None:
    """Python writes no number of more than 4300 digits."""
    with pytest.raises(ValueError, match=r"^wait must be at least 0 and finite, not an object of type int"):
        checks.duration("wait", 10**5000)


@pytest.mark.parametrize("value", [True, False, "1", None, [1], 1j, object()])
def test_a_duration_of_a_wrong_type_is_a_type_error(value: Any) -> None:
    """A bool is not a number of seconds, and neither is a string."""
    with pytest.raises(TypeError, match=r"^wait must be seconds \(int or float\) or a timedelta, not "):
        checks.duration("wait", value)


def test_zero_may_be_senseless() -> None:
    """A duration that must not be zero says so."""
    with pytest.raises(ValueError, match=r"^limit must be greater than 0 and finite, not 0"):
        checks.duration("limit", 0, zero=False)
    assert checks.optional_duration("limit", None, zero=False) is None
    assert checks.optional_duration("limit", 2, zero=False) == 2.0


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_fraction_lies_between_0_and_1(value: float) -> None:
    """A share outside 0..1 is refused."""
    with pytest.raises(ValueError, match=r"^share must be at least 0 and at most 1, not "):
        checks.fraction("share", value)


def test_a_number_is_no_bool_and_no_string() -> None:
    """Numbers are int or float."""
    with pytest.raises(TypeError, match=r"^n must be a number, not True \(bool\)"):
        checks.number("n", value=True, low=0)
    with pytest.raises(TypeError, match=r"^n must be a number, not '3' \(str\)"):
        checks.number("n", "3", low=0)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-5, ValueError), (True, TypeError), (1.0, TypeError)])
def test_counts_are_whole_and_positive(value: Any, error: type[Exception]) -> None:
    """A count is an int of at least 1."""
    with pytest.raises(error, match=r"^times must be "):
        checks.count("times", value)
    assert checks.count("times", 1) == 1
    assert checks.count("times", 0, low=0) == 0


def test_booleans_are_booleans() -> None:
    """0 and None are mistakes more often than meant."""
    assert checks.boolean("flag", value=True) is True
    for value in (0, 1, None, "yes"):
        with pytest.raises(TypeError, match=r"^flag must be True or False, not "):
            checks.boolean("flag", value)


def test_callbacks_are_callable_or_absent() -> None:
    """None means no callback."""
    checks.callback("on_retry", None)
    checks.callback("on_retry", print)
    with pytest.raises(TypeError, match=r"^on_retry must be callable or None, not 5 \(int\)"):
        checks.callback("on_retry", 5)


def test_instances_are_checked_by_class() -> None:
    """A config of another strategy is refused by name."""
    checks.instance("config", Fruit.APPLE, Fruit)
    with pytest.raises(TypeError, match=r"^config must be a Fruit, not 'apple' \(str\)"):
        checks.instance("config", "apple", Fruit)


def test_members_are_coerced_from_their_values() -> None:
    """A string will do where a member is expected; an unknown one lists the known ones."""
    assert checks.member("fruit", "pear", Fruit) is Fruit.PEAR
    assert checks.member("fruit", Fruit.APPLE, Fruit) is Fruit.APPLE
    with pytest.raises(ValueError, match=r"^fruit must be one of 'apple', 'pear', not 'plum'$"):
        checks.member("fruit", "plum", Fruit)
    with pytest.raises(TypeError, match=r"^fruit must be a Fruit or one of 'apple', 'pear', not 3$"):
        checks.member("fruit", 3, Fruit)


def test_exception_lists_hold_exceptions_only() -> None:
    """One type or any collection of them; anything else is named."""
    assert checks.exceptions("on", ValueError) == (ValueError,)
    assert checks.exceptions("on", [ValueError, OSError]) == (ValueError, OSError)
    for wrong in ("ValueError", ValueError("x"), int):
        with pytest.raises(TypeError, match=r"^on must list exception types, not "):
            checks.exceptions("on", [wrong])


@pytest.mark.parametrize("control", [BaseException, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_control_flow_cannot_be_listed(control: type[BaseException]) -> None:
    """Listing cancellation or interpreter exit is an error (G2)."""
    with pytest.raises(ValueError, match=f"^on must not list {control.__name__}: it is control flow"):
        checks.exceptions("on", [OSError, control])


def test_long_values_are_shortened() -> None:
    """A message never prints a whole data set."""
    assert len(checks.shown("x" * 1000)) == 80
    assert checks.shown("x") == "'x'"


def test_async_callbacks_are_recognised() -> None:
    """Coroutine functions, partials of them and objects whose __call__ is async."""

    async def function() -> None: ...

    class Object:
        async def __call__(self) -> None: ...

    callback: Any
    for callback in (function, functools.partial(function), functools.partial(functools.partial(function)), Object()):
        assert checks.awaitable_callback(callback)
    for callback in (None, print, functools.partial(print), lambda: None):
        assert not checks.awaitable_callback(callback)


def test_defaults_know_that_they_are_defaults() -> None:
    """They behave and print like plain numbers."""
    assert (checks.DefaultFloat(60.0), repr(checks.DefaultFloat(60.0))) == (60.0, "60.0")
    assert (checks.DefaultInt(10), repr(checks.DefaultInt(10))) == (10, "10")
