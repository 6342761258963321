"""The two ways to count, and the line, beside plain models that remember every call (L1)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup import RateLimitConfig
from recoup.strategies.rate_limit.line import GRACE, Line
from recoup.strategies.rate_limit.state import LATE, Bucket
from recoup.strategies.rate_limit.turns import TICK
from recoup.strategies.rate_limit.window import SLICES, Window

pytestmark = pytest.mark.slow

# Steps that a binary fraction can hold, so that the model's exact numbers and the real ones are the same.
RATES = [(1, 1.0), (4, 1.0), (8, 0.5), (1, 16.0), (2, 64.0)]


class Calls(RuleBasedStateMachine):
    """What both machines do: calls come, wait, look, leave; time passes, limits change."""

    state: Any
    most: int

    def begin(self, rate: int, per: float) -> None:
        self.rate, self.per = rate, per
        self.now = 1024.0
        self.began: list[tuple[float, int]] = []  # since the limits changed last
        self.row: list[Any] = []  # who waits, in order; passed over or not
        self.told: dict[int, float] = {}  # when each will have begun, unless somebody looks too late
        self.numbers = 0
        self.called: list[Any] = []  # and have not looked since

    def start_row(self) -> None:
        self.line = self.state.line = Line(self.state, self.called.append)

    def let_in(self, weight: int) -> None:
        self.began.append((self.now, weight))

    @rule(sixteenths=st.integers(0, 64))
    def wait(self, sixteenths: int) -> None:
        # Nobody looks meanwhile: their loop is blocked.
        self.now += sixteenths / 16
        if any(turn.due < self.now for turn in self.row):
            self.told.clear()

    @rule(weight=st.integers(1, 4))
    def take(self, weight: int) -> None:
        if weight > self.most:
            return
        there = self.state.available(self.now)
        taken = self.state.take(weight, self.now)
        assert taken is (there >= weight)
        assert not (taken and any(turn.standing for turn in self.row)), "nobody is overtaken"
        if taken:
            self.let_in(weight)

    @rule()
    def drain(self) -> None:
        """All that is there is taken at once, and nobody that waits is overtaken."""
        there = self.state.available(self.now)
        assert self.state.drain(self.now) == there
        assert self.state.available(self.now) == 0
        assert not (there and any(turn.standing for turn in self.row)), "nobody is overtaken"
        if there:
            self.let_in(there)

    @rule(weight=st.integers(1, 4))
    def come(self, weight: int) -> None:
        if weight > self.most or self.state.take(weight, self.now):
            if weight <= self.most:
                self.let_in(weight)
            return
        wait = self.line.estimate(weight, self.now)
        assert wait > 0
        turn = self.line.join(self.numbers, weight, self.now, wait, None)
        self.told[self.numbers] = self.now + wait
        self.numbers += 1
        self.row.append(turn)

    def look(self, turn: Any) -> None:
        """Have somebody look, and check what becomes of it."""
        self.called[:] = [each for each in self.called if each is not turn]
        wait = self.line.look(turn, self.now)
        if wait:
            assert turn.standing
            assert turn.due == self.now + wait
            return
        before = [each for each in self.row[: self.row.index(turn)] if each.standing]
        assert not before, "first come, first served"
        self.row.remove(turn)
        self.let_in(min(turn.weight, self.most))
        moment = self.told.pop(turn.number, None)
        assert moment is None or self.now <= moment + 1e-9, "nobody waits longer than it was told"

    @precondition(lambda self: self.row)
    @rule(data=st.data())
    def look_somewhere(self, data: st.DataObject) -> None:
        """Somebody looks, too early, too late, or just then."""
        self.look(data.draw(st.sampled_from(self.row)))

    @precondition(lambda self: self.row)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.row))
        self.row.remove(turn)
        for _ in range(2):
            self.line.leave(turn, self.now)

    @precondition(lambda self: self.row)
    @rule(most=st.integers(1, 12))
    def all_look_in_time(self, most: int) -> None:
        """Everybody looks when it is due or called, in whatever order that is, and so each begins in its turn."""
        for _ in range(most * (len(self.row) + 1)):
            if not self.row:
                return
            called = [turn for turn in self.called if turn in self.row]
            turn = called[0] if called else min(self.row, key=lambda each: (each.due, each.number))
            if not called:
                self.now = max(self.now, turn.due)
            self.look(turn)

    @rule(back=st.integers(1, 64))
    def clock_goes_back(self, back: int) -> None:
        """Whatever was counted goes back with it, as far as it is known."""
        self.told.clear()
        self.called += [turn for turn in self.row if turn.due <= self.now]  # their timers have struck
        self.forget_what_is_over()
        self.now -= back / 16
        self.state.correct(self.now)
        shift = max(0.0, (self.began[-1][0] if self.began else -math.inf) - self.now)
        self.began = [(moment - shift, weight) for moment, weight in self.began]

    def forget_what_is_over(self) -> None:
        """Drop what the clock has said to be over, before it goes back: nobody counts that again."""

    @rule()
    def reset(self) -> None:
        self.state.reset(self.now)
        self.line.call(self.now)
        self.began.clear()
        assert self.state.available(self.now) == (0 if self.state.queued else self.most)

    @invariant()
    def counted(self) -> None:
        """The weights of those who wait add up, and whoever left is forgotten."""
        if hasattr(self, "line"):
            assert self.state.queued == sum(turn.weight for turn in self.row if turn.standing)
            assert len(self.line._turns) <= 2 * len(self.row) + 33

    @invariant()
    def never_idle(self) -> None:
        """The first one either looks in time, or was called."""
        first = next((turn for turn in self.row if turn.standing), None) if hasattr(self, "line") else None
        if first is not None and first.due > self.now and first not in self.called:
            wait = self.state.wait(min(first.weight, self.most), self.now)
            assert first.due <= self.now + max(wait, GRACE) + 1e-4


class Smooth(Calls):
    """Any time of t seconds sees at most `burst + t / step` permits; nobody waits longer than that takes."""

    @initialize(which=st.sampled_from(RATES), burst=st.integers(1, 6))
    def start(self, which: tuple[int, float], burst: int) -> None:
        self.begin(*which)
        self.most = burst
        self.state = Bucket(self.config, self.now)
        self.start_row()

    @property
    def config(self) -> RateLimitConfig:
        return RateLimitConfig(rate=self.rate, per=self.per, burst=self.most)

    @rule()
    def admit(self) -> None:
        there = self.state.available(self.now)
        admitted = self.state.admit(self.now)
        assert admitted is (there >= 1)
        if admitted:
            self.let_in(1)

    @rule(which=st.sampled_from(RATES), burst=st.integers(1, 6))
    def reconfigure(self, which: tuple[int, float], burst: int) -> None:
        there = self.state.available(self.now)
        (self.rate, self.per), self.most = which, burst
        self.state.reconfigure(self.config, self.now)
        self.line.call(self.now)
        self.told.clear()
        self.began.clear()
        assert self.state.available(self.now) == (0 if self.state.queued else min(there, burst))

    @invariant()
    def bounded(self) -> None:
        began = self.began[-40:] if hasattr(self, "line") else []
        step = Fraction(self.per) / self.rate if began else Fraction(1)
        for first in range(len(began)):
            total = 0
            for moment, weight in began[first:]:
                total += weight
                took = Fraction(moment) - Fraction(began[first][0])
                assert total <= self.most + (took + Fraction(TICK) + Fraction(LATE)) / step


class Counted(Calls):
    """Any time of `per` sees at most `rate` permits; nobody waits for one that is older than a slice more than that."""

    @initialize(which=st.sampled_from([(1, 1.0), (4, 1.0), (5, 4.0), (3, 64.0)]))
    def start(self, which: tuple[int, float]) -> None:
        self.begin(*which)
        self.most = self.rate
        self.state = Window(self.config, self.now)
        self.start_row()

    @property
    def config(self) -> RateLimitConfig:
        return RateLimitConfig(rate=self.rate, per=self.per, mode="window")

    def forget_what_is_over(self) -> None:
        self.state._forget(self.now)
        self.began = [each for each in self.began if each[0] + self.per > self.now + TICK]

    @rule(rate=st.integers(1, 6))
    def reconfigure(self, rate: int) -> None:
        self.rate = self.most = rate
        self.state.reconfigure(self.config, self.now)
        self.line.call(self.now)
        self.told.clear()
        self.began = [(moment, 0) for moment, _ in self.began]

    @invariant()
    def bounded(self) -> None:
        began = self.began[-40:] if hasattr(self, "line") else []
        for moment, _ in began:
            inside = sum(weight for other, weight in began if moment <= other < moment + self.per - 2 * TICK)
            assert inside <= self.rate

    @invariant()
    def not_mean(self) -> None:
        """With nobody waiting, all permits are there that were taken longer than a window and a slice ago."""
        if not hasattr(self, "line") or self.state.queued:
            return
        oldest = self.now - self.per * (1 + 1 / SLICES) - TICK
        if all(weight for _, weight in self.began):
            counting = sum(weight for moment, weight in self.began if moment > oldest)
            assert self.state.available(self.now) >= self.rate - counting

    @invariant()
    def small(self) -> None:
        if hasattr(self, "line"):
            assert len(self.state._slices) <= 2 * SLICES + 1


TestSmooth = Smooth.TestCase
TestCounted = Counted.TestCase
