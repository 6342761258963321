"""Opening and trying out by hand, and holding all circuits of a keyed breaker at once (C1, C5, C6, C9)."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from typing import Any

import pytest

from recoup import disable, events, force_open, metrics_only, registry, subscribe
from recoup._core import waiting
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded
from tests.strategies.circuit_breaker.test_keyed import Hosts, keyed


def test_a_tripped_circuit_comes_back_by_itself(both: Both, clock: VirtualClock) -> None:
    """As if its rules had opened it: refusals say when, and a probe closes it (C1, C5)."""
    made = Guarded(both)
    made.breaker.trip()
    clock.advance(20)
    with pytest.raises(CircuitBreakerError) as refused:
        made.call()
    assert refused.value.wait_time == 40
    assert refused.value.last_error_type is None
    clock.advance(40)
    assert made.state == "half_open"
    assert made.call() == "ok"
    assert made.state == "closed"
    assert made.breaker.metrics == {"opened": 0, "refused": 1, "late": 0, "would_open": 0}


@pytest.mark.parametrize("seconds", [5, timedelta(seconds=5)])
def test_a_circuit_is_tripped_for_as_long_as_is_said(both: Both, clock: VirtualClock, seconds: Any) -> None:
    """What the service has asked for, say; an open one begins its time anew, and keeps what opened it (C1, C7)."""
    made = Guarded(both)
    made.breaker.trip(seconds)
    clock.advance(5)
    assert made.state == "half_open"
    made.fail()
    clock.advance(59)
    made.breaker.trip(seconds)
    clock.advance(4)
    with pytest.raises(CircuitBreakerError) as refused:
        made.call()
    assert refused.value.wait_time == pytest.approx(1)
    assert refused.value.last_error_type is not None
    made.breaker.trip()
    clock.advance(4)
    assert made.state == "open"


def test_tripping_an_open_circuit_is_no_other_opening(both: Both, clock: VirtualClock) -> None:
    """Open times that grow do not grow with every alarm (C6)."""
    made = Guarded(both, timeout=[10, 100])
    for _ in range(3):
        made.breaker.trip()
    clock.advance(10)
    assert made.state == "half_open"
    made.fail()
    clock.advance(99)
    assert made.state == "open"


def test_probes_are_let_through_by_hand(both: Both, clock: VirtualClock) -> None:
    """Before the open time is over, or of a circuit that is closed; probes that run are left alone (C1, C5)."""
    made = Guarded(both, success_threshold=2)
    made.fail()
    made.breaker.half_open()
    assert made.call() == "ok"
    made.breaker.half_open()
    assert made.call() == "ok"
    assert made.state == "closed", "the success of before counted"
    made.breaker.half_open()
    assert made.state == "half_open"
    made.fail()
    assert made.state == "open"


def test_what_ran_before_decides_nothing(both: Both, clock: VirtualClock) -> None:
    """A call that began before it was tripped is late (C4)."""
    made = Guarded(both)

    def work() -> None:
        made.breaker.trip(10)
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        made.breaker.call_sync(work)
    assert made.breaker.metrics["late"] == 1
    clock.advance(10)
    assert made.state == "half_open"


def test_holds_lie_over_what_is_done_beneath(both: Both, clock: VirtualClock) -> None:
    """It shows when the hold is released (C1)."""
    made = Guarded(both)
    for hold in (made.breaker.force_open, made.breaker.disable, made.breaker.metrics_only):
        with hold():
            before = made.state
            made.breaker.trip(10)
            assert made.state == before
        assert made.state == "open"
        with hold():
            made.breaker.half_open()
            assert made.state == before
        assert made.state == "half_open"
        made.breaker.reset()


def test_what_is_done_by_hand_is_told(both: Both, clock: VirtualClock) -> None:
    """At once, with the time (G9)."""
    told: list[str] = []
    made = Guarded(both, on_open=lambda: told.append("open"), on_half_open=lambda: told.append("half_open"))
    heard: list[Any] = []
    with subscribe(heard.append):
        made.breaker.trip(7)
        made.breaker.half_open()
    assert told == ["open", "half_open"]
    assert heard == [events.CircuitOpened("service", 7.0, None), events.CircuitHalfOpened("service")]


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(0, ValueError), (-1, ValueError), (math.inf, ValueError), (True, TypeError), ("1", TypeError)],
)
def test_no_time_at_all_is_refused(seconds: Any, error: type[Exception]) -> None:
    """And nothing was changed (G1)."""
    made, hosts = Guarded(Both("sync")), keyed()
    with pytest.raises(error, match="seconds must be"):
        made.breaker.trip(seconds)
    with pytest.raises(error, match="seconds must be"):
        hosts.trip("a", seconds=seconds)
    assert made.state == "closed"
    assert hosts.metrics["keys"] == 0


def test_keys_are_tripped_one_by_one(both: Both, clock: VirtualClock) -> None:
    """Also keys that nobody has called yet; the others go on (C1, C9)."""
    made = Hosts(both)
    made.breaker.trip("a", "b", seconds=30)
    assert [made.ask(host) for host in "abc"] == ["refused", "refused", "/"]
    made.breaker.half_open("a")
    assert [made.ask(host) for host in "abc"] == ["/", "refused", "/"]
    assert [made.state(host) for host in "abc"] == ["closed", "open", "closed"]
    clock.advance(30)
    assert made.ask("b") == "/"
    for by_hand in (made.breaker.trip, made.breaker.half_open):
        with pytest.raises(TypeError, match="give at least one key"):
            by_hand()
        with pytest.raises(TypeError, match="key must give a str"):
            by_hand("a", ["list"])


def test_all_keys_are_held_at_once(both: Both, clock: VirtualClock) -> None:
    """Those there are and those that come; released, each goes on as it was (C1, C9)."""
    made = Hosts(both)
    made.down = {"a"}
    assert [made.ask(host) for host in "ab"] == ["failed", "/"]
    made.down = set()
    with made.breaker.force_open():
        assert [made.ask(host) for host in "abc"] == ["refused"] * 3
        assert [made.state(host) for host in "abcd"] == ["forced_open"] * 4
        assert repr(made.breaker) == "<KeyedCircuitBreaker 'hosts' 3 keys forced_open>"
        with disable(made.breaker):
            assert [made.ask(host) for host in "abcd"] == ["/"] * 4
        assert made.ask("a") == "refused"
    assert [made.state(host) for host in "abcd"] == ["open", "closed", "closed", "closed"]
    assert [made.ask(host) for host in "abcd"] == ["refused", "/", "/", "/"]
    assert repr(made.breaker) == "<KeyedCircuitBreaker 'hosts' 4 keys>"


def test_plain_and_keyed_breakers_are_held_together(both: Both, clock: VirtualClock) -> None:
    """One handle for all of them, found by their names (C1)."""
    made = Guarded(both)
    hosts = Hosts(both, KeyedCircuitBreaker(key="host", name=f"only these: {both!r}"))
    found = registry.find(f"only these: {both!r}", KeyedCircuitBreaker)
    with force_open(made.breaker, found) as hold:
        assert repr(hold) == f"<Hold forced_open on 'service', {found.name!r}>"
        assert hosts.ask("a") == "refused"
        assert made.state == "forced_open"
    assert hosts.ask("a") == "/"


def test_rules_are_tried_out_key_by_key(both: Both, clock: VirtualClock) -> None:
    """Under metrics_only nobody is refused, and each circuit says when it would have opened (C1, C2)."""
    made = Hosts(both, keyed(failure_threshold=2))
    made.down = {"a", "b"}
    with metrics_only(made.breaker):
        assert [made.ask(host) for host in "aabba"] == ["failed"] * 5
    assert made.breaker.metrics["would_open"] == 2
    assert [made.state(host) for host in "ab"] == ["closed", "closed"]


def test_a_hold_is_told_once_and_not_for_each_key(both: Both, clock: VirtualClock) -> None:
    """Ten thousand keys are no reason for ten thousand calls of on_open (G9)."""
    told: list[str] = []
    made = Hosts(both, keyed(on_open=lambda: told.append("open"), on_close=lambda: told.append("close")))
    for host in "abc":
        made.ask(host)
    with made.breaker.force_open():
        made.ask("d")
    assert told == ["open", "close"]


def test_a_reset_ends_the_holds(both: Both, clock: VirtualClock) -> None:
    """That of all keys; that of one forgets its circuit, and the next one is held like the others (C1, C9)."""
    made = Hosts(both)
    made.ask("a")
    made.breaker.force_open()
    made.breaker.reset("a")
    assert made.ask("a") == "refused"
    made.breaker.reset()
    assert made.ask("a") == "/"
    assert made.breaker.metrics["keys"] == 1


def test_holding_keeps_open_circuits_before_closed_ones(both: Both, clock: VirtualClock) -> None:
    """Of too many keys, those go that would be closed if nobody held them (C9)."""
    made = Hosts(both, keyed(max_keys=3))
    made.down = {"bad"}
    made.ask("bad")
    with made.breaker.disable():
        made.down = set()
        for number in range(20):
            made.ask(str(number))
        assert made.breaker.metrics["keys"] <= 3
    assert made.state("bad") == "open"


def test_restored_circuits_are_held_too(both: Both, clock: VirtualClock) -> None:
    """Holds stay on top of what is restored, and what was held is saved as it is beneath (C1)."""
    made, other = Hosts(both), Hosts(both)
    made.down = {"a"}
    made.ask("a")
    with made.breaker.disable():
        saved = made.breaker.snapshot()
    with other.breaker.force_open():
        other.breaker.restore(saved)
        assert [other.state(host) for host in "ab"] == ["forced_open", "forced_open"]
    assert [other.state(host) for host in "ab"] == ["open", "closed"]


def test_a_change_of_the_rules_reaches_circuits_that_are_held(both: Both, clock: VirtualClock) -> None:
    """They go by it when they are released (B5, C9)."""
    made = Hosts(both)
    made.ask("a")
    with made.breaker.disable():
        made.breaker.reconfigure(failure_threshold=3)
    made.down = {"a"}
    assert [made.ask("a") for _ in range(4)] == ["failed", "failed", "failed", "refused"]


def test_a_forked_child_holds_what_its_parent_held(both: Both, clock: VirtualClock) -> None:
    """Whatever the key, known or new (G18)."""
    made = Hosts(both)
    made.down = {"a"}
    made.ask("a")
    made.ask("b")
    hold = made.breaker.force_open()
    waiting._after_fork()
    assert [made.ask(host) for host in "abc"] == ["refused"] * 3
    hold.release()
    assert [made.ask(host) for host in "abc"] == ["refused", "/", "/"]


def test_no_call_slips_through_a_hold() -> None:
    """Keys that come while threads hold and release: once `force_open` has returned, nobody passes (C1, G7)."""
    breaker = keyed(max_keys=50)
    passed: list[int] = []
    stop = threading.Event()
    holds = [0]  # an odd number while one is in force

    def call() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            before = holds[0]
            try:
                with breaker.guard(number % 200):
                    if before % 2 and holds[0] == before:
                        passed.append(number)
            except CircuitBreakerError:
                pass

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        with breaker.force_open():
            holds[0] += 1
            for _ in range(20):
                assert breaker.metrics["keys"] <= 58, "those in which calls run come on top"
            holds[0] += 1
    stop.set()
    for thread in threads:
        thread.join()
    assert not passed


class Watchful:
    """A lock that does something before it is taken, and looks before it is let go."""

    def __init__(self, lock: Any, before: Any, look: Any) -> None:
        self.lock, self.before, self.look = lock, before, look

    def __enter__(self) -> None:
        before, self.before = self.before, lambda: None
        before()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.look()
        self.lock.release()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_new_circuit_is_held_before_anybody_can_use_it(clock: VirtualClock, when: str) -> None:
    """Whether all were held before it was made, or while it was being made (C1, C9, G7)."""
    made = Hosts(Both("sync"))
    table = made.breaker._table
    seen: list[str] = []

    def look() -> None:
        known = table.known("new")
        if known is not None:
            seen.append(known.circuit.phase.state.value)

    def hold() -> None:
        made.breaker.force_open()

    if when == "before":
        hold()
    table._lock = Watchful(table._lock, hold if when == "meanwhile" else lambda: None, look)  # type: ignore[assignment]
    assert made.ask("new") == "refused"
    if when == "before":
        assert seen == ["forced_open"]
