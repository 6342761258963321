"""Retry and deadline under watch: how often, how long, and what ends it (R1-R3, R6, D1, D2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup import DeadlineExceeded, RetryBudget, RetryConfig, RetryExecutor, TimeLimiter
from recoup.strategies.deadline.config import DeadlineConfig
from tests.simulation.parts import GRAIN, Part

if TYPE_CHECKING:
    from tests.simulation.parts import Pass

__all__ = ["DeadlinePart", "RetryPart"]

SLACK = 0.25  # seconds after a deadline: for a hedge's grace (0.1), and callbacks of a breaker (0.05) that were begun


class RetryPart(Part):
    kind: ClassVar[str] = "retry"

    def made(self) -> RetryExecutor:
        dice = self.dice
        self.retries = 0
        self.budget = RetryBudget(ratio=0.1, minimum_rate=0.1, capacity=3) if dice.random() < 0.3 else None
        return RetryExecutor(
            RetryConfig(
                max_attempts=dice.choice((1, 2, 3, 5)),
                initial_delay=dice.choice((0.0, 0.1, 1.0)),
                max_delay=dice.choice((1.0, 2.0)),
                backoff_strategy=dice.choice(("fixed", "exponential", "jitter", "decorrelated")),
                attempt_timeout=dice.choice((None, None, 1.0)),
                max_elapsed=dice.choice((None, None, 3.0)),
                budget=self.budget,
                on_retry=self.retried,
            ),
            name=self.name,
        )

    def meddles(self) -> None:
        self.strategy.reconfigure(initial_delay=self.dice.choice((0.0, 0.1, 1.0)))

    def retried(self, number: int, error: Exception) -> None:
        self.retries += 1

    def enters(self, passing: Pass) -> None:
        config = self.strategy.config
        self.expect(passing.entries <= config.max_attempts, f"attempt {passing.entries} of {config.max_attempts}")
        if passing.entries == 1:
            return
        pause = self.now - passing.left
        self.expect(pause <= config.max_delay + GRAIN, f"a pause of {pause} s")
        if config.attempt_timeout is None:
            self.expect(isinstance(passing.error, Exception), f"{passing.error!r} was retried")
        self.expect(passing.error is not None, "a success was retried")
        if config.max_elapsed is not None:
            self.expect(self.now - passing.at <= config.max_elapsed + GRAIN, "an attempt began too late")

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        config = self.strategy.config
        if config.max_elapsed is not None:
            late = self.now - passing.at - config.max_elapsed - passing.operation.cleanup
            self.expect(late <= SLACK, f"it took {self.now - passing.at} s, at most {config.max_elapsed} s allowed")

    def end(self) -> None:
        self.expect(self.entered <= self.arrived + self.retries, f"{self.entered} attempts of {self.arrived} calls")
        budget = self.budget
        if budget is None:
            return
        self.expect(0 <= budget.tokens <= 3, repr(budget))
        self.expect(budget.metrics["retries"] >= self.entered - self.arrived, f"{budget.metrics}")
        paid = 3 + 0.1 * self.entered + 0.1 * (self.now - self.world.began)
        self.expect(budget.metrics["retries"] <= paid + GRAIN, f"{budget.metrics}, {paid} tokens ever")


class DeadlinePart(Part):
    kind: ClassVar[str] = "deadline"

    def made(self) -> TimeLimiter:
        return TimeLimiter(DeadlineConfig(self.dice.choice((0.2, 1.0, 3.0, 30.0))), name=self.name)

    def layer(self, plain: bool) -> Any:
        # A plain function would run in a thread of its own, which nobody can schedule.
        if not plain:
            return self.strategy
        return TimeLimiter(DeadlineConfig(self.strategy.config.seconds, mode="cooperative"), name=self.name)

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        took, allowed = self.now - passing.at, self.strategy.config.seconds
        late = took - allowed - passing.operation.cleanup
        self.expect(late <= SLACK, f"it took {took} s, at most {allowed} s allowed")
        if self.mine(error, DeadlineExceeded) and getattr(error, "started", False):
            self.expect(took >= allowed - GRAIN, f"it struck after {took} s, {allowed} s allowed")
