"""Rules that open a circuit only together (C2)."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

import pytest

from recoup import KeyedCircuitBreaker, events, explain, subscribe
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.strategies.circuit_breaker.window import FailureWindow
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded

COUNTS: dict[str, Any] = {"failure_threshold": 3, "consecutive_failures": 2, "open_when": "all"}
SHARES: dict[str, Any] = {"failure_rate": 0.5, "minimum_calls": 4, "failure_threshold": 3, "open_when": "all"}


def made(**fields: Any) -> CircuitBreakerConfig:
    """Make a config of values that a type checker would not let through."""
    return CircuitBreakerConfig(**fields)


def fed(made: Guarded, outcomes: str) -> str:
    """Feed outcomes, `.` a success and `x` a failure; give the state."""
    for each in outcomes:
        if each == "x":
            made.fail()
        else:
            made.call()
    return made.state


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [("xx", "closed"), ("x.x.x.x", "closed"), ("x.xx", "open"), ("xxx", "open"), ("x.x.x.xx", "open")],
)
def test_rules_that_count_hold_together(both: Both, clock: VirtualClock, outcomes: str, state: str) -> None:
    """Neither three failures nor two in a row are enough by themselves (C2)."""
    assert fed(Guarded(both, **COUNTS), outcomes) == state


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("xxx", "closed"),  # the share is not known yet
        ("xxx.", "open"),  # so a success may open the circuit
        (".....xxx", "closed"),  # three of eight
        (".....xxxxx", "open"),  # five of ten
        ("xx..", "closed"),  # half of them, but two only
        ("xx..x", "open"),
    ],
)
def test_a_share_and_a_number(both: Both, clock: VirtualClock, outcomes: str, state: str) -> None:
    """The share is of at least so many calls, and of at least so many failures (C2)."""
    assert fed(Guarded(both, **SHARES), outcomes) == state


def test_a_success_opens_only_what_holds_at_that_moment(both: Both, clock: VirtualClock) -> None:
    """Failures that a success has pushed out, or that are too old, hold no more (C2)."""
    in_a_row = {**SHARES, "failure_threshold": None, "consecutive_failures": 3}
    assert fed(Guarded(both, **in_a_row), "xxx.") == "closed"
    made = Guarded(both, **{**SHARES, "window_duration": 10})
    made.fail()
    clock.advance(9)
    assert fed(made, "xx") == "closed"
    clock.advance(2)
    assert fed(made, "xx") == "open"
    aged = Guarded(both, **{**SHARES, "window_duration": 10, "minimum_calls": 3, "failure_rate": 0.1})
    assert fed(aged, "x") == "closed"
    clock.advance(9)
    assert fed(aged, "x") == "closed"
    clock.advance(2)
    assert fed(aged, "x...") == "closed"
    assert fed(aged, "x") == "open"


def test_a_window_tells_whether_it_holds() -> None:
    """With every failure in calls and seconds, inclusively; a clock that goes backwards begins ages anew (C2, G12)."""
    window = FailureWindow(2, 4, 10.0)
    assert not window.holds(1, 100.0)
    window.failed(2, 100.0)
    assert not window.holds(3, 100.0)
    window.failed(4, 105.0)
    assert window.holds(5, 110.0)
    assert not window.holds(6, 110.0)
    assert not window.holds(5, 110.5)
    assert window.holds(5, 50.0)
    assert window.holds(5, 60.0)
    assert not window.holds(5, 60.5)


class Slow:
    """A service that takes its time, and may fail."""

    def __init__(self, both: Both, **fields: Any) -> None:
        self.both = both
        given: dict[str, Any] = {"slow_call_rate": 0.5, "slow_call_duration": 2, "minimum_calls": 2, "open_when": "all"}
        self.breaker = CircuitBreaker(CircuitBreakerConfig(**{**given, **fields}), name="slow")
        self.fn = self.breaker(self._ask_async if both.is_async else self._ask)

    def _ask(self, seconds: float, *, fails: bool) -> None:
        self.both.pause(seconds)
        if fails:
            raise OSError("no")

    async def _ask_async(self, seconds: float, *, fails: bool) -> None:
        await self.both.pause(seconds)
        if fails:
            raise OSError("no")

    def takes(self, seconds: float, *, fails: bool = False) -> str:
        """Call it, and give the state."""
        try:
            self.both.call(self.fn, seconds, fails=fails)
        except OSError:
            assert fails
        return self.breaker.state.value


def test_shares_hold_together(both: Both, clock: VirtualClock) -> None:
    """Half of the calls fail and half of them are slow: neither opens the circuit alone (C2)."""
    slow_only = Slow(both, failure_rate=0.5)
    assert [slow_only.takes(3) for _ in range(3)] == ["closed"] * 3
    assert slow_only.takes(0, fails=True) == "closed"
    assert slow_only.takes(0, fails=True) == "closed"
    assert slow_only.takes(0, fails=True) == "open"
    failing_only = Slow(both, failure_rate=0.5)
    assert [failing_only.takes(0, fails=True) for _ in range(3)] == ["closed"] * 3
    assert failing_only.takes(3) == "closed"
    assert [failing_only.takes(3) for _ in range(2)] == ["closed", "open"]


def test_what_opened_it_is_all_of_them(both: Both, clock: VirtualClock) -> None:
    """Event and refusal name no single rule, and the refusal says what each has seen (C7, G13)."""
    seen: list[Any] = []
    made = Slow(both, failure_threshold=1, consecutive_failures=2, failure_rate=0.5)
    with subscribe(seen.append):
        made.takes(3, fails=True)
        assert made.takes(0, fails=True) == "open"
    assert [each for each in seen if isinstance(each, events.CircuitOpened)] == [
        events.CircuitOpened("slow", 60.0, "AllRules")
    ]
    words = "opened by AllRules: 1 failure, 2 failures in a row, 2 of 2 calls failed, 1 of 2 calls took 2 s or longer"
    with pytest.raises(CircuitBreakerError, match=words):
        made.takes(0)


def test_rules_that_only_count_are_named_too(both: Both, clock: VirtualClock) -> None:
    """Without a share there is none to name (C7)."""
    made = Guarded(both, **COUNTS)
    assert fed(made, "xxx") == "open"
    with pytest.raises(CircuitBreakerError, match=r"opened by AllRules: 3 failures, 2 failures in a row$"):
        made.call()


def test_a_circuit_that_is_watched_would_open_when_all_hold(both: Both, clock: VirtualClock) -> None:
    """Once for all rules together, and then all windows begin anew (C1, C2)."""
    made = Guarded(both, **COUNTS)
    with made.breaker.metrics_only():
        fed(made, "x.x.x.")
        assert made.breaker.metrics["would_open"] == 0
        fed(made, "xx" + "xx")
        assert made.breaker.metrics["would_open"] == 1


def test_probes_and_healthy_calls_are_as_ever(both: Both, clock: VirtualClock) -> None:
    """One failing probe opens the circuit again, and successes take no lock where rules only count (C5, C10)."""
    made = Guarded(both, **COUNTS)
    fed(made, "x" + "." * 20)
    era: Any = made.breaker._calls.circuit.era
    assert era.tick is None or next(era.tick, None) is None
    assert fed(made, "xxx") == "open"
    clock.advance(60)
    made.fail()
    assert made.state == "open"
    with pytest.raises(CircuitBreakerError, match="opened by ValueError: no"):
        made.call()


def test_one_rule_cannot_hold_together_with_others() -> None:
    """What would mean nothing is refused: most of all the default rule, which yields without a word (G1)."""
    for fields in ({}, {"failure_rate": 0.5}, {"consecutive_failures": 3}, {"failure_threshold": 2}):
        with pytest.raises(ValueError, match=r"^open_when='all' needs two rules at least, and there is only "):
            made(open_when="all", **fields)
    with pytest.raises(ValueError, match=r"^open_when must be 'any' or 'all', not 'both'$"):
        made(open_when="both")
    for wrong in (None, True, 2, ["all"]):
        with pytest.raises(TypeError, match=r"^open_when must be 'any' or 'all', not "):
            made(open_when=wrong)


def test_it_may_change_while_calls_are_made(both: Both, clock: VirtualClock) -> None:
    """What was seen stays, and the next outcome decides by the new word; what makes no sense changes nothing (B5)."""
    made = Guarded(both, **{**SHARES, "open_when": "any", "failure_threshold": 9})
    fed(made, "xxx")
    made.breaker.reconfigure(open_when="all", failure_threshold=5)
    assert fed(made, ".x") == "closed"
    assert made.breaker.failure_rate == 0.8
    with pytest.raises(ValueError, match="there is only failure_rate"):
        made.breaker.reconfigure(failure_threshold=None)
    assert made.breaker.config.failure_threshold == 5
    made.breaker.reconfigure(open_when="any")
    assert made.state == "closed"
    assert fed(made, ".") == "open"


def test_what_is_saved_goes_on_together(both: Both, clock: VirtualClock) -> None:
    """Windows of all rules come back, and so does what opened the circuit (C2, C7)."""
    made, after = Guarded(both, **SHARES), Guarded(both, **SHARES)
    fed(made, "..x")
    after.breaker.restore(json.loads(json.dumps(made.breaker.snapshot())))
    assert fed(after, "x") == "closed"
    assert fed(after, "x") == "open"
    again = Guarded(both, **SHARES)
    again.breaker.restore(json.loads(json.dumps(after.breaker.snapshot())))
    with pytest.raises(CircuitBreakerError, match="opened by AllRules: 3 failures, 3 of 5 calls failed"):
        again.call()


def test_each_key_has_rules_that_hold_together(clock: VirtualClock) -> None:
    """The rules of one key have nothing to do with what other keys have seen (C9, C2)."""
    breaker = KeyedCircuitBreaker(CircuitBreakerConfig(**COUNTS), key=lambda host, _: host)

    @breaker
    def ask(host: str, fails: bool) -> None:
        if fails:
            raise OSError(host)

    for host, outcomes in (("a", "x.x"), ("b", "xx"), ("c", "xxx")):
        for each in outcomes:
            if each == "x":
                with pytest.raises(OSError, match=host):
                    ask(host, True)
            else:
                ask(host, False)
    ask("a", False)
    ask("b", False)
    with pytest.raises(CircuitBreakerError, match="AllRules"):
        ask("c", False)


def test_explain_says_that_all_have_to_hold() -> None:
    """In one sentence, rule by rule (C2)."""

    @circuit_breaker(**COUNTS)
    def fetch() -> None: ...

    words = "opens only after all of these at the same time: 3 failures within the last 10 calls and 60 s, and 2 fail"
    assert words in str(explain(fetch))


def test_threads_open_it_once(clock: VirtualClock) -> None:
    """However many threads see the last rule begin to hold (G7, C2)."""
    breaker = CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=50, failure_rate=0.5, minimum_calls=60, window_size=400, open_when="all")
    )
    ready = threading.Barrier(8)

    def fail() -> None:
        raise OSError("down")

    def work() -> None:
        ready.wait()
        for number in range(40):
            with contextlib.suppress(OSError, CircuitBreakerError):
                breaker.call_sync(fail if number % 4 else int)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.state.value == "open"
    assert breaker.metrics["opened"] == 1
