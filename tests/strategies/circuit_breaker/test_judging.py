"""What counts as a failure, what is neutral, and what errors in conditions do (C8, G2, G4, G13)."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest

from recoup._core.conditions import when
from recoup.errors import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreakerError,
    DeadlineExceeded,
    RecoveryError,
    RetryExhausted,
)
from recoup.strategies.circuit_breaker.news import Notice
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.testing import VirtualClock, disabled, instant
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded

REFUSALS = [
    CircuitBreakerError(name="inner", wait_time=3.0),
    BulkheadTimeoutError(name="inner", max_concurrent=1),
    BulkheadFullError(name="inner", max_concurrent=1, max_queue_size=0),
    DeadlineExceeded(seconds=1.0, started=False),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_refusal_of_ours_inside_does_not_open_the_circuit(both: Both, clock: VirtualClock, error: Exception) -> None:
    """A full bulkhead says nothing about the dependency, not even where all errors count (G13)."""
    for fields in ({}, {"failure_on": Exception}, {"failure_on": TimeoutError}, {"failure_on": lambda _: True}):
        made = Guarded(both, **fields)
        made.fail(error)
        made.fail(ExceptionGroup("several", [error]))
        assert made.state == "closed"


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_refusal_counts_when_its_class_is_named(both: Both, clock: VirtualClock, error: Exception) -> None:
    """Only our own classes name a refusal (G13)."""
    for named in (type(error), RecoveryError, [OSError, type(error)]):
        made = Guarded(both, failure_on=named)
        made.fail(error)
        assert made.state == "open"


def test_our_timer_cutting_running_work_is_a_failure(both: Both, clock: VirtualClock) -> None:
    """It says that the dependency hung, to every layer outside (G13)."""
    for error in (
        DeadlineExceeded(seconds=1.0, started=True),
        RetryExhausted(attempts=3, elapsed=1.0, reason="", last_result=None),
        TimeoutError("the user's own"),
    ):
        made = Guarded(both)
        made.fail(error)
        assert made.state == "open"


def test_only_what_is_named_counts(both: Both, clock: VirtualClock) -> None:
    """Subclasses too; the rest is neutral (C8, G4)."""
    for named in (OSError, [OSError], (OSError, KeyError), when(OSError), lambda error: isinstance(error, OSError)):
        made = Guarded(both, failure_on=named)
        made.fail(ValueError("the caller's fault"))
        assert made.state == "closed"
        made.fail(ConnectionResetError("theirs"))
        assert made.state == "open"


def test_what_is_ignored_beats_what_counts(both: Both, clock: VirtualClock) -> None:
    """By subclass (C8, G4)."""
    made = Guarded(both, failure_on=OSError, ignore_on=FileNotFoundError)
    made.fail(FileNotFoundError("mine"))
    assert made.state == "closed"
    made.fail(PermissionError("theirs"))
    assert made.state == "open"
    made = Guarded(both, ignore_on=[KeyError, ValueError])
    made.fail(UnicodeError("mine"))
    assert made.state == "closed"
    made.fail()  # a ValueError
    assert made.state == "closed"
    made.fail(OSError("theirs"))
    assert made.state == "open"


def test_in_a_group_one_failure_is_enough(both: Both, clock: VirtualClock) -> None:
    """Any leaf, however deep (G4)."""
    made = Guarded(both, failure_on=OSError)
    made.fail(ExceptionGroup("none", [ValueError(), ExceptionGroup("deep", [KeyError()])]))
    assert made.state == "closed"
    made.fail(ExceptionGroup("one", [ValueError(), ExceptionGroup("deep", [OSError()])]))
    assert made.state == "open"


def test_in_a_group_the_whole_condition_is_asked_for_each_leaf(both: Both, clock: VirtualClock) -> None:
    """An ignored error beside a real one does not hide it (G4)."""
    made = Guarded(both, ignore_on=KeyError)
    made.fail(ExceptionGroup("all ignored", [KeyError(), KeyError()]))
    assert made.state == "closed"
    made.fail(ExceptionGroup("one is real", [KeyError(), OSError()]))
    assert made.state == "open"
    made = Guarded(both)
    made.fail(ExceptionGroup("refusal and failure", [BulkheadTimeoutError(name="inner", max_concurrent=1), OSError()]))
    assert made.state == "open"


def test_an_error_in_a_condition_propagates_and_gives_the_probe_back(both: Both, clock: VirtualClock) -> None:
    """With the judged error as its context; neither failure nor success (G4, G2)."""

    def broken(error: BaseException) -> bool:
        if error.args == ("open it",):
            return True
        raise ZeroDivisionError

    made = Guarded(both, failure_on=broken, half_open_max=1)
    for state in ("closed", "half_open"):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError) as caught:
                made.call(OSError("judge me"))
            assert isinstance(caught.value.__context__, OSError)
            assert made.state == state
        made.fail(OSError("open it"))
        clock.advance(60)


def test_an_error_in_the_result_predicate_propagates_and_gives_the_probe_back(both: Both, clock: VirtualClock) -> None:
    """The call is neutral: nobody knows how it went (G4, C8)."""

    def broken(result: str) -> bool:
        return bool(1 / len(result)) and result == "bad"

    made = Guarded(both, failure_on_result=broken, half_open_max=1)
    made.call("bad")
    clock.advance(60)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            made.call("")
        assert made.state == "half_open"
    made.call("good")
    assert made.state == "closed"
    with pytest.raises(ZeroDivisionError):
        made.call("")
    assert made.state == "closed"


def test_an_awaitable_verdict_is_refused(both: Both, clock: VirtualClock) -> None:
    """It would always be true; it is closed, so nothing warns that it was not awaited (G4)."""

    async def verdict() -> bool:
        return False

    made = Guarded(both, failure_on_result=lambda _: verdict())
    with pytest.raises(TypeError, match=r"^failure_on_result returned an awaitable"):
        made.call()
    for argument in ("failure_on", "ignore_on"):
        made = Guarded(both, **{argument: lambda _: verdict()})
        with pytest.raises(TypeError, match=rf"^{argument} returned an awaitable"):
            made.call(OSError())
        assert made.state == "closed"


def test_any_truth_of_a_result_predicate_will_do(both: Both, clock: VirtualClock) -> None:
    """`re.search` and friends return no bool."""
    made = Guarded(both, failure_on_result=lambda result: result)
    made.call("")
    assert made.state == "closed"
    made.call("something")
    assert made.state == "open"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_is_neutral(both: Both, clock: VirtualClock, stop: type[BaseException]) -> None:
    """Neither failure nor success, and a probe is given back at once (G2, C5)."""
    made = Guarded(both, failure_threshold=1, half_open_max=1)

    def call() -> Any:
        made.service.answer = stop()
        if both.is_async:
            coroutine = made.fn()
            return coroutine.send(None)
        return made.fn()

    for _ in range(3):
        with pytest.raises(stop):
            call()
        assert made.state == "closed"
    made.fail()
    clock.advance(60)
    for _ in range(3):
        with pytest.raises(stop):
            call()
        assert made.state == "half_open"
    made.call()
    assert made.state == "closed"


def test_with_recovery_off_the_breaker_changes_nothing(both: Both, clock: VirtualClock) -> None:
    """An open circuit lets pass, failures do not open one, and the state is as before afterwards (G16)."""
    made = Guarded(both, failure_on_result=lambda result: result == "bad")

    def off(answer: object) -> Any:
        made.service.answer = answer

        def inside() -> Any:
            with disabled():
                return made.fn()

        async def inside_async() -> Any:
            with disabled():
                return await made.fn()

        return both.call(inside_async if both.is_async else inside)

    for answer in (OSError("down"), OSError("down")):
        with pytest.raises(OSError, match="down"):
            off(answer)
    assert off("bad") == "bad"
    assert made.state == "closed"
    made.fail()
    assert off("ok") == "ok"
    with pytest.raises(OSError, match="down"):
        off(OSError("down"))
    assert made.state == "open"
    clock.advance(60)
    for _ in range(5):
        assert off("ok") == "ok"
    assert made.state == "half_open"
    assert made.breaker.metrics == {"opened": 1, "refused": 0, "late": 0, "would_open": 0}


def test_what_is_not_counted_is_not_judged(both: Both, clock: VirtualClock) -> None:
    """A disabled circuit asks no condition, and what ends in it tells nothing: it may be a finaliser (C1, G7)."""

    def broken(error: BaseException) -> bool:
        raise ZeroDivisionError

    made = Guarded(both, failure_on=broken)
    with made.breaker.disable():
        permit = made.breaker._calls.admit()
        assert permit is not None
        made.fail()
        made.breaker._calls.circuit.news.append(Notice(CircuitBreakerState.OPEN))
        assert not made.breaker._calls.failed(permit, OSError("down"), ())
        assert not made.breaker._calls.failed(permit, GeneratorExit(), ())


def test_recovery_switched_off_elsewhere_changes_nothing_here(both: Both, clock: VirtualClock) -> None:
    """The switch belongs to a context; being instant is not being off (G16)."""
    made = Guarded(both, failure_threshold=2)
    elsewhere = contextvars.copy_context()
    scope = disabled()
    elsewhere.run(scope.__enter__)
    try:
        with instant():
            made.fail()
        made.fail()
        assert made.state == "open"
        with instant(), pytest.raises(CircuitBreakerError):
            made.call()
        with pytest.raises(CircuitBreakerError):
            made.call()
    finally:
        elsewhere.run(scope.__exit__, None, None, None)
