"""What opens a circuit, worked out once from its configuration (C2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from recoup._core.conditions import when
from recoup.strategies.circuit_breaker.rates import Rates, RateWindow, Thresholds
from recoup.strategies.circuit_breaker.window import FailureWindow

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["Rules", "said"]


class Rules:
    """The opening rules of one breaker; immutable, shared by all states that follow one another.

    Attributes:
        asks: Whether every outcome has to be recorded under the lock: for rates, and to judge results (C10).
        reach: How many calls after a failure it can still matter; 0 if no rule counts calls.
    """

    __slots__ = ("_counts", "_thresholds", "_window", "asks", "reach")

    def __init__(self, config: CircuitBreakerConfig) -> None:
        size = math.inf if config.window_size is None else config.window_size
        duration = cast("float", math.inf if config.window_duration is None else config.window_duration)
        counts: list[tuple[int, float, float]] = []
        if config.failure_threshold is not None:
            counts.append((config.failure_threshold, size, duration))
        if config.consecutive_failures is not None:
            counts.append((config.consecutive_failures, config.consecutive_failures, math.inf))
        self._counts = tuple(counts)
        self.reach = max((cast("int", size) for _, size, _ in counts if size < math.inf), default=0)
        self._thresholds: Thresholds | None = None
        if config.failure_rate is not None or config.slow_call_rate is not None:
            slow = cast("float | None", config.slow_call_duration)
            self._thresholds = Thresholds(config.minimum_calls, config.failure_rate, config.slow_call_rate, slow)
        self._window = config.window_size, cast("float | None", config.window_duration)
        self.asks = self._thresholds is not None or config.failure_on_result is not None

    def windows(self) -> tuple[FailureWindow, ...]:
        """Make an empty window for each rule that counts failures."""
        return tuple(FailureWindow(*each) for each in self._counts)

    def rates(self) -> Rates | None:
        """Make an empty window for the shares; None if no rule asks for them."""
        return None if self._thresholds is None else Rates(RateWindow(*self._window), self._thresholds)


def said(config: CircuitBreakerConfig, open_times: str) -> tuple[str, str, str]:
    """Say what a breaker does, for `explain`."""
    counted = "every Exception" if config.failure_on is None else str(when(config.failure_on))
    spared = "" if config.ignore_on is None else f" but {when(config.ignore_on)}"
    back = "" if config.ramp_up is None else f" and lets ever more calls through for {config.ramp_up:g} s"
    return (
        _opening(config),
        f"counts {counted}{spared}; refusals of ours and cancellations from outside are no failures",
        f"refuses for {open_times}, then closes after {config.success_threshold} successful trials{back}",
    )


def _opening(config: CircuitBreakerConfig) -> str:
    within = [] if config.window_size is None else [f"the last {config.window_size} calls"]
    if config.window_duration is not None:
        within.append(f"{config.window_duration:g} s" if within else f"the last {config.window_duration:g} s")
    window = " and ".join(within)
    rules: list[str] = []
    if config.failure_threshold is not None:
        rules.append(f"{config.failure_threshold} failures within {window}")
    if config.consecutive_failures is not None:
        rules.append(f"{config.consecutive_failures} failures in a row")
    known = f"of at least {config.minimum_calls} calls within {window}"
    if config.failure_rate is not None:
        rules.append(f"a share of {config.failure_rate:.3g} {known} that fail")
    if config.slow_call_rate is not None:
        rules.append(f"a share of {config.slow_call_rate:.3g} {known} that take {config.slow_call_duration:g} s")
    return "opens after " + ", or ".join(rules)
