"""The two ways to count beside plain models that remember every call (L1)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup import RateLimitConfig
from recoup.strategies.rate_limit.claims import TICK
from recoup.strategies.rate_limit.state import Bucket
from recoup.strategies.rate_limit.window import SLICES, Window

pytestmark = pytest.mark.slow

# Steps that a binary fraction can hold, so that the model's exact numbers and the real ones are the same.
RATES = [(1, 1.0), (4, 1.0), (8, 0.5), (1, 16.0), (2, 64.0)]
FOREVER = math.inf


class Calls(RuleBasedStateMachine):
    """What both machines do: calls come, wait, are refused and cancelled, and time passes."""

    state: Any

    def begin(self, rate: int, per: float) -> None:
        self.rate, self.per = rate, per
        self.now = 1024.0
        self.kept: list[tuple[float, int, Any]] = []  # (when it begins, weight, claim) of all that were let in
        self.waiting: list[tuple[float, int, Any]] = []

    @property
    def end(self) -> float:
        """The last moment that somebody was promised or let in at."""
        return max((moment for moment, _, _ in self.kept), default=-FOREVER)

    def let_in(self, moment: float, weight: int, claim: Any = None) -> None:
        assert moment >= self.end, "nobody is overtaken"
        self.kept.append((moment, weight, claim))

    @rule(sixteenths=st.integers(0, 64))
    def wait(self, sixteenths: int) -> None:
        self.now += sixteenths / 16
        self.waiting = [each for each in self.waiting if each[0] > self.now]

    @rule(weight=st.integers(1, 4))
    def take(self, weight: int) -> None:
        if weight > self.most:
            return
        before = self.state.available(self.now)
        taken = self.state.take(weight, self.now)
        assert taken is (before >= weight)
        if taken:
            self.let_in(self.now, weight)

    @rule(weight=st.integers(1, 4), longest=st.sampled_from([0.0, 0.5, 2.0, 100.0, FOREVER]))
    def reserve(self, weight: int, longest: float) -> None:
        if weight > self.most:
            return
        before = self.state.available(self.now)
        claim = self.state.reserve(weight, self.now, longest, FOREVER)
        assert claim.granted is (claim.wait <= longest)
        assert (claim.wait == 0) is (before >= weight)
        if not claim.granted:
            again = self.state.reserve(weight, self.now, claim.wait, FOREVER)
            assert again.granted, "retry_after is true"
            assert again.wait == claim.wait
            claim = again
        self.let_in(self.now + claim.wait, weight, claim)
        if claim.wait:
            self.waiting.append(self.kept[-1])

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        each = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.kept.remove(each)
        self.state.cancel(each[2], self.now)

    @precondition(lambda self: self.waiting)
    @rule()
    def cancel_all(self) -> None:
        """Whatever the order, all comes back that nobody behind stands in the way of."""
        while self.waiting:
            each = self.waiting.pop(0)
            self.kept.remove(each)
            self.state.cancel(each[2], self.now)

    most: int


class Smooth(Calls):
    """Any time of t seconds sees at most `burst + t / step` permits; nobody waits longer than that takes."""

    @initialize(which=st.sampled_from(RATES), burst=st.integers(1, 6))
    def start(self, which: tuple[int, float], burst: int) -> None:
        self.begin(*which)
        self.most = burst
        self.step = Fraction(self.per) / self.rate
        config = RateLimitConfig(rate=self.rate, per=self.per, burst=burst)
        self.state = Bucket(config, self.now)

    @rule()
    def admit(self) -> None:
        before = self.state.available(self.now)
        admitted = self.state.admit(self.now)
        assert admitted is (before >= 1)
        if admitted:
            self.let_in(self.now, 1)

    @invariant()
    def bounded(self) -> None:
        kept = self.kept[-40:] if hasattr(self, "state") else []
        for first in range(len(kept)):
            total = 0
            for moment, weight, _ in kept[first:]:
                total += weight
                assert total <= self.most + (Fraction(moment) - Fraction(kept[first][0]) + Fraction(TICK)) / self.step

    @invariant()
    def not_mean(self) -> None:
        """With nobody waiting, the bucket is as full as a bucket is that saw the same calls."""
        if not hasattr(self, "state") or self.waiting:
            return
        level, since = Fraction(self.most), Fraction(1024)
        for moment, weight, _ in self.kept:
            level = min(Fraction(self.most), level + (Fraction(moment) - since) / self.step) - weight
            since = Fraction(moment)
        if self.now >= since:
            level = min(Fraction(self.most), level + (Fraction(self.now) - since) / self.step)
            assert self.state.available(self.now) <= math.floor(level)
            if not any(claim is not None for _, _, claim in self.kept):
                assert self.state.available(self.now) == math.floor(level)


class Counted(Calls):
    """Any time of `per` sees at most `rate` permits; nobody waits for one that is older than a slice more than that."""

    @initialize(which=st.sampled_from([(1, 1.0), (4, 1.0), (5, 4.0), (3, 64.0)]))
    def start(self, which: tuple[int, float]) -> None:
        self.begin(*which)
        self.most = self.rate
        self.state = Window(RateLimitConfig(rate=self.rate, per=self.per, mode="window"), self.now)

    @invariant()
    def bounded(self) -> None:
        kept = self.kept[-40:] if hasattr(self, "state") else []
        for moment, _, _ in kept:
            inside = sum(weight for other, weight, _ in kept if moment <= other < moment + self.per - 2 * TICK)
            assert inside <= self.rate

    @invariant()
    def not_mean(self) -> None:
        """With nobody waiting, all permits are there that were taken longer than a window and a slice ago."""
        if not hasattr(self, "state") or self.waiting:
            return
        oldest = self.now - self.per * (1 + 1 / SLICES) - TICK
        counting = sum(weight for moment, weight, _ in self.kept if moment > oldest)
        assert self.state.available(self.now) >= self.rate - counting

    @invariant()
    def small(self) -> None:
        if hasattr(self, "state"):
            spans = 1 + max(0.0, self.end - self.now) / self.per
            assert len(self.state._slices) <= (SLICES + 2) * math.ceil(spans + 1)


TestSmooth = Smooth.TestCase
TestCounted = Counted.TestCase
