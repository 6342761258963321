"""A hedged call beside a model that looks at the whole history each time (L3, D1)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.strategies.hedge.config import HedgeConfig
from recoup.strategies.hedge.state import HedgeRun, Pace

DELAY = 2.0


class HedgedCalls(RuleBasedStateMachine):
    """Call after call of one hedge; attempts start when they are due, and end in any order."""

    @initialize(most=st.integers(2, 4), burst=st.integers(1, 3), budget=st.sampled_from([0.25, 0.5, 1.0]))
    def begin(self, most: int, burst: int, budget: float) -> None:
        self.most, self.burst, self.budget = most, burst, budget
        self.pace = Pace(self.config)
        self.now = 0.0
        self.history: list[tuple[Any, ...]] = [("reset", burst, budget)]  # for the tokens
        self.call()

    @property
    def config(self) -> HedgeConfig:
        return HedgeConfig(idempotent=True, delay=DELAY, max_attempts=self.most, burst=self.burst, budget=self.budget)

    def call(self) -> None:
        self.run = HedgeRun(self.pace, self.most, self.now)
        self.history.append(("call",))
        self.run.start(self.now)
        self.started = [self.now]
        self.refused = False
        self.outcomes: dict[int, Any] = {}  # in the order in which they came

    def tokens(self) -> float:
        """Count from the beginning."""
        tokens, burst, budget = 0.0, 0, 0.0
        for what, *more in self.history:
            if what in {"reset", "change"}:
                burst, budget = more
                tokens = float(burst) if what == "reset" else min(tokens, float(burst))
            else:
                tokens = min(float(burst), tokens + budget) if what == "call" else tokens - 1
        return tokens

    def decided(self) -> bool:
        values = [outcome for outcome in self.outcomes.values() if outcome not in {"error", "bad"}]
        return bool(values) or len(self.outcomes) == len(self.started)

    def due(self) -> float | None:
        """Tell in how many seconds the next attempt is due."""
        if self.refused or len(self.started) == self.most:
            return None
        return max(self.started[-1] + DELAY - self.now, 0.0)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.decided() and self.due() == 0)
    @rule()
    def add(self) -> None:
        allowed = self.tokens() >= 1
        assert self.run.add(self.now) is allowed
        if allowed:
            self.history.append(("add",))
            self.started.append(self.now)
            assert self.run.start(self.now) == len(self.started)
        else:
            self.refused = True

    @rule(which=st.integers(1, 4), how=st.sampled_from(["success", "error", "bad"]))
    def end(self, which: int, how: str) -> None:
        if which > len(self.started) or which in self.outcomes:
            return
        first = not self.decided()
        if how == "success":
            assert self.run.succeeded(which, f"value {which}", self.now) is first
        elif how == "bad":
            assert self.run.turned_down(which, f"bad {which}") is first
        else:
            self.run.failed(which, ValueError(which))
        if first:
            self.outcomes[which] = f"value {which}" if how == "success" else how

    @rule(burst=st.integers(1, 3), budget=st.sampled_from([0.25, 0.5, 1.0]))
    def reconfigure(self, burst: int, budget: float) -> None:
        self.burst, self.budget = burst, budget
        self.pace.reconfigure(self.config)
        self.history.append(("change", burst, budget))

    @rule()
    def reset(self) -> None:
        self.pace.reset()
        self.history = [("reset", self.burst, self.budget)]

    @precondition(lambda self: self.decided())
    @rule()
    def next_call(self) -> None:
        values = [outcome for outcome in self.outcomes.values() if outcome not in {"error", "bad"}]
        error = self.run.outcome()
        if values:
            assert error is None
            assert self.run.value == values[0]
        elif self.outcomes[1] == "bad":
            assert error is None
            assert self.run.value == "bad 1"
        else:
            assert error is not None
            assert error.args == (1,)
        self.call()

    @invariant()
    def the_same_is_decided(self) -> None:
        if not hasattr(self, "run"):
            return
        assert self.run.over is self.decided()
        if not self.decided():
            assert self.run.wait(self.now, None) == self.due()
            assert self.run.wait(self.now, 0.0) is None
        counts = self.pace.counts()
        assert counts["calls"] == self.history.count(("call",))
        assert counts["hedges"] == self.history.count(("add",))
        if len([what for what, *_ in self.history if what == "change"]) == 0:
            assert counts["hedges"] <= self.burst + self.budget * counts["calls"]


TestHedgedCalls = HedgedCalls.TestCase
