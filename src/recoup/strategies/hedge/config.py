"""What a hedge can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypedDict

from recoup._core import checks
from recoup.typing import Predicate, Seconds  # noqa: TC001 - typing.get_type_hints looks for them here

__all__ = ["Budget", "HedgeConfig"]

_LEAST_SAMPLES = 100  # fewer say nothing about a 95th percentile: five calls would decide


class Budget(Protocol):
    """What hands out tokens to retries and hedges alike: a `RetryBudget`."""

    def _spend(self, now: float, *, timeout: bool) -> float | None:
        """Pay for a call that is added; `None` if there is no token for it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeConfig:
    """Say when a call gets a second attempt beside the first, and how many calls may.

    Args:
        idempotent: Has to be True: two attempts of one call may both take effect, so say that this does no harm.
        delay: How long the first attempt has before another one starts, in seconds (or a timedelta); 0 or more. `None`
            for `quantile`. Default `None`.
        quantile: The share of calls, above 0 and below 1, that are quicker than the delay: it follows the durations of
            the last calls that succeeded. Default 0.95, the 95th percentile.
        minimum_samples: How many durations must be known before `quantile` means anything, at least 100; until then
            nothing is hedged. Default 100.
        window_size: How many of the last durations count, at least `minimum_samples`. Default 1000, or
            `minimum_samples` if that is more.
        max_attempts: Attempts of one call in all, the first included; at least 2. Each later one starts a delay after
            the one before. Default 2.
        failure_on_result: Predicate of the result; true means that the attempt has failed, and a better result of
            another one is waited for. If all attempts fail, and the first one with such a result, that is given all the
            same. An error in it propagates. Default `None`: every result is a success.
        budget: How many attempts may be added per call on average, above 0 and at most 1. Or a `RetryBudget`, shared
            with retries and other hedges: an added attempt costs what a retry costs, and calls put nothing in. Default
            0.1: at most a tenth more calls.
        burst: How many added attempts may be saved up, at least 1; a new hedge has as many. Without a meaning for a
            `RetryBudget`. Default 10.
        grace: How long attempts that have lost, and were cancelled, are waited for, in seconds (or a timedelta); 0 or
            more. Those that take longer end by themselves. Under Trio nobody is left behind. Default 0.1.

    Raises:
        TypeError: If `idempotent` is not True, or a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or both `delay` and `quantile` are given.

    Configs are immutable and may be shared between threads and event loops.

    Source: J. Dean and L. A. Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013: a second request
    after the 95th percentile of the expected latency adds about 5 % of load.

    >>> HedgeConfig(delay=0.2, idempotent=True).delay
    0.2
    """

    idempotent: bool = False
    delay: Seconds | None = None
    quantile: float = checks.DefaultFloat(0.95)
    minimum_samples: int = _LEAST_SAMPLES
    window_size: int = checks.DefaultInt(1000)
    max_attempts: int = 2
    failure_on_result: Predicate | None = None
    budget: float | Budget = 0.1
    burst: int = 10
    grace: Seconds = 0.1

    def __post_init__(self) -> None:
        if not checks.boolean("idempotent", self.idempotent):
            raise TypeError(
                "hedge makes a second call while the first still runs, and both may take effect: say idempotent=True "
                "if that does no harm (reads, or writes with an idempotency key); otherwise use @retry with an "
                "attempt_timeout, or @deadline"
            )
        object.__setattr__(self, "delay", checks.optional_duration("delay", self.delay))
        self._check_quantile()
        checks.size("max_attempts", self.max_attempts, low=2)
        checks.plain_callback("failure_on_result", self.failure_on_result)
        if not callable(getattr(self.budget, "_spend", None)):
            object.__setattr__(self, "budget", checks.number("budget", self.budget, low=0, high=1, low_ok=False))
        checks.size("burst", self.burst)
        object.__setattr__(self, "grace", checks.duration("grace", self.grace))

    def _check_quantile(self) -> None:
        given = not isinstance(self.quantile, checks.DefaultFloat)
        if self.delay is not None and given:
            raise ValueError("delay and quantile contradict each other: give a fixed delay, or none and a quantile")
        quantile = checks.number("quantile", self.quantile, low=0, high=1, low_ok=False)
        if quantile == 1:
            raise ValueError("quantile must be below 1, not 1: no call is slower than the slowest")
        checks.size("minimum_samples", self.minimum_samples, low=_LEAST_SAMPLES)
        checks.size("window_size", self.window_size)
        if self.window_size < self.minimum_samples:
            if not isinstance(self.window_size, checks.DefaultInt):
                raise ValueError(
                    f"window_size must be at least minimum_samples ({self.minimum_samples}), not {self.window_size}: "
                    "nothing would ever be hedged"
                )
            object.__setattr__(self, "window_size", checks.DefaultInt(self.minimum_samples))


if TYPE_CHECKING:

    class HedgeOptions(TypedDict, total=False):
        """Keywords of `@hedge`: the fields of `HedgeConfig`, and `name`."""

        name: str | None
        idempotent: bool
        delay: Seconds | None
        quantile: float
        minimum_samples: int
        window_size: int
        max_attempts: int
        failure_on_result: Predicate | None
        budget: float | Budget
        burst: int
        grace: Seconds
