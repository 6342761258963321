"""What CacheConfig and @cached refuse (G1)."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta
from typing import Any, get_type_hints

import pytest

import recoup
from recoup import CacheConfig

Cache: Any = recoup.Cache  # called in every way, wrong ones included
cached: Any = recoup.cached


async def later(*args: object) -> object:
    return args


SECONDS = "must be seconds (int or float) or a timedelta"
BAD = [
    ("ttl", 0, ValueError, "ttl must be greater than 0 and finite, not 0"),
    ("ttl", -1, ValueError, "ttl must be greater than 0 and finite, not -1"),
    ("ttl", math.nan, ValueError, "ttl must be greater than 0 and finite, not nan"),
    ("ttl", math.inf, ValueError, "ttl must be greater than 0 and finite, not inf"),
    ("ttl", timedelta(0), ValueError, "ttl must be greater than 0 and finite, not 0.0"),
    ("ttl", True, TypeError, f"ttl {SECONDS}, not True (bool)"),
    ("ttl", "60", TypeError, f"ttl {SECONDS}, not '60' (str)"),
    ("max_size", 0, ValueError, "max_size must be at least 1, not 0"),
    ("max_size", -5, ValueError, "max_size must be at least 1, not -5"),
    ("max_size", 2.0, TypeError, "max_size must be a whole number, not 2.0 (float)"),
    ("max_size", math.nan, TypeError, "max_size must be a whole number, not nan (float)"),
    ("max_size", math.inf, TypeError, "max_size must be a whole number, not inf (float)"),
    ("max_size", True, TypeError, "max_size must be a whole number, not True (bool)"),
    ("max_size", None, TypeError, "max_size must be a whole number, not None (NoneType)"),
    ("key", "user", TypeError, "key must be callable or None, not 'user' (str)"),
    ("key", later, TypeError, "key must be a plain function of the call's arguments, not an async one"),
    ("cache_if", "found", TypeError, "cache_if must be callable or None, not 'found' (str)"),
    ("cache_if", later, TypeError, "cache_if must be a plain function of the result, not an async one"),
    ("stale_while_revalidate", -1, ValueError, "stale_while_revalidate must be at least 0 and finite, not -1"),
    ("stale_while_revalidate", math.nan, ValueError, "stale_while_revalidate must be at least 0 and finite, not nan"),
    ("stale_while_revalidate", math.inf, ValueError, "stale_while_revalidate must be at least 0 and finite, not inf"),
    ("stale_while_revalidate", True, TypeError, f"stale_while_revalidate {SECONDS}, not True (bool)"),
    ("stale_while_revalidate", None, TypeError, f"stale_while_revalidate {SECONDS}, not None (NoneType)"),
    ("stale_if_error", -1, ValueError, "stale_if_error must be at least 0 and finite, not -1"),
    ("stale_if_error", math.nan, ValueError, "stale_if_error must be at least 0 and finite, not nan"),
    ("stale_if_error", math.inf, ValueError, "stale_if_error must be at least 0 and finite, not inf"),
    ("stale_if_error", True, TypeError, f"stale_if_error {SECONDS}, not True (bool)"),
    ("stale_if_error", "1h", TypeError, f"stale_if_error {SECONDS}, not '1h' (str)"),
    ("negative_ttl", 0, ValueError, "negative_ttl must be greater than 0 and finite, not 0"),
    ("negative_ttl", -1, ValueError, "negative_ttl must be greater than 0 and finite, not -1"),
    ("negative_ttl", math.nan, ValueError, "negative_ttl must be greater than 0 and finite, not nan"),
    ("negative_ttl", math.inf, ValueError, "negative_ttl must be greater than 0 and finite, not inf"),
    ("negative_ttl", True, TypeError, f"negative_ttl {SECONDS}, not True (bool)"),
    ("negative_ttl", "1", TypeError, f"negative_ttl {SECONDS}, not '1' (str)"),
]


@pytest.mark.parametrize(("field", "value", "error", "message"), BAD)
def test_bad_values_are_named(field: str, value: Any, error: type[Exception], message: str) -> None:
    """Each field refuses each kind of bad value with argument, value and range, in a config and in @cached (G1)."""
    for make in (CacheConfig, cached):
        with pytest.raises(error) as caught:
            make(**{field: value})
        assert str(caught.value) == message


def test_every_field_has_a_bad_value_above() -> None:
    """A new field gets its tests."""
    assert {field.name for field in dataclasses.fields(CacheConfig)} == {row[0] for row in BAD}


@pytest.mark.parametrize("field", ["stale_while_revalidate", "stale_if_error"])
def test_what_never_expires_is_never_stale(field: str) -> None:
    """Two values that contradict each other are an error (G1)."""
    with pytest.raises(ValueError, match=f"^{field} has no meaning with ttl=None"):
        CacheConfig(ttl=None, **{field: 1})  # type: ignore[arg-type]  # the name is a variable
    assert CacheConfig(ttl=None, negative_ttl=1).ttl is None


def test_durations_may_be_timedeltas() -> None:
    """A timedelta is its seconds, everywhere."""
    config = CacheConfig(
        ttl=timedelta(minutes=1),
        stale_while_revalidate=timedelta(seconds=2),
        stale_if_error=timedelta(hours=1),
        negative_ttl=timedelta(milliseconds=500),
    )
    assert (config.ttl, config.stale_while_revalidate, config.stale_if_error, config.negative_ttl) == (60, 2, 3600, 0.5)


def test_defaults() -> None:
    """Five minutes, 1024 results, nothing stale and no errors kept."""
    assert dataclasses.asdict(CacheConfig()) == {
        "ttl": 300.0,
        "max_size": 1024,
        "key": None,
        "stale_while_revalidate": 0.0,
        "stale_if_error": 0.0,
        "negative_ttl": None,
        "cache_if": None,
    }


def test_ways_to_write_it() -> None:
    """Bare, with a time to live by position, with keywords, with a config, with an object (issue, Decorators first)."""

    def load(x: int) -> int:
        return x

    cache = Cache(name="shared")
    for decorate in (
        cached,
        cached(60),
        cached(0.5),
        cached(timedelta(seconds=1)),
        cached(60, max_size=2, name="named"),
        cached(ttl=None),
        cached(CacheConfig(ttl=1)),
        cached(CacheConfig(ttl=1), name="named"),
        cached(cache),
        cache,
    ):
        assert decorate(load)(1) == 1
    assert cached(cache) is cache
    assert cached(60).config.ttl == 60
    assert cached(timedelta(minutes=1), max_size=2).config == CacheConfig(ttl=60, max_size=2)


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda: cached(60, ttl=30), TypeError, r"^cached\(\) got ttl twice, by position and by name$"),
        (lambda: cached(True), TypeError, r"^ttl must be seconds .*, not True \(bool\)$"),
        (lambda: cached(0), ValueError, "^ttl must be greater than 0 and finite, not 0$"),
        (lambda: cached("60"), TypeError, "needs a CacheConfig, a Cache or keywords, not '60'"),
        (lambda: cached(tll=60), TypeError, "unexpected keyword argument 'tll'; did you mean 'ttl'"),
        (lambda: cached(on=ValueError), TypeError, "unexpected keyword argument 'on'"),
        (lambda: cached(CacheConfig(), ttl=60), TypeError, "a config or keywords, not both: ttl given beside a config"),
        (lambda: Cache(60), TypeError, "config must be a CacheConfig, not 60"),
        (lambda: Cache(name=""), TypeError, "name must be a non-empty string or None"),
    ],
)
def test_wrong_ways_to_write_it(write: Any, error: type[Exception], message: str) -> None:
    """What cannot be meant is an error at decoration that says what to do (G1)."""
    with pytest.raises(error, match=message):
        write()


def test_a_generator_cannot_be_cached() -> None:
    """What cannot be protected is refused at decoration, with what to do instead (G5)."""

    def rows() -> Any:
        yield 1

    async def rows_later() -> Any:
        yield 1

    for generator in (rows, rows_later, staticmethod(rows)):
        with pytest.raises(
            TypeError, match="is a generator function, whose items can be taken only once: cache a function"
        ):
            cached(generator)


@pytest.mark.parametrize("holder", [CacheConfig, CacheConfig.__init__])
def test_annotations_can_be_read(holder: Any) -> None:
    """What reads configs by their annotations, as loaders of settings do, finds every name in them."""
    hints = get_type_hints(holder)
    assert {field.name for field in dataclasses.fields(CacheConfig)} <= set(hints)
    assert hints["ttl"] == float | timedelta | None
