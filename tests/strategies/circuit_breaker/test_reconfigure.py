"""Circuit breakers that are told otherwise while they are at work (G1, B5, C1-C6, C9)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.strategies.circuit_breaker.window import FailureWindow
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded


class Down(OSError):
    """What the services of this file fail with."""


def wait(made: Guarded) -> float:
    """Tell for how long a call is refused."""
    with pytest.raises(CircuitBreakerError) as refused:
        made.call()
    return refused.value.wait_time


def test_a_lower_threshold_counts_what_was_seen(both: Both, clock: VirtualClock) -> None:
    """The failures in the window stay; the next outcome opens the circuit, not the change (C2)."""
    made = Guarded(both, failure_threshold=5)
    for _ in range(3):
        made.fail()
    made.breaker.reconfigure(failure_threshold=3)
    assert made.state == "closed"
    made.call()
    assert made.state == "closed"
    made.fail()
    assert made.state == "open"


def test_a_higher_threshold_counts_what_was_seen(both: Both, clock: VirtualClock) -> None:
    """Failures before and after the change add up (C2)."""
    made = Guarded(both, failure_threshold=3)
    made.fail()
    made.fail()
    made.breaker.reconfigure(failure_threshold=4)
    made.fail()
    assert made.state == "closed"
    made.fail()
    assert made.state == "open"


def test_a_window_that_shrinks_keeps_the_newest(both: Both, clock: VirtualClock) -> None:
    """Failures further back than the new size are forgotten, those within it are exactly known (C2)."""
    made = Guarded(both, failure_threshold=3, window_size=10)
    made.fail()
    for _ in range(3):
        made.call()
    made.fail()
    made.breaker.reconfigure(window_size=4)
    made.fail()
    assert made.state == "closed"
    made.fail()
    assert made.state == "open"


def test_a_window_that_grows_brings_nothing_back(both: Both, clock: VirtualClock) -> None:
    """What had left the window stays out, by calls and by age; what was in it goes on to count (C2)."""
    made = Guarded(both, failure_threshold=2, window_size=3, window_duration=10)
    made.fail()
    for _ in range(3):
        made.call()
    made.breaker.reconfigure(window_size=100, window_duration=1000)
    made.fail()
    assert made.state == "closed"
    clock.advance(900)
    made.fail()
    assert made.state == "open"


def test_numbers_of_calls_are_exact_across_changes(both: Both, clock: VirtualClock) -> None:
    """Asking how far apart failures are is no call: ten changes move nothing in the window (C2)."""
    made = Guarded(both, failure_threshold=2, window_size=3)
    made.fail()
    for size in range(4, 14):
        made.breaker.reconfigure(window_size=size)
    made.breaker.reconfigure(window_size=3)
    made.call()
    made.fail()
    assert made.state == "open"


def test_a_window_without_a_size_knows_no_distances(both: Both, clock: VirtualClock) -> None:
    """Nobody numbered its calls, so what it knows cannot be placed in a window of some calls (C2, C10)."""
    made = Guarded(both, failure_threshold=2, window_size=None)
    made.fail()
    made.breaker.reconfigure(window_size=3)
    made.fail()
    assert made.state == "closed"
    made.breaker.reconfigure(window_size=None)
    made.fail()
    assert made.state == "open"


def test_a_rule_that_is_new_begins_empty(both: Both, clock: VirtualClock) -> None:
    """Rates know nothing of successes that nobody recorded; the healthy path takes the lock from then on (C2, C10)."""
    made = Guarded(both, failure_threshold=5)
    made.fail()
    made.breaker.reconfigure(failure_rate=0.5, minimum_calls=2)
    assert made.breaker.failure_rate is None
    made.call()
    made.call()
    assert made.breaker.failure_rate == 0.0
    made.fail()
    assert made.state == "closed"
    made.fail()
    assert made.state == "open"


def test_shares_move_to_another_window(both: Both, clock: VirtualClock) -> None:
    """Sizes come, shrink and go; the newest outcomes stay, spread evenly where their order was not kept (C2)."""
    made = Guarded(both, failure_threshold=None, failure_rate=1.0, minimum_calls=1, window_size=10)
    made.call()
    for answer in "ok", OSError(), "ok", OSError():
        made.fail(answer) if isinstance(answer, OSError) else made.call(answer)
    assert made.breaker.failure_rate == 0.4
    made.breaker.reconfigure(window_size=3)
    assert made.breaker.failure_rate == pytest.approx(2 / 3)
    made.breaker.reconfigure(window_size=None)
    assert made.breaker.failure_rate == pytest.approx(2 / 3)
    made.breaker.reconfigure(window_size=2)
    assert made.breaker.failure_rate == 0.5
    made.breaker.reconfigure(failure_rate=None, failure_threshold=1, minimum_calls=CircuitBreakerConfig().minimum_calls)
    assert made.breaker.failure_rate is None


def test_calls_that_run_meanwhile_count(clock: VirtualClock) -> None:
    """A call that began under the old configuration is judged by the new one when it ends (B5)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=5, failure_on=KeyError))

    @breaker
    def slow(change: dict[str, Any]) -> None:
        breaker.reconfigure(**change)
        clock.advance(5)
        raise Down

    with pytest.raises(Down):
        slow({"failure_threshold": 1, "failure_on": Down})
    assert breaker.state.value == "open"
    breaker.reset()
    with pytest.raises(Down):  # it began when nobody looked at the time, so it is not slow
        slow({"slow_call_rate": 0.1, "slow_call_duration": 1, "minimum_calls": 1, "failure_on": KeyError})
    assert breaker.state.value == "closed"
    default = CircuitBreakerConfig().minimum_calls
    with pytest.raises(Down):  # and this one when somebody did
        slow({"slow_call_rate": None, "slow_call_duration": None, "minimum_calls": default, "failure_threshold": 1})
    assert breaker.state.value == "closed"


@pytest.mark.parametrize(("timeout", "left"), [(100, 80), (30, 10), ([100, 5], 80), (lambda n: 50 * n, 30)])
def test_a_new_open_time_is_that_of_the_circuit_that_is_open(
    both: Both, clock: VirtualClock, timeout: Any, left: float
) -> None:
    """It counts from the moment at which it opened: who shortens it in an outage means this outage (C6)."""
    made = Guarded(both, timeout=60)
    made.fail()
    clock.advance(20)
    made.breaker.reconfigure(timeout=timeout)
    assert wait(made) == left
    clock.advance(left)
    made.fail()
    assert wait(made) == (5 if isinstance(timeout, list) else 100 if callable(timeout) else timeout)


def test_an_open_time_that_is_over_by_now_lets_probes_through(both: Both, clock: VirtualClock) -> None:
    """At once, in a circuit held by hand too, when it is released (C1, C6)."""
    made = Guarded(both, timeout=60)
    made.fail()
    clock.advance(20)
    with made.breaker.force_open():
        made.breaker.reconfigure(timeout=10)
        assert made.state == "forced_open"
    assert made.state == "half_open"
    made.call()
    assert made.state == "closed"


def test_the_open_time_stays_if_it_is_not_what_changes(both: Both, clock: VirtualClock) -> None:
    """Whatever else changes, an open circuit keeps its moment, and growing open times their place (C6)."""
    made = Guarded(both, timeout=[10, 20, 30])
    made.fail()
    clock.advance(10)
    made.fail()
    made.breaker.reconfigure(failure_threshold=3, half_open_max=4)
    assert wait(made) == 20
    clock.advance(20)
    made.fail()
    assert wait(made) == 30


def test_open_times_that_fail_at_once_are_refused_and_later_logged(
    both: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's code is asked before anything changes; if it fails for later openings the old time stays (G1, G9)."""
    monkeypatch.setattr("recoup._core.emit._logged", set())
    made = Guarded(both, timeout=60)
    with pytest.raises(ZeroDivisionError):
        made.breaker.reconfigure(timeout=lambda n: n / 0, failure_threshold=9)
    assert made.breaker.config.failure_threshold == 1
    made.fail()

    def moody(number: int) -> float:
        if number > 1:
            raise KeyError(number)
        return 30.0

    made.breaker.reconfigure(timeout=moody)
    assert wait(made) == 30
    assert "KeyError" in caplog.text


def test_probes_that_run_stay_leases(both: Both, clock: VirtualClock) -> None:
    """They count for the new threshold, expire by the new time, and their number is held to the new limit (C5)."""
    made = Guarded(both, success_threshold=3, half_open_max=3, half_open_timeout=100)
    made.fail()
    clock.advance(60)
    permits = [made.breaker._calls.ask() or made.breaker._calls.admit() for _ in range(2)]
    made.call()
    made.breaker.reconfigure(success_threshold=1, half_open_max=2, half_open_timeout=20)
    assert made.state == "half_open"
    assert wait(made) == 0
    made.breaker._calls.returned(permits.pop(), "ok")
    assert made.state == "closed"


def test_a_probe_expires_by_the_new_time(both: Both, clock: VirtualClock) -> None:
    """From when it began; an operator who sees one hang need not wait for it (C5)."""
    made = Guarded(both, half_open_timeout=1000)
    made.fail()
    clock.advance(60)
    permit = made.breaker._calls.ask() or made.breaker._calls.admit()
    clock.advance(30)
    made.breaker.reconfigure(half_open_timeout=20)
    assert made.state == "open"
    assert wait(made) == 50
    made.breaker._calls.returned(permit, "ok")
    assert made.breaker.metrics["late"] == 1


def test_fewer_successes_than_there_were_leave_one_to_be_had(both: Both, clock: VirtualClock) -> None:
    """Else nobody would be let through any more, and the circuit stayed half-open for ever (C5)."""
    made = Guarded(both, success_threshold=5)
    made.fail()
    clock.advance(60)
    for _ in range(3):
        made.call()
    made.breaker.reconfigure(success_threshold=2)
    assert made.state == "half_open"
    made.call()
    assert made.state == "closed"


@pytest.mark.parametrize(("ramp_up", "passes"), [(None, 20), (1000, 2), (10, 20)])
def test_a_ramp_takes_as_long_as_it_is_told(both: Both, clock: VirtualClock, ramp_up: Any, passes: int) -> None:
    """From when it began (C6)."""
    made = Guarded(both, ramp_up=100)
    made.fail()
    clock.advance(60)
    made.call()
    clock.advance(10)
    made.breaker.reconfigure(ramp_up=ramp_up)
    passed = 0
    for _ in range(20):
        try:
            made.call()
        except CircuitBreakerError:
            continue
        passed += 1
    assert abs(passed - passes) <= 2


def test_callbacks_of_the_same_colour_are_replaced(both: Both, clock: VirtualClock) -> None:
    """The new one is told what happens from now on (G9)."""
    seen: list[str] = []
    made = Guarded(both, on_open=both.wrap(lambda: seen.append("old")))
    made.fail()
    made.breaker.reconfigure(on_open=both.wrap(lambda: seen.append("new")))
    clock.advance(60)
    made.fail()
    assert seen == ["old", "new"]


async def noop() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"failure_threshold": 0}, ValueError, "failure_threshold must be at least 1"),
        ({"window_size": 2}, ValueError, r"window_size \(2\) must be at least failure_threshold \(3\)"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": []}, ValueError, "at least one open time"),
        ({"on_open": noop}, ValueError, "on_open must stay as it is"),
        ({"failure_on_result": bool}, ValueError, "failure_on_result must stay as it is"),
        ({"on_open": noop, "on_close": noop}, ValueError, "on_close and on_open must stay as they are"),
        ({"failure_treshold": 2}, TypeError, "did you mean 'failure_threshold'"),
        ({"on": KeyboardInterrupt}, ValueError, "control flow"),
    ],
)
def test_bad_values_are_refused_whole(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """Nothing was changed, not even what would have been right (G1)."""
    for breaker in (
        CircuitBreaker(CircuitBreakerConfig(failure_threshold=3)),
        KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=3), key="host"),
    ):
        before = breaker.config
        with pytest.raises(error, match=message):
            breaker.reconfigure(**{"success_threshold": 7, **changes})
        assert breaker.config is before


def test_a_breaker_with_async_callbacks_takes_both_kinds(clock: VirtualClock) -> None:
    """It serves async functions alone; even without such callbacks it stays one of these, so that they may return."""
    breaker = CircuitBreaker(CircuitBreakerConfig(on_open=noop), name="service")
    breaker.reconfigure(on_open=None)
    breaker.reconfigure(on_close=noop)
    with pytest.raises(TypeError, match="on_close of circuit_breaker is an async function"):
        breaker(lambda: None)


def test_the_whole_config_may_be_given(both: Both, clock: VirtualClock) -> None:
    """It replaces all that was said before; `explain` and blocks go by it."""
    made = Guarded(both, failure_threshold=9)
    other = CircuitBreakerConfig(failure_threshold=1, timeout=7)
    made.breaker.reconfigure(other)
    assert made.breaker.config is other
    assert "opens after 1 failures" in made.breaker._says()[0]
    made.fail()
    assert wait(made) == 7


def by_host(breaker: KeyedCircuitBreaker) -> Any:
    """Make a function of a host that fails as it is told."""

    @breaker
    def fetch(host: str, fails: bool = False) -> str:
        if fails:
            raise Down(host)
        return host

    return fetch


def test_all_keys_change(clock: VirtualClock) -> None:
    """Those that are there, those that come, and those that left while a call runs in them (C9)."""
    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=5), key="host", max_keys=2)
    fetch = by_host(breaker)
    busy = breaker._table.of("busy")
    for host in "ab":
        with pytest.raises(Down):
            fetch(host, fails=True)
    assert breaker._table._leaving.get("busy") is busy
    breaker.reconfigure(failure_threshold=2, timeout=[5, 50])
    for host in "bcc":
        with pytest.raises(Down):
            fetch(host, fails=True)
    assert [breaker.state(host).value for host in "bc"] == ["open", "open"]
    busy.failed(busy.admit(), OSError(), ())
    busy.failed(busy.admit(), OSError(), ())
    assert breaker.state("busy").value == "open"
    with pytest.raises(CircuitBreakerError) as refused:
        fetch("c")
    assert refused.value.wait_time == 5


def test_a_circuit_made_for_the_old_configuration_catches_up(clock: VirtualClock) -> None:
    """A key that comes for the first time while the configuration changes gets the new one (C9)."""

    def timeout(number: int) -> float:
        breaker.reconfigure(failure_threshold=1, timeout=5)
        return 60.0

    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=5), key="host")
    config = CircuitBreakerConfig(failure_threshold=5, timeout=[60.0])
    breaker.reconfigure(config)
    object.__setattr__(breaker._first.bench.judge.rules, "timeout", timeout)  # asked when the circuit is made
    fetch = by_host(breaker)
    with pytest.raises(Down):
        fetch("a", fails=True)
    assert breaker.state("a").value == "open"
    with pytest.raises(CircuitBreakerError) as refused:
        fetch("a")
    assert refused.value.wait_time == 5


def test_of_two_changes_at_once_one_wins_whole(clock: VirtualClock) -> None:
    """Another change that comes while the user's code is asked is not lost, and not mixed with the first (G7)."""
    nested = iter([False, True, True])

    def timeout(number: int) -> float:
        if number == 1 and next(nested, False):
            breaker.reconfigure(timeout=7, failure_threshold=2)
        return 60.0

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=5))
    breaker.reconfigure(timeout=timeout, failure_threshold=1)
    assert breaker.config.failure_threshold == 2
    assert breaker._calls.circuit.goes_by(breaker._calls.bench.judge.rules)
    assert breaker._calls.circuit.open_times.seconds == 7


def test_a_circuit_that_opens_meanwhile_opens_once(clock: VirtualClock) -> None:
    """If it moves while the user's code is asked for open times, that is asked again, for where it is (C6)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    asked: list[int] = []

    def timeout(number: int) -> float:
        asked.append(number)
        if len(asked) == 2:  # the first was only to see whether it works
            breaker._calls.circuit.failed(breaker._calls.admit(), clock.monotonic(), OSError())
        return 10.0 * number

    breaker.reconfigure(timeout=timeout)
    assert asked == [1, 1, 1, 2]
    with pytest.raises(CircuitBreakerError) as refused:
        breaker.call_sync(len, "")
    assert refused.value.wait_time == 10
    assert breaker._calls.circuit.open_times.seconds == 20


CHANGES: list[dict[str, Any]] = [
    {"failure_threshold": 2, "window_size": 5, "failure_rate": 0.5, "minimum_calls": 2, "timeout": 1e-3},
    {"failure_rate": None, "minimum_calls": CircuitBreakerConfig().minimum_calls, "timeout": [1e-4, 1e-3]},
    {"failure_threshold": 4, "window_size": None, "slow_call_rate": 0.9, "slow_call_duration": 1e-6},
    {"slow_call_rate": None, "slow_call_duration": None, "window_size": 100, "half_open_max": 3},
]


def service(number: int) -> None:
    """Fail one time in three."""
    if number % 3 == 0:
        raise Down


def calling(breaker: Any, strange: list[BaseException]) -> None:
    """Call the service, and remember what should not come out."""
    fn = breaker(service)
    for number in range(60):
        try:
            fn(number)
        except (Down, CircuitBreakerError):
            continue
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            strange.append(error)


@pytest.mark.parametrize(
    "breaker",
    [CircuitBreaker(), KeyedCircuitBreaker(key=lambda number: number % 5, max_keys=3)],
    ids=["plain", "keyed"],
)
def test_while_thirty_two_threads_call(breaker: Any) -> None:
    """Changes and resets from any thread: nobody hangs, nothing but failures and refusals comes out (G7)."""
    strange: list[BaseException] = []
    threads = [threading.Thread(target=calling, args=(breaker, strange)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        breaker.reconfigure(**CHANGES[turn % 4])
        if turn % 7 == 0:
            breaker.reset()
    for thread in threads:
        thread.join()
    assert not strange
    breaker.reset()
    breaker.reconfigure(CircuitBreakerConfig(failure_threshold=1))
    with pytest.raises(Down):
        breaker.call_sync(service, 3)
    with pytest.raises(CircuitBreakerError):
        breaker.call_sync(service, 3)


class Forgetful(FailureWindow):
    """The naive way to change a window's size: begin a new one."""

    def load(self, last: int, failures: list[tuple[int | None, float]], now: float) -> float:
        return super().load(last, [], now)


def test_the_naive_way_forgets_an_outage_in_progress(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> None:
    """Polly and resilience4j begin a new window; ours opens with the fifth failure, before and after (C2)."""
    found = []
    for naive in (False, True):
        if naive:
            monkeypatch.setattr("recoup.strategies.circuit_breaker.rules.FailureWindow", Forgetful)
        breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=5))
        for turn in range(5):
            if turn == 4:
                breaker.reconfigure(window_size=20)
            with pytest.raises(ValueError, match="invalid literal"):
                breaker.call_sync(int, "no")
        found.append(breaker.state.value)
    assert found == ["open", "closed"]
