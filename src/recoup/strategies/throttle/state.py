"""Balance: how many calls were asked for lately, and how many of them the service accepted.

    odds = max(0, (requests - multiplier * accepts) / (requests + 1))

is the probability with which the next call is held back. Calls that were held back count as requests: the more a
program asks, the more of it is held back, and what gets through stays near `multiplier` times what is accepted.

A call counts when it ends. If those that run counted as requests, a program that begins with a hundred calls at once
would hold back the hundred-and-first, of a service that is well.

Lately: the time is cut into slices, and the newest `SLICES` count, the running one included. Each has two numbers, and
there are running totals: fixed memory and a few steps a call, whatever the window and the traffic. After idling longer
than the window nothing old counts.

While nobody is held back, a call that was accepted only takes a number of a counter that hands out each once
(`tick`), and needs no lock for that: it can but lower the odds. What was ticked off is added to the slice of its time
by the next one who looks, and somebody looks whenever a slice is over (`calm_until`).

Nobody locks here: whoever calls does, except where something is marked as lock-free. A balance neither reads a clock
nor draws lots.

Source: B. Beyer et al., "Site Reliability Engineering", 2016, chapter 21, "Handling Overload", equation 21-1.
"""

from __future__ import annotations

import math
import sys
from itertools import count
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SLICES", "Balance", "ticks"]

SLICES = 24
"""Into how many slices a window is cut; five seconds each of the usual two minutes."""

_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # free-threaded builds know the question


class Balance:
    """Requests and accepts of the last while.

    Args:
        multiplier: Requests per accept from which on calls are held back.
        seconds: How long a call counts.
        now: Seconds on a monotonic clock.

    Attributes:
        requests: Calls asked for in the window, those held back included.
        accepts: Those of them that the service accepted.
        held_back: Calls held back since the beginning.
        calm_from: From when on (lock-free) nobody is held back, until `calm_until`, as long as nothing is counted.
        calm_until: Until when; infinitely long ago while calls may be held back.
        tick: Count a call that was accepted, while it is calm (lock-free).
    """

    __slots__ = (
        "_accepted",
        "_begun",
        "_index",
        "_looks",
        "_multiplier",
        "_requested",
        "_ticked",
        "_width",
        "accepts",
        "calm_from",
        "calm_until",
        "held_back",
        "requests",
        "tick",
    )

    def __init__(self, multiplier: float, seconds: float, now: float) -> None:
        self._multiplier = multiplier
        self._width = _width(seconds)
        self.held_back = 0
        self.tick = ticks()
        self._looks = self._ticked = 0
        self._clear(now)

    def _clear(self, now: float) -> None:
        self._requested = [0] * SLICES
        self._accepted = [0] * SLICES
        self._index = 0
        self._begun = now  # when the running slice began
        self.requests = self.accepts = 0
        self._look()

    def odds(self, now: float) -> float:
        """Tell with which probability a call is held back at this moment; 0.0 to just below 1.0."""
        self._turn(now)
        return self.told()[0]

    def told(self) -> tuple[float, int, int, int]:
        """Give the odds, requests, accepts and calls held back, as they were counted last."""
        requests, accepts = self.requests, self.accepts
        odds = max(0.0, (requests - self._multiplier * accepts) / (requests + 1))
        return odds, requests, accepts, self.held_back

    def admits(self, now: float, draw: Callable[[], float]) -> bool:
        """Let a call through or hold it back; one that is held back counts at once.

        Args:
            now: Seconds on a monotonic clock.
            draw: Draws evenly from [0, 1); asked only if the odds are not zero.
        """
        odds = self.odds(now)
        if odds and draw() < odds:
            self.held_back += 1
            self._add(accepted=False)
            return False
        return True

    def record(self, now: float, *, accepted: bool) -> None:
        """Count a call that has ended."""
        self._turn(now)
        self._add(accepted=accepted)

    def reconfigure(self, multiplier: float, seconds: float, now: float) -> None:
        """Go on with another multiplier and window; what is in the window now, and would be in the new one, counts."""
        self._turn(now)
        self._multiplier = multiplier
        width = _width(seconds)
        if width != self._width:
            requested, accepted = [0] * SLICES, [0] * SLICES
            running = now - self._begun
            for back in range(SLICES):
                age = max(0.0, running + (back - 1) * self._width)  # of the newest call that may be in there
                if age < width * SLICES:
                    slot = min(int(age / width), SLICES - 1)
                    requested[-slot] += self._requested[self._index - back]
                    accepted[-slot] += self._accepted[self._index - back]
            self._requested, self._accepted = requested, accepted
            self.requests, self.accepts = sum(requested), sum(accepted)
            self._index, self._begun, self._width = 0, now, width
        self._look()

    def reset(self, now: float) -> None:
        """Begin anew, as if no call had been made."""
        self._take_in()
        self.held_back = 0
        self._clear(now)

    def _add(self, *, accepted: bool) -> None:
        index = self._index
        self._requested[index] += 1
        self.requests += 1
        if accepted:
            self._accepted[index] += 1
            self.accepts += 1
        self._look()

    def _turn(self, now: float) -> None:
        """Go on to the slice of this moment, and forget what is too old."""
        self._take_in()
        begun = self._begun
        if now < begun:  # the clock went backwards: the slice begins anew (rule G12)
            self._begun = now
            self._look()
            return
        passed = (now - begun) / self._width
        if passed < 1:
            return
        if passed >= SLICES:
            self._clear(now)
            return
        for _ in range(int(passed)):
            self._index = index = (self._index + 1) % SLICES
            self.requests -= self._requested[index]
            self.accepts -= self._accepted[index]
            self._requested[index] = self._accepted[index] = 0
        self._begun = begun + int(passed) * self._width
        self._look()

    def _take_in(self) -> None:
        """Add what was ticked off to the running slice."""
        self._looks += 1
        new = self.tick() - self._looks - self._ticked  # a counter tells its number only by counting on
        if new:
            self._ticked += new
            self._requested[self._index] += new
            self._accepted[self._index] += new
            self.requests += new
            self.accepts += new

    def _look(self) -> None:
        """Say until when nobody needs to ask for the odds."""
        self.calm_from = self._begun
        calm = self.requests <= self._multiplier * self.accepts
        self.calm_until = self._begun + self._width if calm else -math.inf


def _width(seconds: float) -> float:
    """Give the length of a slice; at least so much that it can be divided by."""
    return max(seconds / SLICES, 1e-18)


def ticks(*, locked: bool = not _GIL) -> Callable[[], int]:
    """Make a function that gives 1, 2, 3 ... to any number of threads, each number once.

    Args:
        locked: Whether a lock is needed: `itertools.count` is atomic under the GIL only. Default: if there is no GIL.
    """
    step = count(1).__next__
    if not locked:
        return step
    lock = Lock()

    def number() -> int:
        with lock:
            return step()

    return number
