"""The windowed limit: of permits that were taken, each counts for a time of `per`.

    taken at t --counts until--> t + per

To remember every call would take memory for each. Calls are remembered in slices instead: those that begin within a
20th of the window count together, all of them until the last one's time is over. So the limit is never exceeded in any
time of `per`, a permit counts at most 5 % longer than it must, and calls that are further apart are exact. There are at
most 22 slices in a window, whatever its length and whatever the traffic, and as many again for each window that calls
wait ahead. A call that has to wait is told the moment at which enough of the others stop to count; it is set aside as
if it began then. Several that wait for the same are told moments a little apart, within a slice: timers that strike
together strike in any order.

Who holds the lock: whoever calls a method.

Source: the "sliding window" of .NET's `System.Threading.RateLimiting` also counts in segments; there, a permit of a
segment's end comes back up to a segment too early, here it comes back late.
"""

from __future__ import annotations

import math

from recoup.strategies.rate_limit.claims import TICK, Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.rate_limit.config import RateLimitConfig

__all__ = ["SLICES", "Slice", "Window"]

SLICES = 20
"""Into how many slices a window is cut: a permit counts up to this part of a window too long."""
_APART = 5e-5
"""Seconds between two that wait for the same: what timers of a loop differ by (15 us, a few more when it is busy)."""


class Slice:
    """Permits that stop to count together: taken (or promised) from `first` to `last`."""

    __slots__ = ("count", "first", "last")

    def __init__(self, moment: float, count: int) -> None:
        self.first = moment
        self.last = moment
        self.count = count


class Window:
    """The permits of one windowed limit.

    Args:
        config: Its limits.
        now: The time.
    """

    __slots__ = ("_ahead", "_apart", "_per", "_rate", "_seen", "_slices", "_total", "_width")

    def __init__(self, config: RateLimitConfig, now: float) -> None:
        self._limit(config)
        self._slices: list[Slice] = []
        self._total = 0
        self._seen = now  # when a claim was looked at last
        self._ahead = -math.inf  # the last moment that was promised

    def _limit(self, config: RateLimitConfig) -> None:
        per: Any = config.per  # the config has made it seconds
        self._per: float = per
        self._width: float = per / SLICES
        self._apart = min(_APART, self._width / config.rate)
        self._rate = config.rate

    def take(self, weight: int, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        self._forget(now)
        if self._total + weight > self._rate or self._end(now) > now:
            return False
        self._put(weight, now, now)
        return True

    def reserve(self, weight: int, now: float, max_wait: float, left: float) -> Claim:
        """Take permits now, or set aside those that come first and are not promised to anybody."""
        self._correct(now)
        self._forget(now)
        end, moment = self._end(now), self._free(weight, now)
        if now < end and moment <= end:
            moment = end + self._apart
        wait = moment - now
        if wait <= TICK:
            moment, wait = now, 0.0
        if wait and (wait > max_wait or wait >= left):
            return Claim(self, weight, wait, granted=False, place=None, era=now)
        self._seen = now
        if wait:
            self._ahead = moment
        return Claim(self, weight, wait, granted=True, place=self._put(weight, moment, now), era=now)

    def cancel(self, claim: Claim, now: float) -> None:
        """Take back what was set aside for a call that will not come, as far as others can still have it."""
        self._correct(now)
        self._forget(now)
        part, slices = claim.place, self._slices
        if not isinstance(part, Slice) or part not in slices:
            return
        part.count -= claim.weight
        self._total -= claim.weight
        while slices and not slices[-1].count:
            slices.pop()
        self._seen, self._ahead = now, self._end(-math.inf)

    def available(self, now: float) -> int:
        """Tell how many permits could be taken now."""
        if self._end(now) > now + TICK:
            return 0
        return max(0, self._rate - sum(each.count for each in self._slices if each.last + self._per > now + TICK))

    def idle(self, now: float) -> bool:
        """Tell whether nothing would be lost by beginning anew."""
        return self._end(-math.inf) + self._per <= now

    def reconfigure(self, config: RateLimitConfig, now: float) -> None:
        """Go on with another rate; what was taken stays taken, and what was promised stays promised."""
        self._correct(now)
        self._forget(now)
        self._limit(config)

    def desert(self, now: float) -> None:
        """Take back all that was set aside: those who waited are gone."""
        while self._slices and self._slices[-1].last > now:
            self._total -= self._slices.pop().count
        self._seen, self._ahead = now, self._end(-math.inf)

    def _end(self, otherwise: float) -> float:
        """Give the last moment that was taken or promised."""
        return self._slices[-1].last if self._slices else otherwise

    def _forget(self, now: float) -> None:
        """Drop what counts no longer."""
        slices = self._slices
        while slices and slices[0].last + self._per <= now + TICK:
            self._total -= slices.pop(0).count

    def _free(self, weight: int, now: float) -> float:
        """Give the moment at which so many permits do not count any more that there is room."""
        room = self._rate - weight
        for each in reversed(self._slices):
            room -= each.count
            if room < 0:
                return each.last + self._per
        return now

    def _put(self, weight: int, moment: float, now: float) -> Slice:
        """Count permits from a moment on, which is not before the last one."""
        last = self._slices[-1] if self._slices else None
        # One to come is not counted with one that has come: if it is given back, nothing of it may stay.
        if last is None or moment - last.first >= self._width or last.first <= now < moment:
            last = Slice(moment, 0)
            self._slices.append(last)
        last.last = max(last.last, moment)
        last.count += weight
        self._total += weight
        return last

    def _correct(self, now: float) -> None:
        """Go back with a clock that went backwards, as far as can be known (rule G12)."""
        back = self._seen - now
        end = self._end(now)
        if end != self._ahead:  # taken at once: then that was the time
            back = max(back, end - now)
        if back > 0:
            self._seen = now
            self._ahead -= back
            for each in self._slices:
                each.first -= back
                each.last -= back
