"""What a circuit decides; it neither waits nor reads a clock.

    CLOSED --failures--> OPEN --timeout--> HALF_OPEN --successes--> CLOSED
                          ^-- failure, or a probe lost --|

and over any of these, by hand: FORCED_OPEN, DISABLED, METRICS_ONLY.

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
from threading import RLock
from typing import TYPE_CHECKING

from recoup.strategies.circuit_breaker.cause import Cause
from recoup.strategies.circuit_breaker.closed import Closed, Watched
from recoup.strategies.circuit_breaker.moves import Moves
from recoup.strategies.circuit_breaker.news import News
from recoup.strategies.circuit_breaker.open_time import equal
from recoup.strategies.circuit_breaker.permits import UNCOUNTED, Lease
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState, HalfOpen, Held, Open
from recoup.strategies.circuit_breaker.rates import Breach
from recoup.strategies.circuit_breaker.saved import Saved

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.permits import Permit, Uncounted
    from recoup.strategies.circuit_breaker.rules import Rules

__all__ = ["Circuit"]


class Circuit(Moves):
    """The state that all calls through one circuit breaker share.

    Args:
        rules: What it goes by.

    Attributes:
        passing: The permit of a closed circuit with nothing to tell, which needs no lock; else None.
        era: The same, for calls that need not ask; else None.
        phase: The current state.
        news: Transitions that have not been told yet.
        cause: What opened the circuit last; None while it is closed.
        open_times: How long it stays open.
        opened: How many times it opened by itself.
        late: How many results came too late to count.
    """

    __slots__ = ()

    def sibling(self) -> Circuit:
        """Make a circuit with the same rules, which shares lock, news and counts with this one (C9).

        This runs the user's code if open times grow: never under a lock.
        """
        one = Circuit.__new__(Circuit)
        one._lock, one.news, one._returned, one.counts = self._lock, self.news, self._returned, self.counts
        one._rules = rules = self._rules
        one._holds = self._holds  # shared as well: nobody holds a single one of them
        one.open_times = rules.open_times()
        one._begin()
        return one

    # Calls

    def advance(self, now: float) -> None:
        """Do what the time alone does: let the open time end, and lost probes open the circuit again."""
        with self._lock:
            self._advance_locked(now)

    def enter(self, now: float) -> Closed | Lease | Uncounted | None:
        """Give a permit, or None for a refusal. Call `advance` first, and tell the news before a lease is held."""
        with self._lock:
            phase = self.phase
            if isinstance(phase, Closed):
                return phase if self._passes_locked(phase, now) else None
            if isinstance(phase, HalfOpen):
                return phase.lease(self._returned, self._rules.probing, now)
            return UNCOUNTED if phase.state is CircuitBreakerState.DISABLED else None  # open, or forced to be

    def succeeded(self, permit: Permit, now: float, *, slow: bool = False) -> bool:
        """Record a success that its `tick` did not count; tell whether it counted. A slow probe is a failure."""
        with self._lock:
            if not self._settled_locked(permit, now):
                return False
            if isinstance(permit, Closed):
                breach = permit.succeeded(now, slow=slow)
                if breach is not None:
                    self._breached_locked(permit, permit.accused(breach, now), now)
            elif slow:
                self._open_locked(now, Cause.said(Breach.SLOWNESS.value, "a probe was slow", now))
            else:
                self._probed_locked(now)
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
                if breach is Breach.SLOWNESS or breach is Breach.ALL:
                    cause = permit.accused(breach, now)
            self._breached_locked(permit, cause, now)
        cause.word(error)
        return True

    # Looking

    def view(self, now: float) -> tuple[CircuitBreakerState, float]:
        """Tell the state at this moment, and the seconds until a probe may run; change nothing."""
        with self._lock:
            self._take_in_locked()
            phase = self.phase
            if isinstance(phase, Held):
                return phase.state, math.inf if phase.state is CircuitBreakerState.FORCED_OPEN else 0.0
            if isinstance(phase, Closed):
                return phase.state, 0.0
            wait, _, _ = self._openness(phase, now)
        return (CircuitBreakerState.OPEN, wait) if wait else (CircuitBreakerState.HALF_OPEN, 0.0)

    def shares(self, now: float) -> tuple[float | None, float | None]:
        """Tell the shares of failures and of slow calls; None for what is not known."""
        with self._lock:
            phase = self.phase
            if not isinstance(phase, Closed) or phase.rates is None:
                return None, None
            return phase.rates.shares(now)

    def save(self, now: float) -> Saved:
        """Give all there is to know of the circuit but for holds and probes; of a held one, what is beneath."""
        with self._lock:
            self._take_in_locked()
            phase = self.phase
            if isinstance(phase, (Held, Watched)):
                phase = phase.beneath
            if isinstance(phase, Closed):
                return Saved(phase.recent(now), None if phase.ramp is None else phase.ramp.age(now))
            cause = self.cause
            told = None if cause is None else (cause.error_type, cause.text, max(0.0, now - cause.at))
            return Saved(None, None, *self._openness(phase, now), told)

    def restore(self, saved: Saved, now: float) -> None:
        """Take a state over in place of the own one; holds stay on top of it.

        If open times grow this runs the user's code: never under a lock.
        """
        while True:
            rules, times = self._rules, self.open_times
            if times.grows:
                times, _ = times.after(rules.timeout, saved.openings)
            with self._lock:
                if rules is self._rules:
                    self.open_times = times
                    self._restore_locked(saved, now)
                    return

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

    def follow(self, now: float) -> None:
        """Be held as the circuits are that this one shares its holds with (C9); they tell it."""
        if not self._holds and not isinstance(self.phase, (Held, Watched)):
            return
        with self._lock:
            state = self.phase.state if isinstance(self.phase, (Held, Watched)) else None
            if state is not self._held:
                self._lose_locked(now)
                self._apply_holds_locked(quietly=True)

    def trip(self, now: float, seconds: float | None) -> None:
        """Open, for as long as the next opening takes, or for so many seconds; an open one begins its time anew."""
        with self._lock:
            self._lose_locked(now)
            beneath, usual = self._beneath, self.open_times.seconds
            if isinstance(beneath, Open):
                usual = beneath.seconds
            else:
                self._row += 1
                self.cause = None
            self._put_locked(Open(now, usual if seconds is None else seconds))

    def half_open(self, now: float) -> None:
        """Let probes decide, as if a closed circuit had opened and its time was over; nothing if they do already."""
        with self._lock:
            self._advance_locked(now)
            beneath = self._beneath
            if not isinstance(beneath, HalfOpen):
                seconds = beneath.seconds if isinstance(beneath, Open) else self.open_times.seconds
                self._row += isinstance(beneath, Closed)
                self._put_locked(HalfOpen(self._rules.probing.seconds or seconds))

    def goes_by(self, rules: Rules) -> bool:
        """Tell whether these are its rules."""
        return self._rules is rules

    def adopt(self, rules: Rules, now: float) -> None:
        """Go on under other rules: the state stays, and so does what is known and fits.

        What is timed lasts as long as the new rules say, from when it began. If open times grow this runs the user's
        code: never under a lock.
        """
        while self._rules is not rules:
            row, times, seconds = self._row, self.open_times, None
            if not equal(rules.timeout, self._rules.timeout):
                times, seconds = times.after(rules.timeout, row)
            with self._lock:
                self._lose_locked(now)
                if row != self._row:  # it opened or closed meanwhile
                    continue
                self._rules, self.open_times = rules, times
                phase = self.phase
                self._adopt_locked(phase, rules, now)
                beneath = phase.beneath if isinstance(phase, (Held, Watched)) else phase
                if isinstance(beneath, Open) and seconds is not None:
                    beneath.last(seconds)
                self.era = None if rules.timed else self.passing

    def reset(self) -> None:
        """Close the circuit and forget everything, holds too."""
        with self._lock:
            self._holds.clear()
            self._close_locked(None)

    def rejoin(self, sibling: Circuit) -> None:
        """Begin anew in the child of a fork, with what a sibling has there (G18)."""
        self._lock, self.news, self._returned = sibling._lock, sibling.news, sibling._returned
        self._apply_holds_locked()

    def renew(self) -> None:
        """Begin anew in the child of a fork: same state, no calls, and a lock that nobody holds (G18)."""
        self._lock = RLock()
        self._returned.clear()
        self._apply_holds_locked()  # a thread of the parent may have been in the middle of it
        self.news = News()  # the parent tells what there was to tell
