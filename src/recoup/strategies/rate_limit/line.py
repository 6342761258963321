"""The line of a limit: who waits, in order of arrival, and who is called.

    in line --looks, is the first, and its permits are there--> over: begins
            --looks in any other case--> in line, and looks again in a while
            --somebody behind waits for it, and it does not look for GRACE seconds--> passed over --looks--> in line
            --leaves (cancelled, refused)--> over

Permits are taken when a call begins and not before. So it does not matter what a loop, a thread or a process did that
should have begun calls in time: calls that wake up late find what is there then, and those behind them wait on.

Nobody is told once and for all when it will begin. Everybody sleeps for as long as it takes if those before it begin as
soon as they may, and looks then. Who looks too early sleeps on. Who would look too late, because somebody before it has
left or the limits have changed, is woken when it becomes the first; whoever is not the first could not begin anyway. So
to leave costs the same whatever the line, and everybody behind moves up.

The first may be unable to look: its loop is blocked or closed, its thread stands in a debugger, its coroutine was
dropped in the middle. It may not hold up the others for ever. Whoever finds that the first should have begun gives it
GRACE seconds, and then it is passed over, with all that were due as well when that was noticed. Its place is kept: when
it looks again, it stands before all who came after it. Calls that come find it too, not only those who wait: if all of
them may wait for less time than the line promises, none will ever stand in it.

A line neither reads a clock nor wakes anybody: whoever calls it holds the lock of the limiter, and wakes those who are
called when the lock is free.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import gcd

from recoup.strategies.rate_limit.turns import TICK, Permits, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["GRACE", "Line"]

GRACE = 0.05
"""Seconds that a call has to come when it is called: many times what a busy machine needs to wake a thread."""
_WORTH = 5e-5
"""Seconds that it is worth to wake somebody earlier for: timers of loops differ by as much."""
_FEW = 16  # turns that are over and may lie in a line before it is worth to look how many they are


class Line:
    """Those who wait for the permits of one limit.

    Args:
        permits: What they wait for.
        call: Takes note of a turn whose owner has to be woken.
    """

    __slots__ = ("_call", "_end", "_left", "_noticed", "_permits", "_turns", "_unit", "_weightiest")

    def __init__(self, permits: Permits, call: Callable[[Turn], object]) -> None:
        self._permits = permits
        self._call = call
        self._turns: list[Turn] = []  # a heap by number; some are over
        self._left = 0  # how many of them
        self._end = 0
        self._noticed: float | None = None  # since when somebody waits for the first, who is late
        self._weightiest = self._unit = 0  # of the weights since nobody stood here last

    def estimate(self, weight: int, now: float) -> float:
        """Tell in how many seconds a call could begin that joined the line now; 0.0 if there is none and it may."""
        permits = self._permits
        if not permits.queued:
            return permits.wait(weight, now)
        unit, waste = gcd(self._unit, weight), max(self._weightiest, weight) - gcd(self._unit, weight)
        return permits.wait(permits.queued + weight, now, unit, waste) or GRACE

    def join(self, number: int, weight: int, now: float, wait: float, waiter: Any) -> Turn:
        """Stand behind all others; `wait` is what `estimate` has told."""
        self._end += weight
        turn = Turn(self, number, weight, self._end, now, wait=wait, waiter=waiter)
        self._enter(turn)
        return turn

    def look(self, turn: Turn, now: float) -> float:
        """Begin, if that may be.

        Returns:
            0.0 if the call has begun and has its permits; else seconds until it has to look again.
        """
        turn.asked = now
        self._permits.correct(now)
        if not turn.standing:
            self._enter(turn)
        first = self._first()
        if first is not turn and self._passes(turn, now):
            first = self._first()
        if first is turn:
            wait = self._permits.wait(min(turn.weight, self._permits.most), now)
            if not wait:
                self._permits.begin(turn.weight, now)
                self.leave(turn, now)
                return 0.0
        elif self._noticed is not None:
            wait = self._noticed + GRACE - now
        else:
            before = turn.end - first.end + first.weight  # with those who have left since: they are called in time
            waste = self._weightiest - self._unit
            wait = self._permits.wait(max(before, turn.weight), now, self._unit, waste) or GRACE
        turn.due = now + wait
        return wait

    def leave(self, turn: Turn, now: float) -> None:
        """Stand in the line no more; once."""
        if turn.over:
            return
        turn.over = True
        if not turn.standing:
            return
        self._drop(turn)
        if turn is self._turns[0]:
            self.call(now)
        elif self._left > _FEW and self._left * 2 > len(self._turns):
            self._turns = [each for each in self._turns if each.standing]
            heapify(self._turns)
            self._left = 0

    def call(self, now: float) -> None:
        """Have the first one looked for, if it could begin earlier than it will look."""
        self._noticed = None
        if not self._permits.queued:
            self._turns.clear()
            self._left = self._weightiest = self._unit = 0
            return
        first = self._first()
        if first.due > now + _WORTH + self._permits.wait(min(first.weight, self._permits.most), now):
            first.due = now
            self._call(first)

    def hurry(self, now: float) -> None:
        """Pass over those who should have come, for a call that may not wait: nobody else may ever come and look."""
        if self._permits.queued:
            self._passes(None, now)

    def shift(self, back: float) -> None:
        """Go back with a clock that went backwards."""
        self._noticed = None
        for turn in self._turns:
            turn.due -= back

    def desert(self) -> None:
        """Pass over everybody: in a forked child they are not there, or will look by themselves."""
        for turn in self._turns:
            turn.standing = False
        self._permits.queued = 0
        self.call(0.0)

    def _enter(self, turn: Turn) -> None:
        turn.standing = True
        self._permits.queued += turn.weight
        self._weightiest = max(self._weightiest, turn.weight)
        self._unit = gcd(self._unit, turn.weight)
        heappush(self._turns, turn)

    def _drop(self, turn: Turn) -> None:
        turn.standing = False
        self._permits.queued -= turn.weight
        self._left += 1

    def _first(self) -> Turn:
        """Give the first who stands in the line; somebody does."""
        turns = self._turns
        while not turns[0].standing:
            heappop(turns)
            self._left -= 1
        return turns[0]

    def _passes(self, turn: Turn | None, now: float) -> bool:
        """See whether the first, who is not this one, should have come; pass over it if it was waited for."""
        first = self._first()
        if first.due > now:
            self._noticed = None
            return False
        if self._noticed is None:
            self._noticed = now
        if now - self._noticed < GRACE - TICK:
            return False
        while self._permits.queued and (first := self._first()) is not turn and first.due <= self._noticed:
            self._drop(first)
        self.call(now)
        return True
