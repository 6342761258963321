"""Open times that grow, and calls that come back step by step (C6)."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from recoup import events, explain, subscribe
from recoup._core import emit
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.open_time import OpenTimes
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was logged in other tests."""
    monkeypatch.setattr(emit, "_logged", set())


def doubling(n: int) -> float:
    return float(10 << (n - 1))


def doubled() -> Iterator[float]:
    seconds = 10.0
    while True:
        yield seconds
        seconds *= 2


class Endless:
    """An iterable that begins anew each time and never ends."""

    def __iter__(self) -> Iterator[float]:
        return doubled()


def wait(made: Guarded) -> float:
    """Tell how long a call has to wait."""
    with pytest.raises(CircuitBreakerError) as refused:
        made.call()
    return refused.value.wait_time


@pytest.mark.parametrize("times", [[10, timedelta(seconds=20), 40.0], (10, 20, 40), doubling, doubled, Endless()])
def test_the_open_time_grows_while_the_circuit_opens_again_and_begins_anew_when_it_closed(
    both: Both, clock: VirtualClock, times: Any
) -> None:
    """Any list, iterable, generator function, or function of the number of the opening (C6)."""
    made = Guarded(both, timeout=times)
    for _ in range(2):
        made.fail()
        for seconds in (10, 20, 40):
            assert wait(made) == seconds
            clock.advance(seconds - 1)
            assert wait(made) == 1
            clock.advance(1)
            if seconds < 40:
                made.fail()
        assert made.call() == "ok"
        assert made.state == "closed"


def test_the_last_open_time_stays(both: Both, clock: VirtualClock) -> None:
    """However often the circuit opens again (C6)."""
    made = Guarded(both, timeout=[1, 5])
    for seconds in (1, 5, 5, 5):
        made.fail()
        assert wait(made) == seconds
        clock.advance(seconds)


def test_the_event_tells_the_open_time(both: Both, clock: VirtualClock) -> None:
    """Of each opening (C6)."""
    made = Guarded(both, timeout=[1, 5])
    seen: list[Any] = []
    with subscribe(seen.append):
        made.fail()
        clock.advance(1)
        made.fail()
    assert [each.open_time for each in seen if isinstance(each, events.CircuitOpened)] == [1.0, 5.0]


def test_a_lost_probe_makes_it_grow_as_well(both: Both, clock: VirtualClock) -> None:
    """And a probe may take as long as the circuit was open (C5, C6)."""
    made = Guarded(both, timeout=[10, 20])
    made.fail()
    clock.advance(10)
    probe = made.breaker._calls.admit()
    clock.advance(9)
    assert made.state == "half_open"
    clock.advance(1)
    assert made.state == "open"
    assert wait(made) == 20
    clock.advance(20)
    assert made.call() == "ok"
    del probe


def test_reset_begins_anew(both: Both, clock: VirtualClock) -> None:
    """As a close does (C6, C1)."""
    made = Guarded(both, timeout=[10, 20])
    made.fail()
    clock.advance(10)
    made.fail()
    assert wait(made) == 20
    made.breaker.reset()
    made.fail()
    assert wait(made) == 10


def test_holds_change_nothing_about_it(both: Both, clock: VirtualClock) -> None:
    """What somebody does by hand is no opening (C1, C6)."""
    made = Guarded(both, timeout=[10, 20])
    with made.breaker.force_open():
        pass
    made.fail()
    with made.breaker.disable():
        clock.advance(4)
    assert wait(made) == 6


def test_the_users_code_is_not_run_under_the_lock(both: Both, clock: VirtualClock) -> None:
    """It may look at the breaker, take its time, and open and close it (G7)."""
    seen: list[tuple[int, str]] = []
    made: Guarded | None = None

    def times(n: int) -> float:
        seen.append((n, "unmade" if made is None else made.state))
        return 10.0 * n

    made = Guarded(both, timeout=times)
    made.fail()
    clock.advance(10)
    made.fail()
    assert wait(made) == 20
    clock.advance(20)
    made.call()
    assert seen == [(1, "unmade"), (2, "open"), (3, "open"), (1, "closed")]


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "soon", True])
def test_code_that_gives_no_duration_later_is_logged_and_the_last_time_stays(
    both: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    """It must not change the outcome of a call, and an open time must end (G1, G9, C6)."""

    def fickle(n: int) -> Any:
        return 10 if n == 1 else bad

    made = Guarded(both, timeout=fickle)
    with caplog.at_level(logging.WARNING, logger="recoup"):
        for _ in range(3):
            made.fail()
            assert wait(made) == 10
            clock.advance(10)
    assert made.call() == "ok"
    assert len(caplog.records) == 1
    assert "fickle" in caplog.text
    assert "an open time that timeout gave must be" in caplog.text


def test_code_that_raises_is_logged_under_its_name(
    both: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A generator that fails is at its end, and the last time stays (G9, C6)."""

    class Broken:
        def __iter__(self) -> Iterator[float]:
            yield 10
            raise ZeroDivisionError

    made = Guarded(both, timeout=Broken())
    with caplog.at_level(logging.WARNING, logger="recoup"):
        for _ in range(3):
            made.fail()
            assert wait(made) == 10
            clock.advance(10)
    assert [each.getMessage().split()[1].rsplit(".")[-1] for each in caplog.records] == ["Broken"]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([], ValueError, "timeout must list at least one open time"),
        ([1, 0], ValueError, "timeout must be greater than 0 and finite, not 0"),
        ([1, "2"], TypeError, "timeout must be seconds"),
        (iter([1, 2]), TypeError, "timeout must not be a one-shot iterator"),
        (doubled(), TypeError, "timeout must not be a one-shot iterator"),
        (int, TypeError, "timeout must be seconds"),
        (None, TypeError, "timeout must be seconds"),
    ],
)
def test_open_times_that_cannot_be_are_refused(value: Any, error: type[Exception], message: str) -> None:
    """At construction (G1)."""
    with pytest.raises(error, match=message):
        CircuitBreakerConfig(timeout=value)


def test_code_that_gives_no_first_open_time_is_refused_when_the_breaker_is_made() -> None:
    """Not when a service goes down, months later (G1)."""

    async def later(n: int) -> float:
        return 1.0

    with pytest.raises(TypeError, match="timeout must be a plain function of the number of the opening"):
        CircuitBreakerConfig(timeout=later)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an open time that timeout gave must be greater than 0"):
        CircuitBreaker(CircuitBreakerConfig(timeout=lambda n: n - 1))
    with pytest.raises(ValueError, match="timeout must give at least one open time"):
        CircuitBreaker(CircuitBreakerConfig(timeout=set()))
    with pytest.raises(ZeroDivisionError):
        CircuitBreaker(CircuitBreakerConfig(timeout=lambda n: n / 0))


def test_openings_that_nobody_told_are_caught_up_with() -> None:
    """A teller that was busy asks for the right one, not for the next one (C6)."""
    times = OpenTimes([1.0, 2.0, 3.0, 4.0])
    times.ask(4)
    assert times.seconds == 4.0
    times.ask(4)
    times.ask(2)
    assert times.seconds == 2.0
    constant = OpenTimes(5.0)
    constant.ask(7)
    assert (constant.seconds, constant.grows) == (5.0, False)


def through(made: Guarded, calls: int) -> int:
    """Make calls; tell how many got through."""
    refused: list[CircuitBreakerError] = []
    for _ in range(calls):
        try:
            made.call()
        except CircuitBreakerError as error:
            refused.append(error)
    assert {error.wait_time for error in refused} <= {0.0}
    assert all("lets a part of the calls through" in str(error) for error in refused)
    return calls - len(refused)


def test_calls_come_back_step_by_step(both: Both, clock: VirtualClock) -> None:
    """From a tenth of them to all, evenly, so that a service that came back is not run over (C6)."""
    made = Guarded(both, ramp_up=90)
    assert through(made, 10) == 10
    made.fail()
    clock.advance(60)
    assert through(made, 1) == 1
    assert made.state == "closed"
    shares = []
    for _ in range(9):
        shares.append(through(made, 100))
        clock.advance(10)
    assert shares == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert made.breaker._calls.circuit.era is None
    assert through(made, 100) == 100
    assert made.breaker._calls.circuit.era is not None


def test_failures_while_calls_come_back_count(both: Both, clock: VirtualClock) -> None:
    """The window is at work, and after the next close the ramp begins anew (C6, C2)."""
    made = Guarded(both, ramp_up=90)
    made.fail()
    clock.advance(60)
    made.call()
    clock.advance(80)
    made.fail()
    assert made.state == "open"
    clock.advance(60)
    made.call()
    assert through(made, 100) == 10


def test_what_is_done_by_hand_knows_no_ramp(both: Both, clock: VirtualClock) -> None:
    """A reset closes at once; a hold covers the ramp, whose time goes on (C1, C6)."""
    made = Guarded(both, ramp_up=90)
    made.fail()
    made.breaker.reset()
    assert through(made, 10) == 10
    made.fail()
    clock.advance(60)
    made.call()
    with made.breaker.disable():
        assert through(made, 10) == 10
        clock.advance(45)
    assert through(made, 20) in (11, 12)


def test_a_ramp_survives_a_clock_that_goes_backwards(both: Both, clock: VirtualClock) -> None:
    """Its timer begins anew, and it ends (G12)."""
    made = Guarded(both, ramp_up=10)
    made.fail()
    clock.advance(60)
    made.call()
    clock.rewind(1000)
    assert through(made, 100) == 10
    clock.advance(10)
    assert through(made, 100) == 100


def test_neutral_and_cancelled_calls_on_the_ramp_leave_nothing(both: Both, clock: VirtualClock) -> None:
    """They used up their share of the ramp, no more (C6, C8)."""
    made = Guarded(both, ramp_up=10, ignore_on=KeyError)
    made.fail()
    clock.advance(60)
    made.call()
    made.fail(KeyError())
    assert through(made, 9) == 0
    clock.advance(10)
    assert through(made, 5) == 5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "refuses for 60 s, then closes after 2 successful trials"),
        ({"timeout": [5, 10]}, "refuses for 5 s at first, then closes after 2 successful trials"),
        ({"ramp_up": 30}, "closes after 2 successful trials and lets ever more calls through for 30 s"),
    ],
)
def test_explain_says_how_long(fields: dict[str, Any], words: str) -> None:
    """In words (C6)."""

    @circuit_breaker(**fields)
    def fetch() -> None: ...

    assert words in str(explain(fetch))


def test_one_config_serves_several_breakers(clock: VirtualClock) -> None:
    """Each has its own place in the open times (G8, C6)."""
    config = CircuitBreakerConfig(failure_threshold=1, timeout=doubled)
    one, other = (CircuitBreaker(config) for _ in range(2))

    def down() -> None:
        raise OSError("down")

    for breaker in (one, one, other):
        clock.advance(60)
        with pytest.raises(OSError, match="down"):
            breaker.call_sync(down)
    assert [each._calls.circuit.open_times.seconds for each in (one, other)] == [40.0, 20.0]
