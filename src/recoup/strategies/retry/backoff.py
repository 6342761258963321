"""How long to wait: pure maths of delays (rules R1 and R2).

The cap comes first and the jitter stays inside it. A cap after the jitter would turn most late delays into exactly
the cap (55-99 % of them), and a fleet of clients that was meant to spread would retry in step.

Some kinds remember something from one wait of a call to the next: the last wait, or where an iterable of the user's
stands. The call keeps that memory and hands it back; it begins as `None`.
"""

from __future__ import annotations

import math
from inspect import isgeneratorfunction
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from recoup._core import checks
from recoup.strategies.retry.checking import wants_error
from recoup.strategies.retry.kinds import OWN_RANGES, BackoffStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recoup.strategies.retry.config import RetryConfig

    Uniform = Callable[[float, float], float]
    Memory = Any

__all__ = ["Backoff"]

_JITTER_RANGE = 0.5  # of JITTER when none is given: waits from half to one and a half of the plain value
_JITTERED = (BackoffStrategy.JITTER, *OWN_RANGES)  # what does not mean to be exact
_MANY = 1000  # delays that are summed one by one for the worst case; nobody reads it to the second beyond
_GROWTH = 3.0  # of decorrelated jitter: up to three times the previous wait
_SMOOTHING = 4.0  # Polly's PFactor: smooths the first delays
_SMOOTH_SCALE = 1 / 1.4  # Polly's RpScalingFactor: puts the medians near 1, 1, 2, 4, 8 ... times the initial delay
_STRANGE = "the delay that backoff_strategy gave"


class _Place(NamedTuple):
    """Where a call stands in an iterable of the user's."""

    delays: Iterator[Any]
    last: float


def _highest(low: float, high: float) -> float:  # noqa: ARG001 - stands in for a draw
    return high


def _share(config: RetryConfig) -> tuple[float, float]:
    """Give the range of the jitter, as shares of the capped delay."""
    if config.backoff_strategy is BackoffStrategy.FULL_JITTER:
        return 0.0, 1.0
    if config.backoff_strategy is BackoffStrategy.EQUAL_JITTER:
        return 0.5, 1.0
    spread = _spread(config)
    return 1 - spread, 1 + spread


def _spread(config: RetryConfig) -> float:
    """Give the spread of the jitter round a delay, as a share of it."""
    if config.jitter_range is not None:
        return config.jitter_range
    return _JITTER_RANGE if config.backoff_strategy in _JITTERED else 0.0


def _anew(delays: Any) -> Any:
    return delays() if callable(delays) else delays


class Backoff:
    """The delays of one configuration; immutable, shared by all its calls.

    Args:
        config: A checked configuration.

    Attributes:
        waits: Whether it ever waits: not without an initial delay.
    """

    __slots__ = ("_config", "_high", "_initial", "_longest", "_low", "_spread", "_wants_error", "waits")

    def __init__(self, config: RetryConfig) -> None:
        self._config = config
        self._initial = cast("float", config.initial_delay)  # the config made seconds of both
        self._longest = cast("float", config.max_delay)
        self.waits = bool(self._initial) or not isinstance(config.backoff_strategy, BackoffStrategy)
        self._low, self._high = _share(config)
        self._spread = _spread(config)
        self._wants_error = wants_error(config.backoff_strategy)

    def capped(self, n: int) -> float:
        """Give the delay before the n-th retry (from 1), capped, before jitter."""
        config = self._config
        strategy = config.backoff_strategy
        if strategy is BackoffStrategy.FIXED:
            return self._initial
        if strategy is BackoffStrategy.LINEAR:
            return min(self._longest, self._initial * n)
        try:
            return min(self._longest, self._initial * config.backoff_multiplier ** (n - 1))
        except OverflowError:  # attempt 100,000 of somebody patient
            return self._longest if self._initial else 0.0

    def delay(
        self, n: int, memory: Memory, uniform: Uniform, error: BaseException | None = None
    ) -> tuple[float, Memory]:
        """Give the delay before the n-th retry.

        Args:
            n: Number of the retry, from 1.
            memory: What came with the delay before; `None` for the first of a call.
            uniform: Draws evenly between two numbers.
            error: What the last attempt failed with, or the `UnacceptableResult`; `None` for the longest delay that
                the next error can ask for.

        Returns:
            Seconds, never above `max_delay`, and the memory for the next one.
        """
        if not self.waits:
            return 0.0, None
        strategy, longest = self._config.backoff_strategy, self._longest
        if not isinstance(strategy, BackoffStrategy):
            delay, memory = self._own(strategy, n, memory, error)
        elif strategy is BackoffStrategy.DECORRELATED:
            previous = self._initial if memory is None else memory
            delay = memory = uniform(self._initial, min(longest, _GROWTH * previous))
        elif strategy is BackoffStrategy.SMOOTH_JITTER:
            delay, memory = self._smooth(n, memory, uniform)
        else:
            delay = self.capped(n)
            if self._low < self._high:
                delay = uniform(delay * self._low, min(delay * self._high, longest))
        return min(delay, longest), memory  # a draw may be above its range by a rounding

    @property
    def longest_delay(self) -> float:
        """The cap, in seconds."""
        return self._longest

    def hinted(self, hint: float, left: float | None, uniform: Uniform) -> float:
        """Spread a wait that the service asked for (rule R5): upwards only, by as much as our own waits are spread.

        Args:
            hint: Seconds; more than the cap only if it is to be cut to that.
            left: Seconds until the deadline; the spread stays inside if the hint does. `None` if there is none.
            uniform: Draws evenly between two numbers.

        Returns:
            Seconds, never above `max_delay`.
        """
        if hint > self._longest:  # everybody who was told the same would come back at the cap
            return uniform(self._longest * (1 - self._spread), self._longest)
        highest = min(hint * (1 + self._spread), self._longest)
        if left is not None and hint < left < highest:
            highest = left
        return min(uniform(hint, highest), self._longest) if hint < highest else hint

    def longest(self, retries: int) -> float:
        """Give the most seconds that some retries can wait in all; past the first thousand, at most that."""
        total, memory = 0.0, None
        for n in range(1, min(retries, _MANY) + 1):
            delay, memory = self.delay(n, memory, _highest)
            total += delay
        if retries > _MANY:
            grows = isinstance(self._config.backoff_strategy, BackoffStrategy)  # delays of one's own may do anything
            total += (retries - _MANY) * (self.delay(retries, memory, _highest)[0] if grows else self._longest)
        return total

    def __str__(self) -> str:
        strategy = self._config.backoff_strategy
        kind = strategy.value if isinstance(strategy, BackoffStrategy) else "delays of your own"
        return f"{self.delay(1, None, _highest)[0]:.3g} s at first and {self._longest:.3g} s at most ({kind})"

    def _smooth(self, n: int, memory: Memory, uniform: Uniform) -> tuple[float, Memory]:
        """Give the step of a curve from the last moment on it to one that is drawn within the n-th unit of its time."""
        moment = n - 1 + uniform(0.0, 1.0)
        try:
            reached = 2.0**moment * math.tanh(math.sqrt(_SMOOTHING * moment))
        except OverflowError:
            reached = math.inf
        delay = (reached - (memory or 0.0)) * _SMOOTH_SCALE * self._initial
        if delay <= self._longest:
            return delay, reached
        return uniform(self._longest / 2, self._longest), reached  # also from infinity to infinity, which is no number

    def _own(self, delays: Any, n: int, memory: Memory, error: BaseException | None) -> tuple[float, Memory]:
        """Give a delay of the user's own: of a list, of a function, or of an iterable that each call begins anew."""
        if isinstance(delays, tuple):
            return delays[min(n, len(delays)) - 1], None
        if self._wants_error:
            return self._longest if error is None else checks.duration(_STRANGE, delays(n, error)), None
        if callable(delays) and not isgeneratorfunction(delays):
            return checks.duration(_STRANGE, delays(n)), None
        place = memory or _Place(iter(_anew(delays)), 0.0)
        for given in place.delays:
            place = _Place(place.delays, checks.duration(_STRANGE, given))
            break
        return place.last, place
