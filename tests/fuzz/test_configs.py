"""Every config, and everything else that checks what users write: an object, a TypeError or a ValueError (G1)."""

from __future__ import annotations

import dataclasses
import warnings
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import recoup
from recoup import (
    AdaptiveThrottle,
    Bulkhead,
    Cache,
    CircuitBreaker,
    Compensation,
    Deadline,
    ErrorRecoveryWorkflow,
    Fallback,
    FaultInjection,
    Hedge,
    KeyedCircuitBreaker,
    RateLimiter,
    RetryBudget,
    RetryExecutor,
    TimeLimiter,
    when,
)
from recoup._core import checks
from tests.fuzz import values
from tests.fuzz.values import EXAMPLES

DOCUMENTED = (TypeError, ValueError)

OPTIONS: dict[str, type[Any]] = {
    name: value
    for name in recoup.__all__
    if isinstance(value := getattr(recoup, name), type)
    and dataclasses.is_dataclass(value)
    and name.endswith(("Config", "Limit"))
}
MADE_FROM: dict[str, Any] = {
    "AdaptiveThrottleConfig": AdaptiveThrottle,
    "BulkheadConfig": Bulkhead,
    "CacheConfig": Cache,
    "CircuitBreakerConfig": CircuitBreaker,
    "CompensationConfig": Compensation,
    "DeadlineConfig": TimeLimiter,
    "ErrorRecoveryConfig": ErrorRecoveryWorkflow,
    "FallbackConfig": Fallback,
    "FaultInjectionConfig": FaultInjection,
    "HedgeConfig": Hedge,
    "RateLimitConfig": RateLimiter,
    "RetryConfig": RetryExecutor,
}

NEEDED: dict[str, dict[str, Any]] = {
    "DeadlineConfig": {"seconds": 1.0},
    "FallbackConfig": {"fallback_value": None},
    "FaultInjectionConfig": {"error": OSError},
    "HedgeConfig": {"idempotent": True},
    "RateLimitConfig": {"rate": 5},
}


def fitting(field: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    """Give values of which some are what a field wants."""
    kind = str(field.type)
    wanted = [values.ANYTHING]
    for word, strategy in (
        ("Seconds", values.DURATIONS),
        ("int", st.integers(1, 100)),
        ("float", st.floats(0, 1)),
        ("bool", st.booleans()),
        ("Condition", values.CONDITIONS),
        ("Call", values.CALLABLES),
        ("Predicate", values.CALLABLES),
        ("Literal", values.WORDS),
        ("Backoff", values.WORDS),
        ("Config", st.sampled_from([recoup.RetryConfig(), recoup.BulkheadConfig(), recoup.FallbackConfig()])),
    ):
        if word in kind:
            wanted.append(strategy)
    return st.one_of(wanted)


def keywords(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Give a few fields of a config, with values: few enough that not every config has something wrong in it."""
    fitting_of = {field.name: fitting(field) for field in dataclasses.fields(OPTIONS[name]) if field.init}
    chosen = st.lists(st.sampled_from(sorted(fitting_of)), unique=True, max_size=4)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({each: fitting_of[each] for each in names})).map(
        lambda options: {**NEEDED.get(name, {}), **options}
    )


def names_an_argument(error: BaseException, kind: type[Any]) -> bool:
    """Tell whether the message helps: it says which argument is wrong."""
    return any(field.name in str(error) for field in dataclasses.fields(kind))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_a_config_is_made_or_refused(name: str) -> None:
    """Whatever is given: a config that is equal to a copy of itself, or an error that names the argument (G1)."""
    kind = OPTIONS[name]

    @given(keywords(name))
    @EXAMPLES
    def check(options: dict[str, Any]) -> None:
        try:
            config = kind(**options)
        except DOCUMENTED as error:
            assert names_an_argument(error, kind), str(error)  # noqa: PT017 - one of many
            assert len(str(error)) < 1000  # noqa: PT017 - as above
            return
        # What is checked once passes when it is checked again: `reconfigure` makes configs of configs.
        again = dataclasses.replace(config)
        for field in dataclasses.fields(kind):
            before, after = getattr(config, field.name), getattr(again, field.name)
            assert type(before) is type(after), field.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(name, config)

    check()


def make(name: str, config: Any) -> None:
    """Make the strategy; that may run the user's own code, which raises what it likes."""
    sizes = [getattr(config, field.name) for field in dataclasses.fields(config)]
    if name not in MADE_FROM or any(isinstance(size, int) and size > 10**6 for size in sizes):
        return  # memory for a window of a billion calls is what was asked for, and not for a test
    try:
        repr(MADE_FROM[name](config))
    except DOCUMENTED as error:
        assert str(error)  # noqa: PT017 - one of many


def test_every_config_is_fuzzed() -> None:
    """A config that nobody makes anything of here would not be tried as a whole."""
    assert {name for name in OPTIONS if name.endswith("Config")} - MADE_FROM.keys() <= {"IsolationConfig"}
    assert len(OPTIONS) >= 15


@given(values.ANYTHING, values.ANYTHING)
@EXAMPLES
def test_conditions(first: object, second: object) -> None:
    """What says which errors are meant is a condition or refused, alone and in a list (G4)."""
    for spec in (first, [first, second], (first, second)):
        try:
            condition = when(spec)  # type: ignore[arg-type]  # that is the question
        except DOCUMENTED:
            continue
        repr(condition & ~condition | condition)


@given(values.ANYTHING, st.sampled_from(("number", "duration", "count", "boolean", "callback", "exceptions")))
@EXAMPLES
@example(10**400, "number")
@example(timedelta.max, "duration")
def test_checks(value: object, check: str) -> None:
    """Each check gives a value of its kind, or one of the two errors, with the name of the argument."""
    options = {"low": 0} if check in ("number", "count") else {}
    try:
        given_back = getattr(checks, check)("the_argument", value, **options)
    except DOCUMENTED as error:
        assert "the_argument" in str(error)  # noqa: PT017 - one of many
        return
    if check in ("number", "duration"):
        assert type(given_back) is float
        assert 0 <= given_back < float("inf")


@given(st.dictionaries(st.sampled_from(("ratio", "minimum_rate", "capacity", "name")), values.ANYTHING))
@EXAMPLES
def test_budgets(options: dict[str, Any]) -> None:
    """A budget has tokens, or was refused (R6)."""
    try:
        budget = RetryBudget(**options)
    except DOCUMENTED as error:
        assert any(name in str(error) for name in ("ratio", "minimum_rate", "capacity", "name"))  # noqa: PT017
        return
    assert budget.tokens >= 1
    repr(budget)


@given(st.dictionaries(st.sampled_from(("max_tokens", "token_ratio", "name")), values.ANYTHING))
@EXAMPLES
def test_budgets_of_grpc(options: dict[str, Any]) -> None:
    """As above."""
    try:
        budget = RetryBudget.grpc(**options)
    except DOCUMENTED:
        return
    assert 0 < budget.tokens <= 1000


@given(st.fixed_dictionaries({"key": values.ANYTHING}, optional={"max_keys": values.ANYTHING, "name": values.ANYTHING}))
@EXAMPLES
def test_keyed_breakers(options: dict[str, Any]) -> None:
    """A breaker with keys, or a refusal (C9)."""
    try:
        repr(KeyedCircuitBreaker(**options))
    except DOCUMENTED as error:
        assert any(name in str(error) for name in ("key", "max_keys", "name"))  # noqa: PT017 - one of many


DECORATORS = ("retry", "circuit_breaker", "bulkhead", "fallback", "cached", "rate_limit", "hedge", "adaptive_throttle")


@pytest.mark.parametrize("name", [*DECORATORS, "deadline", "inject_faults", "compensate"])
def test_decorators(name: str) -> None:
    """What stands above a function decorates it, or is refused when it is written (G1)."""
    decorator = getattr(recoup, name)

    @given(st.lists(values.ANYTHING, max_size=1), st.dictionaries(st.text(max_size=6), values.ANYTHING, max_size=2))
    @EXAMPLES
    def check(args: list[Any], options: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                decorator(*args, **options)
            except DOCUMENTED as error:
                assert str(error)  # noqa: PT017 - one of many

    check()


def test_there_is_a_deadline_to_make() -> None:
    """Nobody makes a `Deadline` by hand."""
    with pytest.raises(TypeError):
        Deadline()  # type: ignore[call-arg]
