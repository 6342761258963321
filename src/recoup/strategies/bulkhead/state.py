"""Gate: who may run, who waits and who is turned away, for all threads and event loops together.

States of a call:

    take() ----------------------------> inside --> back(place)
      | no free place, or others wait      ^
      +-> join(ticket) -> in the queue ----+  given the place of somebody who left, in order of arrival
             |                 +-> given up: out of time, cancelled
             +-> turned away: the queue is full

Rules:
* The limit holds because of what a place is: an object that is either free or with one call, and there are never more
  of them than the limit says (seats.py, which also tells what happens when the limit changes).
* One queue, first come first served; a newcomer never overtakes anybody who waits (B1): he looks at the queue first.
* The way of a call that need not wait takes no lock. It consists of steps that are atomic by themselves: is the queue
  empty, pop a free place; and at the end append it, is the queue empty. All else is decided under the lock.
* Nobody is left asleep. Who gives a place back looks at the queue *afterwards*; who joins the queue looks at the free
  places *afterwards*; so one of the two sees the other. `settle()` leaves a note before it tries the lock; whoever
  holds it looks for notes *after* letting go. (tests/models/test_bulkhead_interleavings.py tries all orders of steps.)
* Hence giving back never waits for the lock: it is safe in a finaliser and in a signal handler (G7). And a place that
  is dropped instead, by an asynchronous KeyboardInterrupt or with a coroutine that nobody finishes, comes back when
  it is collected (G2). Such an interrupt may delay a wake-up, until the next call comes or goes or the time is up.
* Whether a waiting call has got a place is decided by setting `ticket.place`; the wake-up only tells it. A call that is
  cancelled or out of time asks the ticket, so a place that was given to it in the same tick is not lost.
* After a fork the child begins anew; what its only thread holds from before counts for nothing (G18).

The lock is held for a few steps, never while user code runs. (Waking is one of them: outside, places dropped on the way
would wake each other's waiters in a recursion as deep as the queue is long.) A finaliser or a signal handler may come
in here again between them; the thread holds the (reentrant) lock then, and nothing is decided: a newcomer is turned
away, settling is left to the steps that were interrupted.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import RLock
from weakref import ref

from recoup._core import waiting
from recoup.strategies.bulkhead.seats import Seats
from recoup.strategies.bulkhead.tickets import AGAIN, Counts, Place, Seat, Ticket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Gate"]


class Gate:
    """A limit on calls that run at once, with a queue before it.

    Args:
        limit: How many calls may be inside at once.
        most_waiting: How many may wait.
        threads: How many of those inside may be pooled ones.
        line: In what calls wait (lines.py), where the next is not simply the one who came first.

    Attributes:
        back: Give a place back: `gate.back(place)`, then `gate.settle()` if `gate.queue` is not empty.
        queue: Who waits, the next one first. Outsiders may only ask whether it is empty, and its length.
        seats: What there is a limit of.
    """

    def __init__(self, limit: int, most_waiting: int, threads: int = 0, line: Any = None) -> None:
        self._most_waiting = most_waiting
        self._threads = threads
        self.seats = Seats(ref(self), limit)
        self._free = self.seats.free
        self._pop: Callable[[], Place] = self._free.pop
        self.back: Callable[[Place], None] = self._free.append
        self.queue: Any = OrderedDict[Ticket, None]() if line is None else line
        self._notes: deque[tuple[Callable[[Gate, Any], object], object]] = deque()
        self.after_fork()
        waiting.at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked child: nobody inside, nobody waiting, and a lock that no vanished thread holds."""
        lock: Any = RLock()
        # Not `with lock`: it costs twice as much, and only the lock itself knows what an exception has left of it.
        self._acquire: Callable[[bool], bool] = lock.acquire
        self._release: Callable[[], None] = lock.release
        self._owned: Callable[[], bool] = lock._is_owned
        self.seats.begin_anew()
        self._pooled = self._rejected = self._timeout = self._patience = 0
        self._notes.clear()
        self.queue.clear()

    def take(self) -> Place | None:
        """Go straight in, if a place is free and nobody waits; give the place, or `None` if the call has to `join`."""
        if self.queue:
            return None
        if self._free:
            try:
                place = self._pop()
            except IndexError:  # another thread was faster
                return None
            seat = place.seat
            if not seat.barred:
                seat.uses += 1
                return place
            self.back(place)
        elif len(self.seats.all) >= self.seats.limit:
            return None
        ticket = Ticket(None)  # a place has still to be made, or the one that came back may be one too many
        self._decide(Gate._enter, ticket)
        return ticket.place

    def join(self, ticket: Ticket) -> bool:
        """Go in or queue up: afterwards the ticket has a place, or its waiter will be woken when it has one.

        Returns:
            False if the queue is full; or if it is not, and the ticket has no waiter: that is `AGAIN` then.
        """
        return bool(self._decide(Gate._join, ticket))

    def claim(self, ticket: Ticket) -> None:
        """Find out what came of waiting when the time is up: a place after all, or the ticket leaves the queue."""
        self._decide(Gate._claim, ticket)

    def leave(self, ticket: Ticket, *, late: bool = False) -> None:
        """Leave the queue, or give back the place that was got meanwhile. Never waits; safe in a finaliser.

        Args:
            ticket: Who leaves.
            late: Whether that is for lack of time.
        """
        self.note(Gate._forget_late if late else Gate._forget, ticket)

    def end(self, place: Place) -> None:
        """Give back the place of a pooled call, and its thread. Never waits."""
        self.note(Gate._ended, place)

    def dropped(self, seat: Seat) -> None:
        """Make a new place for a seat whose place was dropped. Never waits; it is called by finalisers."""
        self._notes.append((Gate._replaced, Place(seat)))  # nobody else holds it: if it is dropped, we are back here
        self._tidy()

    def settle(self) -> None:
        """Let in those for whom there is room by now. Never waits: if somebody else decides, he looks again."""
        self.note(Gate._nothing, None)

    def resize(self, limits: Callable[[], tuple[int, int, int]]) -> None:
        """Change the limits. Never waits: calls inside go on, those in the queue stay there (B5).

        Args:
            limits: Gives the three parameters of a gate, as they are when it is called.
        """
        self.note(Gate._resized, limits)

    def counts(self) -> Counts:
        """Tell what was counted so far."""
        found: list[Counts] = []
        if self._decide(Gate._count, found) is None:  # in the midst of a decision: as good as can be told
            self._count(found)
        return found[0]

    def note(self, handler: Callable[[Gate, Any], object], subject: object) -> None:
        """Have `handler(gate, subject)` called under the lock, now or by whoever decides at the moment. Never waits."""
        self._notes.append((handler, subject))
        self._tidy()

    def _tidy(self) -> None:
        """Do what the notes say, unless somebody decides at the moment: he looks for notes when he is done."""
        while self._notes:
            if self._decide(Gate._nothing, None, blocking=False) is None:
                return

    def _decide(self, decision: Callable[[Gate, Any], bool], subject: object, *, blocking: bool = True) -> bool | None:
        """Decide something alone, after doing what the notes say, and let in who may come in.

        Returns:
            What it was; `None` if an interrupted step of this thread is deciding, or (without `blocking`) another one.
        """
        if self._owned():
            return None
        release = self._release  # of this lock, even if a signal handler forks now and gives the child another one
        try:
            if not self._acquire(blocking):
                return None
            self._read()
            self._admit()
            answer = decision(self, subject)
            self._admit()  # a place may have come back before the decision could be seen
            release()
        except BaseException:
            if self._owned():
                try:
                    self._admit()  # who has a place has to be woken, whatever came in between
                finally:
                    self._release()
            self._tidy()
            raise
        if blocking:
            self._tidy()
        return answer

    def _read(self) -> None:
        """Do what the notes say, and keep nothing of it. Needs the lock."""
        while self._notes:
            handler, noted = self._notes.popleft()
            handler(self, noted)

    def _let_in(self, ticket: Ticket) -> bool:
        """Give a ticket a place, if there is one for it. Needs the lock."""
        if (ticket.pooled and self._pooled >= self._threads) or (place := self.seats.find()) is None:
            return False
        place.seat.uses += 1
        place.seat.pooled = ticket.pooled
        self._pooled += ticket.pooled
        ticket.place = place
        return True

    def _admit(self) -> None:
        """Let in those who wait, in order; a pooled call that lacks a thread holds up all behind it. Needs the lock."""
        while self.queue:
            ticket = next(iter(self.queue))
            if ticket.place is None and not self._let_in(ticket):
                return
            there = ticket.waiter.wake()
            self.queue.pop(ticket, None)
            if not there:  # its loop is closed
                self._forget(ticket)

    # Decisions (they answer something) and notes (nobody waits for an answer). All need the lock.
    def _nothing(self, _subject: None) -> bool:
        return True

    def _enter(self, ticket: Ticket) -> bool:
        return not self.queue and self._let_in(ticket)

    def _join(self, ticket: Ticket) -> bool:
        if self._enter(ticket):
            return True
        if len(self.queue) >= self._most_waiting and not (self.queue and self._sweep()):
            self._rejected += 1
            return False
        if ticket.waiter is None:
            ticket.waiter = AGAIN
            return False
        self.queue[ticket] = None
        return True

    def _sweep(self) -> bool:
        """Take out those whose loops were closed, but seldom (a refusal is to be cheap); tell whether there is room."""
        self._patience -= 1
        if self._patience >= 0:
            return False
        for ticket in [each for each in self.queue if each.waiter.gone()]:
            del self.queue[ticket]
        self._patience = len(self.queue)
        return self._patience < self._most_waiting

    def _claim(self, ticket: Ticket) -> bool:
        if ticket.place is None:
            self._timeout += 1
            self.queue.pop(ticket, None)
        return True

    def _count(self, found: list[Counts]) -> bool:
        seats, queue = self.seats, self.queue
        found.append(Counts(seats.uses(), self._rejected, self._timeout, seats.running(), len(queue), seats.peak))
        return True

    def _forget(self, ticket: Ticket) -> None:
        """See off a ticket that will not be used."""
        self.queue.pop(ticket, None)
        place, ticket.place = ticket.place, None
        if place is not None:
            self.seats.unused(place.seat)
            self._ended(place)

    def _forget_late(self, ticket: Ticket) -> None:
        self._timeout += 1
        self._forget(ticket)

    def _ended(self, place: Place) -> None:
        """Take back a place, and a thread if it came with one."""
        seat = place.seat
        if not seat.dead:
            self._pooled -= seat.pooled
        seat.pooled = False
        self.back(place)

    def _replaced(self, place: Place) -> None:
        """Take back a new place, unless its seat was only just being made."""
        if place.seat in self.seats.all:
            self._ended(place)
        else:
            place.seat.barred = place.seat.dead = True

    def recount(self, _: None = None) -> None:
        """Forget what was counted. Needs the lock."""
        self._rejected = self._timeout = 0
        self.seats.recount()

    def _resized(self, limits: Callable[[], tuple[int, int, int]]) -> None:
        limit, self._most_waiting, self._threads = limits()
        self.seats.resize(limit)
