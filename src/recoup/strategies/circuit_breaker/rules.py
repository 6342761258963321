"""What opens a circuit, worked out once from its configuration (C2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

from recoup._core.conditions import when
from recoup.strategies.circuit_breaker.open_time import OpenTimes
from recoup.strategies.circuit_breaker.rates import JointRates, Rates, RateWindow, Thresholds
from recoup.strategies.circuit_breaker.telling import wants_seconds
from recoup.strategies.circuit_breaker.window import FailureWindow

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["Probing", "Rules", "said"]


class Probing(NamedTuple):
    """How probes are let through.

    Attributes:
        successes: So many close the circuit.
        at_once: No more than this many run at the same time.
        in_all: No more than this many are let through, neutral ones apart: more could not matter.
        seconds: After this a probe that has not returned is lost; None: after as long as the circuit was open.
    """

    successes: int
    at_once: int
    in_all: int
    seconds: float | None

    @classmethod
    def of(cls, config: CircuitBreakerConfig) -> Probing:
        """Read a configuration."""
        at_once = config.half_open_max or config.success_threshold
        seconds = cast("float | None", config.half_open_timeout)  # the config made seconds of it
        return cls(config.success_threshold, at_once, max(at_once, config.success_threshold), seconds)


class Rules:
    """What circuits go by; immutable, shared by the states that follow one another and by all circuits of a breaker.

    Attributes:
        asks: Whether every outcome has to be recorded under the lock: for rates, and to judge results (C10).
        names: Of the rules that count failures, as their options are called.
        probing: How probes are let through.
        ramp_up: How long calls take to come back, in seconds; None: all at once.
        reach: How many calls after a failure it can still matter; 0 if no rule counts calls.
        timed: Whether every call has to ask, so that somebody knows when it began.
        timeout: What says how long the circuit stays open.
        together: Whether the circuit opens only when all rules hold at the same time.
        windowed: All that the windows depend on.
    """

    __slots__ = (
        *("_counts", "_same_times", "_thresholds", "_window", "asks", "names", "probing", "ramp_up", "reach"),
        *("timed", "timeout", "together", "windowed"),
    )

    def __init__(self, config: CircuitBreakerConfig) -> None:
        size = math.inf if config.window_size is None else config.window_size
        duration = cast("float", math.inf if config.window_duration is None else config.window_duration)
        row = config.consecutive_failures
        counts: dict[str, tuple[int, float, float]] = {}
        if config.failure_threshold is not None:
            counts["failure_threshold"] = (config.failure_threshold, size, duration)
        if row is not None:
            counts["consecutive_failures"] = (row, row, math.inf)
        self.names = tuple(counts)
        self._counts = tuple(counts.values())
        self.reach = max((cast("int", size) for _, size, _ in self._counts if size < math.inf), default=0)
        self._thresholds: Thresholds | None = None
        slow = cast("float | None", config.slow_call_duration)
        if config.failure_rate is not None or config.slow_call_rate is not None:
            self._thresholds = Thresholds(config.minimum_calls, config.failure_rate, config.slow_call_rate, slow)
        self._window = config.window_size, cast("float | None", config.window_duration)
        self.asks = self._thresholds is not None or config.failure_on_result is not None
        self.together = config.open_when == "all"
        self.windowed = (counts, self._thresholds, self._window, self.asks, self.together)
        self.timed = slow is not None or wants_seconds(config.failure_on_result)
        self.ramp_up = cast("float | None", config.ramp_up)  # the config made seconds of it
        self.probing = Probing.of(config)
        self.timeout = config.timeout
        self._same_times = OpenTimes(config.timeout) if isinstance(config.timeout, float) else None

    def open_times(self) -> OpenTimes:
        """Give open times for one circuit. If they grow, this runs the user's code: never under a lock."""
        return OpenTimes(self.timeout) if self._same_times is None else self._same_times

    def windows(self) -> tuple[FailureWindow, ...]:
        """Make an empty window for each rule that counts failures."""
        return tuple(FailureWindow(*each) for each in self._counts)

    def rates(self) -> Rates | None:
        """Make an empty window for the shares; None if no rule asks for them."""
        if self._thresholds is None:
            return None
        kind = JointRates if self.together else Rates
        return kind(RateWindow(*self._window), self._thresholds)

    def counted(self) -> list[str]:
        """Say what the rules that count failures have seen when they hold."""
        thresholds = zip(self.names, self._counts, strict=True)
        return [
            f"{most} failure{'s' if most > 1 else ''}{' in a row' if name == 'consecutive_failures' else ''}"
            for name, (most, _, _) in thresholds
        ]


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
    if config.open_when == "all":
        return "opens only after all of these at the same time: " + ", and ".join(rules)
    return "opens after " + ", or ".join(rules)
