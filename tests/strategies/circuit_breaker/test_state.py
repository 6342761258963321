"""What a circuit decides, without functions, clocks or loops (C1-C5, C7, C10, G2, G7, G12, G18)."""

from __future__ import annotations

import gc
import math
import sys
import weakref
from typing import Any

import pytest

from recoup._core import waiting
from recoup.strategies.circuit_breaker.cause import Cause
from recoup.strategies.circuit_breaker.closed import Closed
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.news import News, Notice
from recoup.strategies.circuit_breaker.permits import UNCOUNTED, Lease
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.rules import Rules
from recoup.strategies.circuit_breaker.state import Circuit
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from tests.strategies.circuit_breaker.services import ticked

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED, METRICS_ONLY = CircuitBreakerState


def circuit(**fields: Any) -> Circuit:
    return Circuit(Rules(CircuitBreakerConfig(**{"failure_threshold": 1, "timeout": 60, **fields})))


def permit(made: Circuit, now: float) -> Any:
    """Ask for a permit the slow way."""
    made.advance(now)
    return made.enter(now)


def opened(at: float = 0.0, **fields: Any) -> Circuit:
    """Make a circuit that opened at a time."""
    made = circuit(**fields)
    made.failed(permit(made, at), at, ValueError("no"))
    return made


def heard(made: Circuit) -> list[CircuitBreakerState]:
    """Take the news, as a teller would."""
    states = []
    while (notice := made.news.hear()) is not None:
        states.append(notice.state)
        made.news.told()
    return states


def test_a_closed_circuit_hands_out_itself_as_the_permit_without_asking() -> None:
    """A healthy call reads the era once, and nobody counts it (C10)."""
    made = circuit()
    assert isinstance(made.era, Closed)
    assert made.era.tick is None
    assert permit(made, 0.0) is made.era


def test_a_success_takes_no_lock() -> None:
    """Not even while somebody else holds it, and while failures are recent (C10)."""
    made = circuit(failure_threshold=2, window_size=5)
    era: Any = made.era
    made.failed(era, 0.0, None)
    with made._lock:
        assert [ticked(era) for _ in range(4)] == [True] * 4


@pytest.mark.parametrize(("size", "counted"), [(2, 1), (5, 4)])
def test_successes_are_counted_while_a_failure_is_recent(size: int, counted: int) -> None:
    """Then one of them takes the lock, and after it nobody counts until the next failure (C2, C10)."""
    made = circuit(failure_threshold=2, window_size=size)
    era: Any = made.era
    for _ in range(3):
        made.failed(era, 0.0, None)
        assert [ticked(era) for _ in range(counted + 1)] == [True] * counted + [False]
        assert era.tick is not None
        made.succeeded(era, 0.0)
        assert era.tick is None
    assert made.view(0.0)[0] is CLOSED


def test_a_success_that_asks_too_early_ends_no_counting() -> None:
    """Its numbers were used up when a newer failure began others (C2, C10)."""
    made = circuit(failure_threshold=2, window_size=3)
    era: Any = made.era
    made.failed(era, 0.0, None)
    assert [ticked(era), ticked(era), ticked(era)] == [True, True, False]
    made.failed(era, 0.0, None)
    made.succeeded(era, 0.0)
    assert era.tick is not None
    made.failed(era, 0.0, None)
    assert made.view(0.0)[0] is OPEN


def test_a_window_may_be_as_large_as_any_machine_word() -> None:
    """It costs nothing (C3)."""
    made = circuit(failure_threshold=2, window_size=sys.maxsize)
    era: Any = made.era
    made.failed(era, 0.0, None)
    assert [ticked(era) for _ in range(10)] == [True] * 10
    made.failed(era, 0.0, None)
    assert made.view(0.0)[0] is OPEN


def test_a_success_pushes_a_failure_out_of_the_window() -> None:
    """State is a function of the last calls (C2)."""
    made = circuit(failure_threshold=2, window_size=3)
    era: Any = made.era
    made.failed(era, 0.0, None)
    assert ticked(era)
    assert ticked(era)
    made.failed(era, 0.0, None)
    assert made.view(0.0)[0] is CLOSED
    made.failed(era, 0.0, None)
    assert made.view(0.0)[0] is OPEN


def test_a_timer_is_due_a_microsecond_early() -> None:
    """A clock that counts from 1970 has steps of a quarter of that; nobody is sent away to wait for less (G12)."""
    made = opened(1_700_000_000.1, timeout=0.1)
    assert made.view(1_700_000_000.2)[0] is HALF_OPEN
    assert isinstance(permit(made, 1_700_000_000.2), Lease)
    state, wait = opened(0.0).view(60 - 2e-6)
    assert (state, round(wait, 9)) == (OPEN, 2e-6)
    assert opened(0.0).view(60 - 0.9e-6) == (HALF_OPEN, 0.0)


def test_looking_changes_nothing() -> None:
    """Reading the state is a view of the clock: the transition itself waits for a call (C1)."""
    made = opened(0.0)
    assert [made.view(0.0), made.view(59.0), made.view(60.0)] == [(OPEN, 60.0), (OPEN, 1.0), (HALF_OPEN, 0.0)]
    assert heard(made) == [OPEN]
    assert made.view(1.0) == (OPEN, 59.0)
    permit(made, 60.0)
    assert heard(made) == [HALF_OPEN]


def test_late_failures_do_not_extend_the_open_time() -> None:
    """They belong to the state that ended (C4)."""
    made = circuit()
    first, second = permit(made, 0.0), permit(made, 0.0)
    assert made.failed(first, 0.0, None)
    assert not made.failed(second, 50.0, None)
    assert made.view(50.0) == (OPEN, 10.0)
    assert (made.counts.opened, made.counts.late) == (1, 1)


def test_a_late_success_is_noticed_though_healthy_ones_do_not_ask() -> None:
    """The era that ended makes its calls ask, and they hear that they are late (C4, C10)."""
    made = circuit()
    healthy: Any = made.era
    made.failed(permit(made, 0.0), 0.0, None)
    assert not ticked(healthy)
    assert not made.succeeded(healthy, 1.0)
    assert made.counts.late == 1


def test_a_late_result_does_not_half_open_a_circuit() -> None:
    """Half-open begins with the first call after the open time (C5)."""
    made = circuit()
    slow = permit(made, 0.0)
    made.failed(permit(made, 0.0), 0.0, None)
    made.failed(slow, 1000.0, None)
    assert heard(made) == [OPEN]


@pytest.mark.parametrize(
    ("successes", "at_once", "expected"),
    [(1, None, 1), (2, None, 2), (3, 1, 1), (2, 5, 5), (5, 2, 2)],
)
def test_probes_are_capped_at_once(successes: int, at_once: int | None, expected: int) -> None:
    """At most `half_open_max` run at the same time, by default `success_threshold` (C5)."""
    made = opened(0.0, success_threshold=successes, half_open_max=at_once)
    leases = [permit(made, 60.0) for _ in range(20)]
    assert sum(lease is not None for lease in leases) == expected


def test_probes_are_capped_in_all() -> None:
    """A half-open circuit lets no more through than can still matter, successes included (C5)."""
    made = opened(0.0, success_threshold=3)
    leases = [permit(made, 60.0) for _ in range(3)]
    assert made.succeeded(leases[0], 60.0)
    assert permit(made, 60.0) is None
    leases[1].give_back(60.0)
    leases[1] = permit(made, 60.0)
    assert leases[1] is not None
    assert permit(made, 60.0) is None
    made = opened(0.0, success_threshold=1, half_open_max=2)
    leases = [permit(made, 60.0) for _ in range(3)]
    assert [lease is None for lease in leases] == [False, False, True]


def test_enough_successes_close_and_begin_a_new_window() -> None:
    """`success_threshold` of them, counted anew; failures before the opening are forgotten (C5, contract)."""
    made = opened(0.0, failure_threshold=1)
    assert made.succeeded(permit(made, 60.0), 60.0)
    assert made.view(60.0)[0] is HALF_OPEN
    assert made.succeeded(permit(made, 61.0), 61.0)
    assert made.view(61.0) == (CLOSED, 0.0)
    assert made.cause is None
    assert heard(made) == [OPEN, HALF_OPEN, CLOSED]
    made = circuit(failure_threshold=2)
    for now in (0.0, 1.0):
        made.failed(permit(made, now), now, None)
    for _ in range(2):
        made.succeeded(permit(made, 61.0), 61.0)
    made.failed(permit(made, 61.0), 61.0, None)
    assert made.view(61.0)[0] is CLOSED


def test_successes_are_counted_anew_in_each_half_open_state() -> None:
    """A failure in between takes them all (C5)."""
    made = opened(0.0, success_threshold=2)
    made.succeeded(permit(made, 60.0), 60.0)
    made.failed(permit(made, 60.0), 60.0, None)
    made.succeeded(permit(made, 120.0), 120.0)
    assert made.view(120.0)[0] is HALF_OPEN


def test_one_failed_probe_opens_again_and_restarts_the_timer() -> None:
    """From the moment of that failure (C5)."""
    made = opened(0.0)
    made.failed(permit(made, 70.0), 75.0, OSError("still down"))
    assert made.view(75.0) == (OPEN, 60.0)
    assert made.counts.opened == 2
    assert made.cause is not None
    assert (made.cause.error_type, made.cause.text, made.cause.at) == ("OSError", "still down", 75.0)


def test_the_other_probes_of_a_half_open_state_that_ended_are_late() -> None:
    """A success cannot close what a failure has opened, nor a failure open what successes have closed (C4)."""
    made = opened(0.0, success_threshold=1, half_open_max=3)
    first, second, third = (permit(made, 60.0) for _ in range(3))
    made.failed(first, 60.0, None)
    assert not made.succeeded(second, 60.0)
    assert made.view(60.0)[0] is OPEN
    made.succeeded(permit(made, 120.0), 120.0)
    assert not made.failed(third, 120.0, None)
    assert made.view(120.0)[0] is CLOSED


def test_a_probe_that_never_returns_expires_and_the_circuit_opens_again() -> None:
    """Noticed by the next call; the open time runs from the moment of expiry (C5)."""
    made = opened(0.0, half_open_timeout=10, half_open_max=1)
    lease = permit(made, 60.0)
    assert made.view(69.9)[0] is HALF_OPEN
    assert made.view(70.0) == (OPEN, 60.0)
    assert made.counts.opened == 1
    assert permit(made, 71.0) is None
    assert made.counts.opened == 2
    assert made.view(71.0) == (OPEN, 59.0)
    assert not made.succeeded(lease, 72.0)
    assert made.view(72.0) == (OPEN, 58.0)


def test_a_lost_probe_long_ago_lets_the_next_call_probe_at_once() -> None:
    """An hour of silence after a hung probe is an hour of open time, not the beginning of one (C5)."""
    made = opened(0.0, half_open_timeout=10)
    lost = permit(made, 60.0)
    assert isinstance(permit(made, 3600.0), Lease)
    assert isinstance(lost, Lease)
    assert heard(made) == [OPEN, HALF_OPEN, OPEN, HALF_OPEN]


def test_the_lease_of_a_probe_is_the_open_time_by_default() -> None:
    """`half_open_timeout=None` (C5)."""
    made = opened(0.0, timeout=20)
    lease = permit(made, 20.0)
    assert [made.view(39.9)[0], made.view(40.0)[0]] == [HALF_OPEN, OPEN]
    lease.give_back(30.0)


def test_the_first_of_several_probes_to_expire_opens_the_circuit() -> None:
    """From its own moment, whichever was noticed first (C5)."""
    made = opened(0.0, half_open_timeout=10)
    leases = permit(made, 60.0), permit(made, 65.0)
    assert made.view(70.0) == (OPEN, 60.0)
    assert made.view(76.0) == (OPEN, 54.0)
    leases[0].give_back(66.0)
    assert made.view(70.0)[0] is HALF_OPEN
    assert made.view(76.0) == (OPEN, 59.0)


def test_a_result_after_the_lease_decides_nothing() -> None:
    """Neither a success nor a failure nor giving back, whoever notices first (C4, C5)."""
    for outcome in ("succeeded", "failed"):
        made = opened(0.0, half_open_timeout=10, success_threshold=1)
        lease = permit(made, 60.0)
        recorded = made.succeeded(lease, 75.0) if outcome == "succeeded" else made.failed(lease, 75.0, None)
        assert not recorded
        assert made.view(75.0) == (OPEN, 55.0)
    made = opened(0.0, half_open_timeout=10)
    permit(made, 60.0).give_back(75.0)
    assert made.view(75.0) == (OPEN, 55.0)


def test_a_result_just_in_time_counts() -> None:
    """The lease ends at its end, not before (C5)."""
    made = opened(0.0, half_open_timeout=10, success_threshold=1)
    assert made.succeeded(permit(made, 60.0), 69.9)
    assert made.view(69.9)[0] is CLOSED


def test_a_lease_given_back_frees_its_place() -> None:
    """A neutral outcome is as if the probe had not been (C5, C8)."""
    made = opened(0.0, half_open_max=1)
    for _ in range(5):
        lease = permit(made, 60.0)
        assert lease is not None
        lease.give_back(60.0)
        lease.give_back(60.0)
    assert made.view(60.0)[0] is HALF_OPEN


def test_a_lease_is_given_back_exactly_once() -> None:
    """By its call, by its end, and once more by mistake: one entry (G2)."""
    made = opened(0.0)
    lease = permit(made, 60.0)
    lease.give_back(61.0)
    lease.give_back(62.0)
    expected = [(lease.key, 61.0)]
    del lease
    assert [(key, when) for _, key, when in made._returned] == expected


def test_a_give_back_interrupted_in_the_middle_does_no_harm() -> None:
    """It may be entered twice; the second time finds nothing (G2)."""
    made = opened(0.0, half_open_max=1)
    lease = permit(made, 60.0)
    phase = lease.phase
    lease.give_back(60.0)
    lease.phase = phase
    del lease
    assert len(made._returned) == 2
    assert permit(made, 60.0) is not None


def test_a_lease_given_back_at_its_very_end_is_lost() -> None:
    """The moment at which it expires is too late (C5)."""
    for moment, state in ((69.9, HALF_OPEN), (70.0, OPEN)):
        made = opened(0.0, half_open_timeout=10)
        permit(made, 60.0).give_back(moment)
        assert made.view(moment)[0] is state


def test_giving_back_takes_no_lock() -> None:
    """It may happen in a finaliser that runs while the lock is held by the same thread (G7)."""
    made = opened(0.0, half_open_max=1)
    lease = permit(made, 60.0)
    with made._lock:
        lease.give_back(60.0)
        circuit().era.give_back(0.0)  # type: ignore[union-attr]
        UNCOUNTED.give_back(0.0)
    assert isinstance(permit(made, 60.0), Lease)


def test_a_dropped_lease_gives_itself_back() -> None:
    """A generator that is never resumed, an interrupt between two bytecodes: no probe is lost (G2, C5)."""
    made = opened(0.0, half_open_max=1)
    gc.disable()
    try:
        for _ in range(3):
            lease = permit(made, 60.0)
            assert lease is not None
            assert permit(made, 60.0) is None
            del lease
    finally:
        gc.enable()
    assert permit(made, 60.0) is not None


def test_a_dropped_lease_of_an_earlier_state_frees_no_place_of_this_one() -> None:
    """Keys of leases are never used twice (C4)."""
    made = opened(0.0, half_open_max=1, half_open_timeout=10)
    lost = permit(made, 60.0)
    current = permit(made, 130.0)
    del lost
    assert current is not None
    assert permit(made, 130.0) is None


def test_a_settled_lease_is_not_given_back() -> None:
    """Exactly once (G2)."""
    made = opened(0.0, half_open_max=1)
    lease = permit(made, 60.0)
    made.succeeded(lease, 60.0)
    lease.give_back(60.0)
    del lease
    assert not made._returned
    assert not made.succeeded(permit(made, 60.0), 500.0)


def test_settling_twice_counts_once() -> None:
    """The second time decides nothing (C4)."""
    made = opened(0.0, success_threshold=2)
    lease = permit(made, 60.0)
    assert made.succeeded(lease, 60.0)
    assert not made.succeeded(lease, 60.0)
    assert made.view(60.0)[0] is HALF_OPEN


def test_a_clock_that_goes_backwards_restarts_the_open_time() -> None:
    """Never longer than the open time from now; without this a jump of a day would keep it open for a day (G12)."""
    made = opened(86_400.0)
    assert made.view(0.0) == (OPEN, 60.0)
    assert permit(made, 0.0) is None
    assert made.view(1.0) == (OPEN, 59.0)
    assert isinstance(permit(made, 60.0), Lease)


def test_a_clock_that_goes_backwards_restarts_the_leases() -> None:
    """A probe does not get a day because of a jump of a day (G12)."""
    made = opened(86_400.0, half_open_timeout=10, success_threshold=3)
    leases = [permit(made, 86_460.0), permit(made, 86_465.0)]
    made.advance(0.0)
    assert [made.view(9.9)[0], made.view(10.0)[0]] == [HALF_OPEN, OPEN]
    leases.append(permit(made, 5.0))
    assert made.view(10.0) == (OPEN, 60.0)
    del leases


def test_entering_after_the_clock_went_back_keeps_the_leases_in_order() -> None:
    """The oldest lease is the first to expire, also if nobody has called `advance` since the jump (G12)."""
    made = opened(0.0, half_open_timeout=10, success_threshold=3)
    old = permit(made, 160.0)
    young = made.enter(60.0)
    assert made.view(70.0)[0] is OPEN
    assert old is not None
    assert young is not None


@pytest.mark.parametrize(("state", "wait", "passes"), [(FORCED_OPEN, math.inf, False), (DISABLED, 0.0, True)])
def test_holds_override_every_state_and_end(state: CircuitBreakerState, wait: float, passes: bool) -> None:
    """Forced open refuses for ever, disabled lets everything pass uncounted (C1)."""
    for made, before in ((circuit(), CLOSED), (opened(0.0), OPEN)):
        made.hold("key", state, 0.0)
        assert made.era is None
        assert made.view(0.0) == (state, wait)
        assert (permit(made, 0.0) is UNCOUNTED) is passes
        made.release("key")
        made.release("key")
        assert made.view(0.0)[0] is before


def test_of_several_holds_the_newest_counts() -> None:
    """They may end in any order (C1)."""
    made = circuit()
    made.hold("a", FORCED_OPEN, 0.0)
    made.hold("b", DISABLED, 0.0)
    made.hold("c", FORCED_OPEN, 0.0)
    made.release("a")
    assert made.view(0.0)[0] is FORCED_OPEN
    made.release("c")
    assert made.view(0.0)[0] is DISABLED
    made.release("b")
    assert made.view(0.0)[0] is CLOSED


def test_the_time_of_an_open_circuit_goes_on_while_it_is_held() -> None:
    """A hold covers the state, it does not stop it (C1)."""
    made = opened(0.0)
    made.hold("key", DISABLED, 10.0)
    made.release("key")
    assert made.view(20.0) == (OPEN, 40.0)
    assert made.view(60.0)[0] is HALF_OPEN


def test_a_hold_ends_what_began_before_it() -> None:
    """Calls from before a hold decide nothing during it and after it; the window begins anew (C1, C4)."""
    made = circuit(failure_threshold=2)
    before: Any = made.era
    made.failed(before, 0.0, None)
    made.hold("key", DISABLED, 0.0)
    assert not ticked(before)
    assert not made.failed(before, 0.0, None)
    made.release("key")
    assert not made.failed(before, 0.0, None)
    made.failed(permit(made, 0.0), 0.0, None)
    assert made.view(0.0)[0] is CLOSED


def test_a_half_open_circuit_comes_back_from_a_hold_without_its_probes() -> None:
    """Their leases are of an earlier state, and there is room for new ones (C1, C4)."""
    made = opened(0.0, half_open_max=1, success_threshold=2)
    made.succeeded(permit(made, 60.0), 60.0)
    probe = permit(made, 60.0)
    made.hold("key", FORCED_OPEN, 60.0)
    made.release("key")
    assert not made.succeeded(probe, 60.0)
    assert made.view(60.0)[0] is HALF_OPEN
    made.succeeded(permit(made, 60.0), 60.0)
    assert made.view(60.0)[0] is HALF_OPEN


def test_a_hold_notices_a_lost_probe_first() -> None:
    """The state beneath is the one of that moment (C5)."""
    made = opened(0.0, half_open_timeout=10)
    probe = permit(made, 60.0)
    made.hold("key", FORCED_OPEN, 75.0)
    made.release("key")
    assert made.view(75.0) == (OPEN, 55.0)
    assert probe is not None


def test_reset_closes_and_forgets_everything() -> None:
    """Also the holds: nobody is locked out because a handle was thrown away (C1)."""
    made = opened(0.0, failure_threshold=2, window_size=2)
    made.failed(permit(made, 0.0), 0.0, OSError())
    made.hold("key", FORCED_OPEN, 0.0)
    made.reset()
    assert made.view(0.0) == (CLOSED, 0.0)
    assert made.cause is None
    made.failed(permit(made, 0.0), 0.0, None)
    assert made.view(0.0)[0] is CLOSED
    made.release("key")
    assert made.view(0.0)[0] is CLOSED


def test_news_are_changes_of_what_a_state_means_for_calls() -> None:
    """A gauge that callbacks drive stays right when somebody takes the circuit in hand (C1, G9)."""
    made = circuit()
    made.hold("a", FORCED_OPEN, 0.0)
    made.hold("b", FORCED_OPEN, 0.0)
    made.release("b")
    assert [notice.state for notice in made.news] == [OPEN]
    assert made.news[0] == Notice(OPEN, math.inf, None, made)
    made.release("a")
    assert heard(made) == [OPEN, CLOSED]
    made.hold("c", DISABLED, 0.0)
    made.release("c")
    made.reset()
    assert heard(made) == []
    made = opened(0.0)
    assert made.news[0] == Notice(OPEN, 60.0, "ValueError", made)
    made.hold("a", FORCED_OPEN, 0.0)
    made.release("a")
    assert heard(made) == [OPEN]
    made.hold("b", DISABLED, 0.0)
    made.release("b")
    assert heard(made) == [CLOSED, OPEN]


def test_a_lost_probe_is_reported_without_an_error() -> None:
    """The event says that no error opened the circuit; what is known of the last error stays known (C7)."""
    made = opened(0.0, half_open_timeout=10)
    probe = permit(made, 60.0)
    made.advance(70.0)
    assert made.news[-1] == Notice(OPEN, 60.0, None, made)
    assert made.cause is not None
    assert made.cause.text == "no"
    del probe


def test_calls_go_the_slow_way_until_the_news_is_told() -> None:
    """Whoever closes a circuit without telling leaves it to the next call (G9)."""
    made = opened(0.0, success_threshold=1)
    heard(made)
    made.succeeded(permit(made, 60.0), 60.0)
    assert isinstance(permit(made, 60.0), Closed)
    assert made.era is None
    assert heard(made) == [HALF_OPEN, CLOSED]
    assert permit(made, 60.0) is made.era is made.phase


def test_one_tells_and_the_others_leave_theirs_to_it() -> None:
    """News is told in order although it comes from several threads, and once (G9)."""
    news = News()
    news.append(Notice(OPEN))
    first = news.hear()
    news.append(Notice(HALF_OPEN))
    assert first == Notice(OPEN)
    assert news.hear() is None
    news.told()
    assert news.hear() == Notice(HALF_OPEN)
    news.told()
    assert news.hear() is None


def test_a_teller_that_finds_nothing_leaves_its_seat() -> None:
    """Somebody else may have told it between two looks (G9)."""

    class Emptied(News):
        def __bool__(self) -> bool:
            looks.append(len(self))
            return len(looks) == 1

    looks: list[int] = []
    news = Emptied()
    assert news.hear() is None
    assert looks == [0, 0]
    assert list(news._seat) == [None]


def test_a_forked_child_has_its_own_lock_and_no_probes() -> None:
    """State stays, leases and news are the parent's (G18)."""
    made = opened(0.0, half_open_max=1)
    probe = permit(made, 60.0)
    made._returned.append((probe.phase, probe.key, 60.0))
    made._lock.acquire()
    made.news.hear()
    made.renew()
    assert not made._returned
    assert made.view(60.0)[0] is HALF_OPEN
    assert permit(made, 60.0) is not None
    assert not made.succeeded(probe, 60.0)
    made.reset()
    assert heard(made) == [CLOSED]


def test_a_fork_renews_every_circuit_that_lives() -> None:
    """The hook knows them all, and keeps none alive; every lock is new (G18)."""
    made = [CircuitBreaker() for _ in range(3)]
    locks = [(each._calls.circuit._lock, each._calls.bench.refused._lock) for each in made]
    for held in (lock for both in locks for lock in both):
        held.acquire()
    gone = weakref.ref(CircuitBreaker())
    gc.collect()
    waiting._after_fork()
    assert [each.state for each in made] == [CLOSED] * 3
    assert [each.metrics["refused"] for each in made] == [0] * 3
    assert gone() is None


def test_a_hold_that_a_fork_interrupted_is_put_right() -> None:
    """Another thread of the parent was about to apply it, or to end it (G18, C1)."""
    made = circuit()
    made._holds["begun"] = FORCED_OPEN
    made.renew()
    assert made.view(0.0)[0] is FORCED_OPEN
    del made._holds["begun"]
    made.renew()
    assert made.view(0.0)[0] is CLOSED


def test_what_opened_the_circuit_is_kept_as_text() -> None:
    """At most 200 characters, also if the error cannot be put into words (C7)."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    for error, expected in (
        (ValueError("x" * 200), "x" * 200),
        (ValueError("x" * 201), "x" * 197 + "..."),
        (Mute(), "(an error whose text cannot be made)"),
        (None, "failure_on_result counted the result as a failure"),
    ):
        cause = Cause(error, 0.0)
        assert cause.text == ""
        cause.word(error)
        assert cause.text == expected
    assert [Cause(None, 0.0).error_type, Cause(Mute(), 1.5).at] == ["UnacceptableResult", 1.5]
    assert Cause(Mute(), 0.0).error_type.endswith("Mute")


def test_the_text_of_an_error_is_made_outside_the_lock() -> None:
    """An error whose text asks the breaker does not hang (G7)."""
    made = circuit()

    class Nosy(Exception):
        def __str__(self) -> str:
            return made.view(0.0)[0].value

    made.failed(permit(made, 0.0), 0.0, Nosy())
    assert made.cause is not None
    assert made.cause.text == "open"
