"""What a rate limit can be told."""

from __future__ import annotations

from collections.abc import Callable, Hashable  # noqa: TC003 - typing.get_type_hints looks for it here
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from recoup._core import checks
from recoup.strategies.rate_limit.rates import AdaptiveRate, AIMDRate, CubicRate
from recoup.typing import Seconds  # noqa: TC001 - as above

__all__ = ["RateLimitConfig"]

_MODES = ("smooth", "window")
_MOST = 2**53
"""Permits at once or in a time: up to here, a float counts whole ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitConfig:
    """Say how many calls may begin in which time, and how long the others wait.

    Args:
        rate: Permits that come in `per` seconds; 1 to 2**53. A call takes one, unless `weight` says otherwise.
        per: Seconds (or a timedelta) in which they come; more than 0. Default 1.0.
        burst: With "smooth": most permits that are kept for calls at once; 1 to 2**53. Default `None`: as many as
            `rate`. With 1, calls begin evenly spaced.
        mode: "smooth" is a token bucket: permits come in one by one and are kept up to `burst`, so that any time of t
            seconds sees at most `burst + t * rate / per` of them taken. "window": any time of `per` seconds sees at
            most `rate`; a permit that was taken counts for `per` seconds, and at most 5 % longer. Default "smooth".
        max_wait: Seconds (or a timedelta) that a call waits for its permits at most; 0 or more. One that would have to
            wait longer, or past its deadline, is refused at once. Default 30.0.
        weight: Permits that a call takes: a number, or a plain function of the call's arguments that gives one; at
            least 1 and no more than there can be at once. Default 1.
        key: A plain function of the call's arguments that tells whose call it is: text, a number, bytes, None, or a
            tuple of these. Each key has a limit of its own. Default `None`: one limit for all.
        max_keys: Keys that are remembered; at least 1. For a new one, the key that was idle longest is forgotten.
            Default 10000.
        adaptive: With "smooth": an `AIMDRate` or a `CubicRate`, which lowers the rate when the service asks for less,
            and raises it again up to `rate`; for each key by itself. `burst` stays. Default `None`: the rate is fixed.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or values contradict each other.

    Configs are immutable and may be shared between threads and event loops.

    >>> RateLimitConfig(rate=100, per=60).max_wait
    30.0
    """

    rate: int
    per: Seconds = 1.0
    burst: int | None = None
    mode: Literal["smooth", "window"] = "smooth"
    max_wait: Seconds = 30.0
    weight: int | Callable[..., int] = 1
    key: Callable[..., Hashable] | None = None
    max_keys: int = 10_000
    adaptive: AdaptiveRate | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        _permits("rate", self.rate)
        put(self, "per", checks.duration("per", self.per, zero=False))
        if self.mode not in _MODES:
            known = " or ".join(f'"{mode}"' for mode in _MODES)
            kind = ValueError if isinstance(self.mode, str) else TypeError
            raise kind(f"mode must be {known}, not {checks.shown(self.mode)}")
        if self.burst is not None:
            _permits("burst", self.burst)
            if self.mode == "window":
                raise ValueError('burst has no meaning with mode="window": all of rate may be taken at once')
        put(self, "max_wait", checks.duration("max_wait", self.max_wait))
        self._check_weight()
        checks.callback("key", self.key)
        _plain("key", self.key)
        checks.count("max_keys", self.max_keys)
        self._check_adaptive()

    @property
    def most(self) -> int:
        """How many permits there can be at once."""
        return self.rate if self.burst is None else self.burst

    def _check_adaptive(self) -> None:
        adaptive = self.adaptive
        if adaptive is None:
            return
        if not isinstance(adaptive, (AIMDRate, CubicRate)):
            raise TypeError(f"adaptive must be an AIMDRate, a CubicRate or None, not {checks.shown(adaptive)}")
        if self.mode == "window":
            raise ValueError('adaptive needs mode="smooth": a window is a quota, which does not depend on the load')
        if adaptive.min_rate > self.rate:
            raise ValueError(f"min_rate of adaptive must be at most rate ({self.rate}), not {adaptive.min_rate}")

    def _check_weight(self) -> None:
        if callable(self.weight):
            _plain("weight", self.weight)
            return
        checks.count("weight", self.weight)
        if self.weight > self.most:
            limit = "rate" if self.burst is None else "burst"
            raise ValueError(
                f"weight must be at most {limit} ({self.most}), not {checks.shown(self.weight)}: it would wait for ever"
            )


def _permits(argument: str, value: int) -> None:
    checks.count(argument, value)
    if value > _MOST:
        raise ValueError(f"{argument} must be at most 2**53, not {checks.shown(value)}: no clock could tell them apart")


def _plain(argument: str, function: Callable[..., object] | None) -> None:
    if checks.awaitable_callback(function):
        raise TypeError(f"{argument} must be a plain function, not the async function {checks.shown(function)}")


if TYPE_CHECKING:

    class RateLimitOptions(TypedDict, total=False):
        """Keywords of `@rate_limit`: the fields of `RateLimitConfig`, and `name`."""

        name: str | None
        rate: int
        per: Seconds
        burst: int | None
        mode: Literal["smooth", "window"]
        max_wait: Seconds
        weight: int | Callable[..., int]
        key: Callable[..., Hashable] | None
        max_keys: int
        adaptive: AdaptiveRate | None
