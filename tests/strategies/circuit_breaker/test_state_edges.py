"""What a circuit decides where it is close: saved and restored, under other rules, held, forked (C5, C10, B5, G18)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.rules import Rules
from recoup.strategies.circuit_breaker.saved import Saved
from recoup.strategies.circuit_breaker.state import Circuit

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED, METRICS_ONLY = CircuitBreakerState


def ruled(**fields: Any) -> Rules:
    return Rules(CircuitBreakerConfig(**{"failure_threshold": 1, "timeout": 60, **fields}))


def permit(made: Circuit, now: float) -> Any:
    made.advance(now)
    return made.enter(now)


def opened(at: float = 0.0, **fields: Any) -> Circuit:
    made = Circuit(ruled(**fields))
    assert made.failed(permit(made, at), at, ValueError("no"))
    return made


def test_a_late_failure_counts_for_nothing() -> None:
    """Whoever brings it is told so: nobody else speaks of it (C4)."""
    made = Circuit(ruled())
    early, late = permit(made, 0.0), permit(made, 0.0)
    assert made.failed(early, 0.0, ValueError("no")) is True
    assert made.failed(late, 0.0, ValueError("no")) is False


def test_calls_are_not_slow_unless_somebody_says_so() -> None:
    """Who does not time calls brings no slow ones (C2)."""
    made = Circuit(ruled(failure_threshold=100, slow_call_rate=0.5, slow_call_duration=1.0, minimum_calls=3))
    made.failed(permit(made, 0.0), 0.0, ValueError("no"))
    made.succeeded(permit(made, 0.0), 0.0)
    made.succeeded(permit(made, 0.0), 0.0, slow=True)
    assert made.shares(0.0)[1] == 1 / 3


def test_an_open_circuit_is_saved_whole() -> None:
    """How long it still refuses, how long altogether, the how manieth time, and why, with its age (C10)."""
    made = opened(10.0)
    assert made.save(10.25) == Saved(None, None, 59.75, 60.0, 1, ("ValueError", "no", 0.25))


def test_a_circuit_without_a_cause_is_saved_without_one() -> None:
    """One that was restored without any has none afterwards (C10)."""
    made = Circuit(ruled())
    saved = Saved(None, None, 5.0, 60.0, 1, None)
    made.restore(saved, 100.0)
    assert made.save(100.0) == saved


def test_a_probe_that_came_back_is_not_lost_for_who_saves() -> None:
    """A lease that was given back in time has opened nothing anew, though nobody has looked since (C5, C10)."""
    made = opened(half_open_timeout=10)
    lease = permit(made, 60.0)
    lease.give_back(65.0)
    assert made.save(75.0).wait == 0.0


def test_growing_open_times_go_on_where_they_were_saved() -> None:
    """The opening after a restored one lasts as long as it would have (C10)."""
    made = Circuit(ruled(timeout=[1, 5, 20]))
    made.restore(Saved(None, None, 0.0, 5.0, 2, None), 0.0)
    assert made.failed(permit(made, 0.0), 0.0, ValueError("no"))
    assert made.view(0.0) == (OPEN, 20.0)


def test_a_probe_is_lost_by_the_rules_it_began_under() -> None:
    """A lease that had expired before the rules changed has opened the circuit then, whatever the new ones say (B5)."""
    made = opened(half_open_timeout=10)
    lease = permit(made, 60.0)
    made.adopt(ruled(half_open_timeout=1000), 80.0)
    assert made.view(80.0) == (OPEN, 50.0)
    assert made.succeeded(lease, 80.0) is False


def test_other_rules_say_whether_calls_ask() -> None:
    """Calls of a closed circuit ask while the rules have to know when they began, and only then (C10, B5)."""
    plain, timed = ruled(), ruled(slow_call_duration=1.0, slow_call_rate=0.5)
    made = Circuit(plain)
    assert made.era is made.phase
    made.adopt(timed, 0.0)
    assert made.era is None
    made.adopt(plain, 0.0)
    assert made.era is made.phase


def test_a_reset_ends_all_holds() -> None:
    """A hold from before it does not come back when one from after it is released (C8)."""
    made = Circuit(ruled())
    made.hold("early", FORCED_OPEN, 0.0)
    made.reset()
    assert made.view(0.0) == (CLOSED, 0.0)
    made.hold("late", DISABLED, 0.0)
    made.release("late")
    assert made.view(0.0) == (CLOSED, 0.0)


def test_releasing_what_is_not_held_changes_nothing() -> None:
    """The permits of calls under way stay good (C8)."""
    made = Circuit(ruled())
    mine = permit(made, 0.0)
    made.release("never held")
    assert made.phase is mine


@pytest.mark.parametrize("siblings", [0, 1])
def test_a_fork_finds_a_lock_that_nobody_holds(siblings: int) -> None:
    """Another thread of the parent may have held it; in the child nobody would let go (G18)."""
    made = Circuit(ruled())
    others = [made.sibling() for _ in range(siblings)]
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with made._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        made.renew()  # as in the child
        for other in others:
            other.rejoin(made)
        for each in (made, *others):
            assert each._lock.acquire(blocking=False)
            each._lock.release()
            assert each.failed(permit(each, 0.0), 0.0, ValueError("no"))
    finally:
        release.set()
        thread.join()
    assert all(other.news is made.news for other in others)
    assert len(list(made.news)) == 1 + siblings


def test_a_circuit_that_is_opened_by_hand_has_opened_once() -> None:
    """It is the first opening, or the next one, and nothing has caused it (C8, C10)."""
    made = Circuit(ruled(timeout=[1, 5, 20]))
    made.trip(0.0, None)
    assert (made.save(0.0).openings, made.save(0.0).cause) == (1, None)
    made.trip(0.5, None)
    assert made.save(0.5).openings == 1, "an open one only begins its time anew"
    probed = opened()
    assert permit(probed, 60.0)
    probed.trip(60.0, None)
    assert (probed.save(60.0).openings, probed.save(60.0).cause) == (2, None)


def test_a_circuit_that_is_half_opened_by_hand_counts_as_opened() -> None:
    """As if it had opened and its time was over; one that has opened by itself has not opened twice (C8, C10)."""
    made = Circuit(ruled())
    made.half_open(0.0)
    assert (made.view(0.0)[0], made.save(0.0).openings) == (HALF_OPEN, 1)
    made = opened()
    made.half_open(5.0)
    assert (made.view(5.0)[0], made.save(5.0).openings) == (HALF_OPEN, 1)


def test_a_lost_probe_opens_the_circuit_before_a_hand_does() -> None:
    """What has happened by itself is counted, whoever comes next (C5, C8)."""
    tripped = opened(half_open_timeout=10)
    lost = permit(tripped, 60.0)
    tripped.trip(100.0, None)
    assert tripped.counts.opened == 2
    assert tripped.succeeded(lost, 100.0) is False
    halved = opened(half_open_timeout=10)
    lost = permit(halved, 60.0)
    halved.half_open(100.0)
    assert halved.view(100.0)[0] is HALF_OPEN
    assert halved.counts.opened == 2
    assert permit(halved, 100.0) is not None
    assert halved.succeeded(lost, 100.0) is False


def test_a_lost_probe_opens_a_circuit_before_it_is_held_with_others() -> None:
    """A circuit that follows others into a hold has counted what happened to it before (C5, C9)."""
    made = Circuit(ruled(half_open_timeout=10))
    one = made.sibling()
    assert one.failed(permit(one, 0.0), 0.0, ValueError("no"))
    lost = permit(one, 60.0)
    made.hold("all of them", FORCED_OPEN, 100.0)
    one.follow(100.0)
    assert one.view(100.0)[0] is FORCED_OPEN
    assert made.counts.opened == 2
    assert one.succeeded(lost, 100.0) is False
