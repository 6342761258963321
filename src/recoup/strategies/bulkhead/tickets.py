"""What calls hold at the gate, and what the gate counts."""

from __future__ import annotations

from sys import getrefcount
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.strategies.bulkhead.state import Gate

__all__ = ["AGAIN", "Counts", "Place", "Seat", "Ticket", "uncounted"]


class Counts(NamedTuple):
    """What a gate has counted, at one moment.

    Attributes:
        executed: Calls that got a place, those inside now included.
        rejected: Calls that were turned away because the queue was full.
        timeout: Calls that ran out of time in the queue.
        running: Calls inside now.
        waiting: Calls in the queue now.
        peak: The most calls that were ever inside at once.
    """

    executed: int
    rejected: int
    timeout: int
    running: int
    waiting: int
    peak: int


class Seat:
    """One unit of a gate's limit; it belongs to the gate.

    Attributes:
        gate: Gives the gate, or `None` when that is gone.
        uses: Calls that sat here; only the holder of the place writes it.
        pooled: Whether the call that sits here also has one of the gate's threads.
        barred: Whether nobody may sit down here without asking the gate.
        dead: Whether it counts no longer: it was withdrawn, or the gate has begun anew, in a forked child. Then it is
            barred, too.
    """

    __slots__ = ("barred", "dead", "gate", "pooled", "uses")

    def __init__(self, gate: Callable[[], Gate | None]) -> None:
        self.gate = gate
        self.uses = 0
        self.pooled = False
        self.barred = False
        self.dead = False


class Probe:
    """Finds out how many references a finaliser sees to an object that nobody holds."""

    seen = 0

    def __del__(self, references: Callable[[object], int] = getrefcount) -> None:
        Probe.seen = references(self)


def _alone() -> int:
    """Measure it now: a tracer may hold references of its own."""
    Probe()
    return Probe.seen


class Place:
    """The right to sit on a seat: it is either free, with the gate, or with one call.

    A place that is dropped (its frame was thrown away before its last lines ran) finds its way back by itself. Dropped
    means that the last reference has gone. The collector is too early: it calls the finalisers of all that it is about
    to take apart *before* that, in any order, and only once. One of them may be that of a coroutine which then gives
    the place back, and the next call may have it by now. So, when there are references yet, an heir is left, which goes
    when the place itself goes.
    """

    __slots__ = ("heir", "seat")

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def __del__(self, references: Callable[[object], int] = getrefcount) -> None:
        seat = self.seat
        if seat.dead:
            return
        if references(self) > _alone():
            self.heir = Place(seat)
        elif (gate := seat.gate()) is not None:
            gate.dropped(seat)


class Ticket:
    """One call that could not go straight in.

    Attributes:
        waiter: Whom to wake; `None` for a call that will not wait, because the queue looked full; `AGAIN` if it is not.
        pooled: Whether the call also needs one of the gate's threads.
        place: What it was given; `None` while it waits.
        rank: What decides its turn, where that is not the order of arrival.
    """

    __slots__ = ("place", "pooled", "rank", "waiter")

    def __init__(self, waiter: Any, *, pooled: bool = False) -> None:
        self.waiter = waiter
        self.pooled = pooled
        self.place: Place | None = None
        self.rank: Any = None


AGAIN: Any = object()
"""Says that there is room in the queue, and that a waiter is worth its cost."""


def uncounted() -> Place:
    """Make a place for a call that is let in without one (rule G16); it may be given back like any other."""
    seat = Seat(lambda: None)
    seat.barred = seat.dead = True
    return Place(seat)
