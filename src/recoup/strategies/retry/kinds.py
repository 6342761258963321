"""The choices that a retry offers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TypeAlias

from recoup.typing import Seconds

__all__ = ["OWN_RANGES", "BackoffStrategy", "Delays", "RetryAfter"]


class BackoffStrategy(Enum):
    """How the wait grows from one retry to the next.

    With d the initial delay, m the multiplier and n the number of the retry (from 1), capped at the maximum delay:

    * `FIXED`: d
    * `LINEAR`: d * n
    * `EXPONENTIAL`: d * m ** (n - 1)
    * `JITTER`: exponential, spread evenly over its `jitter_range` (by default half of it either way)
    * `DECORRELATED`: evenly between d and three times the previous wait
    * `FULL_JITTER`: evenly between 0 and the exponential wait
    * `EQUAL_JITTER`: evenly between half of the exponential wait and the whole
    * `SMOOTH_JITTER`: medians near d, d, 2 d, 4 d, 8 d ..., spread over all moments without gaps or peaks; where that
      is longer than the maximum delay, evenly between half of the maximum and the whole

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (decorrelated, full and equal
    jitter); Polly v8, `RetryHelper.DecorrelatedJitterBackoffV2`, after a formula of G. Dixon (smooth jitter).
    """

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    JITTER = "jitter"
    DECORRELATED = "decorrelated"
    FULL_JITTER = "full_jitter"
    EQUAL_JITTER = "equal_jitter"
    SMOOTH_JITTER = "smooth_jitter"


Delays: TypeAlias = (
    BackoffStrategy
    | str
    | Iterable[Seconds]
    | Callable[[int], Seconds]
    | Callable[[int, Exception], Seconds]
    | Callable[[], Iterator[Seconds]]
)
"""What can be given as `backoff_strategy`."""


class RetryAfter(Enum):
    """What is done when the service says how long to wait (`Retry-After`).

    * `OBEY`: it is waited for that long, in place of the own delay; a wait that is longer than `max_delay`, or does not
      fit the deadline, gives up at once
    * `CLAMP`: the same, but a wait that is longer than `max_delay` is cut to it
    * `IGNORE`: only the own delays count
    """

    OBEY = "obey"
    CLAMP = "clamp"
    IGNORE = "ignore"


OWN_RANGES = (
    BackoffStrategy.DECORRELATED,
    BackoffStrategy.FULL_JITTER,
    BackoffStrategy.EQUAL_JITTER,
    BackoffStrategy.SMOOTH_JITTER,
)
