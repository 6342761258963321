"""Failures with nothing unusual about them are decided about quickly, and just as all others (R1, R5, R7, G3, G13)."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any

import pytest

from recoup import RetryConfig, RetryExecutor, deadline, retry, set_nested_retries, subscribe
from recoup.events import RetryScheduled
from recoup.strategies.retry.plan import RetryPlan
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both


class Plain(Exception):
    """Nothing about it needs a closer look."""


class Work:
    """Raises what it makes, and counts."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        raise self.make()


def raising(both: Both, make: Any) -> Any:
    """Make a function of the colour under test that raises what `make` makes."""
    work = Work(make)

    def function() -> None:
        work()

    return both.wrap(function), work


def ended(both: Both, function: Any) -> Exception:
    """Give the error that comes out."""
    try:
        both.call(function)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it succeeded")


@pytest.mark.parametrize("delay", [0, 1])
def test_the_second_call_ends_as_the_first(both: Both, clock: VirtualClock, delay: float) -> None:
    """A type that was met before changes neither attempts, waits, note nor mark (R1, R7, G3)."""
    executor = RetryExecutor(RetryConfig(max_attempts=3, initial_delay=delay, jitter_range=0))
    function, work = raising(both, Plain)
    function = executor(function)
    first = ended(both, function)
    assert Plain in executor._plan.plain
    second = ended(both, function)
    assert second.__dict__ == first.__dict__
    total = 3 * delay
    assert second.__notes__ == [f"recoup: 3 attempts, given up {total} s after the first failure: max_attempts is 3"]
    assert work.calls == 6
    assert [each for each in clock.sleeps if each] == ([1, 2, 1, 2] if delay else [])


@pytest.mark.usefixtures("clock")
def test_a_single_attempt_is_none_too_few(both: Both) -> None:
    """The note counts it (R3, G3)."""
    function, _ = raising(both, Plain)
    function = retry(max_attempts=1)(function)
    notes = [ended(both, function).__notes__ for _ in range(2)]
    assert notes == [["recoup: 1 attempt, given up 0 s after the first failure: max_attempts is 1"]] * 2


def test_others_get_their_turn() -> None:
    """After every tenth attempt without a wait (R3)."""
    executor, run = RetryExecutor(RetryConfig(max_attempts=99, initial_delay=0)), None
    turns = []
    for number in range(1, 35):
        run = executor._decide(run, Plain())
        assert run.delay == 0
        turns += [number] * run.waits
    assert turns == [10, 20, 30]


def test_a_clock_that_goes_back_ends_it_too(both: Both, clock: VirtualClock) -> None:
    """No time is negative (G12)."""
    executor = RetryExecutor(RetryConfig(max_attempts=2, initial_delay=0))

    def make() -> Plain:
        clock.rewind(5)
        return Plain()

    function, _ = raising(both, make)
    function = executor(function)
    assert "0 s after" in ended(both, function).__notes__[0]
    assert "0 s after" in ended(both, function).__notes__[0]


def test_what_an_error_carries_is_seen(both: Both, clock: VirtualClock) -> None:
    """A hint on one error counts, though others of its type had none (R5)."""
    function, _ = raising(both, Plain)
    executor = RetryExecutor(RetryConfig(max_attempts=2, initial_delay=0, jitter_range=0))
    ended(both, executor(function))

    def asking() -> Plain:
        error = Plain()
        error.__dict__["retry_after"] = 7
        return error

    function, _ = raising(both, asking)
    ended(both, executor(function))
    assert [each for each in clock.sleeps if each] == [7]


def test_a_mark_on_a_cause_is_seen(both: Both) -> None:
    """A retry further in is noticed on what an error was raised from (R7)."""
    outer = RetryExecutor(RetryConfig(max_attempts=2, initial_delay=0))
    function, _ = raising(both, Plain)
    ended(both, outer(function))

    def wrapping() -> Plain:
        error = Plain()
        error.__cause__ = ended(Both("sync"), retry(max_attempts=1)(raising(Both("sync"), OSError)[0]))
        return error

    function, _ = raising(both, wrapping)
    ended(both, outer(function))
    assert outer.metrics == {"nested": 1}


def test_who_listens_later_hears_all(both: Both) -> None:
    """Also what was plain before (G9)."""
    function, _ = raising(both, Plain)
    function = retry(initial_delay=0)(function)
    ended(both, function)
    heard: list[Any] = []
    with subscribe(heard.append):
        ended(both, function)
    assert [each.attempt for each in heard if isinstance(each, RetryScheduled)] == [1, 2]


@pytest.mark.filterwarnings("ignore::recoup.StackWarning")  # a deadline round retry, as it may come from anywhere
def test_the_switch_and_the_time_left_count_for_plain_errors(both: Both, clock: VirtualClock) -> None:
    """Switched off nothing is retried, and no wait goes beyond a deadline (G16, R3)."""
    function, work = raising(both, Plain)
    function = retry(initial_delay=5, jitter_range=0, max_attempts=2)(function)
    ended(both, function)
    with disabled():
        ended(both, function)
    assert work.calls == 3
    mode: Any = None if both.is_async else "cooperative"
    error = ended(both, deadline(3, mode=mode)(function))
    assert "does not fit" in error.__notes__[0]
    assert work.calls == 4


def test_deadlines_that_are_over_change_nothing(both: Both, clock: VirtualClock) -> None:
    """One that was open in this context before is no reason for anything (G16)."""
    function, work = raising(both, Plain)
    function = retry(initial_delay=5, jitter_range=0, max_attempts=2)(function)
    with deadline(3, mode="cooperative"):
        ended(both, function)
    assert work.calls == 1
    for _ in range(2):
        assert "given up 5 s after" in ended(both, function).__notes__[0]
    assert work.calls == 5


def test_the_default_for_nested_retries_may_change_at_any_time(both: Both) -> None:
    """Also for errors that were plain before (R7)."""
    function, work = raising(both, Plain)
    function = retry(initial_delay=0)(function)
    ended(both, function)
    set_nested_retries("once")
    try:
        assert "3 attempts" in ended(both, function).__notes__[0]
    finally:
        set_nested_retries("allow")
    assert work.calls == 6


class Hinting(Exception):
    retry_after = 4


class Property(Exception):
    @property
    def response(self) -> None:
        return None


class Guessing(Exception):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Reading(Exception):
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class Sealed(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("sealed")


class Mute(Exception):
    def add_note(self, note: str) -> None:
        raise TypeError("no notes")


class Slotted(Exception):
    __slots__ = ("headers",)


class Abstract(Exception, metaclass=ABCMeta):
    """Others may register as this."""


@pytest.mark.parametrize("kind", [Hinting, Property, Guessing, Reading, Sealed, Mute, Slotted, StopIteration])
def test_classes_that_need_a_closer_look_get_one(kind: type[Exception]) -> None:
    """Whatever a class does with attributes, hints or notes (R5, G3)."""
    plan = RetryPlan(RetryConfig())
    for _ in range(2):
        plan.met(kind())
    assert not plan.plain
    plan.met(Plain())
    assert plan.plain == {Plain}


@pytest.mark.parametrize(
    "options",
    [
        {"on": Abstract},
        {"abort_on": Abstract},
        {"on": OSError},
        {"abort_on": Plain},
        {"on": lambda _: True},
        {"on_retry": print},
        {"on_failure": print},
        {"nested": "once"},
        {"idempotent": False},
        {"before_retry": lambda *_: None},
        {"retry_on_result": bool},
    ],
)
def test_options_that_need_a_closer_look_get_one(options: dict[str, Any]) -> None:
    """Whatever depends on more than the type of an error, or is told of each failure (R7, R10, R11)."""
    plan = retry(**options)._plan
    plan.met(Plain())
    assert not plan.plain


def test_a_mute_error_stays_mute(both: Both) -> None:
    """An exception that refuses notes is left alone, each time (G3)."""
    function, _ = raising(both, Mute)
    function = retry(initial_delay=0)(function)
    for _ in range(3):
        assert not hasattr(ended(both, function), "__notes__")


def test_types_made_up_at_run_time_are_forgotten(both: Both) -> None:
    """A program that makes them without end does not keep them (G11)."""
    executor = RetryExecutor(RetryConfig(max_attempts=2, initial_delay=0))

    def make() -> Exception:
        made: Exception = type("Made", (Exception,), {})()
        return made

    function, work = raising(both, make)
    function = executor(function)
    for _ in range(200):
        ended(both, function)
    assert work.calls == 400
    assert len(executor._plan.plain) <= len(executor._plan._met) <= 50
