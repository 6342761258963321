"""What opens a circuit, alone and together (C2, C8, C10)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recoup import deadline, events, explain, layers_of, subscribe
from recoup._core import lint
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded


def fed(made: Guarded, outcomes: str) -> str:
    """Feed outcomes, `.` a success and `x` a failure; give the state."""
    for each in outcomes:
        if each == "x":
            made.fail()
        else:
            made.call()
    return made.state


@pytest.mark.parametrize(
    ("outcomes", "state"), [("xx.xx.xx.", "closed"), ("..xxx", "open"), ("xx.xx.xxx", "open"), ("xx", "closed")]
)
def test_consecutive_failures(both: Both, clock: VirtualClock, outcomes: str, state: str) -> None:
    """So many in a row open it; one success between them begins the count anew (C2)."""
    made = Guarded(both, failure_threshold=None, consecutive_failures=3)
    assert fed(made, outcomes) == state


def test_failures_in_a_row_may_be_far_apart(both: Both, clock: VirtualClock) -> None:
    """No window ends a row, only a success does (C2)."""
    made = Guarded(both, failure_threshold=None, consecutive_failures=3)
    for _ in range(3):
        clock.advance(86_400)
        made.fail()
    assert made.state == "open"


def test_neutral_calls_end_no_row(both: Both, clock: VirtualClock) -> None:
    """They are as if they had not been made (C8, C2)."""
    made = Guarded(both, failure_threshold=None, consecutive_failures=2, ignore_on=KeyError)
    made.fail()
    made.fail(KeyError())
    made.fail()
    assert made.state == "open"


@pytest.mark.parametrize(
    ("outcomes", "state", "share"),
    [
        ("xxx", "closed", None),
        ("xxxx", "open", None),
        ("..xx", "open", None),
        (".x.x", "open", None),
        ("...x", "closed", 0.25),
        ("...xx", "closed", 0.4),
        ("......xxxx", "closed", 0.4),
        ("......xxxxx", "open", None),
    ],
)
def test_failure_rate(both: Both, clock: VirtualClock, outcomes: str, state: str, share: float | None) -> None:
    """A share of at least that, once there are enough calls to speak of one; inclusive (C2)."""
    made = Guarded(both, failure_threshold=None, failure_rate=0.5, minimum_calls=4)
    assert fed(made, outcomes) == state
    assert made.breaker.failure_rate == share
    assert made.breaker.slow_call_rate is None


def test_a_success_may_open_the_circuit(both: Both, clock: VirtualClock) -> None:
    """State is a function of the window: the success that makes the share known opens it (C2, C7)."""
    made = Guarded(both, failure_threshold=None, failure_rate=0.5, minimum_calls=4)
    seen: list[Any] = []
    with subscribe(seen.append):
        assert fed(made, "xxx") == "closed"
        assert made.call("fine") == "fine"
    assert made.state == "open"
    assert [each for each in seen if isinstance(each, events.CircuitOpened)] == [
        events.CircuitOpened("service", 60.0, "FailureRate")
    ]
    with pytest.raises(CircuitBreakerError, match="opened by FailureRate: 3 of 4 calls failed") as refused:
        made.call()
    assert refused.value.last_error_age == 0.0


def test_a_time_window_alone(both: Both, clock: VirtualClock) -> None:
    """With window_size=None any number of calls is recent, and time alone forgets (C2, C3)."""
    made = Guarded(both, failure_threshold=None, failure_rate=0.5, window_size=None, window_duration=10)
    fed(made, "." * 100)
    assert made.breaker.failure_rate == 0.0
    assert fed(made, "x" * 50) == "closed"
    clock.advance(11)
    assert made.breaker.failure_rate is None
    assert fed(made, "x" * 9) == "closed"
    assert fed(made, "x") == "open"


def test_a_count_window_alone(both: Both, clock: VirtualClock) -> None:
    """With window_duration=None nothing gets too old (C2)."""
    made = Guarded(both, failure_threshold=3, window_duration=None)
    for _ in range(2):
        made.fail()
        clock.advance(1e6)
    assert fed(made, "......x") == "open"


def test_failures_of_any_number_of_calls(both: Both, clock: VirtualClock) -> None:
    """The count rule with a window of time alone, where successes push nothing out (C2, C10)."""
    made = Guarded(both, failure_threshold=3, window_size=None, window_duration=10)
    assert fed(made, "x" + "." * 50 + "x" + "." * 50) == "closed"
    era: Any = made.breaker._calls.circuit.era
    assert era.tick is None
    assert fed(made, "x") == "open"


def test_rules_combine(both: Both, clock: VirtualClock) -> None:
    """Any of them opens the circuit (C2)."""
    rules: dict[str, Any] = {"failure_threshold": 4, "consecutive_failures": 3, "failure_rate": 0.6, "minimum_calls": 5}
    assert fed(Guarded(both, **rules), "xxx") == "open"
    assert fed(Guarded(both, **rules), "xx.x.") == "open"
    made = Guarded(both, **rules)
    assert fed(made, "x...xx.") == "closed"
    assert fed(made, "x") == "open"


def test_the_count_rule_beside_a_share(both: Both, clock: VirtualClock) -> None:
    """Asked for by name, it stays (C2, G1)."""
    made = Guarded(both, failure_threshold=2, failure_rate=1.0, minimum_calls=5)
    assert fed(made, ".x..x") == "open"


class Slow:
    """A service that takes its time."""

    def __init__(self, both: Both, **fields: Any) -> None:
        self.both = both
        given = {"slow_call_duration": 2, "success_threshold": 1, "timeout": 60, "name": "slow", **fields}
        self.breaker: CircuitBreaker = circuit_breaker(**given)
        self.fn = self.breaker(self._ask_async if both.is_async else self._ask)

    def _ask(self, seconds: float, error: Exception | None = None) -> str:
        self.both.pause(seconds)
        if error is not None:
            raise error
        return "done"

    async def _ask_async(self, seconds: float, error: Exception | None = None) -> str:
        await self.both.pause(seconds)
        if error is not None:
            raise error
        return "done"

    def takes(self, *durations: float) -> str:
        """Call it so often, and give the state."""
        for seconds in durations:
            assert self.both.call(self.fn, seconds) == "done"
        return self.breaker.state.value


def test_slow_calls_open_the_circuit(both: Both, clock: VirtualClock) -> None:
    """A service that answers too late is down as well; a call of exactly that long is slow (C2, C8)."""
    made = Slow(both, slow_call_rate=0.5, minimum_calls=4)
    assert made.takes(0.1, 0.1, 1.9, 2.0) == "closed"
    assert (made.breaker.failure_rate, made.breaker.slow_call_rate) == (0.0, 0.25)
    assert made.takes(3.0, 5.0) == "open"
    assert made.breaker.slow_call_rate is None
    with pytest.raises(CircuitBreakerError, match="opened by SlowCallRate: 3 of 6 calls took 2 s or longer"):
        made.takes(0.1)


def test_failures_may_be_slow_as_well(both: Both, clock: VirtualClock) -> None:
    """A call that fails late counts for both shares; what opened the circuit is said (C2, C7)."""
    made = Slow(both, slow_call_rate=0.5, minimum_calls=2)
    assert made.takes(0.1) == "closed"
    with pytest.raises(OSError, match="late"):
        both.call(made.fn, 2.5, OSError("late"))
    with pytest.raises(CircuitBreakerError, match="opened by SlowCallRate: 1 of 2 calls took 2 s or longer"):
        made.takes(0.1)


def test_a_failure_that_opens_by_its_share_is_named(both: Both, clock: VirtualClock) -> None:
    """The error that opened it, not the rule (C7)."""
    made = Slow(both, slow_call_rate=1.0, failure_rate=0.5, minimum_calls=2)
    made.takes(0.1)
    with pytest.raises(OSError, match="early"):
        both.call(made.fn, 0.1, OSError("early"))
    with pytest.raises(CircuitBreakerError, match="opened by OSError: early"):
        made.takes(0.1)


def test_a_slow_probe_does_not_close_the_circuit(both: Both, clock: VirtualClock) -> None:
    """What opened because it was slow must not close by being slow (C5, C8)."""
    made = Slow(both, slow_call_rate=1.0, minimum_calls=1)
    assert made.takes(2.0) == "open"
    clock.advance(60)
    assert made.takes(2.5) == "open"
    with pytest.raises(CircuitBreakerError, match="opened by SlowCallRate: a probe was slow"):
        made.takes(0.1)
    clock.advance(60)
    assert made.takes(1.9) == "closed"
    assert made.breaker.metrics["opened"] == 2


def test_a_result_is_judged_with_its_duration_beside_the_rule(both: Both, clock: VirtualClock) -> None:
    """A predicate of one argument is not given the seconds because a rule measures them (C8)."""
    judged: list[tuple[Any, ...]] = []

    def one(*arguments: Any) -> bool:
        judged.append(arguments)
        return False

    def two(result: str, seconds: float) -> bool:
        judged.append((result, seconds))
        return True

    Slow(both, slow_call_rate=1.0, failure_on_result=one).takes(0.5)
    assert judged == [("done",)]
    made = Slow(both, slow_call_rate=1.0, failure_on_result=two, failure_threshold=1)
    assert made.takes(0.5) == "open"
    assert judged[1] == ("done", 0.5)


def test_blocks_and_streams_follow_the_rules(clock: VirtualClock) -> None:
    """They have a duration and an outcome as well (C2, C8)."""
    breaker = circuit_breaker(slow_call_rate=1.0, slow_call_duration=2, minimum_calls=2)
    assert isinstance(breaker, CircuitBreaker)

    @breaker
    def items() -> Any:
        yield 1
        clock.advance(2)
        yield 2

    with breaker:
        clock.advance(3)
    assert breaker.state.value == "closed"
    assert list(items()) == [1, 2]
    assert breaker.state.value == "open"


def test_a_cancelled_slow_call_is_neutral(clock: VirtualClock) -> None:
    """Cancelled from outside it is no evidence, however long it took (G2)."""
    made = circuit_breaker(slow_call_rate=1.0, slow_call_duration=2, minimum_calls=1)
    assert isinstance(made, CircuitBreaker)

    async def main() -> None:
        task = asyncio.ensure_future(made.call(asyncio.sleep, 10))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    Both("asyncio").run(main)
    assert made.state.value == "closed"
    assert made.slow_call_rate is None


def test_shares_are_not_known_while_the_circuit_is_not_closed(both: Both, clock: VirtualClock) -> None:
    """And a breaker that counts keeps none (C2)."""
    made = Guarded(both, failure_threshold=None, failure_rate=1.0, minimum_calls=1)
    made.call()
    assert made.breaker.failure_rate == 0.0
    with made.breaker.disable():
        assert made.breaker.failure_rate is None
    assert made.breaker.failure_rate is None
    counting = Guarded(both)
    counting.call()
    assert (counting.breaker.failure_rate, counting.breaker.slow_call_rate) == (None, None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "opens after 5 failures within the last 10 calls and 60 s"),
        ({"window_size": None}, "opens after 5 failures within the last 60 s"),
        ({"window_duration": None}, "opens after 5 failures within the last 10 calls"),
        ({"consecutive_failures": 3}, "opens after 3 failures in a row"),
        (
            {"failure_threshold": 5, "failure_rate": 0.5, "window_size": 20},
            "or a share of 0.5 of at least 10 calls within the last 20 calls and 60 s that fail",
        ),
        (
            {"slow_call_rate": 0.5, "slow_call_duration": 2},
            "opens after a share of 0.5 of at least 10 calls within the last 10 calls and 60 s that take 2 s",
        ),
    ],
)
def test_explain_says_what_opens(fields: dict[str, Any], words: str) -> None:
    """In words, rule by rule (C2)."""

    @circuit_breaker(**fields)
    def fetch() -> None: ...

    assert words in str(explain(fetch))


def test_a_window_without_a_duration_is_never_too_short() -> None:
    """The lint about short windows passes it by (G14)."""

    @circuit_breaker(window_duration=None)
    @deadline(50, mode="cooperative")
    def fetch() -> None: ...

    assert lint.lints(layers_of(fetch)) == []
