"""What a circuit decides; it neither waits nor reads a clock.

    CLOSED --failures--> OPEN --timeout--> HALF_OPEN --successes--> CLOSED
                          ^-- failure, or a probe lost --|

and over any of these, by hand: FORCED_OPEN, DISABLED.

Rules:
* A state is an object, and each entry into a state makes a new one. A call holds a permit of the state in which it
  began: the `Closed` object itself, or a `Lease` of a `HalfOpen` one. What comes back with a permit of an earlier
  state is dropped (C4).
* `era` is the `Closed` object while calls may pass without asking, else None. A healthy call reads it once, and
  `permit.tick` once when it ends, which says whether and how its success is counted (C10).
* Time acts lazily: `advance(now)` does what is due; `view(now)` tells what it would do and changes nothing.
* A probe is a lease (C5). Giving one back takes no lock, because a finaliser may run while the lock is held: it goes to
  `_returned`, and the next holder takes it in. A probe that does not come back in time opens the circuit again at the
  moment at which it expired, however late that is noticed.
* One lock, held for a few lines and never over user code (G7). Callbacks are not run here: a transition puts a
  `Notice` into `news`, and whoever sees news tells it.
"""

from __future__ import annotations

import math
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, cast

from recoup.strategies.circuit_breaker.cause import Cause
from recoup.strategies.circuit_breaker.news import News, Notice
from recoup.strategies.circuit_breaker.permits import ASK, UNCOUNTED, Lease
from recoup.strategies.circuit_breaker.phases import GRAIN, CircuitBreakerState, Closed, HalfOpen, Held, Open, Probing
from recoup.strategies.circuit_breaker.rates import Breach
from recoup.strategies.circuit_breaker.rules import Rules

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
    from recoup.strategies.circuit_breaker.permits import Permit, Uncounted
    from recoup.strategies.circuit_breaker.phases import Phase

__all__ = ["Circuit"]

# What a state means for calls: callbacks and events report changes of this, so that a gauge they drive stays right
# when somebody takes the circuit into their own hands.
_MEANING = {
    CircuitBreakerState.CLOSED: CircuitBreakerState.CLOSED,
    CircuitBreakerState.DISABLED: CircuitBreakerState.CLOSED,
    CircuitBreakerState.OPEN: CircuitBreakerState.OPEN,
    CircuitBreakerState.FORCED_OPEN: CircuitBreakerState.OPEN,
    CircuitBreakerState.HALF_OPEN: CircuitBreakerState.HALF_OPEN,
}


class Circuit:
    """The state that all calls through one circuit breaker share.

    Args:
        config: The rules.
        timed: Whether every call has to ask, so that somebody knows when it began.

    Attributes:
        passing: The permit of a closed circuit with nothing to tell, which needs no lock; else None.
        era: The same, for calls that need not ask; else None.
        phase: The current state.
        news: Transitions that have not been told yet.
        cause: What opened the circuit last; None while it is closed.
        opened: How many times it opened by itself.
        late: How many results came too late to count.
    """

    def __init__(self, config: CircuitBreakerConfig, *, timed: bool = False) -> None:
        self._open_time = cast("float", config.timeout)  # the config made seconds of both
        self._probing = Probing.of(config)
        self._holds: dict[object, CircuitBreakerState] = {}
        self._returned: deque[tuple[HalfOpen, int, float]] = deque()
        self._lock = Lock()
        self.news = News()
        self.cause: Cause | None = None
        self.opened = 0
        self.late = 0
        self._rules = Rules(config)
        self.phase: Phase = Closed(self._rules)
        self._timed = timed
        self.passing: Closed | None = self.phase
        self.era: Closed | None = None if timed else self.phase

    # Calls

    def shut(self, now: float) -> float:
        """Tell how long the circuit refuses everybody, in seconds; 0.0 if somebody has to look closer.

        The many refusals of an open circuit take no lock.
        """
        phase = self.phase
        if type(phase) is Open:
            wait = phase.until - now
            if GRAIN < wait <= self._open_time:
                return wait
        return 0.0

    def advance(self, now: float) -> None:
        """Do what the time alone does: let the open time end, and lost probes open the circuit again."""
        with self._lock:
            self._advance_locked(now)

    def enter(self, now: float) -> Closed | Lease | Uncounted | None:
        """Give a permit, or None for a refusal. Call `advance` first, and tell the news before a lease is held."""
        with self._lock:
            phase = self.phase
            if isinstance(phase, Closed):
                if not self.news:
                    self.passing = phase
                    self.era = None if self._timed else phase
                return phase
            if isinstance(phase, HalfOpen):
                return phase.lease(self._returned, self._probing, now)
            return UNCOUNTED if phase.state is CircuitBreakerState.DISABLED else None  # open, or forced to be

    def succeeded(self, permit: Permit, now: float, *, slow: bool = False) -> bool:
        """Record a success that its `tick` did not count; tell whether it counted. A slow probe is a failure."""
        with self._lock:
            if not self._settled_locked(permit, now):
                return False
            if isinstance(permit, Closed):
                breach = permit.succeeded(now, slow=slow)
                if breach is not None:
                    self._open_locked(now, permit.accused(breach, now))
            elif slow:
                self._open_locked(now, Cause.said(Breach.SLOWNESS.value, "a probe was slow", now))
            else:
                self._probed_locked()
            return True

    def failed(self, permit: Permit, now: float, error: BaseException | None, *, slow: bool = False) -> bool:
        """Record a failure; tell whether it counted.

        Args:
            permit: Of the call.
            now: Seconds on a monotonic clock.
            error: Not kept; None for a result that counts as a failure.
            slow: Whether the call was slow.
        """
        with self._lock:
            if not self._settled_locked(permit, now):
                return False
            cause = Cause(error, now)
            if isinstance(permit, Closed):
                breach = permit.failed(now, slow=slow)
                if breach is None:
                    return True
                if breach is Breach.SLOWNESS:
                    cause = permit.accused(breach, now)
            self._open_locked(now, cause)
        cause.word(error)
        return True

    # Looking

    def view(self, now: float) -> tuple[CircuitBreakerState, float]:
        """Tell the state at this moment, and the seconds until a probe may run; change nothing."""
        with self._lock:
            self._take_in_locked()
            phase = self.phase
            until = -math.inf
            if isinstance(phase, Held):
                return phase.state, math.inf if phase.state is CircuitBreakerState.FORCED_OPEN else 0.0
            if isinstance(phase, Closed):
                return phase.state, 0.0
            if isinstance(phase, Open):
                until = phase.until
            elif (lost := phase.lost(now)) < math.inf:
                until = lost + self._open_time
        wait = min(until - now, self._open_time)
        return (CircuitBreakerState.OPEN, wait) if wait > GRAIN else (CircuitBreakerState.HALF_OPEN, 0.0)

    def shares(self, now: float) -> tuple[float | None, float | None]:
        """Tell the shares of failures and of slow calls; None for what is not known."""
        with self._lock:
            phase = self.phase
            if not isinstance(phase, Closed) or phase.rates is None:
                return None, None
            return phase.rates.shares(now)

    # By hand

    def hold(self, key: object, state: CircuitBreakerState, now: float) -> None:
        """Hold the circuit in a state until the key is released; of several holds, the newest counts."""
        with self._lock:
            self._lose_locked(now)
            self._holds[key] = state
            self._apply_holds_locked()

    def release(self, key: object) -> None:
        """End a hold; does nothing if it has ended."""
        with self._lock:
            if self._holds.pop(key, None) is not None:
                self._apply_holds_locked()

    def reset(self) -> None:
        """Close the circuit and forget everything, holds too."""
        with self._lock:
            self._holds.clear()
            self.cause = None
            self._move_locked(Closed(self._rules))

    def renew(self) -> None:
        """Begin anew in the child of a fork: same state, no calls, and a lock that nobody holds (G18)."""
        self._lock = Lock()
        self._returned.clear()
        self._apply_holds_locked()  # a thread of the parent may have been in the middle of it
        self.news = News()  # the parent tells what there was to tell

    # With the lock

    def _advance_locked(self, now: float) -> None:
        self._lose_locked(now)
        if isinstance(self.phase, Open):
            self.phase.until = min(self.phase.until, now + self._open_time)  # a clock that went backwards
            if self.phase.until - now <= GRAIN:
                self._move_locked(HalfOpen())

    def _lose_locked(self, now: float) -> None:
        """Open again if a probe has expired, at the moment at which it did."""
        self._take_in_locked()
        if isinstance(self.phase, HalfOpen):
            self.phase.restart(now + self._probing.seconds)
            lost = self.phase.lost(now)
            if lost < math.inf:
                self._open_locked(lost, None)

    def _take_in_locked(self) -> None:
        while self._returned:
            phase, key, when = self._returned.popleft()
            phase.take_back(key, when)

    def _settled_locked(self, permit: Permit, now: float) -> bool:
        """Take a permit back for good; tell whether its outcome counts."""
        if permit is self.phase:  # a closed one, and there is nothing to lose
            return True
        self._lose_locked(now)
        if isinstance(permit, Lease):
            phase, permit.phase = permit.phase, None
            if phase is not None and phase.out.pop(permit.key, None) is not None and phase is self.phase:
                return True
        self.late += 1
        return False

    def _probed_locked(self) -> None:
        """Take a success of a probe."""
        phase = self.phase
        assert isinstance(phase, HalfOpen)  # noqa: S101 - for the type checker; _settled_locked saw it
        phase.successes += 1
        if phase.successes >= self._probing.successes:
            self.cause = None
            self._move_locked(Closed(self._rules))

    def _open_locked(self, since: float, cause: Cause | None) -> None:
        """Open, for a cause, or for want of a probe: then the cause is still the one before."""
        self.opened += 1
        if cause is not None:
            self.cause = cause
        self._move_locked(Open(since + self._open_time), None if cause is None else cause.error_type)

    def _move_locked(self, phase: Phase, error_type: str | None = None) -> None:
        before = self.phase
        self.era = self.passing = None
        if isinstance(before, Closed):
            before.tick = ASK  # a call that began in it will ask, and hear that it is late
        self.phase = phase
        meaning = _MEANING[phase.state]
        if meaning is not _MEANING[before.state]:
            open_time = math.inf if isinstance(phase, Held) else self._open_time
            self.news.append(Notice(meaning, open_time, error_type))

    def _apply_holds_locked(self) -> None:
        phase = self.phase
        beneath = phase.beneath if isinstance(phase, Held) else self._fresh(phase)
        if self._holds:
            self._move_locked(Held(next(reversed(self._holds.values())), beneath))
        else:
            self._move_locked(beneath)

    def _fresh(self, phase: Phase) -> Phase:
        """Make the same state without the calls that began in it; an open one has none, and its time goes on."""
        if isinstance(phase, Closed):
            return Closed(self._rules)
        return HalfOpen() if isinstance(phase, HalfOpen) else phase
