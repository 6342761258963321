"""Which share of the recent calls failed, or was slow (C2, C3).

Recent are the last `size` calls, and of these the last `duration` seconds; either limit may be absent. A ring keeps one
byte a call, running totals make a question free, and time is kept in slices: a slice is forgotten as a whole when its
first outcome is older than `duration`. So an outcome counts for at least 19/20 of the duration and never longer than
all of it, a slice costs the same however many calls are in it, and the cost of a call depends on neither limit.

The caller holds the lock.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

__all__ = ["Breach", "JointRates", "RateWindow", "Rates"]

SLICES: Final = 20  # Polly takes 10, resilience4j one a second; with 20 the error is 5 % and a window 2 KiB at most
_FAILED, _SLOW = 1, 2


class Breach(Enum):
    """What there is too much of: failures, counted or as a share, slow calls, or all that there are rules for."""

    COUNT = "FailureCount"
    FAILURES = "FailureRate"
    SLOWNESS = "SlowCallRate"
    ALL = "AllRules"


class Slice:
    """The outcomes of a twentieth of the duration.

    Attributes:
        began: When the first of them was recorded.
        calls: How many there are.
        failed: How many of them failed.
        slow: How many of them were slow.
    """

    __slots__ = ("began", "calls", "failed", "slow")

    def __init__(self, began: float) -> None:
        self.began = began
        self.calls = self.failed = self.slow = 0

    def add(self, flags: int, one: int = 1) -> None:
        """Add an outcome, or with -1 take it away."""
        self.calls += one
        if flags & _FAILED:
            self.failed += one
        if flags & _SLOW:
            self.slow += one

    def absorb(self, other: Slice, times: int = 1) -> None:
        """Add all outcomes of another slice, or with -1 take them away."""
        self.calls += times * other.calls
        self.failed += times * other.failed
        self.slow += times * other.slow


class RateWindow:
    """The outcomes of the recent calls.

    Args:
        size: How many calls are recent; `None`: any number.
        duration: For how many seconds they are; `None`: for ever.

    Attributes:
        total: All of them together.
    """

    __slots__ = ("_duration", "_grain", "_next", "_ring", "_size", "_slices", "total")

    def __init__(self, size: int | None, duration: float | None) -> None:
        self._size = size
        self._duration = math.inf if duration is None else duration
        self._grain = self._duration / SLICES
        self._ring = bytearray(0 if size is None else size)
        self._next = 0
        self._slices: deque[Slice] = deque()
        self.total = Slice(0.0)

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Record an outcome at a moment, and forget what is not recent then."""
        slices = self._slices
        if slices and (slices[-1].began > now or now - slices[0].began > self._duration):
            self.forget(now)
        flags = failed * _FAILED | slow * _SLOW
        if self._size is not None:
            if self.total.calls == self._size:
                self._push_out()
            self._ring[self._next] = flags
            self._next = (self._next + 1) % self._size
        if not slices or now - slices[-1].began >= self._grain:
            slices.append(Slice(now))
        slices[-1].add(flags)
        self.total.add(flags)

    def at(self, now: float) -> Slice:
        """Tell what is recent at a moment, and forget nothing: the clock may yet go backwards."""
        total = Slice(now)
        for each in self._slices:
            if now - each.began <= self._duration:
                total.absorb(each)
        return total

    def forget(self, now: float) -> None:
        """Forget what is too old at a moment; after a clock that went backwards, ages begin anew (G12)."""
        slices = self._slices
        if slices and slices[-1].began > now:
            ahead = Slice(now)
            while slices and slices[-1].began > now:
                ahead.absorb(slices.pop())
            if slices and now - slices[-1].began < self._grain:
                slices[-1].absorb(ahead)  # or many small jumps would make many slices
            else:
                slices.append(ahead)
        while slices and now - slices[0].began > self._duration:
            self.total.absorb(slices.popleft(), -1)

    def recent(self, now: float) -> tuple[bytes | None, list[tuple[float, int, int, int]]]:
        """Give the recent outcomes, the oldest first: one by one, if they are kept so, and by slices of time."""
        slices = [each for each in self._slices if now - each.began <= self._duration]
        told = [(max(0.0, now - each.began), each.calls, each.failed, each.slow) for each in slices]
        if self._size is None:
            return None, told
        calls = sum(each.calls for each in slices)
        start = (self._next - calls) % self._size
        return bytes((self._ring + self._ring)[start : start + calls]), told

    def load(self, flags: bytes | None, slices: list[tuple[float, int, int, int]], now: float) -> None:
        """Put outcomes into an empty window, as `recent` gave them; forget those that do not fit."""
        if self._size is not None and flags is None:
            slices = _newest(slices, self._size)
            flags = _spread(slices)
        for age, *counts in slices:
            each = Slice(now - age)
            each.calls, each.failed, each.slow = counts
            self._slices.append(each)
            self.total.absorb(each)
        if self._size is not None and flags is not None:
            for outcome in flags[: -self._size]:
                self._drop(outcome)
            kept = flags[-self._size :]
            self._ring[: len(kept)] = kept
            self._next = len(kept) % self._size
        self.forget(now)

    def _push_out(self) -> None:
        """Forget the oldest call: the ring knows how it ended, and it is in the first slice."""
        self._drop(self._ring[self._next])  # the ring is full, so the oldest is where the next one goes

    def _drop(self, flags: int) -> None:
        """Take the oldest outcome out of the totals."""
        self.total.add(flags, -1)
        first = self._slices[0]
        first.add(flags, -1)
        if not first.calls:
            self._slices.popleft()


def _newest(slices: list[tuple[float, int, int, int]], most: int) -> list[tuple[float, int, int, int]]:
    """Give the slices of the newest calls; of one that is cut, failures and slow calls go with it in proportion."""
    kept: list[tuple[float, int, int, int]] = []
    for age, calls, failed, slow in reversed(slices):
        here = min(calls, most)
        if here:
            kept.append((age, here, failed * here // calls, slow * here // calls))
        most -= here
    return kept[::-1]


def _spread(slices: list[tuple[float, int, int, int]]) -> bytes:
    """Make single outcomes of slices: of each, failures and slow calls evenly among the others."""
    return bytes(
        _FAILED * ((place + 1) * failed // calls - place * failed // calls)
        | _SLOW * ((place + 1) * slow // calls - place * slow // calls)
        for _, calls, failed, slow in slices
        for place in range(calls)
    )


class Thresholds(NamedTuple):
    """The shares that are too large, from a configuration."""

    minimum_calls: int
    failure_rate: float | None
    slow_call_rate: float | None
    slow_call_duration: float | None


class Rates:
    """A window and the shares in it that open a circuit.

    Args:
        window: The recent calls.
        thresholds: A share of at least this is too large, once there are `minimum_calls`.
    """

    __slots__ = ("_thresholds", "window")

    def __init__(self, window: RateWindow, thresholds: Thresholds) -> None:
        self.window = window
        self._thresholds = thresholds

    def record(self, now: float, *, failed: bool, slow: bool) -> Breach | None:
        """Record an outcome; tell which share is too large now, if one is."""
        window = self.window
        window.record(now, failed=failed, slow=slow)
        total, limits = window.total, self._thresholds
        if total.calls < limits.minimum_calls:
            return None
        if limits.failure_rate is not None and total.failed / total.calls >= limits.failure_rate:
            return Breach.FAILURES
        if limits.slow_call_rate is not None and total.slow / total.calls >= limits.slow_call_rate:
            return Breach.SLOWNESS
        return None

    def shares(self, now: float) -> tuple[float | None, float | None]:
        """Tell the shares of failures and of slow calls at a moment; None for what is not known. Changes nothing."""
        total, limits = self.window.at(now), self._thresholds
        if total.calls < limits.minimum_calls:
            return None, None
        return total.failed / total.calls, None if limits.slow_call_rate is None else total.slow / total.calls

    def words(self, breach: Breach) -> str:
        """Say what was too much; of all, the shares that are asked for."""
        if breach is Breach.ALL:
            shares = zip(self._thresholds[1:3], (Breach.FAILURES, Breach.SLOWNESS), strict=True)
            return ", ".join(self.words(each) for limit, each in shares if limit is not None)
        total = self.window.total
        if breach is Breach.SLOWNESS:
            return f"{total.slow} of {total.calls} calls took {self._thresholds.slow_call_duration:g} s or longer"
        return f"{total.failed} of {total.calls} calls failed"


class JointRates(Rates):
    """The same where rules hold together only: every share that is asked for has to be too large."""

    __slots__ = ()

    def record(self, now: float, *, failed: bool, slow: bool) -> Breach | None:
        """Record an outcome; tell whether all shares are too large now."""
        first = super().record(now, failed=failed, slow=slow)
        total, most = self.window.total, self._thresholds.slow_call_rate
        if first is Breach.FAILURES and most is not None and total.slow / total.calls < most:
            return None
        if first is Breach.SLOWNESS and self._thresholds.failure_rate is not None:
            return None  # it would have been named first
        return None if first is None else Breach.ALL
