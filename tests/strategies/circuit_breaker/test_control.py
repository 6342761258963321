"""Circuits in somebody's hands (C1)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from recoup import events, subscribe
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.control import disable, force_open, metrics_only
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded


def test_forced_open_refuses_until_released(both: Both, clock: VirtualClock) -> None:
    """However long that takes (C1)."""
    made = Guarded(both)
    hold = made.breaker.force_open()
    for _ in range(3):
        clock.advance(1000)
        with pytest.raises(CircuitBreakerError, match="stays so until it is released") as refused:
            made.call()
        assert refused.value.wait_time == math.inf
    assert made.state == "forced_open"
    hold.release()
    assert made.call() == "ok"
    assert made.service.calls == 1


def test_disabled_lets_everything_pass_and_counts_nothing(both: Both, clock: VirtualClock) -> None:
    """Also what fails, and also while the circuit is open beneath (C1)."""
    made = Guarded(both, failure_on_result=lambda result: result == "bad")
    with made.breaker.disable():
        for _ in range(3):
            made.fail()
            assert made.call("bad") == "bad"
        assert made.state == "disabled"
    assert made.state == "closed"
    made.fail()
    with made.breaker.disable():
        assert made.call() == "ok"
        made.fail()
    assert made.state == "open"
    assert made.breaker.metrics == {"opened": 1, "refused": 0, "late": 0, "would_open": 0}


def test_a_block_restores_whatever_happens_in_it(both: Both, clock: VirtualClock) -> None:
    """Handles are context managers (C1)."""
    made = Guarded(both)

    def refused() -> None:
        with made.breaker.force_open() as hold:
            assert repr(hold) == "<Hold forced_open on 'service'>"
            made.call()

    with pytest.raises(CircuitBreakerError):
        refused()
    assert made.state == "closed"


def test_several_breakers_at_once(both: Both, clock: VirtualClock) -> None:
    """One handle for all of them (C1)."""
    first, second = Guarded(both), Guarded(both)
    second.fail()
    with force_open(first.breaker, second.breaker):
        assert (first.state, second.state) == ("forced_open", "forced_open")
        with disable(second.breaker):
            assert (first.state, second.state) == ("forced_open", "disabled")
        assert second.state == "forced_open"
    assert (first.state, second.state) == ("closed", "open")


def test_all_are_held_before_any_callback_runs(clock: VirtualClock) -> None:
    """A callback that interrupts leaves none behind that was to be held (C1, G9)."""
    seen: list[str] = []
    second: Any = Guarded(Both("sync"))

    def interrupted() -> None:
        seen.append(second.state)
        raise KeyboardInterrupt

    first = Guarded(Both("sync"), on_open=interrupted)
    with pytest.raises(KeyboardInterrupt):
        force_open(first.breaker, second.breaker)
    assert seen == ["forced_open"]
    assert first.state == "forced_open"
    first.breaker.reset()
    assert first.state == "closed"


def test_release_twice_does_nothing(both: Both, clock: VirtualClock) -> None:
    """Nor does it end somebody else's hold (C1)."""
    made = Guarded(both)
    hold, other = made.breaker.force_open(), made.breaker.force_open()
    hold.release()
    hold.release()
    assert made.state == "forced_open"
    other.release()
    assert made.state == "closed"


def test_reset_closes_at_once(both: Both, clock: VirtualClock) -> None:
    """An open circuit lets calls through again, and old failures are forgotten (C1)."""
    made = Guarded(both, failure_threshold=2)
    made.fail()
    made.fail()
    assert made.state == "open"
    made.breaker.reset()
    assert made.call() == "ok"
    made.fail()
    assert made.state == "closed"
    made.breaker.force_open()
    made.breaker.reset()
    assert made.call() == "ok"


def test_what_is_done_by_hand_is_told_at_once(both: Both, clock: VirtualClock) -> None:
    """Not by the next call, which may be long in coming (C1, G9)."""
    seen: list[str] = []
    made = Guarded(both, on_open=lambda: seen.append("open"), on_close=lambda: seen.append("close"))
    hold = made.breaker.force_open()
    assert seen == ["open"]
    hold.release()
    assert seen == ["open", "close"]
    made.fail()
    made.breaker.reset()
    assert seen == ["open", "close"] * 2


def test_only_circuit_breakers_can_be_held() -> None:
    """And at least one (G1)."""
    for control in (force_open, disable):
        with pytest.raises(TypeError, match="give at least one circuit breaker"):
            control()
        with pytest.raises(TypeError, match="breakers must be a CircuitBreaker"):
            control(CircuitBreaker(), print)  # type: ignore[arg-type]


def test_metrics_only_lets_everything_pass_and_says_what_would_have_been(both: Both, clock: VirtualClock) -> None:
    """The rules are met twice, and nothing is refused (C1)."""
    made = Guarded(both, failure_threshold=2, timeout=5)
    seen: list[Any] = []
    with subscribe(seen.append), made.breaker.metrics_only():
        for _ in range(5):
            made.fail(OSError("down"))
        assert made.call() == "ok"
        assert made.state == "metrics_only"
    assert made.breaker.metrics == {"opened": 0, "refused": 0, "late": 0, "would_open": 2}
    assert seen == [events.CircuitWouldOpen("service", "OSError")] * 2
    assert made.state == "closed"
    made.fail()
    assert made.state == "closed"
    made.fail()
    assert made.state == "open"


def test_metrics_only_over_an_open_circuit(both: Both, clock: VirtualClock) -> None:
    """Calls flow and the callbacks say so; released, its time has gone on (C1)."""
    told: list[str] = []
    made = Guarded(both, on_open=lambda: told.append("open"), on_close=lambda: told.append("close"))
    made.fail()
    with made.breaker.metrics_only():
        assert made.call() == "ok"
        made.fail()
        clock.advance(20)
    assert told == ["open", "close", "open"]
    assert made.state == "open"
    clock.advance(40)
    assert made.state == "half_open"


def test_shares_are_known_while_the_circuit_is_only_watched(both: Both, clock: VirtualClock) -> None:
    """And begin anew when it would have opened (C1, C2)."""
    made = Guarded(both, failure_threshold=None, failure_rate=0.6, minimum_calls=2)
    with metrics_only(made.breaker):
        assert made.breaker.failure_rate is None
        made.call()
        made.fail()
        assert made.breaker.failure_rate == 0.5
        made.fail()
        assert made.breaker.failure_rate is None
        assert made.breaker.metrics["would_open"] == 1
    assert made.breaker.failure_rate is None


def test_watching_takes_no_lock_either(both: Both, clock: VirtualClock) -> None:
    """A healthy call of a watched circuit costs what it costs a closed one (C1, C10)."""
    made = Guarded(both)
    with metrics_only(made.breaker):
        made.call()
        era: Any = made.breaker._calls.circuit.era
        assert era is not None
        assert era.tick is None
        with made.breaker._calls.circuit._lock:
            made.call()


def test_the_newest_hold_counts_with_metrics_only_among_them(both: Both, clock: VirtualClock) -> None:
    """Beneath all of them the circuit stays what it was (C1)."""
    made = Guarded(both)
    watching = made.breaker.metrics_only()
    with made.breaker.force_open(), pytest.raises(CircuitBreakerError):
        made.call()
    assert made.state == "metrics_only"
    refusing = made.breaker.force_open()
    watching.release()
    assert made.state == "forced_open"
    refusing.release()
    assert made.state == "closed"
    made.breaker.metrics_only()
    made.breaker.reset()
    assert made.state == "closed"


def test_a_call_from_before_decides_nothing_while_watched(clock: VirtualClock) -> None:
    """Nor does one from within it afterwards (C1, C4)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    hold: Any = None

    def begun_before() -> None:
        nonlocal hold
        hold = breaker.metrics_only()
        raise OSError("down")

    def begun_within() -> None:
        hold.release()
        raise OSError("down")

    for function in (begun_before, begun_within):
        with pytest.raises(OSError, match="down"):
            breaker.call_sync(function)
    assert breaker.state.value == "closed"
    assert breaker.metrics == {"opened": 0, "refused": 0, "late": 2, "would_open": 0}


def test_metrics_only_needs_a_breaker() -> None:
    """As the others do (G1)."""
    with pytest.raises(TypeError, match="give at least one circuit breaker to hold"):
        metrics_only()
    with pytest.raises(TypeError, match="breakers must be a CircuitBreaker, not 'search'"):
        metrics_only("search")  # type: ignore[arg-type]
