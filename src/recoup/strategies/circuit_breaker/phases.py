"""The states of a circuit as objects, and the permits that calls hold of them.

Nothing here locks: the circuit does, for all of it except what is marked as lock-free.
"""

from __future__ import annotations

import math
from enum import Enum
from itertools import repeat
from typing import TYPE_CHECKING

from recoup.strategies.circuit_breaker.window import FailureWindow, numbers, some

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from typing import ClassVar, TypeAlias

    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

__all__ = [
    "ASK",
    "GRAIN",
    "UNCOUNTED",
    "Cause",
    "CircuitBreakerState",
    "Closed",
    "HalfOpen",
    "Held",
    "Lease",
    "Open",
    "Timed",
]

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
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


ASK: Iterator[None] = repeat(None)
"""Counts nothing, ever: what `tick` is where each success must be recorded under the lock."""


class Closed:
    """A closed circuit, and the permit of every call that begins in it.

    Successes matter only in so far as they push failures out of the window. So nobody counts them while no failure is
    recent; after a failure they take numbers from an iterator, which needs no lock, until it is out of the window.

    Attributes:
        tick: Counts a success without a lock, by `next(tick, None)`, which gives None where it has to be recorded under
            the lock. None instead of an iterator while nobody counts successes.
    """

    __slots__ = ("_newest", "_numbers", "_size", "_window", "tick")
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.CLOSED

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self._numbers = numbers()
        self._size = config.window_size
        self._newest = -config.window_size
        self._window = FailureWindow(config)
        self.tick: Iterator[object] | None = None if config.failure_on_result is None else ASK

    def failed(self, now: float) -> bool:
        """Record a failure; tell whether there are too many now."""
        self._newest = number = next(self._numbers)
        if self.tick is not ASK:
            self.tick = some(self._numbers, self._size - 1)
        return self._window.failed(number, now)

    def succeeded(self) -> None:
        """Record a success that `tick` did not count: it always asks, or has no numbers left."""
        number = next(self._numbers)
        if self.tick is not ASK and number - self._newest >= self._size:
            self.tick = None  # what is out of the window now stays out, counted or not

    def give_back(self, now: float) -> None:
        """Do nothing: a neutral call leaves no trace in a closed circuit."""


class Open:
    """An open circuit.

    Attributes:
        until: When probes may begin.
    """

    __slots__ = ("until",)
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.OPEN

    def __init__(self, until: float) -> None:
        self.until = until


class HalfOpen:
    """A half-open circuit.

    Attributes:
        successes: How many probes succeeded.
        out: When each probe that is running expires; the first of them first.
        lapsed: When the first probe expired that was given back too late; infinity if none was.
    """

    __slots__ = ("lapsed", "out", "successes")
    state: ClassVar[CircuitBreakerState] = CircuitBreakerState.HALF_OPEN

    def __init__(self) -> None:
        self.successes = 0
        self.out: dict[int, float] = {}
        self.lapsed = math.inf

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


class Cause:
    """What opened a circuit. Not the exception, which would keep a request's locals alive (C7).

    Attributes:
        error_type: Its type name.
        text: Its text, at most 200 characters; empty until `word` was called.
        at: When that was.
    """

    __slots__ = ("at", "error_type", "text")

    def __init__(self, error: BaseException | None, at: float) -> None:
        self.error_type = "UnacceptableResult" if error is None else type(error).__qualname__
        self.text = ""
        self.at = at

    def word(self, error: BaseException | None) -> None:
        """Put the error into words. This runs the user's code: never under a lock."""
        if error is None:
            self.text = "failure_on_result counted the result as a failure"
            return
        try:
            text = str(error)
        except Exception:  # noqa: BLE001 - the user's own __str__; the circuit opens all the same
            text = "(an error whose text cannot be made)"
        self.text = text if len(text) <= 200 else text[:197] + "..."


class Lease:
    """The permit of one probe. Dropped without a word, it gives itself back.

    Attributes:
        key: Its key in `HalfOpen.out`.
        phase: The state it belongs to; None once it is settled.
    """

    __slots__ = ("_returned", "key", "phase")

    def __init__(self, returned: deque[tuple[HalfOpen, int, float]], phase: HalfOpen, key: int) -> None:
        self._returned = returned
        self.key = key
        self.phase: HalfOpen | None = phase

    tick = ASK

    def give_back(self, now: float) -> None:
        """Give the probe back neutrally, once, at this moment (lock-free)."""
        if self.phase is not None:
            self._returned.append((self.phase, self.key, now))
            self.phase = None

    def __del__(self) -> None:
        # Nobody knows when it was really over, so the benefit of the doubt: in time. Reading a clock is no work for a
        # finaliser, which may run at the end of the interpreter.
        self.give_back(-math.inf)


class Timed:
    """A permit, and when the call began: for a `failure_on_result` that wants to know how long it took.

    Attributes:
        permit: What was granted.
        began: Seconds on a monotonic clock.
    """

    __slots__ = ("began", "permit")

    def __init__(self, permit: Closed | Lease, began: float) -> None:
        self.permit = permit
        self.began = began

    tick = ASK


class Uncounted:
    """The permit of a call that the circuit takes no notice of."""

    __slots__ = ()
    tick = None

    def give_back(self, now: float) -> None:
        """Do nothing."""


UNCOUNTED = Uncounted()

if TYPE_CHECKING:
    Phase: TypeAlias = Closed | Open | HalfOpen | Held
    Permit: TypeAlias = Closed | Lease | Uncounted | Timed
