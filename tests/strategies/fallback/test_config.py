"""What FallbackConfig, Fallback and @fallback refuse (G1), and how a value differs from none."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
from datetime import timedelta
from typing import Any, get_args, get_type_hints

import pytest

import recoup
from recoup import Condition, Fallback, FallbackConfig, when

untyped: Any = Fallback
fallback: Any = recoup.fallback  # called in every way, wrong ones included


def two(error: Exception, other: object) -> None: ...
def keyword(error: Exception, *, other: object) -> None: ...


SECONDS = "must be seconds (int or float) or a timedelta"
BAD: list[tuple[str, Any, type[Exception], str]] = [
    ("fallback_function", 5, TypeError, "fallback_function must be callable, not 5; an answer that is no function"),
    ("fallback_function", [print, "x"], TypeError, "fallback_function must be callable, not 'x'"),
    ("fallback_function", [], ValueError, "fallback_function must list at least one of its callables"),
    ("fallback_function", two, TypeError, "fallback_function <function two"),
    ("fallback_function", keyword, TypeError, "fallback_function <function keyword"),
    ("fallback_service", 5, TypeError, "fallback_service must be a URL or a callable, not 5"),
    ("fallback_service", "", TypeError, "fallback_service must be a URL or a callable, not ''"),
    ("fallback_service", True, TypeError, "fallback_service must be a URL or a callable, not True"),
    ("fallback_service", ["https://x", 5], TypeError, "fallback_service must be a URL or a callable, not 5"),
    ("fallback_service", [], ValueError, "fallback_service must list at least one of its URLs or callables"),
    ("service_argument", 5, TypeError, "service_argument must be the name of a parameter, not 5"),
    ("service_argument", "not a name", TypeError, "service_argument must be the name of a parameter, not 'not a name'"),
    ("service_argument", "base", ValueError, "service_argument has no meaning without a URL as fallback_service"),
    ("with_arguments", 1, TypeError, "with_arguments must be True or False, not 1 (int)"),
    ("with_arguments", True, ValueError, "with_arguments=True has no meaning without fallback_function"),
    ("use_cache", None, TypeError, "use_cache must be True or False, not None (NoneType)"),
    ("cache_ttl", 0, ValueError, "cache_ttl must be greater than 0 and finite, not 0"),
    ("cache_ttl", -1, ValueError, "cache_ttl must be greater than 0 and finite, not -1"),
    ("cache_ttl", math.nan, ValueError, "cache_ttl must be greater than 0 and finite, not nan"),
    ("cache_ttl", math.inf, ValueError, "cache_ttl must be greater than 0 and finite, not inf"),
    ("cache_ttl", True, TypeError, f"cache_ttl {SECONDS}, not True (bool)"),
    ("cache_ttl", "5m", TypeError, f"cache_ttl {SECONDS}, not '5m' (str)"),
    ("cache_ttl", None, TypeError, f"cache_ttl {SECONDS}, not None (NoneType)"),
    ("cache_size", 0, ValueError, "cache_size must be at least 1, not 0"),
    ("cache_size", -1, ValueError, "cache_size must be at least 1, not -1"),
    ("cache_size", 2.5, TypeError, "cache_size must be a whole number, not 2.5 (float)"),
    ("cache_size", math.nan, TypeError, "cache_size must be a whole number, not nan (float)"),
    ("cache_size", math.inf, TypeError, "cache_size must be a whole number, not inf (float)"),
    ("cache_size", True, TypeError, "cache_size must be a whole number, not True (bool)"),
    ("fallback_on_exceptions", [int], TypeError, "fallback_on_exceptions must list exception types, not <class 'int'>"),
    ("fallback_on_exceptions", 5, TypeError, "fallback_on_exceptions must be an exception type, a list of them"),
    ("fallback_on_exceptions", KeyboardInterrupt, ValueError, "fallback_on_exceptions must not list KeyboardInterrupt"),
    ("skip_on", [BaseException], ValueError, "skip_on must not list BaseException: it is control flow"),
    ("skip_on", "x", TypeError, "skip_on must be an exception type, a list of them"),
    ("fallback_on_timeout", "yes", TypeError, "fallback_on_timeout must be True or False, not 'yes' (str)"),
    ("fallback_on_result", "empty", TypeError, "fallback_on_result must be callable or None, not 'empty' (str)"),
    ("value_given", 1, TypeError, "value_given must be True or False, not 1 (int)"),
    ("value_given", True, ValueError, "value_given=True needs fallback_value"),
]


@pytest.mark.parametrize(("field", "value", "error", "message"), BAD)
def test_bad_values_are_named(field: str, value: Any, error: type[Exception], message: str) -> None:
    """Each field refuses each kind of bad value with argument, value and range, in a config and in @fallback (G1)."""
    for make in (FallbackConfig, fallback):
        with pytest.raises(error) as caught:
            make(**{field: value})
        assert str(caught.value).startswith(message)


async def later() -> None: ...


def test_a_coroutine_is_no_value() -> None:
    """It would answer once; the message says what to write instead (G1)."""
    coroutine = later()
    with pytest.raises(TypeError, match=r"fallback_value must not be a coroutine, .* give the async function as"):
        FallbackConfig(fallback_value=coroutine)
    coroutine.close()


def test_every_field_has_a_bad_value_above() -> None:
    """A new field gets its tests."""
    named = {row[0] for row in BAD} | {"fallback_value"}
    assert {field.name for field in dataclasses.fields(FallbackConfig)} == named


def test_async_predicates_are_refused() -> None:
    """Decisions are made without waiting (G4)."""

    async def predicate(error: Exception) -> bool:
        return True

    for field in ("fallback_on_exceptions", "skip_on"):
        with pytest.raises(TypeError, match=f"{field} must be a plain function, not the coroutine function"):
            FallbackConfig(**{field: predicate})  # type: ignore[arg-type]  # the name is a variable


def test_defaults() -> None:
    """Those of the specification, and nothing to fall back to."""
    assert dataclasses.asdict(FallbackConfig()) == {
        "fallback_value": None,
        "fallback_function": None,
        "fallback_service": None,
        "service_argument": None,
        "with_arguments": False,
        "use_cache": False,
        "cache_ttl": 300.0,
        "cache_size": 1024,
        "fallback_on_exceptions": None,
        "skip_on": None,
        "fallback_on_timeout": True,
        "fallback_on_result": None,
        "value_given": False,
    }


def test_the_signature_shows_what_is_not_given() -> None:
    """Help and documentation do not show None for a value that is not there."""
    assert "fallback_value: Any = <not given>" in str(inspect.signature(FallbackConfig)).replace("'", "")


def test_the_documents_example() -> None:
    """The specification's own example of a FallbackConfig is accepted as it stands."""

    class ServiceUnavailable(Exception):
        pass

    config = FallbackConfig(
        fallback_value="default_response",
        fallback_function=lambda e: f"Error occurred: {e}",
        fallback_service="https://backup.api.com",
        use_cache=True,
        cache_ttl=300.0,
        fallback_on_exceptions=[ServiceUnavailable],
        fallback_on_timeout=True,
    )
    assert config.cache_ttl == 300.0
    assert FallbackConfig(cache_ttl=timedelta(minutes=5)).cache_ttl == 300.0


def test_none_is_a_value() -> None:
    """A value that is not given reads as None and is none; None that is given is one (contract)."""
    nothing, none = FallbackConfig(), FallbackConfig(fallback_value=None)
    assert nothing.fallback_value is none.fallback_value is None
    assert nothing != none
    assert (nothing.value_given, none.value_given) == (False, True)
    assert FallbackConfig(fallback_value=None, value_given=False) == nothing
    assert FallbackConfig(fallback_value=5, value_given=False).value_given


@pytest.mark.parametrize(
    "config", [FallbackConfig(), FallbackConfig(fallback_value=None), FallbackConfig(fallback_value=[])]
)
def test_copies_remember_whether_a_value_was_given(config: FallbackConfig) -> None:
    """`replace`, copies and pickles make the same of it (contract)."""
    assert dataclasses.replace(config) == config
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - it was pickled a moment ago
    assert dataclasses.replace(config, fallback_value=5).value_given
    assert dataclasses.replace(config, cache_ttl=5).value_given is config.value_given


def answer() -> int:
    return 0


def test_ways_to_write_it() -> None:
    """With keywords, with a config, with an object (issue, Decorators first)."""
    shared = Fallback(FallbackConfig(fallback_value=1), name="shared")

    def fail() -> int:
        raise LookupError

    for decorate in (
        fallback(fallback_value=1),
        fallback(fallback_value=1, on=LookupError, name="named"),
        fallback(FallbackConfig(fallback_value=1)),
        fallback(FallbackConfig(fallback_value=1), name="named"),
        fallback(shared),
        shared,
    ):
        assert decorate(fail)() == 1
    assert fallback(shared) is shared
    assert fallback(fallback_function=answer, on=when(LookupError)).config.fallback_on_exceptions is not None


class Callable_:  # noqa: N801 - a callable object
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (
            lambda: fallback(answer),
            TypeError,
            r"@fallback round 'answer' does not say what to answer: write @fallback\(",
        ),
        (
            lambda: fallback(staticmethod(answer)),
            TypeError,
            r"does not say what to answer: write @fallback\(fallback_value",
        ),
        (lambda: fallback(Callable_()), TypeError, "@fallback round an object of type 'Callable_' does not say"),
        (
            fallback,
            ValueError,
            "a fallback needs something to fall back to: fallback_value, fallback_function",
        ),
        (lambda: fallback(on=LookupError), ValueError, "a fallback needs something to fall back to"),
        (untyped, ValueError, "or use_cache=True$"),
        (lambda: untyped(FallbackConfig(service_argument=None)), ValueError, "needs something to fall back to"),
        (lambda: fallback("https://x"), TypeError, "needs a FallbackConfig, a Fallback or keywords, not 'https://x'"),
        (lambda: fallback(5), TypeError, "needs a FallbackConfig, a Fallback or keywords, not 5"),
        (lambda: fallback(value=5), TypeError, "unexpected keyword argument 'value'; did you mean"),
        (
            lambda: fallback(on=OSError, fallback_on_exceptions=OSError, fallback_value=1),
            TypeError,
            "they are the same",
        ),
        (lambda: fallback(FallbackConfig(), fallback_value=1), TypeError, "a config or keywords, not both"),
        (lambda: untyped({"fallback_value": 1}), TypeError, "config must be a FallbackConfig, not"),
        (
            lambda: untyped(FallbackConfig(use_cache=True), name=5),
            TypeError,
            "name must be a non-empty string or None",
        ),
    ],
)
def test_wrong_ways_to_write_it(write: Any, error: type[Exception], message: str) -> None:
    """What cannot be meant is an error at decoration that says what to do (G1)."""
    with pytest.raises(error, match=message):
        write()


def test_what_it_says_of_itself() -> None:
    """`repr` shows the sources and the state, `explain` the rules."""
    whole = Fallback(
        FallbackConfig(
            fallback_value=1,
            fallback_function=answer,
            fallback_service=answer,
            use_cache=True,
            cache_ttl=60,
            fallback_on_exceptions=[LookupError, OSError],
            skip_on=KeyError,
            fallback_on_timeout=False,
        ),
        name="whole",
    )
    assert repr(whole) == "<Fallback 'whole': cache, service, function, value, 0 of 1024 successes remembered>"
    assert list(whole._says()) == [
        (
            "answers a failure with an earlier success of the same call (up to 60 s old), else fallback_service, "
            "else fallback_function, else fallback_value"
        ),
        "answers (LookupError, OSError), but no timeouts, never KeyError",
    ]
    part = Fallback(FallbackConfig(fallback_value=1))
    assert repr(part) == "<Fallback 'fallback': value>"
    assert list(part._says()) == ["answers a failure with fallback_value", "answers every Exception, timeouts too"]


@pytest.mark.parametrize("holder", [FallbackConfig, FallbackConfig.__init__])
def test_annotations_can_be_read(holder: Any) -> None:
    """What reads configs by their annotations, as loaders of settings do, finds every name in them."""
    hints = get_type_hints(holder)
    assert {field.name for field in dataclasses.fields(FallbackConfig)} <= set(hints)
    assert hints["cache_ttl"] == float | timedelta
    assert Condition in get_args(hints["skip_on"])
