"""Rates that adapt: how many permits may come, learnt from when the service asks for less.

Each of them is a config (`AIMDRate`, frozen) and what it learns (`AIMD`, one for each limit, so one for each key). The
latter is told of every call that ended, under the lock of the limiter: when it began, and whether the service asked for
less. Rates are permits a second, and never above that of the limiter's config.

One overload makes many calls fail that are under way. So a call that began before the last cut does not cut again, as
TCP cuts once for all the packets of a window.

A cut starts from what was really sent, if that is less than what was allowed: else a limit far above the traffic would
have to fall a long way before anybody felt it (as botocore's "adaptive" retry mode does).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from recoup._core import checks, conditions
from recoup.typing import ConditionSpec  # noqa: TC001 - typing.get_type_hints looks for it here

__all__ = ["AIMDRate", "AdaptiveRate", "CubicRate", "RateLearner", "asks_for_less"]

_STATUSES = (429, 503)
_SPAN = 1.0
"""Seconds over which the calls that end are counted."""


def asks_for_less(error: BaseException) -> bool:
    """Tell whether an error is a service's answer 429 or 503, as HTTP clients raise it.

    Looked for as `status`, `status_code` or `code`, on the error and on its `response` (RFC 6585, RFC 9110).

    >>> class Answered(Exception):
    ...     status = 429
    >>> asks_for_less(Answered()), asks_for_less(TimeoutError())
    (True, False)
    """
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code", "code"):
            if getattr(holder, name, None) in _STATUSES:
                return True
    return False


class RateLearner(Protocol):
    """What a rate has learnt."""

    def learn(self, began: float, now: float, *, less: bool) -> float:
        """Take one call into account, and give the permits a second from now on.

        Args:
            began: When it began, on the limiter's clock.
            now: The time.
            less: Whether the service asked for less.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AIMDRate:
    """Raise the rate evenly while calls go well, and cut it by a share when the service asks for less.

    A cut gives `backoff_ratio` times the rate; then it grows by `increase` times the limiter's own rate each second, up
    to that rate. (Additive increase, multiplicative decrease.)

    Args:
        min_rate: Permits in the limiter's `per` seconds: the rate never falls below this; at least 1. Default 1.
        backoff_ratio: Share of the rate that is kept at a cut; above 0 and below 1. Default 0.5.
        increase: Share of the limiter's rate that is won back each second; above 0, up to 1. Default 0.02.
        slow_down_on: Errors by which the service asks for less. Default `None`: HTTP answers 429 and 503, as
            `asks_for_less` finds them. Other failures teach nothing.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Immutable; may be shared. What is learnt belongs to the limiter.

    Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989. The
    defaults are ours: TCP's half, and a minute to come back.

    >>> aimd = AIMDRate(backoff_ratio=0.5, increase=0.1).start(rate=100.0, least=1.0, now=0.0)
    >>> all(aimd.learn(began=0, now=0.5, less=False) == 100 for _ in range(100))
    True
    >>> aimd.learn(began=0, now=0.5, less=True), aimd.learn(began=0.5, now=1.5, less=False)
    (50.0, 60.0)
    """

    min_rate: int = 1
    backoff_ratio: float = 0.5
    increase: float = 0.02
    slow_down_on: ConditionSpec | None = None

    def __post_init__(self) -> None:
        _check(self, "backoff_ratio")
        checks.number("increase", self.increase, low=0, high=1, low_ok=False)

    def start(self, rate: float, least: float, now: float) -> RateLearner:
        """Begin to learn, from the limiter's rate in permits a second, which is also the most."""
        return AIMD(self, rate, least, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class CubicRate:
    """Cut the rate by a share when the service asks for less, and come back to it quickly, past it slowly.

    With w the rate at the last cut, in permits a second, the rate t seconds later is `scale * (t - k)**3 + w`, where
    `k = cbrt(w * (1 - backoff_ratio) / scale)` is when it is back at w: steep far from w, flat near it. It never
    exceeds the limiter's own rate.

    Args:
        min_rate: Permits in the limiter's `per` seconds: the rate never falls below this; at least 1. Default 1.
        backoff_ratio: Share of the rate that is kept at a cut; above 0 and below 1. Default 0.7.
        scale: How fast it comes back, in permits a second, per second cubed; more than 0. Default 0.4.
        slow_down_on: As for `AIMDRate`.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Immutable; may be shared. What is learnt belongs to the limiter.

    Source: RFC 9438, "CUBIC for fast and long-distance networks", whose constants these are; applied to a rate of
    calls as in botocore's "adaptive" retry mode (botocore.retries.throttling).

    >>> cubic = CubicRate().start(rate=100.0, least=1.0, now=0.0)
    >>> all(cubic.learn(began=0, now=0.5, less=False) == 100 for _ in range(100))
    True
    >>> cubic.learn(began=0, now=0.5, less=True)
    70.0
    >>> round(cubic.learn(began=1, now=0.5 + 75 ** (1 / 3), less=False), 6)  # k seconds later
    100.0
    """

    min_rate: int = 1
    backoff_ratio: float = 0.7
    scale: float = 0.4
    slow_down_on: ConditionSpec | None = None

    def __post_init__(self) -> None:
        _check(self, "backoff_ratio")
        checks.number("scale", self.scale, low=0, low_ok=False)

    def start(self, rate: float, least: float, now: float) -> RateLearner:
        """Begin to learn, from the limiter's rate in permits a second, which is also the most."""
        return Cubic(self, rate, least, now)


AdaptiveRate: TypeAlias = AIMDRate | CubicRate


def _check(config: AIMDRate | CubicRate, ratio: str) -> None:
    """Check what both have."""
    checks.count("min_rate", config.min_rate)
    checks.number(ratio, config.backoff_ratio, low=0, high=1, low_ok=False)
    if config.backoff_ratio == 1:
        raise ValueError(f"{ratio} must be below 1, not 1: the rate would never fall")
    if config.slow_down_on is not None:
        conditions.some("slow_down_on", config.slow_down_on)


class _Learner(ABC):
    """What both have learnt: the rate, when it was cut, and how many calls ended of late."""

    __slots__ = ("_before", "_cut", "_ended", "_least", "_most", "_rate", "_since")

    def __init__(self, rate: float, least: float, now: float) -> None:
        self._most = self._rate = rate
        self._least = min(least, rate)
        self._cut = -math.inf
        self._since = now
        self._ended = 0
        self._before = math.inf  # calls a second in the last whole span: unknown, so not less than what is allowed

    def learn(self, began: float, now: float, *, less: bool) -> float:
        """Take one call into account, and give the permits a second from now on."""
        self._count(now)
        if not less:
            self._rate = max(self._rate, min(self._most, self._grown(now)))
        elif began >= self._cut:
            sent = max(self._before, self._ended / _SPAN)
            self._cut = now
            self._rate = max(self._least, self._fallen(min(self._rate, sent), now))
        return self._rate

    def _count(self, now: float) -> None:
        """Count a call in the span of time that it belongs to."""
        past = now - self._since
        if past < 0:  # a clock that went backwards
            self._since = now
            self._cut = min(self._cut, now)
        elif past >= _SPAN:
            self._before = self._ended / past
            self._since, self._ended = now, 0
        self._ended += 1

    @abstractmethod
    def _fallen(self, rate: float, now: float) -> float:
        """Give the rate after a cut from this one."""

    @abstractmethod
    def _grown(self, now: float) -> float:
        """Give the rate that the time since the last cut allows."""


class AIMD(_Learner):
    """What an `AIMDRate` has learnt."""

    __slots__ = ("_config", "_from")

    def __init__(self, config: AIMDRate, rate: float, least: float, now: float) -> None:
        super().__init__(rate, least, now)
        self._config = config
        self._from = rate

    def _fallen(self, rate: float, now: float) -> float:  # noqa: ARG002 - for its twin
        self._from = max(self._least, rate * self._config.backoff_ratio)
        return self._from

    def _grown(self, now: float) -> float:
        return self._from + self._config.increase * self._most * max(0.0, now - self._cut)


class Cubic(_Learner):
    """What a `CubicRate` has learnt."""

    __slots__ = ("_config", "_top")

    def __init__(self, config: CubicRate, rate: float, least: float, now: float) -> None:
        super().__init__(rate, least, now)
        self._config = config
        self._top = rate

    def _fallen(self, rate: float, now: float) -> float:  # noqa: ARG002 - for its twin
        self._top = rate
        return rate * self._config.backoff_ratio

    def _grown(self, now: float) -> float:
        config, top = self._config, self._top
        if self._cut == -math.inf:
            return self._most
        back = math.cbrt(top * (1 - config.backoff_ratio) / config.scale)
        return config.scale * (max(0.0, now - self._cut) - back) ** 3 + top
