"""Limits that adapt: how many calls may run at once, learnt from how long they take.

Each of them is a config (`AIMDLimit`, frozen) and what it learns (`AIMD`, one for each bulkhead). The latter is fed
one call at a time, under the lock of the gate: how long it ran, how many were inside when it began, and whether it was
dropped, that is, given up by or for an overloaded service. It knows no clock.

Source: Netflix, concurrency-limits (https://github.com/Netflix/concurrency-limits), package `limit`: AIMDLimit,
VegasLimit and Gradient2Limit with ExpAvgMeasurement; formulas and numbers, except the lower bounds: 1 here, because a
client that starts at `max_concurrent` need not be kept up like a server. A limit is taught by every call, as there
without a WindowedLimit, which would average over a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from recoup._core import checks, clock, conditions

if TYPE_CHECKING:
    from recoup.typing import ConditionSpec, Seconds

__all__ = ["AIMDLimit", "AdaptiveLimit", "Gradient2Limit", "Learner", "VegasLimit"]


class Learner(Protocol):
    """What a limit has learnt."""

    def learn(self, seconds: float, inside: int, *, dropped: bool) -> int:
        """Take one call into account, and give the limit from now on.

        Args:
            seconds: How long it ran; more than 0.
            inside: How many ran when it began, itself included.
            dropped: Whether it was given up for lack of time, or told to come back later.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AIMDLimit:
    """Raise the limit by one while calls are quick, and cut it by a share when one is dropped (as TCP Reno does).

    The next limit is `limit * backoff_ratio`, and at least one less, after a call that was dropped or took longer than
    `timeout`; else `limit + 1`, if at least half of the limit was in use.

    Args:
        min_limit: The limit never falls below this; at least 1. Default 1.
        max_limit: The limit never rises above this. Default 200.
        backoff_ratio: Share of the limit that is kept after a drop; 0.5 to below 1. Default 0.9.
        timeout: Seconds (or a timedelta) after which a call counts as dropped, whatever it returned. Default 5.0.
        drop_on: Errors by which a call was dropped. Other failures teach nothing. Default `TimeoutError`.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Immutable; may be shared. What is learnt belongs to the bulkhead.

    Source: Netflix, concurrency-limits, AIMDLimit.

    >>> AIMDLimit(backoff_ratio=0.5).start(20).learn(0.1, 20, dropped=True)
    10
    """

    min_limit: int = 1
    max_limit: int = 200
    backoff_ratio: float = 0.9
    timeout: Seconds = 5.0
    drop_on: ConditionSpec = TimeoutError

    def __post_init__(self) -> None:
        _check_bounds(self)
        checks.number("backoff_ratio", self.backoff_ratio, low=0.5, high=1)
        if self.backoff_ratio == 1:
            raise ValueError("backoff_ratio must be below 1, not 1: the limit would never fall")
        object.__setattr__(self, "timeout", checks.duration("timeout", self.timeout, zero=False))

    def start(self, limit: int) -> Learner:
        """Begin to learn, from a limit."""
        return AIMD(self, limit)


class AIMD:
    """What an `AIMDLimit` has learnt."""

    __slots__ = ("_config", "_limit")

    def __init__(self, config: AIMDLimit, limit: int) -> None:
        self._config = config
        self._limit = limit

    def learn(self, seconds: float, inside: int, *, dropped: bool) -> int:
        """Take one call into account, and give the limit from now on."""
        config, limit = self._config, self._limit
        if dropped or seconds > cast("float", config.timeout):
            limit = min(limit - 1, int(limit * config.backoff_ratio))
        elif inside * 2 >= limit:
            limit += 1
        self._limit = max(config.min_limit, min(config.max_limit, limit))
        return self._limit


@dataclass(frozen=True, slots=True, kw_only=True)
class VegasLimit:
    """Estimate how many calls queue up inside the service, and keep that number small (as TCP Vegas does).

    With L the limit and r = max(1, floor(log10 L)), a call that took t estimates the queue as q = ceil(L * (1 - t0 /
    t)), where t0 is the shortest time of late. The limit grows by 6 r for q <= r, by r for q < 3 r, and shrinks by r
    for q > 6 r or a call that was dropped. It does not grow while less than half of it is in use. After about 30 L
    calls (times a random number of 0.5 to 1) t0 is taken anew, because the service may have changed.

    Args:
        min_limit: The limit never falls below this; at least 1. Default 1.
        max_limit: The limit never rises above this. Default 1000.
        smoothing: Share of each step that is taken; above 0, up to 1. Default 1.0.
        probe_multiplier: After how many times the limit calls t0 is taken anew; at least 1. Default 30.
        drop_on: Errors by which a call was dropped. Other failures teach nothing. Default `TimeoutError`.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Immutable; may be shared. What is learnt belongs to the bulkhead.

    Source: Netflix, concurrency-limits, VegasLimit; Brakmo and Peterson, "TCP Vegas", 1995.

    >>> vegas = VegasLimit().start(20)
    >>> vegas.learn(0.1, 20, dropped=False), vegas.learn(0.1, 20, dropped=False)
    (20, 26)
    """

    min_limit: int = 1
    max_limit: int = 1000
    smoothing: float = 1.0
    probe_multiplier: int = 30
    drop_on: ConditionSpec = TimeoutError

    def __post_init__(self) -> None:
        _check_bounds(self)
        checks.number("smoothing", self.smoothing, low=0, high=1, low_ok=False)
        checks.count("probe_multiplier", self.probe_multiplier)

    def start(self, limit: int) -> Learner:
        """Begin to learn, from a limit."""
        return Vegas(self, limit)


class Vegas:
    """What a `VegasLimit` has learnt."""

    __slots__ = ("_calls", "_config", "_estimate", "_jitter", "_shortest")

    def __init__(self, config: VegasLimit, limit: int) -> None:
        self._config = config
        self._estimate = float(limit)
        self._shortest = math.inf
        self._calls = 0
        self._jitter = clock.uniform(0.5, 1)

    def learn(self, seconds: float, inside: int, *, dropped: bool) -> int:
        """Take one call into account, and give the limit from now on."""
        self._calls += 1
        if self._jitter * self._config.probe_multiplier * self._estimate <= self._calls:
            self._calls = 0
            self._jitter = clock.uniform(0.5, 1)
            self._shortest = seconds
        elif seconds < self._shortest:
            self._shortest = seconds
        else:
            self._adjust(self._step(seconds, inside, dropped=dropped))
        return int(self._estimate)

    def _step(self, seconds: float, inside: int, *, dropped: bool) -> int:
        root = max(1, int(math.log10(int(self._estimate))))
        if dropped:
            return -root
        if inside * 2 < self._estimate:
            return 0
        queue = math.ceil(self._estimate * (1 - self._shortest / seconds))
        if queue <= root:
            return 6 * root
        if queue < 3 * root:
            return root
        return -root if queue > 6 * root else 0

    def _adjust(self, step: int) -> None:
        config = self._config
        limit = max(config.min_limit, min(config.max_limit, self._estimate + step))
        self._estimate += config.smoothing * (limit - self._estimate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient2Limit:
    """Compare how long calls take now with how long they took in the long run, and shrink the limit when it is more.

    With s the time of a call and l the exponential average over `long_window` calls, the gradient is g = max(0.5,
    min(1, `tolerance` * l / s)), and the limit L moves to L * g + `queue_size`, by a share of `smoothing`. It does not
    change while less than half of it is in use. When l is more than 2 s, after an overload, l is cut by 5 %.

    Args:
        min_limit: The limit never falls below this; at least 1. Default 1.
        max_limit: The limit never rises above this. Default 200.
        queue_size: Calls that may queue up inside the service, so that the limit can grow; at least 1. Default 4.
        smoothing: Share of each step that is taken; above 0, up to 1. Default 0.2.
        tolerance: How much longer than usual calls may take before the limit shrinks; at least 1. Default 1.5.
        long_window: Calls over which the usual time is averaged; at least 1. Default 600.
        drop_on: Errors by which a call was dropped; it counts like any other, by its time. Other failures teach
            nothing. Default `TimeoutError`.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Immutable; may be shared. What is learnt belongs to the bulkhead.

    Source: Netflix, concurrency-limits, Gradient2Limit.java (revision f2528de: the 5 %, from a quotient of 2; the usual
    time before that cut counts for the gradient) and ExpAvgMeasurement.java (11c7060: the mean of the first 10 calls).

    >>> Gradient2Limit(smoothing=1).start(20).learn(0.1, 20, dropped=False)
    24
    """

    min_limit: int = 1
    max_limit: int = 200
    queue_size: int = 4
    smoothing: float = 0.2
    tolerance: float = 1.5
    long_window: int = 600
    drop_on: ConditionSpec = TimeoutError

    def __post_init__(self) -> None:
        _check_bounds(self)
        checks.count("queue_size", self.queue_size)
        checks.number("smoothing", self.smoothing, low=0, high=1, low_ok=False)
        checks.number("tolerance", self.tolerance, low=1)
        checks.count("long_window", self.long_window)

    def start(self, limit: int) -> Learner:
        """Begin to learn, from a limit."""
        return Gradient2(self, limit)


class Gradient2:
    """What a `Gradient2Limit` has learnt."""

    __slots__ = ("_calls", "_config", "_estimate", "_usual")

    WARM_UP = 10

    def __init__(self, config: Gradient2Limit, limit: int) -> None:
        self._config = config
        self._estimate = float(limit)
        self._usual = 0.0
        self._calls = 0

    def learn(self, seconds: float, inside: int, *, dropped: bool) -> int:  # noqa: ARG002 - a drop counts by its time
        """Take one call into account, and give the limit from now on."""
        config = self._config
        usual = self._averaged(seconds)
        if usual / seconds > 2:
            self._usual *= 0.95
        if inside >= self._estimate / 2:
            gradient = max(0.5, min(1.0, config.tolerance * usual / seconds))
            step = self._estimate * (gradient - 1) + config.queue_size
            limit = self._estimate + config.smoothing * step
            self._estimate = max(config.min_limit, min(config.max_limit, limit))
        return int(self._estimate)

    def _averaged(self, seconds: float) -> float:
        self._calls += 1
        warm = self._calls > self.WARM_UP
        share = 2 / (self._config.long_window + 1) if warm else 1 / self._calls
        self._usual += share * (seconds - self._usual)
        return self._usual


AdaptiveLimit: TypeAlias = AIMDLimit | VegasLimit | Gradient2Limit


def _check_bounds(limit: AdaptiveLimit) -> None:
    checks.count("min_limit", limit.min_limit)
    checks.count("max_limit", limit.max_limit)
    if limit.max_limit < limit.min_limit:
        raise ValueError(f"max_limit must be at least min_limit ({limit.min_limit}), not {limit.max_limit}")
    conditions.compiled("drop_on", limit.drop_on)
