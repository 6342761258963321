"""The budget of retries beside a token bucket in plain Python (R6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recoup import RetryBudget
from recoup.testing import VirtualClock

pytestmark = pytest.mark.slow

BUDGETS: list[Any] = [
    (RetryBudget, "ratio", 0.2, 10.0, 100.0),
    (lambda: RetryBudget(ratio=1, minimum_rate=0, capacity=3), "ratio", 1.0, 0.0, 3.0),
    (lambda: RetryBudget(ratio=0, minimum_rate=0.5, capacity=1), "ratio", 0.0, 0.5, 1.0),
    (RetryBudget.grpc, "grpc", 0.1, 0.0, 10.0),
    (lambda: RetryBudget.grpc(max_tokens=3, token_ratio=2), "grpc", 2.0, 0.0, 3.0),
    (RetryBudget.botocore, "botocore", 0.0, 0.0, 500.0),
]


class Budget(RuleBasedStateMachine):
    """Each event is put into the model at once, one by one."""

    @initialize(which=st.sampled_from(BUDGETS))
    def begin(self, which: Any) -> None:
        make, self.kind, self.ratio, self.rate, self.capacity = which
        self.budget, self.tokens = make(), self.capacity
        self.clock = VirtualClock()
        self.clock.__enter__()
        assert self.budget.tokens == self.tokens  # from here on time counts
        self.retries = self.denied = 0
        self.paid: list[float] = []

    def teardown(self) -> None:
        if hasattr(self, "clock"):
            self.clock.__exit__(None, None, None)

    def put(self, tokens: float) -> None:
        self.tokens = min(self.capacity, max(0.0, self.tokens + tokens))

    @rule(times=st.integers(1, 60))
    def succeed(self, times: int) -> None:
        for _ in range(times):
            self.budget._succeeded()
            self.put(1 if self.kind == "botocore" else self.ratio)

    @rule(to_retry=st.booleans(), times=st.integers(1, 5))
    def fail(self, to_retry: bool, times: int) -> None:
        for _ in range(times):
            self.budget._failed(self.clock.monotonic(), to_retry=to_retry)
            if self.kind == "ratio":
                self.put(self.ratio)
            elif self.kind == "grpc" and to_retry:
                self.put(-1)

    @rule(timeout=st.booleans(), times=st.integers(1, 40))
    def retry(self, timeout: bool, times: int) -> None:
        for _ in range(times):
            if self.kind == "grpc":
                allowed, cost = self.tokens > self.capacity / 2 + 1e-9, 0.0
                if abs(self.tokens - self.capacity / 2) <= 1e-9:
                    return  # a matter of rounding
            else:
                cost = (10.0 if timeout else 5.0) if self.kind == "botocore" else 1.0
                allowed = self.tokens >= cost
                if abs(self.tokens - cost) <= 1e-9 and self.tokens != cost:
                    return
            spent = self.budget._spend(self.clock.monotonic(), timeout=timeout)
            assert spent == (cost if allowed else None)
            if spent is None:
                self.denied += 1
            else:
                self.retries += 1
                self.put(-spent)
                self.paid.append(spent)

    @rule()
    def succeed_after_retry(self) -> None:
        if self.paid:
            cost = self.paid.pop()
            self.budget._succeeded()
            self.budget._repay(cost)
            self.put(cost if self.kind == "botocore" else self.ratio)

    @rule(
        ratio=st.none() | st.sampled_from([0.0]) | st.floats(0.01, 1),
        rate=st.none() | st.floats(0, 20),
        capacity=st.none() | st.floats(1, 200),
    )
    def reconfigure(self, ratio: float | None, rate: float | None, capacity: float | None) -> None:
        if self.kind != "ratio":
            with pytest.raises(ValueError, match="belong together"):
                self.budget.reconfigure(ratio=ratio, minimum_rate=rate, capacity=capacity)
            return
        ratio, rate = self.ratio if ratio is None else ratio, self.rate if rate is None else rate
        if not ratio and not rate:
            with pytest.raises(ValueError, match="never fill again"):
                self.budget.reconfigure(ratio=ratio, minimum_rate=rate, capacity=capacity)
            return
        self.budget.reconfigure(ratio=ratio, minimum_rate=rate, capacity=capacity)
        self.ratio, self.rate = ratio, rate
        self.capacity = self.capacity if capacity is None else capacity
        self.put(0)

    @rule()
    def reset(self) -> None:
        self.budget.reset()
        self.tokens = self.capacity
        self.retries = self.denied = 0

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        before = self.clock.monotonic()
        self.clock.advance(seconds)
        self.put((self.clock.monotonic() - before) * self.rate)

    @invariant()
    def same(self) -> None:
        if hasattr(self, "budget"):
            assert self.budget.tokens == pytest.approx(self.tokens, abs=1e-6)
            assert 0 <= self.budget.tokens <= self.capacity
            assert self.budget.metrics == {"retries": self.retries, "denied": self.denied}


TestBudget = Budget.TestCase
