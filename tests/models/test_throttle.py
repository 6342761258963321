"""The balance of a throttle beside a model in plain Python (L2, G12).

The model remembers every call and when it counted; it works all sums out anew each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recoup.strategies.throttle.state import SLICES, Balance


@dataclass
class Model:
    """Every call with the number of its slice; a slice is a second long at first."""

    multiplier: float
    begun: int = 0  # when the running slice began, and its number
    number: int = 0
    calls: list[tuple[int, bool]] = field(default_factory=list)

    length: int = 1  # of a slice

    def turn(self, now: int) -> None:
        passed = max(0, now - self.begun)
        self.number += passed // self.length
        self.begun = now if now < self.begun else self.begun + passed // self.length * self.length

    def change(self, multiplier: float, length: int, now: int) -> None:
        self.turn(now)
        self.multiplier = multiplier
        if length != self.length:
            kept = []
            for number, accepted in self.calls:
                back = self.number - number
                age = max(0, now - self.begun + (back - 1) * self.length)
                if back < SLICES and age < SLICES * length:
                    kept.append((-(age // length), accepted))
            self.calls, self.number, self.begun, self.length = kept, 0, now, length

    def counted(self) -> tuple[int, int]:
        recent = [accepted for number, accepted in self.calls if number > self.number - SLICES]
        return len(recent), sum(recent)

    def odds(self) -> float:
        requests, accepts = self.counted()
        return max(0.0, (requests - self.multiplier * accepts) / (requests + 1))


class BalanceMachine(RuleBasedStateMachine):
    """Drives a balance as the calls do, by a clock that also goes backwards."""

    @initialize(multiplier=st.sampled_from([1.0, 1.5, 2.0, 10.0]))
    def begin(self, multiplier: float) -> None:
        self.now = 0
        self.balance = Balance(multiplier, float(SLICES), 0.0)
        self.model = Model(multiplier)
        self.held_back = 0

    @rule(seconds=st.one_of(st.integers(0, 3), st.integers(SLICES - 2, SLICES + 2), st.just(10**6)))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(seconds=st.integers(1, 50))
    def rewind(self, seconds: int) -> None:
        self.now -= seconds

    @rule(accepted=st.booleans(), times=st.integers(1, 5))
    def end(self, accepted: bool, times: int) -> None:
        self.model.turn(self.now)
        for _ in range(times):
            self.balance.record(float(self.now), accepted=accepted)
            self.model.calls.append((self.model.number, accepted))

    @rule(times=st.integers(1, 5))
    def tick(self, times: int) -> None:
        """Count accepted calls as the pumps do: without the lock while it is calm."""
        calm = self.balance.calm_from <= self.now < self.balance.calm_until
        self.model.turn(self.now)
        for _ in range(times):
            if calm:
                self.balance.tick()
            else:
                self.balance.record(float(self.now), accepted=True)
            self.model.calls.append((self.model.number, True))

    @rule(lot=st.floats(0, 1, exclude_max=True))
    def ask(self, lot: float) -> None:
        self.model.turn(self.now)
        odds = self.model.odds()
        passes = self.balance.admits(float(self.now), lambda: lot)
        assert passes is not (lot < odds)
        if not passes:
            self.held_back += 1
            self.model.calls.append((self.model.number, False))

    @rule(multiplier=st.sampled_from([1.0, 2.0, 10.0]), length=st.integers(1, 4))
    def reconfigure(self, multiplier: float, length: int) -> None:
        self.balance.reconfigure(multiplier, float(SLICES * length), float(self.now))
        self.model.change(multiplier, length, self.now)

    @rule()
    def reset(self) -> None:
        self.balance.reset(float(self.now))
        self.model.calls.clear()
        self.model.begun, self.held_back = self.now, 0

    @rule()
    def look(self) -> None:
        self.model.turn(self.now)
        odds = self.balance.odds(float(self.now))
        assert math.isclose(odds, self.model.odds(), abs_tol=1e-12)
        assert 0.0 <= odds < 1.0
        assert (self.balance.requests, self.balance.accepts) == self.model.counted()
        calm = self.balance.calm_from <= self.now < self.balance.calm_until
        assert calm is (odds == 0)

    @invariant()
    def totals(self) -> None:
        balance: Any = getattr(self, "balance", None)
        if balance is not None:
            assert balance.requests == sum(balance._requested)
            assert balance.accepts == sum(balance._accepted)
            assert balance.held_back == self.held_back


TestBalance = BalanceMachine.TestCase
TestBalance.settings = settings(max_examples=100, stateful_step_count=40)


class Forgetful:
    """The naive version: totals since the beginning, which never forget."""

    def __init__(self) -> None:
        self.requests = self.accepts = 0

    def odds(self) -> float:
        return max(0.0, (self.requests - 2 * self.accepts) / (self.requests + 1))


def test_a_naive_one_fails() -> None:
    """Without a window an outage of an hour ago still holds calls back; ours has forgotten it (L2)."""
    naive, ours = Forgetful(), Balance(2.0, 120.0, 0.0)
    for _ in range(1000):
        naive.requests += 1
        ours.record(0.0, accepted=False)
    assert naive.odds() == pytest.approx(1000 / 1001)
    assert ours.odds(3600.0) == 0
