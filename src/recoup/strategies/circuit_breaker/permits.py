"""The permits of calls, apart from a closed circuit, which is its own."""

from __future__ import annotations

import math
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator
    from typing import TypeAlias

    from recoup.strategies.circuit_breaker.closed import Closed
    from recoup.strategies.circuit_breaker.phases import HalfOpen

__all__ = ["ASK", "UNCOUNTED", "Lease", "Timed", "Uncounted"]

ASK: Iterator[None] = repeat(None)
"""Counts nothing, ever: what `tick` is where each success must be recorded under the lock."""


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
    """A permit, and when the call began: for rules and predicates that want to know how long it took.

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
    Permit: TypeAlias = Closed | Lease | Uncounted | Timed
