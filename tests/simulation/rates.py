"""The rate limiter and the throttle under watch: what begins when, in which order, and what is counted (L1, L2)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from recoup import (
    AdaptiveThrottle,
    AdaptiveThrottleConfig,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
    ThrottledError,
)
from recoup.errors import is_refusal
from tests.simulation.parts import GRAIN, Part

if TYPE_CHECKING:
    from tests.simulation.parts import Pass

__all__ = ["LimiterPart", "ThrottlePart"]

GRACE = 0.1  # seconds that a call may begin later than it was told, because somebody before it was late


class LimiterPart(Part):
    kind: ClassVar[str] = "rate limit"

    def made(self) -> RateLimiter:
        dice = self.dice
        mode: Any = dice.choice(("smooth", "window"))
        self.refused = 0
        self.began: dict[Any, list[tuple[int, float, float]]] = {}  # by key: number, arrival, entry
        keyed = dice.random() < 0.3
        return RateLimiter(
            RateLimitConfig(
                rate=dice.choice((1, 2, 5)),
                per=dice.choice((0.5, 1.0, 3.0)),
                burst=dice.choice((None, 1, 3)) if mode == "smooth" else None,
                mode=mode,
                max_wait=dice.choice((0.0, 0.5, 10.0)),
                key=(lambda operation: operation.key) if keyed else None,
            ),
            name=self.name,
        )

    def meddles(self) -> None:
        self.strategy.reconfigure(max_keys=self.dice.choice((3, 100)))  # who waits stays where he is

    def enters(self, passing: Pass) -> None:
        self.expect(passing.entries == 1, "a call entered twice")
        config = self.strategy.config
        self.expect(self.now - passing.at <= config.max_wait + GRACE, f"a call waited {self.now - passing.at} s")
        key = None if config.key is None else passing.operation.key
        self.began.setdefault(key, []).append((passing.number, passing.at, self.now))

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        self.refused += self.mine(error, RateLimitExceeded) and not passing.entries

    def end(self) -> None:
        config = self.strategy.config
        for began in self.began.values():
            for earlier, later in itertools.pairwise(sorted(began)):
                self.expect(earlier[2] <= later[2] + GRAIN, f"{later} began before {earlier}, which had come first")
            moments = sorted(moment for _, _, moment in began)
            if config.mode == "window":
                self._check_window(moments)
            else:
                self._check_bucket(moments)
        refused = self.strategy.metrics["refused"]
        self.expect(refused == self.refused, f"{refused} refusals counted, {self.refused} seen")

    def _check_window(self, moments: list[float]) -> None:
        config = self.strategy.config
        for first, last in zip(moments, moments[config.rate :], strict=False):
            self.expect(last - first >= config.per - GRAIN, f"{config.rate + 1} calls began within {last - first} s")

    def _check_bucket(self, moments: list[float]) -> None:
        config = self.strategy.config
        level = float(config.most)
        for before, moment in zip([moments[0], *moments], moments, strict=False):
            level = min(float(config.most), level + (moment - before) * config.rate / config.per) - 1
            self.expect(level >= -GRAIN * config.rate, f"too many calls began by {moment}: {moments}")

    async def proves_alive(self) -> None:
        limiter = self.strategy
        if limiter.config.key is None:
            there = limiter.available()
            self.expect(there == limiter.config.most, f"{there} permits after a long time")


class ThrottlePart(Part):
    kind: ClassVar[str] = "throttle"

    def made(self) -> AdaptiveThrottle:
        self.held = self.good = self.bad = self.unclear = 0
        # The window is so long that all counts.
        config = AdaptiveThrottleConfig(multiplier=self.dice.choice((1.0, 2.0)), window_duration=1e6)
        return AdaptiveThrottle(config, name=self.name)

    def leaves(self, passing: Pass, entry: Any, error: BaseException | None, result: Any) -> None:
        if error is None:
            self.good += 1
        elif isinstance(error, Exception):
            self.bad += not is_refusal(error)
        else:
            self.unclear += 1  # a failure if a timer of the same stack has cut it off

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        self.held += self.mine(error, ThrottledError) and not passing.entries

    def end(self) -> None:
        counts = self.strategy.metrics
        least = self.good + self.bad + self.held
        seen = f"{self.good} good, {self.bad} bad, {self.unclear} cut off, {self.held} held back; counted {counts}"
        self.expect(counts["held_back"] == self.held, seen)
        self.expect(counts["accepts"] == self.good, seen)
        self.expect(least <= counts["requests"] <= least + self.unclear, seen)
