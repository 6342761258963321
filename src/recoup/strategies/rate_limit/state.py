"""The smooth limit: a token bucket, kept as the moment at which it was last full and what was taken since.

    full at `since` --take--> `taken` permits out --take--> ... --`taken` have come in again--> full at a new `since`

The n-th permit taken since then is there at `since + (n - burst) * step`: this is the virtual scheduling form of the
generic cell rate algorithm. To count whole permits, and not to add up the intervals, makes it exact: no error grows
with the number of calls. Only what was really taken is in here. Those who wait stand in a line (`line.py`), and while
anybody does (`queued`), nobody else gets a permit.

A call that has waited begins a little late, because timers are late. If the bucket has run over meanwhile by no more
than LATE, that is forgiven: it counts from the moment at which it might have begun. Otherwise every call would push
those behind it back a little, and the rate would never be reached.

`admit` takes no lock, so that a call which finds its permit pays for no more than a few sums. That is exact on an
interpreter with a GIL, because a thread gives up the GIL only where something is called or a loop goes round: between
reading the state and writing it, nothing here does either (a test looks at the bytecode). Without a GIL the limiter
uses `take` instead. All others are called by whoever holds the lock of the limiter, and write what they have decided in
the same way, so `admit` may come between them anywhere. So may a signal handler or a finaliser that makes a call of its
own. Only a debugger that stops between two lines of `admit` can make two threads take one permit.

Source: ITU-T Recommendation I.371, "generic cell rate algorithm", virtual scheduling; its "cell delay variation
tolerance" is what LATE forgives.
"""

from __future__ import annotations

import math

from recoup.strategies.rate_limit.turns import TICK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.rate_limit.config import RateLimitConfig
    from recoup.strategies.rate_limit.line import Line
    from recoup.strategies.rate_limit.rates import RateLearner

__all__ = ["LATE", "Bucket"]

LATE = 0.001
"""Seconds that a call which has waited may begin late without pushing back the others: event loops round to these."""

_LEAST = 1e-18
"""Seconds between two permits at the least: far less than any clock tells, and so much that it can be divided by."""


class Bucket:
    """The permits of one smooth limit.

    Args:
        config: Its limits.
        now: The time, at which the bucket is full.
    """

    __slots__ = ("_since", "_step", "_taken", "_weight", "learner", "line", "most", "queued")

    def __init__(self, config: RateLimitConfig, now: float) -> None:
        self.most, self._step, self._weight = _figures(config)
        self.learner = _learner(config, now)
        self.line: Line | None = None
        self.queued = 0
        self._since = now
        self._taken = 0

    def admit(self, now: float) -> bool:
        """Take what a call takes that says nothing else, if it is there and nobody waits; without the lock."""
        if self.queued:
            return False
        taken = self._taken
        if self._since + taken * self._step <= now:
            self._since = now
            self._taken = self._weight
            return True
        taken += self._weight
        if self._since + (taken - self.most) * self._step > now + TICK:
            return False
        self._taken = taken
        return True

    def take(self, weight: int, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        if self.queued:
            return False
        taken, since = self._taken, self._since
        if since + taken * self._step <= now:
            taken, since = 0, now
        taken += weight
        if since + (taken - self.most) * self._step > now + TICK:
            return False
        self._since, self._taken = since, taken
        return True

    def begin(self, weight: int, now: float) -> None:
        """Take permits for a call that has waited for them, and was told to wait no longer."""
        weight = min(weight, self.most)  # the limits may have changed: then it takes what there can be
        taken, since = self._taken, self._since
        full = since + taken * self._step
        if full <= now:
            taken, since = 0, full if now - full <= LATE else now
        self._since, self._taken = since, taken + weight

    def wait(self, weight: int, now: float, unit: int = 1, waste: int = 0) -> float:  # noqa: ARG002 - nothing is left
        """Tell in how many seconds so many permits will have come, if nobody takes any; also more than `most`."""
        taken, since = self._taken, self._since
        if since + taken * self._step <= now:
            taken, since = 0, now
        wait = since + (taken + weight - self.most) * self._step - now
        return 0.0 if wait <= TICK else wait

    def available(self, now: float) -> int:
        """Tell how many permits could be taken now."""
        if self.queued:
            return 0
        came = math.floor((now + TICK - self._since) / self._step)
        return max(0, min(self.most, self.most - self._taken + came))

    def drain(self, now: float) -> int:
        """Take all permits that are there, if nobody waits; tell how many."""
        while not self.queued:
            since, taken = self._since, self._taken
            count = self.available(now)
            full = since + taken * self._step <= now
            if self._since == since and self._taken == taken:
                self._since, self._taken = (now, count) if full else (since, taken + count)
                return count
        return 0

    def idle(self, now: float) -> bool:
        """Tell whether nothing would be lost by beginning anew."""
        return not self.queued and self._since + self._taken * self._step <= now

    def correct(self, now: float) -> None:
        """Go back with a clock that went backwards, as far as can be known (rule G12)."""
        since = self._since
        back = since + (self._taken - self.most) * self._step - now  # when the last one was taken, it was there
        back = max(back, since - now)
        if back > TICK:
            if self._since == since:
                self._since = since - back
            if self.line is not None:
                self.line.shift(back)

    def reconfigure(self, config: RateLimitConfig, now: float) -> None:
        """Go on with other limits, and learn anew; what was taken stays taken."""
        self.learner = _learner(config, now)
        self._go_on(*_figures(config), now)

    @property
    def rate(self) -> float:
        """Permits that come in a second now."""
        return 1 / self._step

    def learn(self, began: float, now: float, *, less: bool) -> bool:
        """Take a call into account that ended; tell whether permits come at another rate now."""
        if self.learner is None:
            return False
        step = max(1 / self.learner.learn(began, now, less=less), _LEAST)
        if step == self._step:
            return False
        self._go_on(self.most, step, self._weight, now)
        return True

    def _go_on(self, most: int, step: float, weight: int, now: float) -> None:
        while True:
            since, taken = self._since, self._taken
            end = since + (taken - self.most) * self._step  # when the bucket is empty, or was
            kept = min((now - end) / self._step, float(self.most), float(most))
            if kept > 0:
                end = now - kept * step
            whole = math.floor((now - end) / step)
            if self._since == since and self._taken == taken:
                self._since, self._taken = end + whole * step, most - whole
                self.most, self._step, self._weight = most, step, weight
                break

    def reset(self, now: float) -> None:
        """Begin anew with all permits there, at the rate of the limits."""
        self._since, self._taken = now, 0


def _learner(config: RateLimitConfig, now: float) -> RateLearner | None:
    """Begin to learn, if the limit adapts."""
    per: Any = config.per  # the config has made it seconds
    adaptive = config.adaptive
    return None if adaptive is None else adaptive.start(config.rate / per, adaptive.min_rate / per, now)


def _figures(config: RateLimitConfig) -> tuple[int, float, int]:
    """Give the most permits at once, the seconds between two, and how many a call takes that says nothing else."""
    per: Any = config.per  # the config has made it seconds
    return config.most, max(per / config.rate, _LEAST), config.weight if isinstance(config.weight, int) else 1
