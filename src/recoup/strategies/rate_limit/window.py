"""The windowed limit: of permits that were taken, each counts for a time of `per`.

    taken at t --counts until--> t + per

To remember every call would take memory for each. So calls are remembered in slices: calls that begin at one moment
make one, and when there are SLICES of them, also those that begin within a 20th of the window, all of them until the
last one's time is over. So the limit is never exceeded in any time of `per`, a permit counts at most 5 % longer than it
must, and up to SLICES calls in a window are exact. There are at most 41 slices, whatever the window and the traffic.
Only what was really taken is in here; those who wait stand in a line (`line.py`).

Who holds the lock: whoever calls a method.

Source: the "sliding window" of .NET's `System.Threading.RateLimiting` also counts in segments; there, a permit of a
segment's end comes back up to a segment too early, here it comes back late.
"""

from __future__ import annotations

from recoup.strategies.rate_limit.turns import TICK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.rate_limit.config import RateLimitConfig
    from recoup.strategies.rate_limit.line import Line

__all__ = ["SLICES", "Slice", "Window"]

SLICES = 20
"""Into how many slices a window is cut: a permit counts up to this part of a window too long."""


class Slice:
    """Permits that stop to count together: taken from `first` to `last`."""

    __slots__ = ("count", "first", "last")

    def __init__(self, moment: float) -> None:
        self.first = moment
        self.last = moment
        self.count = 0


class Window:
    """The permits of one windowed limit.

    Args:
        config: Its limits.
        now: The time.
    """

    __slots__ = ("_per", "_slices", "_total", "_width", "line", "most", "queued")

    def __init__(self, config: RateLimitConfig, now: float) -> None:  # noqa: ARG002 - as a bucket is made
        self._limit(config)
        self.line: Line | None = None
        self.queued = 0
        self._slices: list[Slice] = []  # at most 41, so that to drop the first costs little; a deque is thrice as large
        self._total = 0

    def _limit(self, config: RateLimitConfig) -> None:
        per: Any = config.per  # the config has made it seconds
        self._per: float = per
        self._width: float = per / SLICES
        self.most = config.rate

    def take(self, weight: int, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        if self.queued:
            return False
        self._forget(now)
        if self._total + weight > self.most or (self._slices and self._slices[-1].last > now):
            return False
        self._put(weight, now)
        return True

    def begin(self, weight: int, now: float) -> None:
        """Take permits for a call that has waited for them, and was told to wait no longer."""
        self._put(min(weight, self.most), now)

    def wait(self, weight: int, now: float, unit: int = 1, waste: int = 0) -> float:
        """Tell in how many seconds so many permits will have come, if nobody takes any; also more than `most`.

        With more than `most`, those who take them wait for each other, window after window. How many fit into one
        depends on how their weights follow each other: at least as many as is assumed, so nobody begins later.
        """
        self._forget(now)
        windows = 0
        if weight > self.most:
            windows, weight = self._ahead(weight, unit, waste)
        over = self._total + weight - self.most
        wait = 0.0
        parts = iter(self._slices)
        while over > 0:
            part = next(parts)
            over -= part.count
            wait = part.last + self._per - now
        return wait + windows * self._per

    def _ahead(self, weight: int, unit: int, waste: int) -> tuple[int, int]:
        """Give a number of windows, and how many permits are left that have to come before them, at most.

        One window has room for all but the waste. And as the first of each window did not fit into the one before, any
        two of them have room for more than `most`.
        """
        one = (self.most - waste) // unit * unit
        two = self.most // unit * unit + unit
        over = weight - self.most
        if 2 * one >= two:
            windows = -(-over // one)
            return windows, weight - windows * one
        pairs, rest = divmod(over, two)
        windows = 2 * pairs + (rest > 0) + (rest > one)
        return windows, max(0, weight - pairs * two - (0 if not rest else one if rest <= one else two))

    def available(self, now: float) -> int:
        """Tell how many permits could be taken now."""
        if self.queued:
            return 0
        return max(0, self.most - sum(each.count for each in self._slices if each.last + self._per > now + TICK))

    def drain(self, now: float) -> int:
        """Take all permits that are there, if nobody waits; tell how many."""
        count = self.available(now)
        return count if count and self.take(count, now) else 0

    def idle(self, now: float) -> bool:
        """Tell whether nothing would be lost by beginning anew."""
        return not self.queued and (not self._slices or self._slices[-1].last + self._per <= now)

    def correct(self, now: float) -> None:
        """Go back with a clock that went backwards, as far as can be known (rule G12)."""
        back = self._slices[-1].last - now if self._slices else 0.0
        if back > 0:
            for each in self._slices:
                each.first -= back
                each.last -= back
            if self.line is not None:
                self.line.shift(back)

    def reconfigure(self, config: RateLimitConfig, now: float) -> None:
        """Go on with another rate; what was taken stays taken."""
        self._forget(now)
        self._limit(config)

    def reset(self, now: float) -> None:  # noqa: ARG002 - as a bucket is reset
        """Begin anew with all permits there."""
        self._slices.clear()
        self._total = 0

    def _forget(self, now: float) -> None:
        """Drop what counts no longer."""
        slices = self._slices
        while slices and slices[0].last + self._per <= now + TICK:
            self._total -= slices.pop(0).count

    def _put(self, weight: int, now: float) -> None:
        """Count permits from now on."""
        slices = self._slices
        if not slices or (slices[-1].last < now and (len(slices) < SLICES or now - slices[-1].first >= self._width)):
            slices.append(Slice(now))
        last = slices[-1]
        last.last = max(last.last, now)
        last.count += weight
        self._total += weight
