"""The smooth limit: a token bucket, kept as the moment at which it was last full and what was taken since.

    full at `since` --take--> `taken` permits out --take--> ... --`taken` have come in again--> full at a new `since`

The n-th permit taken since then is there at `since + (n - burst) * step`: this is the virtual scheduling form of the
generic cell rate algorithm. To count whole permits, and not to add up the intervals, makes it exact: no error grows
with the number of calls. A moment in the future may be promised, so nobody has to stand in a queue: a call that has to
wait knows for how long. Moments are promised in order of arrival, and whoever comes while one is promised comes later.

`admit` takes no lock, so that a call which finds its permit pays for no more than a few sums. That is exact on an
interpreter with a GIL, because a thread gives up the GIL only where something is called or a loop goes round: between
reading the state and writing it, nothing here does either (a test looks at the bytecode). Without a GIL the limiter
uses `take` instead. All others are called by whoever holds the lock of the limiter, and write what they have decided in
the same way, so `admit` may come between them anywhere. So may a signal handler or a finaliser that makes a call of its
own. Only a debugger that stops between two lines of `admit` can make two threads take one permit.

A claim that is given back is free again only if nobody was promised a later moment: those who come after it keep
theirs, and nobody new may go before them. So it waits in the row until all behind it are given back as well, or until
its moment has passed and nobody can have it any more.

Source: ITU-T Recommendation I.371, "generic cell rate algorithm", virtual scheduling. What a cancelled reservation may
give back: Go's `golang.org/x/time/rate`, `Reservation.CancelAt`.
"""

from __future__ import annotations

import math
from collections import deque

from recoup.strategies.rate_limit.claims import TICK, Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.rate_limit.config import RateLimitConfig

__all__ = ["Bucket"]


class Bucket:
    """The permits of one smooth limit.

    Args:
        config: Its limits.
        now: The time, at which the bucket is full.
    """

    __slots__ = ("_burst", "_era", "_promised", "_row", "_seen", "_since", "_step", "_taken", "_weight")

    def __init__(self, config: RateLimitConfig, now: float) -> None:
        self._burst, self._step, self._weight = _figures(config)
        self._since = now
        self._taken = 0
        self._remember(now)
        self._row: deque[Claim] | None = None  # claims whose moment is to come, in order; those given back included

    def _remember(self, now: float) -> None:
        """Take note of how things are, and when: if they are still so, nobody has come since."""
        self._seen, self._promised, self._era = now, self._taken, self._since

    def admit(self, now: float) -> bool:
        """Take what a call takes that says nothing else, if it is there and nobody waits; without the lock."""
        taken = self._taken
        if self._since + taken * self._step <= now:
            self._since = now
            self._taken = self._weight
            return True
        taken += self._weight
        if self._since + (taken - self._burst) * self._step > now + TICK:
            return False
        self._taken = taken
        return True

    def take(self, weight: int, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        taken, since = self._taken, self._since
        if since + taken * self._step <= now:
            taken, since = 0, now
        taken += weight
        if since + (taken - self._burst) * self._step > now + TICK:
            return False
        self._since, self._taken = since, taken
        return True

    def reserve(self, weight: int, now: float, max_wait: float, left: float) -> Claim:
        """Take permits now, or set aside those that come first and are not promised to anybody."""
        self._correct(now)
        taken, since = self._taken, self._since
        if since + taken * self._step <= now:
            taken, since = 0, now
        taken += weight
        wait = since + (taken - self._burst) * self._step - now
        if wait <= TICK:
            wait = 0.0
        granted = not wait or (wait <= max_wait and wait < left)
        if granted:
            self._since, self._taken = since, taken
            self._remember(now)
        claim = Claim(self, weight, wait, granted=granted, place=taken, era=since)
        if granted and wait:
            if self._row is None:
                self._row = deque()
            self._row.append(claim)
            while self._row[0].era != since or self._moment(self._row[0]) <= now:
                self._row.popleft()
        return claim

    def cancel(self, claim: Claim, now: float) -> None:
        """Take back what was set aside for a call that will not come, as far as others can still have it."""
        self._correct(now)
        claim.granted = False
        row = self._row
        while row and not row[-1].granted:
            last = row.pop()
            if last.era == self._since and last.place == self._taken:
                self._taken -= last.weight
        self._remember(now)

    def available(self, now: float) -> int:
        """Tell how many permits could be taken now."""
        came = math.floor((now + TICK - self._since) / self._step)
        return max(0, min(self._burst, self._burst - self._taken + came))

    def idle(self, now: float) -> bool:
        """Tell whether nothing would be lost by beginning anew."""
        return self._since + self._taken * self._step <= now

    def reconfigure(self, config: RateLimitConfig, now: float) -> None:
        """Go on with another rate; what was taken stays taken, and what was promised stays promised."""
        self._correct(now)
        self._row = None  # who waits keeps the moment that was promised; there is nothing to be given back
        burst, step, weight = _figures(config)
        while True:
            since, taken = self._since, self._taken
            end = since + (taken - self._burst) * self._step  # when the bucket is empty, or was
            kept = min((now - end) / self._step, float(self._burst), float(burst))
            if kept > 0:
                end = now - kept * step
            whole = math.floor((now - end) / step)
            if self._since == since and self._taken == taken:
                self._since, self._taken = end + whole * step, burst - whole
                self._burst, self._step, self._weight = burst, step, weight
                break
        self._remember(now)

    def desert(self, now: float) -> None:
        """Take back all that was set aside: those who waited are gone."""
        self._row = None
        if self._end() > now:
            self._since, self._taken = now, self._burst
        self._remember(now)

    def _end(self) -> float:
        """Give the moment at which the last permit that was taken is there: the bucket is empty then."""
        return self._since + (self._taken - self._burst) * self._step

    def _moment(self, claim: Claim) -> float:
        place: int = claim.place
        return self._since + (place - self._burst) * self._step

    def _correct(self, now: float) -> None:
        """Go back with a clock that went backwards, as far as can be known (rule G12)."""
        since, taken = self._since, self._taken
        back = max(self._seen - now, since - now)
        if since != self._era or taken != self._promised:  # somebody came at once: it was there
            back = max(back, since + (taken - self._burst) * self._step - now - TICK)
        if back > 0:
            for claim in self._row or ():
                claim.era -= back
            if self._since == since:
                self._since = since - back
            self._remember(now)


def _figures(config: RateLimitConfig) -> tuple[int, float, int]:
    """Give the most permits at once, the seconds between two, and how many a call takes that says nothing else."""
    per: Any = config.per  # the config has made it seconds
    return config.most, per / config.rate, config.weight if isinstance(config.weight, int) else 1
