"""What BulkheadConfig refuses (G1)."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest

from recoup import Bulkhead, BulkheadConfig, bulkhead

SECONDS = "queue_timeout must be seconds (int or float) or a timedelta, not "
COUNTS = ["max_concurrent", "max_queue_size", "thread_pool_size"]
FLAGS = ["use_thread_pool", "track_metrics"]
BAD: list[tuple[str, Any, type[Exception], str]] = [
    ("max_concurrent", 0, ValueError, "max_concurrent must be at least 1, not 0"),
    ("max_concurrent", -1, ValueError, "max_concurrent must be at least 1, not -1"),
    ("max_queue_size", -1, ValueError, "max_queue_size must be at least 0, not -1"),
    ("thread_pool_size", 0, ValueError, "thread_pool_size must be at least 1, not 0"),
    ("thread_pool_size", -5, ValueError, "thread_pool_size must be at least 1, not -5"),
    ("queue_timeout", -0.1, ValueError, "queue_timeout must be at least 0 and finite, not -0.1"),
    ("queue_timeout", timedelta(seconds=-1), ValueError, "queue_timeout must be at least 0 and finite, not -1.0"),
    ("queue_timeout", math.nan, ValueError, "queue_timeout must be at least 0 and finite, not nan"),
    ("queue_timeout", math.inf, ValueError, "queue_timeout must be at least 0 and finite, not inf"),
    ("queue_timeout", True, TypeError, SECONDS + "True (bool)"),
    ("queue_timeout", "30", TypeError, SECONDS + "'30' (str)"),
    ("queue_timeout", None, TypeError, SECONDS + "None (NoneType)"),
    *[
        (field, value, TypeError, f"{field} must be a whole number, not {value!r} ({type(value).__name__})")
        for field in COUNTS
        for value in (True, 2.0, math.nan, math.inf, "5", None)
    ],
    *[
        (field, value, TypeError, f"{field} must be True or False, not {value!r} ({type(value).__name__})")
        for field in FLAGS
        for value in (0, 1, "yes", None)
    ],
]


@pytest.mark.parametrize(("field", "value", "error", "message"), BAD)
def test_a_bad_value_is_refused(field: str, value: Any, error: type[Exception], message: str) -> None:
    """The message names the argument, the value and what is allowed, in the config and in the decorator (G1)."""
    with pytest.raises(error) as found:
        BulkheadConfig(**{field: value})
    assert message in str(found.value)
    with pytest.raises(error) as found:
        bulkhead(**{field: value})
    assert message in str(found.value)


def test_the_defaults_are_those_of_the_contract() -> None:
    """10 calls run, 100 wait, for 30 s; no threads; metrics; nothing is measured, nobody is in a hurry."""
    assert dataclasses.astuple(BulkheadConfig()) == (10, 100, 30.0, False, 5, True, None, False, "oldest_first", None)


def test_the_example_of_the_specification_is_legal() -> None:
    """A pool size beside `use_thread_pool=False` is no contradiction: the document shows it."""
    config = BulkheadConfig(
        max_concurrent=10,
        max_queue_size=100,
        queue_timeout=30.0,
        use_thread_pool=False,
        thread_pool_size=5,
        track_metrics=True,
    )
    assert config == BulkheadConfig()


def test_durations_become_seconds() -> None:
    """A timedelta or an int is as good as a float."""
    assert BulkheadConfig(queue_timeout=timedelta(minutes=1)).queue_timeout == 60.0
    assert type(BulkheadConfig(queue_timeout=10).queue_timeout) is float


def test_it_is_a_value() -> None:
    """Configs are immutable, equal by value, and pickle and copy."""
    config = BulkheadConfig(max_concurrent=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_concurrent = 4  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == BulkheadConfig(max_concurrent=3)  # noqa: S301


def test_a_bulkhead_wants_a_config() -> None:
    """Anything else is a TypeError that says so."""
    with pytest.raises(TypeError, match="config must be a BulkheadConfig, not 5"):
        Bulkhead(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"max_concurent": 5}, {"on": OSError}])
def test_an_unknown_keyword_is_refused(options: dict[str, Any]) -> None:
    """A typing mistake is an error at decoration; a bulkhead has no condition to be short for."""
    with pytest.raises(TypeError, match="unexpected keyword"):
        bulkhead(**options)
