"""Seats: how many places a gate has, and how many it may have.

Every seat in `all` has one place, which is either in `free` or with one call; so no more calls can be inside than there
are seats. Seats are made when they are first needed: one is made only when none is free, so that their greatest number
is also the most calls that were ever inside at once.

When the limit becomes smaller, there may be more seats than it allows. Nobody who sits there is disturbed (B5): all
seats are barred, which makes whoever finds one of their places come here, under the lock of the gate; and here seats
are withdrawn for as long as there are too many, and opened again when there are not. Thus the first places that come
back are the ones that go, and nobody is let in before enough calls have ended. A call that finds a seat which is not
barred pays nothing for this.

All but `free.append` and `free.pop` needs the lock of the gate.
"""

from __future__ import annotations

from collections import deque

from recoup.strategies.bulkhead.tickets import Place, Seat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.bulkhead.state import Gate

__all__ = ["Seats"]


class Seats:
    """The seats of one gate.

    Args:
        gate: Gives the gate, or `None` when that is gone.
        limit: How many there may be.

    Attributes:
        limit: How many there may be from now on; set by `resize`.
        all: Those there are.
        free: The places that are with no call.
        peak: The most seats that there ever were.
    """

    def __init__(self, gate: Callable[[], Gate | None], limit: int) -> None:
        self._gate = gate
        self.limit = limit
        self.all: dict[Seat, None] = {}
        self.free: deque[Place] = deque()
        self.peak = 0
        self._uses = 0  # of those that were withdrawn
        self._before: dict[Seat, int] = {}  # uses that count no longer: a seat's own number belongs to who sits there

    def begin_anew(self) -> None:
        """Forget all of it: what calls still hold counts for nothing."""
        for seat in self.all:
            seat.barred = seat.dead = True
        self.all.clear()
        self.free.clear()
        self._before.clear()
        self.peak = self._uses = 0

    def recount(self) -> None:
        """Count anew from here: free seats go, so that those which are left are as many as are taken."""
        for _ in range(len(self.free)):
            try:
                place = self.free.pop()
            except IndexError:  # others come in meanwhile
                break
            if not place.seat.dead:
                self._withdraw(place.seat)
        self._before = {seat: seat.uses for seat in self.all}
        self.peak = len(self.all)
        self._uses = 0

    def resize(self, limit: int) -> None:
        """Change how many there may be; those that are too many go when their calls have ended."""
        self.limit = limit
        if len(self.all) > limit:
            for seat in self.all:
                seat.barred = True

    def find(self) -> Place | None:
        """Find or make a place for one more call; `None` if there is none."""
        while self.free:
            try:
                place = self.free.pop()
            except IndexError:  # others come in meanwhile
                break
            seat = place.seat
            if seat.dead:
                continue
            if len(self.all) > self.limit:
                self._withdraw(seat)
                continue
            seat.barred = False
            return place
        if len(self.all) >= self.limit:
            return None
        place = Place(Seat(self._gate))
        self.all[place.seat] = None
        self.peak = max(self.peak, len(self.all))
        return place

    def _withdraw(self, seat: Seat) -> None:
        self._uses += seat.uses - self._before.pop(seat, 0)
        del self.all[seat]
        seat.barred = seat.dead = True

    def running(self) -> int:
        """Count the calls inside."""
        return len(self.all) - sum(not place.seat.dead for place in self.free.copy())

    def inside(self) -> int:
        """Tell about how many calls are inside, without the lock; one at least, because it is one of them who asks."""
        return max(1, len(self.all) - len(self.free))

    def uses(self) -> int:
        """Count the calls that were ever inside."""
        return self._uses + sum(seat.uses - self._before.get(seat, 0) for seat in self.all)

    def unused(self, seat: Seat) -> None:
        """Take back that a seat was used, unless that counts no longer."""
        if seat.uses > self._before.get(seat, 0):
            seat.uses -= 1
