"""Circuits that outlive their process (C, save and restore of state)."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import events, subscribe
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
from recoup.strategies.circuit_breaker.rates import RateWindow
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded


class Down(OSError):
    """What the services of this file fail with."""


def restarted(made: Guarded, **fields: Any) -> Guarded:
    """Save the state, send it through JSON, and restore it in another breaker with the same or another config."""
    after = Guarded(made.both)
    after.breaker.reconfigure(made.breaker.config)
    after.breaker.reconfigure(**fields)
    after.breaker.restore(json.loads(json.dumps(made.breaker.snapshot(), allow_nan=False)))
    return after


def refused(made: Guarded) -> CircuitBreakerError:
    """Call in vain."""
    with pytest.raises(CircuitBreakerError) as caught:
        made.call()
    return caught.value


def test_an_open_circuit_stays_open_for_the_rest_of_its_time(both: Both, clock: VirtualClock) -> None:
    """Also over the seconds that the restart takes, and it remembers what opened it (C, save and restore)."""
    made = Guarded(both, timeout=60)
    made.fail(Down("no answer"))
    clock.advance(10)
    snapshot = made.breaker.snapshot()
    clock.advance(20)
    after = Guarded(both, timeout=60)
    after.breaker.restore(snapshot)
    error = refused(after)
    assert error.wait_time == pytest.approx(30)
    assert (error.last_error_type, error.last_error_text) == ("Down", "no answer")
    assert error.last_error_age == pytest.approx(30)
    clock.advance(31)
    after.call()
    assert after.state == "closed"


@pytest.mark.parametrize(("shift", "wait"), [(-1e6, 60), (-1.7e9, 60), (15, 45), (1e6, 0)])
def test_wall_clocks_may_be_wrong(both: Both, clock: VirtualClock, monkeypatch: Any, shift: float, wait: float) -> None:
    """Set back, no time has passed; set forward, it probes a little early: it is never open for longer (G12)."""
    made = Guarded(both, timeout=60)
    made.fail()
    snapshot = made.breaker.snapshot()
    monkeypatch.setattr("recoup._core.clock.wall", lambda: snapshot["saved_at"] + shift)
    after = Guarded(both, timeout=60)
    after.breaker.restore(snapshot)
    if wait:
        assert refused(after).wait_time == pytest.approx(wait)
    else:
        assert after.call() == "ok"


def test_a_half_open_circuit_is_saved_as_due(both: Both, clock: VirtualClock) -> None:
    """Nobody knows what became of its probes; the first call afterwards is one (C5)."""
    made = Guarded(both, success_threshold=2)
    made.fail()
    clock.advance(60)
    made.call()
    assert made.breaker.snapshot()["circuit"]["wait"] == 0
    after = restarted(made)
    assert after.state == "half_open"
    after.call()
    assert after.state == "half_open"
    after.call()
    assert after.state == "closed"


def test_a_lost_probe_is_saved_as_what_it_leads_to(both: Both, clock: VirtualClock) -> None:
    """Nobody has noticed yet that the circuit is open again, and since when (C5)."""
    made = Guarded(both, timeout=[10, 30, 50], half_open_timeout=5)
    made.fail()
    clock.advance(10)
    permit = made.breaker._calls.ask() or made.breaker._calls.admit()
    clock.advance(15)
    circuit = made.breaker.snapshot()["circuit"]
    assert (circuit["wait"], circuit["open_time"], circuit["openings"]) == (20, 30, 2)
    del permit


def test_windows_are_restored_exactly(both: Both, clock: VirtualClock) -> None:
    """Failures before and after add up, by number and by age (C2)."""
    made = Guarded(both, failure_threshold=3, window_size=5, window_duration=60)
    made.fail()
    made.fail()
    made.call()
    made.call()
    late = restarted(made)
    late.call()
    late.fail()
    assert late.state == "closed"
    in_time = restarted(made)
    in_time.fail()
    assert in_time.state == "open"
    clock.advance(61)
    aged = restarted(made)
    aged.fail()
    assert aged.state == "closed"


def test_what_is_saved_grows_old_while_nobody_runs(both: Both, clock: VirtualClock) -> None:
    """Failures and shares whose time is over at the start are forgotten; others are as old as they are (C2, C3)."""
    made = Guarded(both, failure_threshold=2, failure_rate=1.0, minimum_calls=1, window_duration=60)
    made.call()
    clock.advance(30)
    made.fail()
    snapshot = made.breaker.snapshot()
    clock.advance(40)
    made.breaker.restore(snapshot)
    assert made.breaker.failure_rate == 1.0
    clock.advance(25)
    assert made.breaker.failure_rate is None
    made.breaker.restore(snapshot)
    made.breaker.reconfigure(failure_rate=None, minimum_calls=CircuitBreakerConfig().minimum_calls)
    made.fail()
    assert made.state == "closed"


def test_a_wall_clock_set_back_makes_nothing_younger(both: Both, clock: VirtualClock) -> None:
    """What is in the windows is at least as old as it was (G12)."""
    made = Guarded(both, failure_threshold=2, window_duration=60)
    made.fail()
    clock.advance(50)
    snapshot = made.breaker.snapshot()
    clock.jump_wall(-1000)
    made.breaker.restore(snapshot)
    clock.advance(11)
    made.fail()
    assert made.state == "closed"


def test_windows_without_a_size_know_ages_only(both: Both, clock: VirtualClock) -> None:
    """How many calls ago a failure was does not matter there, and is not said (C2)."""
    made = Guarded(both, failure_threshold=2, window_size=None, window_duration=60)
    made.fail()
    assert made.breaker.snapshot()["circuit"]["failures"] == {"failure_threshold": [[None, 0.0]]}
    clock.advance(60)
    after = restarted(made)
    after.fail()
    assert after.state == "open"


@pytest.mark.parametrize("size", [None, 3, 100])
def test_shares_are_restored(both: Both, clock: VirtualClock, size: int | None) -> None:
    """With the outcomes that fit into the window of now, and those forgotten whose time is over (C2)."""
    made = Guarded(both, failure_threshold=None, failure_rate=1.0, minimum_calls=1, window_size=10)
    made.call()
    made.call()
    clock.advance(30)
    made.fail()
    made.call()
    made.fail()
    after = restarted(made, window_size=size)
    assert after.breaker.failure_rate == pytest.approx(2 / 3 if size == 3 else 2 / 5)
    clock.advance(40)
    assert after.breaker.failure_rate == pytest.approx(2 / 3)


def test_open_times_and_ramps_go_on(both: Both, clock: VirtualClock) -> None:
    """The third opening in a row is the third; a ramp that has begun is not begun anew (C6)."""
    made = Guarded(both, timeout=[10, 20, 30], ramp_up=100)
    made.fail()
    clock.advance(10)
    made.fail()
    after = restarted(made)
    clock.advance(20)
    after.fail()
    assert refused(after).wait_time == 30
    clock.advance(30)
    after.call()
    clock.advance(10)
    snapshot = after.breaker.snapshot()
    assert snapshot["circuit"]["ramp"] == 10
    clock.advance(90)
    after.breaker.restore(snapshot)
    assert [after.call() for _ in range(5)] == ["ok"] * 5


def test_another_configuration_takes_what_fits(both: Both, clock: VirtualClock) -> None:
    """The rules are those of now: no ramp where none is asked for, no failures where nobody counts them (C2, C6)."""
    made = Guarded(both, ramp_up=100, failure_threshold=2)
    made.fail()
    made.fail()
    clock.advance(60)
    made.call()
    made.fail()
    after = restarted(made, ramp_up=None, consecutive_failures=2, failure_threshold=None)
    assert [after.call() for _ in range(5)] == ["ok"] * 5


def test_transitions_are_told(both: Both, clock: VirtualClock) -> None:
    """A gauge that events drive is right after a restart too; the metrics begin anew (G9)."""
    seen: list[Any] = []
    made = Guarded(both)
    made.fail()
    with subscribe(seen.append):
        after = restarted(made)
        after.breaker.restore(Guarded(both).breaker.snapshot())
    assert seen == [events.CircuitOpened("service", 60.0, "ValueError"), events.CircuitClosed("service")]
    assert after.breaker.metrics["opened"] == 0


def test_a_circuit_may_be_open_for_no_known_reason(both: Both, clock: VirtualClock) -> None:
    """Somebody may write a snapshot by hand, to begin with a circuit that is open (C7)."""
    made = Guarded(both)
    made.breaker.restore({**OPEN, "saved_at": 2e9, "circuit": {**OPEN["circuit"], "cause": None}})
    assert refused(made).last_error_type is None


def test_holds_stay_on_top(both: Both, clock: VirtualClock) -> None:
    """What somebody holds by hand goes on; what is restored comes out when it is released (C1)."""
    made, after = Guarded(both), Guarded(both)
    made.fail()
    hold = after.breaker.disable()
    after.breaker.restore(made.breaker.snapshot())
    assert after.call() == "ok"
    assert made.breaker.snapshot()["circuit"] == after.breaker.snapshot()["circuit"]
    hold.release()
    assert after.state == "open"
    with after.breaker.force_open():
        assert restarted(after).state == "open"


def test_calls_that_run_meanwhile_are_late(clock: VirtualClock) -> None:
    """What began before belongs to an earlier state (C4)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    @breaker
    def slow() -> None:
        breaker.restore(breaker.snapshot())
        raise Down

    with pytest.raises(Down):
        slow()
    assert (breaker.state.value, breaker.metrics["late"]) == ("closed", 1)


def test_a_change_of_the_rules_meanwhile_is_seen(clock: VirtualClock) -> None:
    """A configuration that comes while the user's code is asked for open times holds (C6, G7)."""
    changed: list[bool] = []

    def timeout(number: int) -> float:
        if changed and changed.pop():
            breaker.reconfigure(timeout=5)
        return 60.0

    breaker = CircuitBreaker(CircuitBreakerConfig(timeout=timeout))
    snapshot = breaker.snapshot()
    changed.append(True)
    breaker.restore(snapshot)
    assert breaker._calls.circuit.open_times.seconds == 5


def full(**fields: Any) -> CircuitBreaker:
    """Make a breaker with something of everything in its windows."""
    breaker = CircuitBreaker(
        CircuitBreakerConfig(
            **{"failure_threshold": 4, "consecutive_failures": 4, "failure_rate": 0.9, "minimum_calls": 9, **fields}
        )
    )
    for word in ("1", "x", "2", "y"):
        try:
            breaker.call_sync(int, word)
        except ValueError:
            continue
    return breaker


def opened_one() -> CircuitBreaker:
    """Make a breaker that is open."""
    breaker = full()
    while breaker.state.value == "closed":
        with pytest.raises(ValueError, match="invalid literal"):
            breaker.call_sync(int, "x")
    return breaker


CLOSED, OPEN = full().snapshot(), opened_one().snapshot()


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (None, "it must be a dict, not None"),
        ({}, "'recoup' is missing"),
        ({**CLOSED, "recoup": "bulkhead"}, "it is of 'bulkhead', not of 'circuit_breaker'"),
        ({**CLOSED, "version": 2}, "its version is 2, and this recoup knows only 1"),
        ({**CLOSED, "version": True}, "its version is True"),
        ({**CLOSED, "saved_at": math.nan}, "saved_at must be at least 0 and finite, not nan"),
        ({**CLOSED, "circuit": {"state": "ajar"}}, "state must be 'open' or 'closed', not 'ajar'"),
        ({**OPEN, "circuit": {**OPEN["circuit"], "wait": 1e9}}, "wait must be at least 0 and at most 60"),
        (
            {**OPEN, "circuit": {**OPEN["circuit"], "open_time": math.inf}},
            "open_time must be greater than 0 and finite",
        ),
        ({**OPEN, "circuit": {**OPEN["circuit"], "openings": 0}}, "openings must be at least 1"),
        ({**OPEN, "circuit": {**OPEN["circuit"], "cause": "rain"}}, "cause must be a dict, not 'rain'"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "outcomes": "012"}}, "outcomes and slices do not agree"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "outcomes": "0101" * 2}}, "outcomes and slices do not agree"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "outcomes": "ok"}}, "digits 0 to 3"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "outcomes": 5}}, "outcomes must be a str"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "slices": [[0, 1]]}}, "a slice must be a list of 4"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "slices": 3}}, "slices must be a list, not 3"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "slices": [[1, 1, 0, 0], [2, 1, 0, 0]]}}, "the oldest first"),
        ({**CLOSED, "circuit": {**CLOSED["circuit"], "failures": {"x": [[1, 1], [2, 1]]}}}, "the oldest first"),
    ],
)
def test_what_is_no_snapshot_is_refused_whole(snapshot: Any, message: str) -> None:
    """With what is wrong with it; nothing was changed (G1)."""
    breaker = opened_one()
    before = breaker.snapshot()["circuit"]
    with pytest.raises(ValueError, match="this snapshot cannot be restored: .*" + message):
        breaker.restore(snapshot)
    assert breaker.snapshot()["circuit"] | {"wait": 0, "cause": 0} == before | {"wait": 0, "cause": 0}


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -1, 0, 1, 2**53])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["open", "closed", "01", "3", "", "circuit_breaker"])
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)


def spoilt(draw: Any, value: Any) -> Any:
    """Replace something somewhere in a snapshot."""
    if draw(st.integers(0, 9)) == 0 or not isinstance(value, (dict, list)) or not value:
        return draw(JUNK)
    if isinstance(value, list):
        place = draw(st.integers(0, len(value) - 1))
        return [spoilt(draw, each) if index == place else each for index, each in enumerate(value)]
    name = draw(st.sampled_from(sorted(value)))
    if draw(st.integers(0, 9)) == 0:
        return {other: each for other, each in value.items() if other != name}
    return {other: spoilt(draw, each) if other == name else each for other, each in value.items()}


KEYED = {
    "recoup": "keyed_circuit_breaker",
    "version": 1,
    "saved_at": CLOSED["saved_at"],
    "circuits": [["a", CLOSED["circuit"]], [{"tuple": [1, {"float": "0x1p1"}]}, OPEN["circuit"]]],
}


@st.composite
def spoilts(draw: Any) -> tuple[bool, Any]:
    """Draw a snapshot that somebody had in their hands, up to four times; whether it is one of a keyed breaker."""
    keyed = draw(st.booleans())
    snapshot: Any = KEYED if keyed else draw(st.sampled_from([CLOSED, OPEN]))
    for _ in range(draw(st.integers(1, 4))):
        snapshot = spoilt(draw, snapshot)
    return keyed, snapshot


def number(word: str) -> int:
    """Read a number."""
    return int(word)


@given(spoilts(), st.sampled_from([None, 5, 20]))
def test_whatever_is_given_nothing_else_comes_out(drawn: tuple[bool, Any], size: int | None) -> None:
    """A ValueError, or a breaker that works: it opens, tells its shares, saves again and recovers (G1)."""
    keyed, snapshot = drawn
    config = CircuitBreakerConfig(
        failure_threshold=2,
        consecutive_failures=2,
        failure_rate=0.9,
        minimum_calls=2,
        window_size=size,
    )
    breaker: Any = KeyedCircuitBreaker(config, key=lambda word: "a") if keyed else CircuitBreaker(config)
    try:
        breaker.restore(snapshot)
    except ValueError as error:
        assert "this snapshot cannot be restored: " in str(error)  # noqa: PT017 - or nothing is raised, as well
    fn = breaker(number)
    for word in ("1", "x", "1", "x", "x"):
        try:
            fn(word)
        except (ValueError, CircuitBreakerError):
            continue
    breaker.restore(json.loads(json.dumps(breaker.snapshot())))
    repr(breaker)
    breaker.reset()
    assert fn("1") == 1


def test_a_nest_without_end_is_refused() -> None:
    """However deep somebody nests a key (G1)."""
    key: Any = "a"
    for _ in range(100_000):
        key = {"tuple": [key]}
    breaker = KeyedCircuitBreaker(key="host")
    with pytest.raises(ValueError, match="this snapshot cannot be restored"):
        breaker.restore({**KEYED, "circuits": [[key, CLOSED["circuit"]]]})
    while isinstance(key, dict):  # taken apart by hand: the interpreter would go as deep to free it
        (key,) = key.pop("tuple")


def test_slices_of_any_number_of_calls_fit_into_a_window_of_few() -> None:
    """A window without a size may have seen more calls than fit into memory one by one (C3)."""
    window = RateWindow(4, 60.0)
    window.load(None, [(9.0, 2**50, 2**49, 0), (5.0, 2**50, 2**49, 2**50)], 100.0)
    assert (window.total.calls, window.total.failed, window.total.slow) == (4, 2, 4)


class Tier(Enum):
    """A part of a key."""

    GOLD = 1


KEYS = [
    "a",
    "",
    7,
    -1,
    None,
    True,
    b"\x00\xff",
    2.5,
    math.inf,
    Tier.GOLD,
    ("a", (1, True)),
    frozenset({1, "b"}),
    "1",
    1,
]


def by_key(breaker: KeyedCircuitBreaker) -> Any:
    """Make a function of a key that fails as it is told."""

    @breaker
    def fetch(key: Any, fails: bool = True) -> str:
        if fails:
            raise Down
        return "ok"

    return fetch


def test_all_keys_are_restored(both: Both, clock: VirtualClock) -> None:
    """Keys of every kind go through JSON; circuits that know nothing are not saved (C9)."""
    config = CircuitBreakerConfig(failure_threshold=2, timeout=60)
    before, after = KeyedCircuitBreaker(config, key="key"), KeyedCircuitBreaker(config, key="key")
    fetch = by_key(before)
    for place, key in enumerate(KEYS):
        for _ in range(place % 2 + 1):
            with pytest.raises(Down):
                fetch(key)
    fetch("healthy", fails=False)
    clock.advance(10)
    snapshot = before.snapshot()
    assert len(snapshot["circuits"]) == len(KEYS)
    with pytest.raises(Down):
        by_key(after)("gone")
    after.restore(json.loads(json.dumps(snapshot, allow_nan=False)))
    assert after.metrics["keys"] == len(KEYS)
    assert [after.state(key).value for key in KEYS] == [before.state(key).value for key in KEYS]
    fetch = by_key(after)
    with pytest.raises(Down):
        fetch(KEYS[0])
    assert after.state(KEYS[0]).value == "open"
    with pytest.raises(CircuitBreakerError) as caught:
        fetch(KEYS[1])
    assert caught.value.wait_time == 50


def test_no_more_keys_are_restored_than_are_kept(clock: VirtualClock) -> None:
    """Open ones before closed ones, newer ones before older ones (C9)."""
    config = CircuitBreakerConfig(failure_threshold=2, timeout=60)
    before = KeyedCircuitBreaker(config, key="key", max_keys=6)
    fetch = by_key(before)
    for key in "aabccdeeffg":
        with pytest.raises(Down):
            fetch(key)
    after = KeyedCircuitBreaker(config, key="key", max_keys=4)
    fetch = by_key(after)
    for key in "vvwwxxyyzz":
        with pytest.raises(Down):
            fetch(key)
    after.restore(before.snapshot())
    assert after.metrics["keys"] == 4
    assert {after.state(key).value for key in "vwxyz"} == {"closed"}
    fetch("new", fails=False)
    assert after.metrics["keys"] == 4


def test_restored_keys_are_told(both: Both, clock: VirtualClock) -> None:
    """Every circuit that is open, at once where callbacks are plain, else with the next call (G9)."""
    seen: list[str] = []
    config = CircuitBreakerConfig(failure_threshold=1, on_open=both.wrap(lambda: seen.append("open")))
    breaker = KeyedCircuitBreaker(config, key="key")
    breaker.restore({**KEYED, "saved_at": 0, "circuits": [["a", OPEN["circuit"]], ["b", OPEN["circuit"]]]})
    assert seen == ([] if both.is_async else ["open", "open"])
    assert both.call(breaker(both.wrap(lambda key: key)), "c") == "c"
    assert seen == ["open", "open"]


def test_keys_that_are_restored_go_by_the_rules_of_now(clock: VirtualClock) -> None:
    """Though these change while the user's code is asked for open times (C6, C9)."""
    change: list[bool] = []

    def timeout(number: int) -> float:
        if change and change.pop():
            breaker.reconfigure(failure_threshold=1)
        return 60.0

    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=5, timeout=timeout), key="key")
    change.append(True)
    breaker.restore(KEYED)
    with pytest.raises(Down):
        by_key(breaker)("a")
    assert breaker.state("a").value == "open"


def test_open_times_that_fail_leave_all_as_it_was(clock: VirtualClock) -> None:
    """The user's code is asked before anything changes (G1, C6)."""
    healthy = [True]

    def timeout(number: int) -> float:
        if not healthy:
            raise KeyError(number)
        return 60.0

    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=1, timeout=timeout), key="key")
    with pytest.raises(Down):
        by_key(breaker)("mine")
    healthy.clear()
    with pytest.raises(KeyError):
        breaker.restore(KEYED)
    assert breaker.state("mine").value == "open"


@pytest.mark.parametrize(
    ("circuits", "message"),
    [
        ([["a", CLOSED["circuit"]], ["a", CLOSED["circuit"]]], "a key is there more than once"),
        ([["a"]], "a circuit with its key must be a list of 2"),
        ([[{"bytes": "xyz"}, CLOSED["circuit"]]], "non-hexadecimal"),
        ([[{"enum": ["a", 1, "b"]}, CLOSED["circuit"]]], "a key must be what snapshot"),
        ([[["a"], CLOSED["circuit"]]], "a key must be what snapshot"),
        ([[{"bytes": 5}, CLOSED["circuit"]]], "a key must be what snapshot"),
        ([[{"list": []}, CLOSED["circuit"]]], "a key must be what snapshot"),
    ],
)
def test_what_are_no_keys_is_refused(circuits: Any, message: str) -> None:
    """With what is wrong (G1)."""
    breaker = KeyedCircuitBreaker(key="key")
    with pytest.raises(ValueError, match=f"this snapshot cannot be restored: .*{message}"):
        breaker.restore({**KEYED, "circuits": circuits})
