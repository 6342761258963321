"""What conditions promise (G4, G13)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreakerError,
    DeadlineExceeded,
    RecoveryError,
    Refusal,
    when,
)
from recoup._core import conditions

OPEN = CircuitBreakerError(name="api", wait_time=3.0)
LATE = DeadlineExceeded(seconds=1.0, started=True)
NEVER_BEGAN = DeadlineExceeded(seconds=1.0, started=False)


def test_the_default_is_every_exception_but_refusals() -> None:
    """Our own refusals are no evidence (G13)."""
    matches = conditions.every("on", None)
    assert matches(ValueError())
    assert matches(LATE)
    assert not matches(OPEN)
    assert not matches(NEVER_BEGAN)


@pytest.mark.parametrize("spec", [Exception, TimeoutError, [Exception, TimeoutError], lambda _: True, when(Exception)])
def test_only_our_own_classes_name_a_refusal(spec: Any) -> None:
    """Neither Exception nor TimeoutError nor a predicate means an open circuit or a full bulkhead (G13)."""
    matches = conditions.every("on", spec)
    assert not matches(OPEN)
    assert not matches(BulkheadTimeoutError(name="b", max_concurrent=1))
    assert not matches(NEVER_BEGAN)


@pytest.mark.parametrize("named", [CircuitBreakerError, Refusal, RecoveryError])
def test_a_refusal_that_is_named_matches(named: type[Exception]) -> None:
    """The class itself or one of our bases names it, alone or in a list or condition (G13)."""
    for spec in (named, [OSError, named], when(named), when(OSError) | when(named), [OSError, when(named)]):
        assert conditions.every("on", spec)(OPEN)


def test_a_named_refusal_can_be_narrowed() -> None:
    """A predicate beside the name narrows it; a negation names nothing."""
    short = when(CircuitBreakerError) & when(lambda error: error.wait_time < 5)
    assert conditions.every("on", short)(OPEN)
    assert not conditions.every("on", short)(CircuitBreakerError(name="api", wait_time=9.0))
    assert not conditions.every("on", when(lambda _: False) & when(CircuitBreakerError))(OPEN)
    assert not conditions.every("on", ~when(OSError))(OPEN)
    assert conditions.every("on", ~when(OSError))(ValueError())


def test_refusals_match_plainly_where_asked_for() -> None:
    """A fallback answers an open circuit like any error."""
    assert conditions.every("on", None, refusals=True)(OPEN)
    assert conditions.some("skip", TimeoutError, refusals=True)(NEVER_BEGAN)


def test_conditions_combine() -> None:
    """&, | and ~ do what they say, and a condition prints as what it is."""
    either = when(OSError) | when(ValueError)
    but = either & ~when(ConnectionError)
    assert [but(error) for error in (OSError(), ConnectionError(), ValueError(), KeyError())] == [
        True,
        False,
        True,
        False,
    ]
    assert repr(but) == "((OSError | ValueError) & ~ConnectionError)"
    assert repr(when([OSError, KeyError])) == "(OSError, KeyError)"
    assert when(OSError, lambda error: bool(error.args))(KeyError(1))


@pytest.mark.parametrize("operation", [lambda c: c & OSError, lambda c: c | OSError, lambda c: OSError | c])
def test_conditions_combine_with_conditions_only(operation: Any) -> None:
    """A bare type is wrapped in when() first."""
    with pytest.raises(TypeError):
        operation(when(ValueError))


def test_a_group_meets_on_by_all_its_leaves() -> None:
    """`on` needs every leaf, however deep (G4)."""
    matches = conditions.every("on", OSError)
    assert matches(ExceptionGroup("g", [OSError(), ExceptionGroup("h", [ConnectionError()])]))
    assert not matches(ExceptionGroup("g", [OSError(), ExceptionGroup("h", [ValueError()])]))
    assert not conditions.every("on", None)(ExceptionGroup("g", [OSError(), OPEN]))


def test_a_group_meets_abort_on_by_any_leaf() -> None:
    """`abort_on`, `skip_on` and breaker failures need one leaf (G4)."""
    matches = conditions.some("abort_on", ValueError)
    assert matches(ExceptionGroup("g", [OSError(), ExceptionGroup("h", [ValueError()])]))
    assert not matches(ExceptionGroup("g", [OSError()]))
    assert not conditions.some("abort_on", None)(OSError())


def test_a_whole_condition_is_asked_of_each_leaf() -> None:
    """`A & ~B` must hold for one and the same leaf, not for two of them (G4)."""
    matches = conditions.some("abort_on", when(OSError) & ~when(ConnectionError))
    assert not matches(ExceptionGroup("g", [ConnectionError(), ValueError()]))
    assert matches(ExceptionGroup("g", [ConnectionError(), FileNotFoundError()]))


GROUP = ExceptionGroup("both", [OSError(), ValueError()])
LOST = ExceptionGroup("lost", [OSError(), OSError()])


class Special(ExceptionGroup[Exception]):
    """A group of its own kind."""


@pytest.mark.parametrize("compile_", [conditions.every, conditions.some])
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (~when(ExceptionGroup), (False, False, False)),
        (~~when(ExceptionGroup), (True, True, True)),
        (~when(Special), (True, True, False)),
        (when(OSError, ValueError) & ~when(ExceptionGroup), (False, False, False)),
        (~when(Special) & when(OSError, ValueError), (True, True, False)),
        (when(KeyError) | ~when(ExceptionGroup), (False, False, False)),
        (~when(ExceptionGroup) | when(KeyError), (False, False, False)),
        (when(OSError) | when(Special), (None, True, True)),
        (when(Special) | when(OSError), (None, True, True)),
        (when(ExceptionGroup) & ~when(Special), (True, True, False)),
        (~when(Special) & when(ExceptionGroup), (True, True, False)),
        (~(when(Special) | when(OSError)), (None, False, False)),
        (when(ExceptionGroup) & when(lambda group: "lost" in str(group)), (False, True, False)),
        (when(lambda group: "lost" in str(group)) & when(ExceptionGroup), (False, True, False)),
        (~(when(ExceptionGroup) & when(lambda group: "lost" in str(group))), (True, False, True)),
        (when(ExceptionGroup) & when(ExceptionGroup), (True, True, True)),
    ],
)
def test_a_condition_may_name_or_exclude_groups(compile_: Any, condition: Any, expected: Any) -> None:
    """Where a class of groups is named, the group itself answers that part: with yes, and with no (G4)."""
    every = compile_ is conditions.every
    matches = compile_("on", condition)
    for group, answer in zip((GROUP, LOST, Special("own", [OSError(), ValueError()])), expected, strict=True):
        assert matches(group) is ((not every) if answer is None else answer), group


def test_ignored_groups_are_ignored() -> None:
    """`failure_on & ~ignore_on`, as breakers and throttles ask it, knows the class of a group (G4)."""
    counts = conditions.some("failure_on", when(Exception) & ~when(ExceptionGroup))
    assert not counts(GROUP)
    assert counts(OSError())


def test_an_async_predicate_is_refused() -> None:
    """Decisions are made without waiting (G4)."""

    async def predicate(error: BaseException) -> bool:
        return True

    with pytest.raises(TypeError, match="on must be a plain function, not the coroutine function"):
        conditions.every("on", predicate)


def test_an_awaitable_from_a_predicate_is_closed_and_refused() -> None:
    """Its truth would always be yes (G4); nothing is left un-awaited."""

    async def answer() -> bool:
        return False

    class Awaitable:
        def __await__(self) -> Any:
            yield

    for predicate in (lambda _: answer(), lambda _: Awaitable()):
        with pytest.raises(TypeError, match="on returned an awaitable"):
            conditions.every("on", predicate)(ValueError())


def test_an_error_in_a_predicate_propagates() -> None:
    """It is not taken for a no (G4)."""
    with pytest.raises(ZeroDivisionError):
        conditions.every("on", lambda _: 1 / 0)(ValueError())


def test_truthy_answers_count() -> None:
    """A predicate may return what `re.search` returns."""
    assert conditions.every("on", lambda error: error.args)(ValueError(1))
    assert not conditions.every("on", lambda error: error.args)(ValueError())


@pytest.mark.parametrize("spec", [5, "OSError", object(), [OSError, "x"], [OSError, lambda _: True], OSError()])
def test_what_is_no_condition_is_refused(spec: Any) -> None:
    """The message names the argument and the value."""
    with pytest.raises(TypeError, match=r"^on must "):
        conditions.every("on", spec)


def test_when_needs_something() -> None:
    """An empty condition would match nothing, silently."""
    with pytest.raises(ValueError, match=r"when\(\) must be given at least one"):
        when()


def test_an_empty_list_matches_nothing() -> None:
    """`on=[]` is a way to say never."""
    assert not conditions.every("on", [])(ValueError())


ERRORS: list[BaseException] = [
    OSError(),
    ConnectionError(),
    ValueError(),
    KeyError(),
    OPEN,
    BulkheadFullError(name="b", max_concurrent=1, max_queue_size=1),
    LATE,
    NEVER_BEGAN,
]
types = st.sampled_from([OSError, ConnectionError, LookupError, Exception, CircuitBreakerError, TimeoutError, Refusal])
trees = st.recursive(
    types.map(lambda kind: (when(kind), lambda error: isinstance(error, kind))),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: (two[0][0] & two[1][0], lambda e: two[0][1](e) and two[1][1](e))),
        st.tuples(inner, inner).map(lambda two: (two[0][0] | two[1][0], lambda e: two[0][1](e) or two[1][1](e))),
        inner.map(lambda one: (~one[0], lambda e: not one[1](e))),
    ),
    max_leaves=8,
)


@given(trees, st.sampled_from(ERRORS))
def test_conditions_are_boolean_algebra(tree: Any, error: BaseException) -> None:
    """However they are combined, they agree with plain Python; a refusal matches at most where plain matching does."""
    condition, model = tree
    assert condition(error) == model(error)
    if condition.names(error):
        assert model(error)
