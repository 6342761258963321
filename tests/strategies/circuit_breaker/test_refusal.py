"""What a caller is told whom the circuit refuses (C7, G3, G11)."""

from __future__ import annotations

import contextlib
import copy
import gc
import math
import pickle
import threading
import traceback
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import subscribe
from recoup.errors import CircuitBreakerError, is_refusal
from recoup.events import CallRefused, Event
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded

if TYPE_CHECKING:
    from collections.abc import Iterator


FACTS = ("name", "wait_time", "retry_after", "last_error_type", "last_error_text", "last_error_age")


def refused(made: Guarded) -> CircuitBreakerError:
    with pytest.raises(CircuitBreakerError) as caught:
        made.call()
    return caught.value


def test_a_refusal_carries_its_facts(both: Both, clock: VirtualClock) -> None:
    """Wait time, name, and type, text and age of the error that opened the circuit (C7)."""
    made = Guarded(both)
    made.fail(KeyError("the key"))
    clock.advance(20)
    error = refused(made)
    assert {fact: getattr(error, fact) for fact in FACTS} == {
        "name": "service",
        "wait_time": 40.0,
        "retry_after": 40.0,
        "last_error_type": "KeyError",
        "last_error_text": "'the key'",
        "last_error_age": 20.0,
    }
    assert str(error) == (
        "circuit 'service' refused the call: the next trial may run in 40 s; opened by KeyError: 'the key'"
    )
    assert is_refusal(error)


def test_a_refusal_is_what_its_constructor_would_make(both: Both, clock: VirtualClock) -> None:
    """It is made without it, for speed; nothing may be missing, and it pickles and copies (C7, G3)."""
    made = Guarded(both)
    made.fail()
    error = refused(made)
    built = CircuitBreakerError(**{fact: getattr(refused(made), fact) for fact in FACTS if fact != "retry_after"})
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(refused(made)), built):  # noqa: S301
        assert type(other) is CircuitBreakerError
        assert vars(other) == vars(error)
        assert other.args == error.args == ()
        assert str(other) == str(error)
        assert repr(other) == repr(error) == f"CircuitBreakerError({str(error)!r})"


def test_a_refusal_tells_its_facts_whichever_is_asked_first(both: Both, clock: VirtualClock) -> None:
    """They are put in their places when somebody looks; what is no fact is missing, as on any object (C7)."""
    made = Guarded(both)
    made.fail()
    for fact in FACTS:
        error = refused(made)
        assert getattr(error, fact) == vars(error)[fact]
        assert set(vars(error)) == set(FACTS)
    assert not hasattr(refused(made), "no_fact")
    error = refused(made)
    error.add_note("a note")
    assert (error.__notes__, error.wait_time) == (["a note"], 60.0)


def test_users_may_derive_from_it() -> None:
    """Whatever they give their own constructors, it is no business of ours (C7)."""

    class Closed(CircuitBreakerError):
        def __init__(self, code: int) -> None:
            self.code = code

    error = Closed(5)
    assert (error.code, error.args) == (5, (5,))
    assert not hasattr(error, "wait_time")


@given(st.lists(st.floats(0, 200) | st.floats(-200, 0), max_size=8))
def test_what_is_refused_without_the_lock_is_what_the_circuit_says(jumps: list[float]) -> None:
    """The quick look agrees with the slow one, wherever the clock jumps (C7, G12)."""
    with VirtualClock() as clock:
        made = Guarded(Both("sync"), success_threshold=100)
        made.fail()
        for jump in jumps:
            if jump < 0:
                clock.rewind(-jump)
            else:
                clock.advance(jump)
            state, wait = made.breaker._calls.circuit.view(clock.monotonic())
            try:
                made.call()
            except CircuitBreakerError as error:
                assert (state, error.wait_time) == (CircuitBreakerState.OPEN, pytest.approx(wait))  # noqa: PT017 - or not raised
            else:
                assert state is CircuitBreakerState.HALF_OPEN


def test_a_circuit_opened_by_hand_names_no_error(both: Both, clock: VirtualClock) -> None:
    """And does not end by itself: the wait is infinite (C7)."""
    made = Guarded(both)
    with made.breaker.force_open():
        error = refused(made)
    assert error.wait_time == error.retry_after == math.inf
    assert (error.last_error_type, error.last_error_text, error.last_error_age) == (None, None, None)
    assert "forced open" in str(error)


def test_the_age_of_the_last_error_is_exact(both: Both, clock: VirtualClock) -> None:
    """From the moment at which it opened the circuit (C7)."""
    made = Guarded(both)
    made.fail()
    assert refused(made).last_error_age == 0.0
    clock.advance(0.25)
    assert refused(made).last_error_age == 0.25


def test_an_age_is_never_negative(both: Both, clock: VirtualClock) -> None:
    """Nor is a wait longer than the open time, whatever the clock does (C7, G12)."""
    made = Guarded(both)
    made.fail()
    clock.rewind(1000)
    error = refused(made)
    assert error.last_error_age == 0.0
    assert error.wait_time == 60.0


def test_each_refusal_is_a_fresh_object_with_a_traceback_of_constant_size(both: Both, clock: VirtualClock) -> None:
    """One object raised for ever drags a growing traceback along (C7, G3)."""
    made = Guarded(both)
    made.fail()
    errors = [refused(made) for _ in range(20)]
    assert len({id(error) for error in errors}) == 20
    sizes = {len(traceback.extract_tb(error.__traceback__)) for error in errors}
    assert len(sizes) == 1
    assert sizes.pop() < 12
    assert all(error.__context__ is None and error.__cause__ is None for error in errors)


class Local:
    """Something that a frame keeps alive."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Leave reference cycles alone, so that they show."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def caller(made: Guarded, failure: str = "") -> weakref.ref[Local]:
    """Call without any machinery round it (a loop keeps frames of its own), and swallow what comes out."""
    local = Local()
    made.service.answer = OSError(failure)  # held by no variable of this frame, which its traceback holds
    with contextlib.suppress(CircuitBreakerError, OSError):
        made.fn().send(None) if made.both.is_async else made.fn()
    made.service.answer = None
    return weakref.ref(local)


@pytest.mark.usefixtures("no_collector")
def test_nothing_keeps_the_locals_of_a_caller_alive(both: Both, clock: VirtualClock) -> None:
    """Neither a failed call, nor the one that opens, nor a refused one, nor a failed probe (C7, G11)."""
    made = Guarded(both, failure_threshold=2)
    assert caller(made, "failed")() is None
    assert caller(made, "opens it")() is None
    assert made.state == "open"
    assert caller(made)() is None
    assert made.breaker.metrics["refused"] == 1
    clock.advance(60)
    assert caller(made, "failed probe")() is None
    assert made.breaker.metrics["opened"] == 2


def test_the_error_of_the_function_comes_out_itself(both: Both, clock: VirtualClock) -> None:
    """Same object, no new context or cause, no note: a breaker has nothing to add (G3)."""
    made = Guarded(both)
    for _ in range(2):  # closed, then as a probe
        error = OSError("down")
        made.fail(error)
        assert error.__context__ is None
        assert error.__cause__ is None
        assert not hasattr(error, "__notes__")
        clock.advance(60)


def test_refusals_are_counted_and_told(both: Both, clock: VirtualClock) -> None:
    """Listeners hear the name, the kind and the wait (C7)."""
    made = Guarded(both)
    made.fail()
    seen: list[Event] = []
    with subscribe(seen.append):
        refused(made)
    refused(made)
    assert seen == [CallRefused("service", "circuit_breaker", 60.0)]
    assert made.breaker.metrics["refused"] == 2
    with made.breaker.force_open(), subscribe(seen.append):
        refused(made)
    assert seen[1:] == [CallRefused("service", "circuit_breaker", math.inf)]


def test_an_open_circuit_refuses_without_the_lock(clock: VirtualClock) -> None:
    """However many callers there are, they do not queue for their refusals (C7)."""
    made = Guarded(Both("sync"))
    made.fail()
    thread = threading.Thread(target=refused, args=(made,), daemon=True)
    with made.breaker._calls.circuit._lock:
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert made.breaker.metrics["refused"] == 1
