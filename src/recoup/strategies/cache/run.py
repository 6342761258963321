"""What one call has to do with the cache.

    arrive (under the lock of the store)
      |-- a fresh entry or error is there ............................. answer
      |-- an old entry may answer, and nobody refreshes it yet ........ stale; leads, in the background
      |-- nobody calls ................................................ leads
      `-- somebody calls: attend --> waiter --> woken --> answer, or leads, or attend again

A leader ends by `done`, `failed` or `abandoned`. A run lets go of its flight when it is over: the flight may hold an
error, in whose traceback there is the frame that holds the run (G11).
"""

from __future__ import annotations

from recoup._core.store import Entry, shareable
from recoup._core.waiting import for_task, loop_here
from recoup.errors import is_refusal
from recoup.strategies.cache.copies import copied
from recoup.strategies.cache.flight import THROUGH, Failed, Flight
from recoup.strategies.cache.leading import Lead, led

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

    from recoup._core.store import Slot
    from recoup._core.waiting import Waiter
    from recoup.strategies.cache.state import Shelf

__all__ = ["Hit", "Negative", "Run"]


class Hit(Entry):
    """A result of the cache, as a pump sees it: like a run that has its answer."""

    __slots__ = ()

    stale: ClassVar[None] = None
    waiter: ClassVar[None] = None

    @property
    def answer(self) -> Entry:
        """The answer."""
        return self

    def take(self) -> Any:
        """Give the answer."""
        return self.value


class Negative(Entry):
    """An error that was stored; its value is a bare copy of the error."""

    __slots__ = ()

    negative: ClassVar[bool] = True


class Run:
    """The memory of one call.

    Attributes:
        leads: Whether this call is the one that calls the function.
        waiter: What to wait with; `None` if there is nothing to wait for.
        answer: What to answer with; `None` if the function has to be called.
        stale: The answer, if it is an old one and this call has to see to a new one.
    """

    __slots__ = (
        "_awaited",
        "_flight",
        "_lead",
        "_lost",
        "_make",
        "_shelf",
        "_slot",
        "answer",
        "leads",
        "stale",
        "waiter",
    )

    def __init__(self, shelf: Shelf, make: Callable[[], Waiter]) -> None:
        self._shelf = shelf
        self._make = make
        self._slot: Slot | None = None
        self._flight: Flight | None = None
        self._lost: Flight | None = None  # one that was found without a leader
        self._lead: Lead | None = None
        self._awaited: list[Flight] = []
        self.leads = False
        self.stale: Entry | Failed | None = None
        self.waiter: Any = None
        self.answer: Entry | Failed | None = None

    def arrive(self, slot: Slot, now: float) -> None:
        """Take a place; called under the lock of the store."""
        self._slot = slot
        if slot.entry is not None and self._weigh(slot.entry, now):
            return
        flight = slot.busy
        assert flight is None or isinstance(flight, Flight)  # noqa: S101 - nobody else puts anything there
        if flight is not None and flight.lost:
            self._lost, flight = flight, None
        if flight is None or flight.idle:
            flight = slot.busy = Flight()
        self.leads = flight.take()
        if self.leads or self.answer is None:
            flight.crew.append(True)
            self._flight = flight
            self.stale = self.answer

    def _weigh(self, entry: Entry, now: float) -> bool:
        """Take an entry for an answer if it will do; tell whether it is fresh."""
        shelf, age = self._shelf, entry.age(now)
        if entry.negative:
            if age < shelf.negative:
                self.answer = Failed(entry.value)
            return age < shelf.negative
        if age < shelf.ttl + shelf.revalidate:
            self.answer = entry
        return age < shelf.ttl

    def ready(self) -> Run | None:
        """Begin what was decided on arrival; give this run, or None to call past the cache."""
        flight = self._flight
        if self._lost is not None:  # now, without the lock: those who wait for it call by themselves
            self._lost.land(THROUGH)
            self._lost = None
        if flight is None:  # it has its answer
            return self
        if not self.leads:
            if self._circular(flight):
                self.leave()
                return None
            self._attend(flight)
        elif self.stale is None:
            self.begin()
        return self

    def begin(self) -> None:
        """Lead, in this context."""
        assert self._flight is not None  # noqa: S101 - only who takes part may lead
        self._lead = Lead(self._flight)
        if self.stale is None and self._make is for_task:  # refreshes are seen to by who starts them
            self._flight.home = loop_here()

    def woken(self, in_time: bool) -> bool:  # noqa: FBT001 - it is the answer of a wait
        """Come back from a wait; tell whether it was in vain: the time is over, and nothing has come."""
        flight = self._flight
        assert flight is not None  # noqa: S101 - only who takes part waits
        if in_time:
            self._attend(flight)
        elif flight.outcome is not None:
            self._landed(flight.outcome)
        else:
            self.leave()
            return True
        return False

    def take(self) -> Any:
        """Give the answer, or raise it: a copy of its own to each (G3)."""
        answer = self.answer
        if isinstance(answer, Failed):
            raise copied(answer.error)
        assert answer is not None  # noqa: S101 - the pump has looked
        return answer.value

    def done(self, result: object, now: float, *, keep: bool = True) -> bool:
        """End with a result, for those who wait and, if it is to be kept, for later ones; tell whether it could be."""
        if not shareable(result):
            self.useless(now)
            return False
        if self._flight is not None:
            entry = Hit(result, now)
            self._land(entry if keep else None, entry, now)
        return True

    def failed(self, error: Exception, now: float, *, own: bool) -> Entry | None:
        """End with an error.

        Args:
            error: The error.
            now: Seconds on a monotonic clock.
            own: Whether it concerns this caller only (its own time is over): others may fare better.

        Returns:
            An old result to answer with all the same; `None` to raise.
        """
        shelf = self._shelf
        entry = None if self._slot is None else self._slot.entry
        if entry is not None and (entry.negative or entry.age(now) >= shelf.ttl + shelf.if_error):
            entry = None
        if entry is not None:
            self._land(None, entry, now)
        elif own:
            self.abandoned()
        else:
            self._land(self._negative(error, now), Failed(error), now)
        return entry

    def _negative(self, error: Exception, now: float) -> Negative | None:
        """Make what is kept of an error, if it is to be kept and can be: never itself, which holds its frames."""
        if not self._shelf.negative or self.stale is not None or is_refusal(error):
            return None
        bare = copied(error, bare=True)
        return None if bare is error else Negative(bare, now)

    def useless(self, now: float) -> None:
        """End with something that is no use to anybody else."""
        self._land(None, THROUGH, now)

    def abandoned(self) -> None:
        """End without an outcome (cancelled, interrupted): somebody else takes the lead. Takes no lock."""
        if self.leads and self._flight is not None:
            self._flight.hand_on()
        self._over()

    def leave(self) -> None:
        """Take part no longer; a second call does nothing. Takes no lock."""
        flight, self._flight = self._flight, None
        if flight is None:
            return
        self._stop_waiting(flight)
        flight.crew.pop()
        if flight.idle and self._slot is not None and self._slot.entry is None:
            self._shelf.store.release(self._slot)

    def __del__(self) -> None:
        # A lead gets lost only when an interrupt strikes the pump between two bytecodes; here it comes back (G2).
        self.abandoned()

    def _attend(self, flight: Flight) -> None:
        """Stand in line; then look: either the leader who ends now sees the waiter, or this sees the end."""
        waiter = self._make()
        flight.waiting[waiter] = None
        self.waiter = waiter
        if flight.outcome is not None:
            self._landed(flight.outcome)
        elif flight.take():
            self.leads = True
            self._stop_waiting(flight)
            self.begin()

    def _landed(self, outcome: object) -> None:
        if isinstance(outcome, (Entry, Failed)):
            self.answer = outcome
        self.leave()

    def _stop_waiting(self, flight: Flight) -> None:
        if self.waiter is not None:
            flight.waiting.pop(self.waiter, None)
            self.waiter = None
        for each in self._awaited:
            each.awaits.remove(flight)
        self._awaited = []

    def _circular(self, flight: Flight) -> bool:
        """Tell whether waiting would be for what waits for us; else have others know that we wait."""
        ours = led()
        if flight in ours:
            return True
        self._awaited = ours
        for each in ours:  # first say it, then look: of two who meet, one at least sees the other
            each.awaits.append(flight)
        return bool(ours) and flight.reaches(ours)

    def _land(self, entry: Entry | None, outcome: Any, now: float) -> None:
        flight, slot = self._flight, self._slot
        if flight is not None and slot is not None:
            self._shelf.store.finish(slot, entry, now)  # first the entry, then the end: whoever comes now finds it
            if isinstance(outcome, Failed) and len(flight.crew) > 1:
                outcome = Failed(copied(outcome.error))  # now: the error itself goes to somebody who may change it
            flight.land(outcome)
        self._over()

    def _over(self) -> None:
        """Lead no longer."""
        self.leads = False
        if self._lead is not None:
            self._lead.end()
        self.leave()
