"""How long to wait: pure maths of delays (rules R1 and R2).

The cap comes first and the jitter stays inside it. A cap after the jitter would turn most late delays into exactly
the cap (55-99 % of them), and a fleet of clients that was meant to spread would retry in step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from recoup._core import checks
from recoup.strategies.retry.config import BackoffStrategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.retry.config import RetryConfig

    Uniform = Callable[[float, float], float]

__all__ = ["Backoff"]

_JITTER_RANGE = 0.5  # of JITTER when none is given: waits from half to one and a half of the plain value
_MANY = 1000  # delays that are summed one by one for the worst case; nobody reads it to the second beyond
_GROWTH = 3.0  # of decorrelated jitter: up to three times the previous wait


def _highest(low: float, high: float) -> float:  # noqa: ARG001 - stands in for a draw
    return high


class Backoff:
    """The delays of one configuration; immutable, shared by all its calls.

    Args:
        config: A checked configuration.
    """

    __slots__ = ("_config", "_initial", "_jitter", "_longest")

    def __init__(self, config: RetryConfig) -> None:
        self._config = config
        self._initial = cast("float", config.initial_delay)  # the config made seconds of both
        self._longest = cast("float", config.max_delay)
        given = config.jitter_range
        if given is None:
            given = _JITTER_RANGE if config.backoff_strategy is BackoffStrategy.JITTER else 0.0
        self._jitter = given

    def capped(self, n: int) -> float:
        """Give the delay before the n-th retry (from 1), capped, before jitter."""
        config = self._config
        strategy = config.backoff_strategy
        if strategy is BackoffStrategy.LINEAR:
            return min(self._longest, self._initial * n)
        if strategy in (BackoffStrategy.EXPONENTIAL, BackoffStrategy.JITTER):
            try:
                return min(self._longest, self._initial * config.backoff_multiplier ** (n - 1))
            except OverflowError:  # attempt 100,000 of somebody patient
                return self._longest if self._initial else 0.0
        return self._initial

    def delay(self, n: int, previous: float | None, uniform: Uniform) -> float:
        """Give the delay before the n-th retry.

        Args:
            n: Number of the retry, from 1.
            previous: The delay before the retry before this one; `None` for the first.
            uniform: Draws evenly between two numbers.

        Returns:
            Seconds, never above `max_delay`.
        """
        strategy = self._config.backoff_strategy
        if not isinstance(strategy, BackoffStrategy):
            return self._own(strategy, n)
        if strategy is BackoffStrategy.DECORRELATED:
            base = self._initial
            return uniform(base, min(self._longest, _GROWTH * (base if previous is None else previous)))
        capped = self.capped(n)
        if not self._jitter:
            return capped
        return uniform(capped * (1 - self._jitter), min(capped * (1 + self._jitter), self._longest))

    def longest(self, retries: int) -> float:
        """Give the most seconds that some retries can wait in all; past the first thousand, at most that."""
        total, previous = 0.0, None
        for n in range(1, min(retries, _MANY) + 1):
            previous = self.delay(n, previous, _highest)
            total += previous
        if retries > _MANY:
            total += (retries - _MANY) * self.delay(retries, self._longest, _highest)
        return total

    def __str__(self) -> str:
        strategy = self._config.backoff_strategy
        kind = strategy.value if isinstance(strategy, BackoffStrategy) else "delays of your own"
        return f"{self.delay(1, None, _highest):.3g} s at first and {self._longest:.3g} s at most ({kind})"

    def _own(self, delays: Any, n: int) -> float:
        """Give a delay of the user's own list or function."""
        if isinstance(delays, tuple):
            delay = float(delays[min(n, len(delays)) - 1])
        else:
            delay = checks.duration("the delay that backoff_strategy returned", delays(n))
        return min(delay, self._longest)
