"""Bugs to plant into the strategies, which the simulation has to find; each is one that was made somewhere before."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from recoup._core import scopes
from recoup.strategies.bulkhead.seats import Seats
from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.visit import Visit
from recoup.strategies.cache.flight import Flight
from recoup.strategies.circuit_breaker.permits import Lease
from recoup.strategies.circuit_breaker.phases import HalfOpen
from recoup.strategies.compensation.steps import Steps
from recoup.strategies.hedge.crew import AsyncioCrew
from recoup.strategies.hedge.state import HedgeRun
from recoup.strategies.rate_limit import state as buckets
from recoup.strategies.retry.state import RetryRun
from recoup.strategies.retry.streams import Once
from recoup.strategies.throttle.state import Balance
from recoup.workflow.metrics import Metrics
from tests.simulation.threads import HandWaiter

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    Plant = Callable[[pytest.MonkeyPatch], None]

__all__ = ["PLANTED"]

PLANTED: dict[str, tuple[str, Plant]] = {}  # by name: what the simulation says, and how it is planted


def plants(found: str) -> Callable[[Plant], Plant]:
    """Enter a bug into the list.

    Args:
        found: A part of what the simulation has to say about it.
    """

    def enter(plant: Plant) -> Plant:
        PLANTED[plant.__name__] = (found, plant)
        return plant

    return enter


@plants("wait while")
def lost_wake_up_at_the_end(patch: pytest.MonkeyPatch) -> None:
    """Who gives a place back does not look for somebody who waits."""
    patch.setattr(Gate, "settle", lambda self: None)


@plants("wait while")
def lost_wake_up_of_the_cancelled(patch: pytest.MonkeyPatch) -> None:
    """A waiter is cancelled in the tick in which he gets a place: he gives it back, and the next is not woken."""

    def leave(self: Gate, ticket: Any, *, late: bool = False) -> None:
        (self._forget_late if late else self._forget)(ticket)

    patch.setattr(Gate, "leave", leave)


@plants("wait for a call that nobody makes")
def lost_wake_up_of_followers(patch: pytest.MonkeyPatch) -> None:
    """The call that others wait for is cancelled, and nobody takes its place."""
    patch.setattr(Flight, "hand_on", lambda self: self._lead.append(True))


@plants("hangs")
def followers_told_nothing(patch: pytest.MonkeyPatch) -> None:
    """The call that others wait for ends, and none of them is woken."""

    def land(self: Flight, outcome: Any) -> None:
        self.outcome = outcome

    patch.setattr(Flight, "land", land)


@plants("places were never given back")
def leaked_permit(patch: pytest.MonkeyPatch) -> None:
    """A waiter is cancelled in the tick in which he gets a place: he only leaves the queue, and the place is lost."""
    kept: list[object] = []

    def leave(self: Gate, ticket: Any, *, late: bool = False) -> None:
        self.queue.pop(ticket, None)
        kept.append(ticket.place)  # or it would come back when it is collected

    patch.setattr(Gate, "leave", leave)


@plants("probes are out")
def stuck_probe(patch: pytest.MonkeyPatch) -> None:
    """A probe that is cancelled is never given back."""
    patch.setattr(Lease, "give_back", lambda self, now: None)


@plants("stuck")
def stuck_half_open(patch: pytest.MonkeyPatch) -> None:
    """Probes that were cancelled count as some of those that may be tried: in the end nobody may."""
    lease = HalfOpen.lease
    tried: dict[HalfOpen, int] = {}

    def counting(self: HalfOpen, returned: Any, limits: Any, now: float) -> Lease | None:
        ever = tried.get(self, 0)
        if ever >= limits.in_all:
            return None
        one = lease(self, returned, limits, now)
        tried[self] = ever + (one is not None)
        return one

    patch.setattr(HalfOpen, "lease", counting)


@plants("probes")
def herd_of_probes(patch: pytest.MonkeyPatch) -> None:
    """A half-open circuit lets everybody through."""

    def lease(self: HalfOpen, returned: Any, limits: Any, now: float) -> Lease:
        one = Lease(returned, self, id(object()))
        self.out[one.key] = now + self.seconds
        return one

    patch.setattr(HalfOpen, "lease", lease)


@plants("calls run, at most")
def one_place_too_many(patch: pytest.MonkeyPatch) -> None:
    """The limit of a bulkhead is off by one."""
    find = Seats.find

    def generous(self: Seats) -> Any:
        self.limit += 1
        try:
            return find(self)
        finally:
            self.limit -= 1

    patch.setattr(Seats, "find", generous)


@plants("before his turn")
def last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    """Of those who wait the wrong one is let in."""

    usual = Gate._admit

    def admit(self: Gate) -> None:
        if type(self.queue) is not OrderedDict:
            usual(self)
            return
        while self.queue:
            ticket = next(reversed(self.queue))
            if ticket.place is None and not self._let_in(ticket):
                return
            self.queue.pop(ticket, None)
            ticket.waiter.wake()

    patch.setattr(Gate, "_admit", admit)


@plants("a second call for key")
def no_single_flight(patch: pytest.MonkeyPatch) -> None:
    """Everybody leads."""
    patch.setattr(Flight, "take", lambda self: True)


@plants("calls began")
def permits_too_early(patch: pytest.MonkeyPatch) -> None:
    """What comes in half a second counts as there."""
    patch.setattr(buckets, "TICK", 0.5)


@plants("allowed")
def deadline_that_never_strikes(patch: pytest.MonkeyPatch) -> None:
    """A timer that is not heard."""
    patch.setattr(scopes.Watch, "_strike", lambda self, deadline: None)


@plants("attempt")
def attempts_without_end(patch: pytest.MonkeyPatch) -> None:
    """One attempt too many."""
    failed = RetryRun.failed

    def lenient(self: RetryRun, *args: Any, **kwargs: Any) -> Any:
        self.attempts -= 1
        return failed(self, *args, **kwargs)

    patch.setattr(RetryRun, "failed", lenient)


@plants("attempt")
def hedges_without_end(patch: pytest.MonkeyPatch) -> None:
    """One attempt too many at once."""
    patch.setattr(HedgeRun, "wait", lambda self, now, left: max(self._due - now, 0.0) + 0.01)


@plants("still run")
def losers_left_alone(patch: pytest.MonkeyPatch) -> None:
    """Attempts that have lost are neither cancelled nor waited for."""

    async def leave(self: AsyncioCrew, *error: object) -> None:
        return

    patch.setattr(AsyncioCrew, "__aexit__", leave)


@plants("counted")
def calls_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """A throttle that counts a failure twice."""
    add = Balance._add

    def twice(self: Balance, *, accepted: bool) -> None:
        add(self, accepted=accepted)
        if not accepted:
            self.requests += 1

    patch.setattr(Balance, "_add", twice)


@plants("had to be")
def steps_undone_in_their_order(patch: pytest.MonkeyPatch) -> None:
    """A saga that fails undoes the first step first."""
    fail = Steps.fail
    patch.setattr(Steps, "fail", lambda self: fail(self)[::-1])


@plants("had to be")
def steps_of_the_cancelled_kept(patch: pytest.MonkeyPatch) -> None:
    """A saga whose last step fails forgets the one before it."""
    fail = Steps.fail
    patch.setattr(Steps, "fail", lambda self: fail(self)[1:])


@plants("after 1")
def items_that_come_twice(patch: pytest.MonkeyPatch) -> None:
    """A stream that fails after some items begins anew."""
    patch.setattr(Once, "ends", lambda self, cursor, error: False)


@plants("wait")
def interrupted_threads_stay_in_the_queue(patch: pytest.MonkeyPatch) -> None:
    """A thread that is interrupted while it waits for a place does not leave the line."""
    leave = Visit.leave

    def stay(self: Visit) -> None:
        if not isinstance(self.ticket.waiter, HandWaiter):
            leave(self)

    patch.setattr(Visit, "leave", stay)


@plants("executions")
def executions_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """A workflow counts what was cut off as if it had come to something."""
    ended = Metrics.ended
    patch.setattr(Metrics, "ended", lambda self, record, cut=False: ended(self, record))
