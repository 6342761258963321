"""The states of a circuit as objects; `closed.py` has the closed one.

Nothing here locks: the circuit does, for all of it except what is marked as lock-free.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from recoup.strategies.circuit_breaker.permits import Lease
from recoup.strategies.circuit_breaker.window import numbers

if TYPE_CHECKING:
    from collections import deque
    from typing import ClassVar, TypeAlias

    from recoup.strategies.circuit_breaker.closed import Closed
    from recoup.strategies.circuit_breaker.rules import Probing

__all__ = ["GRAIN", "CircuitBreakerState", "HalfOpen", "Held", "Open"]

GRAIN = 1e-6
"""An open time is over this many seconds early.

A clock that counts from 1970 (freezegun's) is a float with steps of 0.24 us: without this, moving it by exactly the
open time may miss by one step. Nor is anybody sent away to wait for less than a microsecond.
"""


class CircuitBreakerState(Enum):
    """What a circuit does with calls.

    * `CLOSED`: lets all through and counts failures.
    * `OPEN`: refuses all until its time is over.
    * `HALF_OPEN`: lets a few probes through, which decide.
    * `FORCED_OPEN`: refuses all, by hand, until released.
    * `DISABLED`: lets all through and counts nothing, by hand, until released.
    * `METRICS_ONLY`: lets all through and counts, but never opens, by hand, until released.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


_keys = numbers()  # of probes; one supply for all circuits, since a key needs no more than to be new


class Open:
    """An open circuit.

    Attributes:
        until: When probes may begin.
        seconds: How long that takes from the beginning.
    """

    __slots__ = ("seconds", "until")
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.OPEN

    def __init__(self, since: float, seconds: float) -> None:
        self.until = since + seconds
        self.seconds = seconds

    def last(self, seconds: float) -> None:
        """Have it be open for so long, from when it began."""
        self.until += seconds - self.seconds
        self.seconds = seconds


class HalfOpen:
    """A half-open circuit.

    Attributes:
        successes: How many probes succeeded.
        out: When each probe that is running expires; the first of them first.
        lapsed: When the first probe expired that was given back too late; infinity if none was.
        seconds: How long a probe may take.
    """

    __slots__ = ("lapsed", "out", "seconds", "successes")
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.HALF_OPEN

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.successes = 0
        self.out: dict[int, float] = {}
        self.lapsed = math.inf

    def lease(self, returned: deque[tuple[HalfOpen, int, float]], limits: Probing, now: float) -> Lease | None:
        """Let a probe through, or None if there are enough."""
        self.restart(now + self.seconds)
        running = len(self.out)
        if running >= limits.at_once or running + self.successes >= limits.in_all:
            return None
        # First the lease, then its entry: interrupted in between, nothing is lost, and afterwards it returns itself.
        lease = Lease(returned, self, next(_keys))
        self.out[lease.key] = now + self.seconds
        return lease

    def adopt(self, limits: Probing) -> None:
        """Go on under other limits. A new time counts for the probes that run, from when they began."""
        # One success is always left to be had, or nobody would be let through to close the circuit.
        self.successes = min(self.successes, limits.successes - 1)
        if limits.seconds is not None:
            more = limits.seconds - self.seconds
            self.seconds = limits.seconds
            self.out = {key: until + more for key, until in self.out.items()}

    def take_back(self, key: int, when: float) -> None:
        """Take in a probe that ended neutrally; too late is as bad as never."""
        until = self.out.pop(key, None)
        if until is not None and until <= when:
            self.lapsed = min(self.lapsed, until)

    def restart(self, latest: float) -> None:
        """Let no probe expire later than this: a clock that went backwards restarts the timers."""
        if self.out and next(reversed(self.out.values())) > latest:
            self.out = {key: min(until, latest) for key, until in self.out.items()}

    def lost(self, now: float) -> float:
        """Tell when the first probe expired; infinity if none has."""
        first = next(iter(self.out.values()), math.inf)
        return min(self.lapsed, first) if first <= now else self.lapsed


class Held:
    """A circuit that somebody holds by hand.

    Attributes:
        beneath: What it goes back to when it is released.
    """

    __slots__ = ("beneath", "state")

    def __init__(self, state: CircuitBreakerState, beneath: Phase) -> None:
        self.state = state
        self.beneath = beneath


if TYPE_CHECKING:
    Phase: TypeAlias = Closed | Open | HalfOpen | Held
