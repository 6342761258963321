"""The circuit beside a model in plain Python that keeps all of its history (C1-C5, C7, G12).

The model writes every outcome down and looks through all of it at each question; it has no eras, leases or queues of
its own making. Time moves forwards, jumps, and goes backwards; calls end in any order, or are dropped; people take the
circuit into their own hands, and processes fork.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.permits import UNCOUNTED
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.rules import Rules
from recoup.strategies.circuit_breaker.saved import read, written
from recoup.strategies.circuit_breaker.state import Circuit
from tests.strategies.circuit_breaker.services import ticked

CLOSED, OPEN, HALF_OPEN, FORCED, DISABLED, WATCHED = CircuitBreakerState


@dataclass(eq=False)
class ModelCall:
    """A call as the model sees it."""

    visit: int  # the number of the state in which it began; 0 for one that is not counted
    until: float = math.inf  # when it expires, as a probe


WINDOWED = (
    *("failure_threshold", "window_size", "window_duration", "consecutive_failures", "failure_rate", "slow_call_rate"),
    *("minimum_calls", "failure_on_result", "open_when"),
)


OTHERS = ("success_threshold", "timeout", "half_open_max", "half_open_timeout", "ramp_up")

CHANGES = st.sets(st.sampled_from([*WINDOWED, *OTHERS]), min_size=1, max_size=3)


def noted(failed: bool, now: float, slow: bool) -> list[Any]:
    """Note an outcome: failed, time, slow; forgotten by the shares, by the counting rule, by the rule of a row."""
    return [failed, now, slow, False, False, False]


@dataclass
class Model:
    """What a circuit has to do, by the book."""

    config: CircuitBreakerConfig
    state: CircuitBreakerState = CLOSED
    visit: int = 1
    outcomes: list[list[Any]] = field(default_factory=list)  # of this closed state, see `noted`
    until: float = 0.0
    seconds: float = 0.0  # for which it is open, or was last
    row: int = 0  # openings since it was closed
    ramp: float | None = None  # when it closed, while calls come back
    credit: float = 0.0
    probes: list[ModelCall] = field(default_factory=list)
    successes: int = 0
    lost: list[float] = field(default_factory=list)
    lease: float = 0.0  # how long a probe may take, in this half-open state
    holds: dict[int, CircuitBreakerState] = field(default_factory=dict)
    told: list[CircuitBreakerState] = field(default_factory=list)
    opened: int = 0
    would_open: int = 0
    late: int = 0

    @property
    def next_seconds(self) -> float:
        return self.open_seconds(self.row + 1)

    def open_seconds(self, number: int) -> float:
        times: Any = self.config.timeout
        return float(times[min(number, len(times)) - 1] if isinstance(times, tuple) else times)

    def reconfigure(self, new: CircuitBreakerConfig, now: float) -> None:
        """Go on under another configuration."""
        self.lose(now)
        old, self.config = self.config, new
        if any(getattr(old, name) != getattr(new, name) for name in WINDOWED):
            self.keep_what_fits(old, now)
        if self.state is OPEN and old.timeout != new.timeout:
            seconds = self.open_seconds(self.row)
            self.until, self.seconds = self.until + seconds - self.seconds, seconds
        if self.state is HALF_OPEN:
            self.successes = min(self.successes, new.success_threshold - 1)
            lease: Any = new.half_open_timeout or self.lease
            for probe in self.probes:
                probe.until += lease - self.lease
            self.lease = lease
        if new.ramp_up is None:
            self.ramp = None

    def restart(self, now: float) -> None:
        """Save and restore, while nobody holds the circuit; half-open is open with no time left."""
        self.lost += [probe.until for probe in self.probes if probe.until <= now]
        if self.state is CLOSED:
            self.keep_what_fits(self.config, now)
            self.visit += 1
            if self.ramp is not None:
                self.ramp, self.credit = min(self.ramp, now), 0.9
            return
        wait = self.view(now)[1]
        if self.state is HALF_OPEN:
            self.seconds = self.next_seconds
            self.row += bool(self.lost)
        self.change(OPEN, until=now + wait)

    def keep_what_fits(self, old: CircuitBreakerConfig, now: float) -> None:
        """Strike out what was not in the old windows or is not in the new ones; nothing comes back later."""
        new = self.config
        size = len(self.outcomes) if old.window_size is None else old.window_size
        for place, outcome in enumerate(reversed(self.outcomes)):
            outside = place >= size or (old.window_duration is not None and now - outcome[1] > old.window_duration)
            outcome[1] = min(outcome[1], now)
            rates = (old.failure_rate is None and old.slow_call_rate is None) or (
                new.failure_rate is None and new.slow_call_rate is None
            )
            outcome[3] = outcome[3] or outside or rates or self.old(outcome, now)
            outcome[4] = outcome[4] or outside or old.failure_threshold is None or new.failure_threshold is None
            in_a_row = place < (old.consecutive_failures or 0) and new.consecutive_failures is not None
            outcome[5] = outcome[5] or not in_a_row
        counted = [each for each in self.outcomes if each[0] and not each[4]]
        for outcome in counted[: -(new.failure_threshold or 1)]:
            outcome[4] = True  # no more of them are kept than can matter

    def shows(self) -> CircuitBreakerState:
        return list(self.holds.values())[-1] if self.holds else self.state

    def change(self, state: CircuitBreakerState | None = None, *, until: float = 0.0, anew: bool = True) -> None:
        """Go to a state, or only note that what shows has changed."""
        meanings = {FORCED: OPEN, DISABLED: CLOSED, WATCHED: CLOSED}
        if anew:
            self.visit += 1
            self.outcomes, self.probes, self.successes, self.lost = [], [], 0, []
        if state is not None:
            self.state, self.until = state, until
        now_told = meanings.get(self.shows(), self.shows())
        if now_told is not self.told_last:
            self.told.append(now_told)
            self.told_last = now_told

    told_last: CircuitBreakerState = CLOSED

    def open(self, since: float) -> None:
        self.opened += 1
        self.seconds = self.next_seconds
        self.row += 1
        self.change(OPEN, until=since + self.seconds)

    def trip(self, now: float, seconds: float | None) -> None:
        """Open by hand, beneath whatever holds it."""
        self.lose(now)
        usual = self.seconds if self.state is OPEN else self.next_seconds
        self.row += self.state is not OPEN
        self.seconds = usual if seconds is None else seconds
        self.change(OPEN, until=now + self.seconds, anew=not self.holds)

    def probe(self, now: float) -> None:
        """Let probes through by hand, beneath whatever holds it."""
        self.lose(now)
        if self.state is HALF_OPEN:
            return
        lease: Any = self.config.half_open_timeout or (self.seconds if self.state is OPEN else self.next_seconds)
        self.lease = self.seconds = lease
        self.row += self.state is CLOSED
        self.change(HALF_OPEN, anew=not self.holds)

    def close(self, now: float | None) -> None:
        self.row = 0
        self.ramp, self.credit = None if self.config.ramp_up is None else now, 0.9
        self.change(CLOSED)

    def comes_back(self, now: float) -> bool:
        """Tell whether a call is among those that are let through after an outage."""
        if self.ramp is None:
            return True
        whole: Any = self.config.ramp_up
        self.ramp = min(self.ramp, now)
        if now - self.ramp >= whole:
            self.ramp = None
            return True
        self.credit += 0.1 + (1 - 0.1) * (now - self.ramp) / whole
        self.credit, let = (self.credit - 1, True) if self.credit >= 1 else (self.credit, False)
        return let

    def lose(self, now: float) -> None:
        """Open again if a probe has not come back in time."""
        if self.state is HALF_OPEN and not self.holds:
            for probe in self.probes:
                probe.until = min(probe.until, now + self.lease)
            lost = [*self.lost, *(probe.until for probe in self.probes if probe.until <= now)]
            if lost:
                self.open(min(lost))

    def arrive(self, now: float) -> ModelCall | None:
        self.lose(now)
        if self.state is OPEN and not self.holds:
            self.until = min(self.until, now + self.seconds)
            if self.until <= now:
                self.change(HALF_OPEN)
                self.lease = self.config.half_open_timeout or self.seconds  # type: ignore[assignment]
        shown = self.shows()
        if shown is CLOSED:
            return ModelCall(self.visit) if self.comes_back(now) else None
        if shown is DISABLED:
            return ModelCall(0)
        if shown is WATCHED:
            return ModelCall(self.visit)
        if shown is not HALF_OPEN:
            return None
        at_once = self.config.half_open_max or self.config.success_threshold
        in_all = max(at_once, self.config.success_threshold)
        if len(self.probes) >= at_once or len(self.probes) + self.successes >= in_all:
            return None
        probe = ModelCall(self.visit, now + self.lease)
        self.probes.append(probe)
        return probe

    def counts(self, call: ModelCall, now: float) -> bool:
        """Tell whether the outcome of a call counts."""
        self.lose(now)
        current = call.visit == self.visit and (not self.holds or self.shows() is WATCHED)
        if current and self.shows() is HALF_OPEN:
            current = call in self.probes
        if not current:
            self.late += 1
        elif call in self.probes:
            self.probes.remove(call)
        return current

    def succeed(self, call: ModelCall, now: float, *, slow: bool = False) -> None:
        if call.visit == 0 or not self.counts(call, now):
            return
        if self.shows() in (CLOSED, WATCHED):
            self.outcomes.append(noted(False, now, slow))
            self.look(now)
            return
        if slow:
            self.open(now)
            return
        self.successes += 1
        if self.successes >= self.config.success_threshold:
            self.close(now)

    def fail(self, call: ModelCall, now: float, *, slow: bool = False) -> None:
        if call.visit == 0 or not self.counts(call, now):
            return
        if self.shows() is HALF_OPEN:
            self.open(now)
            return
        self.outcomes.append(noted(True, now, slow))
        self.look(now)

    def recent(self, now: float) -> list[list[Any]]:
        """Look through the outcomes for those in the window."""
        size = self.config.window_size
        last = self.outcomes if size is None else self.outcomes[-size:]
        return [each for each in last if not self.old(each, now)]

    def old(self, outcome: list[Any], now: float) -> bool:
        duration: Any = self.config.window_duration
        return duration is not None and now - outcome[1] > duration

    def shares(self, now: float) -> tuple[float | None, float | None]:
        """Work the shares out from the outcomes."""
        config = self.config
        recent = [each for each in self.recent(now) if not each[3]]
        if config.failure_rate is None and config.slow_call_rate is None:
            return None, None
        if self.shows() not in (CLOSED, WATCHED) or len(recent) < config.minimum_calls:
            return None, None
        failed, slow = (sum(each[index] for each in recent) / len(recent) for index in (0, 2))
        return failed, None if config.slow_call_rate is None else slow

    def look(self, now: float) -> None:
        """Open if any rule says so, or all do; ages begin anew after a clock that went backwards.

        Shares forget for good.
        """
        for outcome in self.outcomes:
            outcome[1] = min(outcome[1], now)
            outcome[3] = outcome[3] or self.old(outcome, now)
        config, recent = self.config, self.recent(now)
        newest_failed = bool(self.outcomes[-1][0])
        failures = sum(each[0] and not each[4] for each in recent)
        too_many = config.failure_threshold is not None and failures >= config.failure_threshold
        row = config.consecutive_failures
        last = self.outcomes[-row:] if row is not None else []
        in_a_row = row is not None and len(last) == row and all(each[0] and not each[5] for each in last)
        failing, slow = self.shares(now)
        too_large = failing is not None and config.failure_rate is not None and failing >= config.failure_rate
        too_slow = slow is not None and config.slow_call_rate is not None and slow >= config.slow_call_rate
        if config.open_when == "all":
            limits = (config.failure_threshold, row, config.failure_rate, config.slow_call_rate)
            holding = (too_many, in_a_row, too_large, too_slow)
            opens = all(holds for holds, limit in zip(holding, limits, strict=True) if limit is not None)
        else:
            opens = (newest_failed and (too_many or in_a_row)) or too_large or too_slow
        if not opens:
            return
        if self.holds:
            self.would_open += 1
            self.outcomes = []
            self.told.append(WATCHED)
        else:
            self.open(now)

    def give_back(self, call: ModelCall, when: float) -> None:
        if call in self.probes:
            self.probes.remove(call)
            if call.until <= when:
                self.lost.append(call.until)

    def view(self, now: float) -> tuple[CircuitBreakerState, float]:
        if self.holds or self.state is CLOSED:
            return self.shows(), math.inf if self.shows() is FORCED else 0.0
        until = self.until
        if self.state is HALF_OPEN:
            lost = [*self.lost, *(probe.until for probe in self.probes if probe.until <= now)]
            seconds = self.next_seconds
            until = min(lost) + seconds if lost else now
        else:
            seconds = self.seconds
        wait = min(until - now, seconds)
        return (OPEN, wait) if wait > 0 else (HALF_OPEN, 0.0)


SMALL = st.integers(1, 4)
SECONDS = st.integers(2, 9)
SHARES = st.sampled_from([0.25, 1 / 3, 0.5, 0.75, 1.0])


ENDS = st.sampled_from([(True, True), (True, False), (False, True)])


@st.composite
def configs(draw: st.DrawFn, ends: tuple[bool, bool]) -> CircuitBreakerConfig:
    """Draw small windows, which end after some calls, some seconds or both; short times, all caps."""
    failures, row = draw(st.none() | SMALL), draw(st.none() | SMALL)
    rate, slow = draw(st.none() | SHARES), draw(st.none() | SHARES)
    if row is None and rate is None and slow is None and failures is None:
        failures = draw(SMALL)
    rates: dict[str, Any] = {} if rate is None and slow is None else {"minimum_calls": draw(SMALL)}
    size = max(failures or 1, *rates.values(), 1) + draw(st.integers(0, 4))
    several = sum(each is not None for each in (failures, row, rate, slow)) > 1
    return CircuitBreakerConfig(
        failure_threshold=failures,
        open_when="all" if several and draw(st.booleans()) else "any",
        consecutive_failures=row,
        failure_rate=rate,
        slow_call_rate=slow,
        slow_call_duration=None if slow is None else 1,
        **rates,
        success_threshold=draw(SMALL),
        window_size=size if ends[0] else None,
        timeout=draw(SECONDS | st.lists(SECONDS, min_size=1, max_size=4)),
        window_duration=draw(SECONDS) if ends[1] else None,
        half_open_max=draw(st.none() | SMALL),
        half_open_timeout=draw(st.none() | SECONDS),
        ramp_up=draw(st.none() | SECONDS),
        failure_on_result=bool if draw(st.booleans()) else None,
    )


class BreakerMachine(RuleBasedStateMachine):
    """Drives a circuit as the pumps do."""

    @initialize(ends=ENDS, data=st.data())
    def begin(self, ends: tuple[bool, bool], data: st.DataObject) -> None:
        self.configs = configs(ends)
        config = data.draw(self.configs, label="config")
        self.now = self.latest = 100.0
        self.circuit = Circuit(Rules(config))
        self.model = Model(config)
        self.calls: list[tuple[Any, ModelCall]] = []
        self.keys = 0
        self.heard: list[CircuitBreakerState] = []

    @rule(seconds=st.integers(0, 3) | st.integers(0, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.latest = max(self.latest, self.now)

    @rule(seconds=st.integers(1, 30))
    def clock_goes_backwards(self, seconds: int) -> None:
        self.now -= seconds

    @rule(extra=st.integers(0, 1))
    def open_time_passes(self, extra: int) -> None:
        wait = self.model.view(self.now)[1]
        self.time_passes(seconds=extra + (wait if wait < math.inf else 0))

    @rule(data=st.data(), fails=st.lists(st.sampled_from([True, True, False]), min_size=1, max_size=6))
    def calls_one_by_one(self, data: st.DataObject, fails: list[bool]) -> None:
        """What most traffic looks like; by single rules alone few circuits would ever open."""
        for fail in fails:
            self.call()
            if self.calls:
                (self.fail if fail else self.succeed)(data=data, slow=False)

    @rule()
    def call(self) -> None:
        self.circuit.plan()  # as the teller of news does
        expected = self.model.arrive(self.now)
        permit: Any = self.circuit.era
        if permit is None:
            self.circuit.advance(self.now)
            self.listen()
            permit = self.circuit.enter(self.now)
        assert (permit is None) == (expected is None)
        if expected is not None:
            self.calls.append((permit, expected))

    def ended(self, data: st.DataObject) -> tuple[Any, ModelCall]:
        return self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1), label="which"))

    @rule(seconds=st.none() | SECONDS)
    def trip(self, seconds: int | None) -> None:
        self.circuit.plan()
        self.model.trip(self.now, seconds)
        self.circuit.trip(self.now, seconds)

    @rule()
    def let_probes_through(self) -> None:
        self.circuit.plan()
        self.model.probe(self.now)
        self.circuit.half_open(self.now)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), slow=st.booleans())
    def succeed(self, data: st.DataObject, slow: bool) -> None:
        permit, call = self.ended(data)
        slow = slow and self.model.config.slow_call_rate is not None
        self.model.succeed(call, self.now, slow=slow)
        if not ticked(permit):
            self.circuit.succeeded(permit, self.now, slow=slow)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), slow=st.booleans())
    def fail(self, data: st.DataObject, slow: bool) -> None:
        permit, call = self.ended(data)
        slow = slow and self.model.config.slow_call_rate is not None
        self.model.fail(call, self.now, slow=slow)
        if permit is not UNCOUNTED:
            self.circuit.failed(permit, self.now, ValueError("no"), slow=slow)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), twice=st.booleans())
    def end_neutrally(self, data: st.DataObject, twice: bool) -> None:
        permit, call = self.ended(data)
        self.model.give_back(call, self.now)
        permit.give_back(self.now)
        if twice:
            permit.give_back(self.now)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        permit, call = self.ended(data)
        self.model.give_back(call, -math.inf)
        del permit

    @rule(state=st.sampled_from([FORCED, DISABLED, WATCHED]))
    def hold(self, state: CircuitBreakerState) -> None:
        self.keys += 1
        self.model.lose(self.now)
        self.model.holds[self.keys] = state
        self.model.change()
        self.circuit.hold(self.keys, state, self.now)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.integers(1, self.keys), label="key")
        if self.model.holds.pop(key, None) is not None:
            self.model.change()
        self.circuit.release(key)

    @rule(rarely=st.sampled_from(["reset", *["fork"] * 3, *["listen"] * 4]))
    def begin_anew(self, rarely: str) -> None:
        self.listen()
        if rarely == "reset":
            self.model.holds.clear()
            self.model.close(None)
            self.circuit.reset()
        elif rarely == "fork":
            self.model.change()
            self.circuit.renew()

    @rule(data=st.data(), changes=CHANGES | st.none(), fails=st.lists(st.booleans(), max_size=4))
    def reconfigure(self, data: st.DataObject, changes: set[str] | None, fails: list[bool]) -> None:
        """Change all, or some fields only, if what comes of that is possible; with something in the windows."""
        self.calls_one_by_one(data=data, fails=fails)
        config = data.draw(self.configs, label="new")
        if changes is not None:
            try:
                config = replace(self.model.config, **{name: getattr(config, name) for name in changes})
            except ValueError:
                return
        self.model.reconfigure(config, self.now)
        self.circuit.adopt(Rules(config), self.now)

    @precondition(lambda self: not self.model.holds)
    @rule(fails=st.lists(st.booleans(), max_size=4), data=st.data())
    def restart(self, data: st.DataObject, fails: list[bool]) -> None:
        """Save, go through JSON, and restore; with something in the windows."""
        self.calls_one_by_one(data=data, fails=fails)
        self.circuit.plan()
        saved = read(json.loads(json.dumps(written(self.circuit.save(self.now)), allow_nan=False)))
        self.model.restart(self.now)
        self.circuit.restore(saved, self.now)

    def listen(self) -> None:
        while (notice := self.circuit.news.hear()) is not None:
            assert self.circuit.news.hear() is None  # one teller at a time
            self.circuit.news.told()
            self.heard.append(notice.state)
        assert self.heard == self.model.told

    @invariant()
    def agree(self) -> None:
        self.circuit.plan()  # as the teller of news does
        state, wait = self.circuit.view(self.now)
        assert (state, wait) == self.model.view(self.now)
        assert wait >= 0
        assert self.circuit.shares(self.now) == self.model.shares(self.now)
        assert self.circuit.counts.late == self.model.late
        assert self.circuit.counts.opened == self.model.opened
        assert self.circuit.counts.would_open == self.model.would_open
        if self.circuit.era is not None:
            assert self.model.shows() in (CLOSED, WATCHED)
            assert not self.circuit.news

    @invariant()
    def never_stuck(self) -> None:
        """Whatever is out there, a circuit that nobody holds lets a call pass some day."""
        if not self.model.holds and self.model.state is not CLOSED:
            later = self.latest + self.model.lease + self.model.seconds + self.model.next_seconds
            assert self.circuit.view(later) == (HALF_OPEN, 0.0)

    def teardown(self) -> None:
        if hasattr(self, "circuit"):
            self.listen()


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
