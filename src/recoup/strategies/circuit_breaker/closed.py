"""A closed circuit: the recent outcomes, and how calls come back after an outage.

Nothing here locks: the circuit does, for all of it except `tick`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from recoup.strategies.circuit_breaker.cause import Cause
from recoup.strategies.circuit_breaker.permits import ASK
from recoup.strategies.circuit_breaker.phases import GRAIN, CircuitBreakerState
from recoup.strategies.circuit_breaker.rates import Breach
from recoup.strategies.circuit_breaker.window import numbers, some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar, Final

    from recoup.strategies.circuit_breaker.phases import Phase
    from recoup.strategies.circuit_breaker.rules import Rules

__all__ = ["Closed", "Ramp", "Recent", "Watched"]

LOWEST_SHARE: Final = 0.1  # of the calls, right after closing: the specification of C6


class Recent(NamedTuple):
    """The outcomes in the windows of a closed circuit, apart from clocks and counters.

    Attributes:
        last: The number of the call that ended last.
        failures: For each rule that counts failures (by the name of its option), the newest of them: how many calls
            ended since (None where that is not known), and its age; the oldest first.
        flags: How each recent call ended, the oldest first; None where only `slices` know.
        slices: Age of the first outcome, calls, failures and slow calls, of each slice of time; the oldest first.
    """

    last: int
    failures: dict[str, list[tuple[int | None, float]]]
    flags: bytes | None
    slices: list[tuple[float, int, int, int]]


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

    __slots__ = ("_newest", "_numbers", "_rules", "_windows", "ramp", "rates", "tick")
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.CLOSED

    def __init__(self, rules: Rules, ramp: Ramp | None = None) -> None:
        self.ramp = ramp
        self._numbers = numbers()
        self.begin(rules)

    def begin(self, rules: Rules) -> None:
        """Forget all that was recorded."""
        self._rules = rules
        self._newest = 0
        self._windows = rules.windows()
        self.rates = rules.rates()
        self.tick: Iterator[object] | None = ASK if rules.asks else None

    def adopt(self, rules: Rules, now: float) -> None:
        """Go on under other rules, with those of the recent outcomes that are known to be recent under them."""
        if rules.windowed == self._rules.windowed:
            self._rules = rules
            return
        recent = self.recent(now)
        self.begin(rules)
        self.load(recent, now)

    def recent(self, now: float) -> Recent:
        """Tell which outcomes are recent."""
        last = next(self._numbers)  # a counter tells its value only by counting on, so all that is kept moves up
        self._newest += 1
        failures = {}
        for name, window in zip(self._rules.names, self._windows, strict=True):
            window.move_up()
            failures[name] = window.recent(last, now)
        flags, slices = (None, []) if self.rates is None else self.rates.window.recent(now)
        return Recent(last, failures, flags, slices)

    def load(self, recent: Recent, now: float) -> None:
        """Put outcomes into empty windows, as far as they fit."""
        newest = -math.inf
        for name, window in zip(self._rules.names, self._windows, strict=True):
            newest = max(newest, window.load(recent.last, recent.failures.get(name, []), now))
        if self.rates is not None:
            self.rates.window.load(recent.flags, recent.slices, now)
        if newest > -math.inf:
            self._newest = int(newest)
            if self.tick is not ASK:
                self.tick = some(self._numbers, max(0, self._rules.reach - 1 - (recent.last - self._newest)))

    def failed(self, now: float, *, slow: bool) -> Breach | None:
        """Record a failure; tell what there is too much of now, if anything."""
        self._newest = number = next(self._numbers)
        rules = self._rules
        if self.tick is not ASK and (reach := rules.reach):
            self.tick = some(self._numbers, reach - 1)
        breach = None if self.rates is None else self.rates.record(now, failed=True, slow=slow)
        too_many = [window.failed(number, now) for window in self._windows]
        if rules.together:
            return self._joined(breach, too_many)
        return Breach.COUNT if any(too_many) else breach

    def succeeded(self, now: float, *, slow: bool) -> Breach | None:
        """Record a success that `tick` did not count; tell what there is too much of now, if anything."""
        number = next(self._numbers)
        if self.tick is not ASK and number - self._newest >= self._rules.reach:
            self.tick = None  # what is out of the window now stays out, counted or not
        rates = self.rates
        if rates is None:
            return None  # a success only takes from what counts failures
        breach = rates.record(now, failed=False, slow=slow)
        if breach is Breach.ALL:  # so far only the shares say so
            return self._joined(breach, [window.holds(number, now) for window in self._windows])
        return breach

    def _joined(self, breach: Breach | None, too_many: list[bool]) -> Breach | None:
        """Tell whether all rules hold: the shares that there are, and all that count failures."""
        if self.rates is not None and breach is None:
            return None
        return Breach.ALL if all(too_many) else None

    def accused(self, breach: Breach, now: float) -> Cause:
        """Put a share that is too large, or all rules that hold, into words."""
        said = self._rules.counted() if breach is Breach.ALL else []
        if self.rates is not None:
            said.append(self.rates.words(breach))
        return Cause.said(breach.value, ", ".join(said), now)

    def give_back(self, now: float) -> None:
        """Do nothing: a neutral call leaves no trace in a closed circuit."""


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
        credit: How much of a call is let through already: at 1 the next one is.
    """

    __slots__ = ("_began", "_credit", "_seconds")

    def __init__(self, began: float, seconds: float, credit: float = 1 - LOWEST_SHARE) -> None:
        self._began = began
        self._seconds = seconds
        self._credit = credit

    def over(self, now: float) -> bool:
        """Tell whether all calls are let through again."""
        self._began = min(self._began, now)  # a clock that went backwards (G12)
        return now - self._began >= self._seconds - GRAIN

    def lasting(self, seconds: float) -> Ramp:
        """Give one that takes so long, from when this one began."""
        return Ramp(self._began, seconds, self._credit)

    def age(self, now: float) -> float:
        """Tell how long ago it began."""
        return max(0.0, now - self._began)

    def admits(self, now: float) -> bool:
        """Tell whether a call is let through."""
        self._credit += LOWEST_SHARE + (1 - LOWEST_SHARE) * (now - self._began) / self._seconds
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
