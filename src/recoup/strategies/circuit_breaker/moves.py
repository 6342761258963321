"""The transitions of a circuit. Everything here needs the lock, but for making one."""

from __future__ import annotations

import math
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING

from recoup.strategies.circuit_breaker.cause import Cause
from recoup.strategies.circuit_breaker.closed import Closed, Ramp, Watched
from recoup.strategies.circuit_breaker.news import News, Notice
from recoup.strategies.circuit_breaker.permits import ASK, Lease
from recoup.strategies.circuit_breaker.phases import GRAIN, CircuitBreakerState, HalfOpen, Held, Open

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.permits import Permit
    from recoup.strategies.circuit_breaker.phases import Phase
    from recoup.strategies.circuit_breaker.rules import Rules
    from recoup.strategies.circuit_breaker.saved import Saved

__all__ = ["Moves"]

# What a state means for calls: callbacks and events report changes of this, so that a gauge they drive stays right
# when somebody takes the circuit into their own hands.
_MEANING = {
    CircuitBreakerState.CLOSED: CircuitBreakerState.CLOSED,
    CircuitBreakerState.DISABLED: CircuitBreakerState.CLOSED,
    CircuitBreakerState.METRICS_ONLY: CircuitBreakerState.CLOSED,
    CircuitBreakerState.OPEN: CircuitBreakerState.OPEN,
    CircuitBreakerState.FORCED_OPEN: CircuitBreakerState.OPEN,
    CircuitBreakerState.HALF_OPEN: CircuitBreakerState.HALF_OPEN,
}


class Counts:
    """What happened to a circuit, or to all that share this.

    Attributes:
        opened: How many times it opened by itself.
        would_open: How many times it would have, had it not only been watched.
        late: How many results came too late to count.
    """

    __slots__ = ("late", "opened", "would_open")

    def __init__(self) -> None:
        self.opened = self.would_open = self.late = 0


class Moves:
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
        counts: What happened.
    """

    __slots__ = (
        *("_holds", "_lock", "_returned", "_row", "_rules"),
        *("cause", "counts", "era", "news", "open_times", "passing", "phase"),
    )

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.open_times = rules.open_times()
        self._holds: dict[object, CircuitBreakerState] = {}
        self._returned: deque[tuple[HalfOpen, int, float]] = deque()
        self._lock = RLock()
        self.news = News()
        self.counts = Counts()
        self._begin()

    def _begin(self) -> None:
        self._row = 0  # openings since it was closed
        self.cause: Cause | None = None
        self.phase: Phase = Closed(self._rules)
        self.passing: Closed | None = None if self.news else self.phase  # a sibling may have something to tell
        self.era: Closed | None = None if self._rules.timed else self.passing

    def plan(self) -> None:
        """Find out for how long to open the next time. This runs the user's code: only a teller of news may."""
        self.open_times.ask(self._row + 1)

    def _advance_locked(self, now: float) -> None:
        self._lose_locked(now)
        if isinstance(self.phase, Open):
            self.phase.until = min(self.phase.until, now + self.phase.seconds)  # a clock that went backwards
            if self.phase.until - now <= GRAIN:
                self._move_locked(HalfOpen(self._rules.probing.seconds or self.phase.seconds))

    def _lose_locked(self, now: float) -> None:
        """Open again if a probe has expired, at the moment at which it did."""
        self._take_in_locked()
        if isinstance(self.phase, HalfOpen):
            self.phase.restart(now + self.phase.seconds)
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
        self.counts.late += 1
        return False

    def _probed_locked(self, now: float) -> None:
        """Take a success of a probe."""
        phase = self.phase
        assert isinstance(phase, HalfOpen)  # noqa: S101 - for the type checker; _settled_locked saw it
        phase.successes += 1
        if phase.successes >= self._rules.probing.successes:
            self._close_locked(None if self._rules.ramp_up is None else Ramp(now, self._rules.ramp_up))

    def _passes_locked(self, phase: Closed, now: float) -> bool:
        """Tell whether a closed circuit lets a call through; the next one need not ask if this one need not have."""
        if phase.ramp is not None:
            if not phase.ramp.over(now):
                return phase.ramp.admits(now)
            phase.ramp = None
        if not self.news:
            self.passing = phase
            self.era = None if self._rules.timed else phase
        return True

    def _close_locked(self, ramp: Ramp | None) -> None:
        self.cause = None
        self._row = 0
        self._move_locked(Closed(self._rules, ramp))

    def _breached_locked(self, permit: Permit, cause: Cause, now: float) -> None:
        """Open because of too much of something, or say that this is only watched, and begin anew."""
        if not isinstance(permit, Watched):
            self._open_locked(now, cause)
            return
        self.counts.would_open += 1
        permit.begin(self._rules)
        self.passing = self.era = None  # until this is told
        self.news.append(Notice(permit.state, error_type=cause.error_type, source=self))

    def _open_locked(self, since: float, cause: Cause | None) -> None:
        """Open, for a cause, or for want of a probe: then the cause is still the one before."""
        self.counts.opened += 1
        if cause is not None:
            self.cause = cause
        self._row += 1
        phase = Open(since, self.open_times.seconds)
        self._move_locked(phase, None if cause is None else cause.error_type)

    def _move_locked(self, phase: Phase, error_type: str | None = None, *, quietly: bool = False) -> None:
        before = self.phase
        self.era = self.passing = None
        if isinstance(before, Closed):
            before.tick = ASK  # a call that began in it will ask, and hear that it is late
        self.phase = phase
        meaning = _MEANING[phase.state]
        if meaning is not _MEANING[before.state] and not quietly:
            seconds = phase.seconds if isinstance(phase, Open) else math.inf
            self.news.append(Notice(meaning, seconds, error_type, self))

    def _apply_holds_locked(self, *, quietly: bool = False) -> None:
        phase = self.phase
        beneath = phase.beneath if isinstance(phase, (Held, Watched)) else self._fresh(phase)
        state = self._held
        if state is None:
            self._move_locked(beneath, quietly=quietly)
            return
        watched = state is CircuitBreakerState.METRICS_ONLY
        self._move_locked(Watched(self._rules, beneath) if watched else Held(state, beneath), quietly=quietly)

    @property
    def _held(self) -> CircuitBreakerState | None:
        """What the newest hold says; None without one."""
        return next(reversed(self._holds.values()), None)

    @property
    def _beneath(self) -> Phase:
        """The state that the circuit has of itself, whoever holds it."""
        return self.phase.beneath if isinstance(self.phase, (Held, Watched)) else self.phase

    def _put_locked(self, phase: Phase) -> None:
        """Take up a state, beneath the holds if there are any."""
        if isinstance(self.phase, (Held, Watched)):
            self.phase.beneath = phase
        else:
            self._move_locked(phase)

    def _openness(self, phase: Phase, now: float) -> tuple[float, float, int]:
        """Tell how long an open circuit still refuses everybody, for how long altogether, and which opening it is.

        A half-open one is open with no time left, but if a probe was lost it is open anew.
        """
        until, seconds, row = -math.inf, self.open_times.seconds, self._row
        if isinstance(phase, Open):
            until, seconds = phase.until, phase.seconds
        elif isinstance(phase, HalfOpen) and (lost := phase.lost(now)) < math.inf:
            until, row = lost + seconds, row + 1
        wait = min(until - now, seconds)
        return (wait if wait > GRAIN else 0.0), seconds, row

    def _restore_locked(self, saved: Saved, now: float) -> None:
        """Take over a state that was saved."""
        self.cause, self._row = None, saved.openings
        phase: Phase
        if saved.recent is None:
            phase = Open(now + saved.wait - saved.open_time, saved.open_time)
            if saved.cause is not None:
                error_type, text, age = saved.cause
                self.cause = Cause.said(error_type, text, now - age)
        else:
            ramp_up = self._rules.ramp_up
            ramp = None if saved.ramp is None or ramp_up is None else Ramp(now - saved.ramp, ramp_up)
            phase = closed = Closed(self._rules, ramp)
            closed.load(saved.recent, now)
        if isinstance(self.phase, (Held, Watched)):
            self.phase.beneath = phase
            self._apply_holds_locked()
        else:
            self._move_locked(phase, None if self.cause is None else self.cause.error_type)

    def _adopt_locked(self, phase: Phase, rules: Rules, now: float) -> None:
        """Have a state, and what is beneath it, go on under other rules."""
        if isinstance(phase, (Held, Watched)):
            self._adopt_locked(phase.beneath, rules, now)
        if isinstance(phase, Closed):
            phase.adopt(rules, now)
            if phase.ramp is not None:
                phase.ramp = None if rules.ramp_up is None else phase.ramp.lasting(rules.ramp_up)
        elif isinstance(phase, HalfOpen):
            phase.adopt(rules.probing)

    def _fresh(self, phase: Phase) -> Phase:
        """Make the same state without the calls that began in it; an open one has none, and its time goes on."""
        if isinstance(phase, Closed):
            return Closed(self._rules, phase.ramp)
        return HalfOpen(phase.seconds) if isinstance(phase, HalfOpen) else phase
