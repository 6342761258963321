"""What a hedge decides: when another attempt is due, whether it may be made, and who has won.

`Pace` is shared by all calls; its lock is held for a moment and never over user code. `HedgeRun` belongs to one call
and is used in one task at a time.

A call: running --succeeded()--> won, by the first attempt that succeeds
        running --failed() of every attempt--> lost: the error of the first attempt counts
        running --failed() with control flow (rule G2)--> stopped: that comes out

The live delay is the quantile of the durations of whole calls, hedged ones included. What is cut short by a hedge lies
above the delay anyway, so at the true quantile the estimate stays there; if it is too low, the hedged calls, which last
longer than the delay, pull it up.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil
from threading import Lock

from recoup._core import waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from recoup.strategies.hedge.config import HedgeConfig

__all__ = ["HedgeRun", "Latencies", "Pace"]


class Latencies:
    """The quantile of the last durations; memory is fixed, and the cost of one more is a search and a shift.

    It is exact, by nearest rank: the smallest duration that at least a share `quantile` of them do not exceed.

    Source: R. J. Hyndman and Y. Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50(4), 1996,
    definition 1. (The P-square algorithm needs five numbers instead of a window, but never forgets a slow start.)

    Args:
        quantile: Above 0 and below 1.
        minimum: How many durations there must be.
        size: How many are kept.
    """

    def __init__(self, quantile: float, minimum: int, size: int) -> None:
        self._quantile = quantile
        self._minimum = minimum
        self._last: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []
        self.value: float | None = None

    def resized(self, quantile: float, minimum: int, size: int) -> Latencies:
        """Give the same durations, as many of the last ones as may be kept, under other options."""
        other = Latencies(quantile, minimum, size)
        for seconds in self._last:
            other.add(seconds)
        return other

    def add(self, seconds: float) -> None:
        """Take a duration into account."""
        last, ordered = self._last, self._sorted
        if len(last) == last.maxlen:
            del ordered[bisect_left(ordered, last[0])]
        last.append(seconds)
        insort(ordered, seconds)
        if len(ordered) >= self._minimum:
            self.value = ordered[ceil(self._quantile * len(ordered)) - 1]


class Pace:
    """When the calls of one hedge get another attempt, and how many may have one.

    Tokens: each call brings `budget` of one, each added attempt costs one, and `burst` may be saved. So of n calls at
    most `burst + budget * n` attempts are added. A budget that is shared with retries keeps its own tokens.

    Args:
        config: The options.

    Attributes:
        config: The options that hold now.
    """

    def __init__(self, config: HedgeConfig) -> None:
        self.config = config
        self.after_fork()
        waiting.at_fork(self)

    def after_fork(self) -> None:
        """Begin anew; in a forked child the lock may be held by a thread that is not there (G18)."""
        self._lock = Lock()
        self._clear_locked()

    def reset(self) -> None:
        """Forget all durations and counts; all tokens are there."""
        with self._lock:
            self._clear_locked()

    def _clear_locked(self) -> None:
        config = self.config
        self._latencies = Latencies(config.quantile, config.minimum_samples, config.window_size)
        self._pay(config)
        self._tokens = float(config.burst)
        self._calls = self._hedges = self._wins = self._withheld = 0

    def _pay(self, config: HedgeConfig) -> None:
        self._shared: Any = None if isinstance(config.budget, float) else config.budget
        self._income = config.budget if isinstance(config.budget, float) else 0.0

    def reconfigure(self, config: HedgeConfig) -> None:
        """Go on with other options; durations are kept, and tokens as far as they may be saved."""
        with self._lock:
            self._latencies = self._latencies.resized(config.quantile, config.minimum_samples, config.window_size)
            self._pay(config)
            self._tokens = min(self._tokens, float(config.burst))
            self.config = config

    @property
    def delay(self) -> float | None:
        """How many seconds an attempt has before another one is due; `None` while that is not known."""
        fixed: Any = self.config.delay  # the config has made it seconds
        return self._latencies.value if fixed is None else fixed

    def called(self) -> None:
        """Take note of a call."""
        with self._lock:
            self._calls += 1
            self._tokens = min(float(self.config.burst), self._tokens + self._income)

    def spend(self, now: float) -> bool:
        """Ask for another attempt; False if the budget is used up."""
        shared = self._shared
        if shared is not None:
            paid = shared._spend(now, timeout=False) is not None
            with self._lock:
                return self._counted_locked(allowed=paid)
        with self._lock:
            allowed = self._tokens >= 1 - 1e-9  # ten times 0.1 is a little less than 1
            self._tokens -= allowed
            return self._counted_locked(allowed=allowed)

    def _counted_locked(self, *, allowed: bool) -> bool:
        self._hedges += allowed
        self._withheld += not allowed
        return allowed

    def succeeded(self, seconds: float, attempt: int) -> None:
        """Take note of how long a call took that succeeded, and of which attempt won."""
        with self._lock:
            self._latencies.add(seconds)
            self._wins += attempt > 1

    def counts(self) -> Mapping[str, int]:
        """Give what was counted, all of it at one moment."""
        with self._lock:
            return {
                "calls": self._calls,
                "hedges": self._hedges,
                "wins": self._wins,
                "withheld": self._withheld,
            }


class HedgeRun:
    """One call and its attempts.

    Attributes:
        attempts: How many have started.
        winner: Number of the attempt that won, from 1; 0 while none has.
        value: What it returned.
        failures: The errors of the attempts that failed before the call was decided, by number.
        spurned: The results that would not do, by number.
        control: What stopped the call: control flow, or the error of a predicate.
        over: Whether the call is decided.
    """

    __slots__ = (
        "_began",
        "_delay",
        "_due",
        "_most",
        "_pace",
        "attempts",
        "control",
        "failures",
        "over",
        "spurned",
        "value",
        "winner",
    )

    def __init__(self, pace: Pace, most: int, now: float) -> None:
        self._pace = pace
        self._most = most
        self._began = now
        self._delay = pace.delay
        self._due = now
        self.attempts = 0
        self.winner = 0
        self.value: Any = None
        self.failures: dict[int, BaseException] = {}
        self.spurned: dict[int, Any] = {}
        self.control: BaseException | None = None
        self.over = False
        pace.called()

    @property
    def delay(self) -> float:
        """How long each attempt has before the next one is due; asked only when one was due."""
        return 0.0 if self._delay is None else self._delay

    def start(self, now: float) -> int:
        """Take note that an attempt starts; give its number."""
        self.attempts += 1
        if self._delay is not None:
            self._due = now + self._delay
        return self.attempts

    def wait(self, now: float, left: float | None) -> float | None:
        """Tell in how many seconds another attempt is due; `None` if none will be.

        Args:
            now: The time.
            left: Seconds until the deadline of the caller, if it has one: none starts then or later (D1).
        """
        if self._delay is None or self.attempts >= self._most:
            return None
        seconds = max(self._due - now, 0.0)
        return None if left is not None and seconds >= left else seconds

    def add(self, now: float) -> bool:
        """Ask for another attempt, now that it is due; if the budget has none, there will be none in this call."""
        if self._pace.spend(now):
            return True
        self._most = self.attempts
        return False

    def succeeded(self, attempt: int, value: Any, now: float) -> bool:
        """Take note of a value; False if it comes too late and is nobody's."""
        if self.over:
            return False
        self.over = True
        self.winner = attempt
        self.value = value
        self._pace.succeeded(max(now - self._began, 0.0), attempt)
        return True

    def failed(self, attempt: int, error: BaseException) -> None:
        """Take note of an error."""
        if self.over:
            return
        if isinstance(error, Exception):
            self.failures[attempt] = error
            self._count()
        else:
            self.stopped(error)

    def turned_down(self, attempt: int, value: Any) -> bool:
        """Take note of a result that will not do; False if it comes too late and is nobody's."""
        if self.over:
            return False
        self.spurned[attempt] = value
        self._count()
        return True

    def stopped(self, error: BaseException) -> None:
        """Take note of what ends a call at once that is not over yet."""
        self.control = error
        self.over = True

    def _count(self) -> None:
        self.over = len(self.failures) + len(self.spurned) == self.attempts

    def outcome(self) -> BaseException | None:
        """Give the error to raise, and forget all errors, whose tracebacks hold this run; `None` if there is a value.

        That is the winner's; or the first attempt's, if all failed and that one with a result that would not do.
        """
        error = None if self.winner else (self.control or self.failures.get(1))
        if error is None and not self.winner:
            self.value = self.spurned.pop(1)
        self.failures.clear()
        self.control = None
        return error
