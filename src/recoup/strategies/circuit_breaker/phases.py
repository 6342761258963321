"""The states of a circuit as objects.

Nothing here locks: the circuit does, for all of it except what is marked as lock-free.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, cast

from recoup.strategies.circuit_breaker.cause import Cause
from recoup.strategies.circuit_breaker.permits import ASK, Lease
from recoup.strategies.circuit_breaker.rates import Breach
from recoup.strategies.circuit_breaker.window import numbers, some

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from typing import ClassVar, Final, TypeAlias

    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
    from recoup.strategies.circuit_breaker.rules import Rules

__all__ = ["GRAIN", "CircuitBreakerState", "Closed", "HalfOpen", "Held", "Open", "Probing", "Ramp", "Watched"]

LOWEST_SHARE: Final = 0.1  # of the calls, right after closing: the specification of C6

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


class Closed:
    """A closed circuit, and the permit of every call that begins in it.

    While rules count failures only, successes matter only in so far as they push failures out of the window. So nobody
    counts them while no failure is recent; after a failure they take numbers from an iterator, which needs no lock,
    until it is out of the window.

    Attributes:
        tick: Counts a success without a lock, by `next(tick, None)`, which gives None where it has to be recorded under
            the lock. None instead of an iterator while nobody counts successes.
        rates: The shares of failures and slow calls, if a rule asks for them.
        ramp: Which calls are let through for a while after an outage; None for all of them.
    """

    __slots__ = ("_newest", "_numbers", "_reach", "_windows", "ramp", "rates", "tick")
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.CLOSED

    def __init__(self, rules: Rules, ramp: Ramp | None = None) -> None:
        self.ramp = ramp
        self._numbers = numbers()
        self._reach = rules.reach
        self.begin(rules)

    def begin(self, rules: Rules) -> None:
        """Forget all that was recorded."""
        self._newest = 0
        self._windows = rules.windows()
        self.rates = rules.rates()
        self.tick: Iterator[object] | None = ASK if rules.asks else None

    def failed(self, now: float, *, slow: bool) -> Breach | None:
        """Record a failure; tell what there is too much of now, if anything."""
        self._newest = number = next(self._numbers)
        if self.tick is not ASK and self._reach:
            self.tick = some(self._numbers, self._reach - 1)
        breach = None if self.rates is None else self.rates.record(now, failed=True, slow=slow)
        too_many = [window.failed(number, now) for window in self._windows]
        return Breach.COUNT if any(too_many) else breach

    def succeeded(self, now: float, *, slow: bool) -> Breach | None:
        """Record a success that `tick` did not count; tell what there is too much of now, if anything."""
        number = next(self._numbers)
        if self.tick is not ASK and number - self._newest >= self._reach:
            self.tick = None  # what is out of the window now stays out, counted or not
        return None if self.rates is None else self.rates.record(now, failed=False, slow=slow)

    def accused(self, breach: Breach, now: float) -> Cause:
        """Put a share that is too large into words."""
        assert self.rates is not None  # noqa: S101 - for the type checker: who else saw the share
        return Cause.said(breach.value, self.rates.words(breach), now)

    def give_back(self, now: float) -> None:
        """Do nothing: a neutral call leaves no trace in a closed circuit."""


_keys = numbers()  # of probes; one supply for all circuits, since a key needs no more than to be new


class Watched(Closed):
    """A circuit that lets all calls through and only says when it would have opened (C1).

    Attributes:
        beneath: What it goes back to when it is released.
    """

    __slots__ = ("beneath",)
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.METRICS_ONLY

    def __init__(self, rules: Rules, beneath: Phase) -> None:
        super().__init__(rules)
        self.beneath = beneath


class Ramp:
    """How calls come back after an outage: from a tenth of them to all, evenly over some seconds (C6).

    By a share that adds up, not by dice: one call in ten is every tenth one.

    Args:
        began: When the circuit closed.
        seconds: How long until all calls are let through.
    """

    __slots__ = ("_began", "_credit", "_seconds")

    def __init__(self, began: float, seconds: float) -> None:
        self._began = began
        self._seconds = seconds
        self._credit = 1 - LOWEST_SHARE

    def over(self, now: float) -> bool:
        """Tell whether all calls are let through again."""
        self._began = min(self._began, now)  # a clock that went backwards (G12)
        return now - self._began >= self._seconds - GRAIN

    def admits(self, now: float) -> bool:
        """Tell whether a call is let through."""
        self._credit += LOWEST_SHARE + (1 - LOWEST_SHARE) * (now - self._began) / self._seconds
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


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


class Probing(NamedTuple):
    """How probes are let through.

    Attributes:
        successes: So many close the circuit.
        at_once: No more than this many run at the same time.
        in_all: No more than this many are let through, neutral ones apart: more could not matter.
        seconds: After this a probe that has not returned is lost; None: after as long as the circuit was open.
    """

    successes: int
    at_once: int
    in_all: int
    seconds: float | None

    @classmethod
    def of(cls, config: CircuitBreakerConfig) -> Probing:
        """Read a configuration."""
        at_once = config.half_open_max or config.success_threshold
        seconds = cast("float | None", config.half_open_timeout)  # the config made seconds of it
        return cls(config.success_threshold, at_once, max(at_once, config.success_threshold), seconds)


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
