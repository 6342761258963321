"""The gate: places, the queue, giving back, and what is counted (B1-B3, B6, G2, G7, G18)."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections import deque
from typing import Any

import pytest

from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import Counts, Place, Ticket, uncounted


class Waiter:
    """Remembers that it was woken.

    Args:
        there: Whether anybody is there to be woken.
    """

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.wakes = 0
        self.slot = 0

    def wake(self) -> bool:
        self.wakes += 1
        return self.there

    def gone(self) -> bool:
        return not self.there


def ticket(gate: Gate, *, there: bool = True, pooled: bool = False) -> Ticket:
    """Join the queue."""
    made = Ticket(Waiter(there=there), pooled=pooled)
    assert gate.join(made)
    return made


def taken(gate: Gate) -> Place:
    """Take a place that is free."""
    place = gate.take()
    assert place is not None
    return place


def give(gate: Gate, place: Any) -> None:
    """Give a place back, as the pumps do."""
    gate.back(place)
    if gate.queue:
        gate.settle()


def test_as_many_get_in_as_the_limit_says() -> None:
    """The limit is exact, and a place that came back is taken again (B1)."""
    gate = Gate(2, 10)
    first, _second = taken(gate), taken(gate)
    assert gate.take() is None
    give(gate, first)
    assert gate.take() is first
    assert gate.take() is None


def test_who_waits_gets_the_place_that_comes_back() -> None:
    """A place goes to the one who waits longest, who is woken once (B1)."""
    gate = Gate(1, 10)
    place = taken(gate)
    first, second = ticket(gate), ticket(gate)
    give(gate, place)
    assert (first.place, second.place) == (place, None)
    assert (first.waiter.wakes, second.waiter.wakes) == (1, 0)
    give(gate, first.place)
    assert second.place is place


def test_a_newcomer_does_not_overtake() -> None:
    """As long as somebody waits, nobody goes straight in, although a place has come back already (B1)."""
    gate = Gate(1, 10)
    place = taken(gate)
    waiting = ticket(gate)
    gate.back(place)  # the giver is interrupted here, before it looks at the queue
    assert gate.take() is None
    late = ticket(gate)
    assert (waiting.place, late.place) == (place, None)


def test_joining_goes_straight_in_if_there_is_room() -> None:
    """A place that came back meanwhile is taken without waiting."""
    gate = Gate(1, 10)
    give(gate, taken(gate))
    joined = ticket(gate)
    assert joined.place is not None
    assert gate.counts() == Counts(executed=2, rejected=0, timeout=0, running=1, waiting=0, peak=1)


def test_a_full_queue_turns_away() -> None:
    """The queue takes `most_waiting`; who comes then is refused at once (B2)."""
    gate = Gate(1, 1)
    _place = taken(gate)
    waiting = ticket(gate)
    assert gate.join(Ticket(Waiter())) is False
    gate.leave(waiting)
    assert gate.join(Ticket(Waiter())) is True
    assert gate.counts().rejected == 1


def test_a_place_that_came_back_counts_before_anybody_is_turned_away() -> None:
    """A call whose own predecessor has ended is not refused because that was not counted yet (B2)."""
    gate = Gate(1, 0)
    place = taken(gate)
    gate.back(place)
    assert gate.join(Ticket(None)) is True


def test_out_of_time() -> None:
    """Who gives up waiting gets nothing later (B2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    late, patient = ticket(gate), ticket(gate)
    gate.claim(late)
    give(gate, place)
    assert (late.place, patient.place) == (None, place)
    assert gate.counts() == Counts(executed=2, rejected=0, timeout=1, running=1, waiting=0, peak=1)


def test_a_place_in_the_last_moment_counts() -> None:
    """A place that was given before the end of the time was noticed is used; it is no timeout (B2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    late = ticket(gate)
    give(gate, place)
    gate.claim(late)
    assert late.place is place
    assert gate.counts().timeout == 0


def test_a_place_that_nobody_handed_on_is_found_at_the_end_of_the_time() -> None:
    """If the giver was interrupted before it looked at the queue, the waiter finds the place by itself (G2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    late = ticket(gate)
    gate.back(place)
    gate.claim(late)
    assert late.place is place


def test_who_leaves_the_queue_is_forgotten() -> None:
    """Cancellation in the queue leaves no trace in the counts (B6)."""
    gate = Gate(1, 10)
    place = taken(gate)
    gate.leave(ticket(gate))
    give(gate, place)
    assert gate.counts() == Counts(executed=1, rejected=0, timeout=0, running=0, waiting=0, peak=1)


def test_who_leaves_for_lack_of_time_is_counted() -> None:
    """A cancellation by the call's own deadline is a timeout (B6)."""
    gate = Gate(1, 10)
    place = taken(gate)
    first, second = ticket(gate), ticket(gate)
    gate.leave(second, late=True)
    give(gate, place)
    gate.leave(first, late=True)
    assert gate.counts() == Counts(executed=1, rejected=0, timeout=2, running=0, waiting=0, peak=1)


def test_who_leaves_after_getting_a_place_gives_it_back() -> None:
    """A cancellation in the same tick as the hand-over leaks nothing; the next in line gets the place (B3, G2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    cancelled, patient = ticket(gate), ticket(gate)
    give(gate, place)
    assert cancelled.place is not None
    gate.leave(cancelled)
    assert patient.place is place
    gate.leave(cancelled)  # a second time does nothing
    assert gate.counts() == Counts(executed=2, rejected=0, timeout=0, running=1, waiting=0, peak=1)


def test_closed_loops_are_skipped() -> None:
    """A waiter whose loop is closed does not keep the place that it cannot use, though its task still exists (G7)."""
    gate = Gate(1, 10)
    place = taken(gate)
    lost, patient = ticket(gate, there=False), ticket(gate)
    give(gate, place)
    assert (lost.place, patient.place) == (None, place)
    assert gate.counts().executed == 2


def test_a_long_line_of_lost_waiters_is_passed_in_a_loop() -> None:
    """Places that are dropped one after another, as their waiters are gone, do not exhaust the stack (G2)."""
    gate = Gate(1, 10_000)
    place: Any = taken(gate)
    for _ in range(5_000):
        assert gate.join(Ticket(Waiter()))
        assert gate.join(Ticket(Waiter(there=False)))
    del place
    assert gate.counts() == Counts(executed=5_001, rejected=0, timeout=0, running=0, waiting=0, peak=1)


def test_a_full_queue_is_swept_of_closed_loops() -> None:
    """Waiters on closed loops do not keep others out for ever; the search costs little for each refusal (B2)."""
    gate = Gate(1, 2)
    _place = taken(gate)
    dead = [ticket(gate), ticket(gate)]
    assert not gate.join(Ticket(Waiter()))
    dead[0].waiter.there = False
    refused = 0
    while not gate.join(Ticket(Waiter())):
        refused += 1
    assert refused <= 2


def test_sweeping_is_rare() -> None:
    """Refusals look through the whole queue once for each of its length (B2)."""
    gate = Gate(1, 100)
    _place = taken(gate)
    looks = 0

    class Looked(Waiter):
        def gone(self) -> bool:
            nonlocal looks
            looks += 1
            return False

    for _ in range(100):
        gate.join(Ticket(Looked()))
    for _ in range(1000):
        gate.join(Ticket(None))
    assert looks <= 11 * 100


def test_a_dropped_place_comes_back() -> None:
    """A place whose frame is thrown away unfinished returns when it is collected, and wakes who waits (G2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    waiting = ticket(gate)
    del place
    assert waiting.place is not None
    assert waiting.waiter.wakes == 1
    waiting.place = None
    assert gate.counts() == Counts(executed=2, rejected=0, timeout=0, running=0, waiting=0, peak=1)


def test_a_note_that_is_lost_to_an_interrupt() -> None:
    """A dropped place comes back even if the one who was to see to it is interrupted (G2)."""
    gate = Gate(1, 10)
    place: Any = taken(gate)
    gate._acquire(True)
    del place
    gate._release()
    [(handler, replacement)] = gate._notes

    class Interrupted(deque[Any]):
        interrupts = 1

        def popleft(self) -> Any:
            note = super().popleft()
            if self.interrupts:
                self.interrupts -= 1
                del note
                raise KeyboardInterrupt
            return note

    gate._notes = Interrupted([(handler, replacement)])
    del replacement
    with pytest.raises(KeyboardInterrupt):
        gate.counts()
    assert gate.counts().running == 0
    assert gate.take() is not None


def test_a_place_dropped_in_a_cycle_comes_back() -> None:
    """The collector may run anywhere, also while the lock is held (G7)."""
    gate = Gate(1, 10)
    place: Any = taken(gate)
    cycle: list[Any] = [place]
    cycle.append(cycle)
    waiting = ticket(gate)
    del place, cycle
    assert waiting.place is None
    gate._acquire(True)
    gc.collect()
    assert waiting.place is None, "nothing is decided in the midst of a decision"
    gate._release()
    gate.counts()
    assert waiting.place is not None


class Closing:
    """Gives its place back when it is finalised, as a coroutine does that the collector closes."""

    def __init__(self, gate: Gate, place: Place, seen: list[Any]) -> None:
        self.gate = gate
        self.place = place
        self.seen = seen
        self.me = self

    def __del__(self) -> None:
        give(self.gate, self.place)
        self.seen.append(self.gate.counts().running)


@pytest.mark.parametrize("waiters", [0, 1])
@pytest.mark.parametrize("place_first", [True, False])
def test_a_place_that_a_finaliser_gives_back_comes_back_once(waiters: int, *, place_first: bool) -> None:
    """The collector finalises a place and the coroutine that holds it in any order; it comes back once (G2, B3)."""
    gate = Gate(1, 10)
    seen: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        place: Any = taken(gate) if place_first else None
        filler = [] if place_first else [Closing(gate, taken(gate), seen)]
        if place_first:
            Closing(gate, place, seen)
        waiting = [ticket(gate) for _ in range(waiters)]
        del place, filler
        gc.collect()
    finally:
        gc.enable()
    assert seen == [waiters]
    assert gate.counts().running == waiters
    for _ in range(3):  # and it does so however often the collector comes by
        if waiting:
            Closing(gate, waiting.pop().place, seen)  # type: ignore[arg-type]  # it has one
        else:
            Closing(gate, taken(gate), seen)
        gc.collect()
        assert gate.counts().running == 0
        assert len(gate.seats.all) == 1
    place = taken(gate)
    assert gate.take() is None
    del place
    assert gate.counts().running == 0, "and if it is dropped after all, that is noticed"


def test_a_gate_that_is_dropped_takes_its_places_along() -> None:
    """Nothing of a gate stays when nobody uses it."""
    gate = Gate(2, 10)
    give(gate, taken(gate))
    place = taken(gate)
    gone = weakref.ref(gate)
    del gate
    assert gone() is None
    del place


def test_giving_back_does_not_wait_for_the_lock() -> None:
    """While another thread decides, giving back, leaving and settling return at once; that thread sees to it (G7)."""
    gate = Gate(1, 10)
    place = taken(gate)
    waiting = ticket(gate)
    gate._acquire(True)
    thread = threading.Thread(target=lambda: (give(gate, place), gate.leave(Ticket(None)), gate.settle()))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert waiting.place is None
    gate._release()
    gate.settle()
    assert waiting.place is place


def test_a_newcomer_in_the_midst_of_a_decision() -> None:
    """A finaliser or signal handler that interrupts a decision and calls is turned away instead of blocking (G7)."""
    gate = Gate(1, 10)
    place = taken(gate)
    gate._acquire(True)
    assert gate.join(Ticket(Waiter())) is False
    assert gate.take() is None
    assert gate.counts().running == 1
    give(gate, place)
    assert gate.take() is place, "the way of a call that need not wait takes no lock"
    gate._release()


def test_an_interrupt_in_the_midst_of_a_decision() -> None:
    """An exception out of nowhere leaves no lock behind, and who was let in is woken (G2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    waiting = ticket(gate)
    gate.back(place)

    def interrupted(_gate: Gate, _subject: object) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gate._decide(interrupted, None)
    assert waiting.place is place
    assert waiting.waiter.wakes == 1
    thread = threading.Thread(target=gate.settle)
    thread.start()
    thread.join(10)
    assert not gate._notes, "another thread gets the lock"


def test_an_interrupt_while_waking() -> None:
    """If the one who wakes is interrupted, all who were let in are woken all the same (G2)."""
    gate = Gate(2, 10)
    places = [taken(gate), taken(gate)]
    first, second = ticket(gate), ticket(gate)
    calls = []

    def wake() -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return True

    first.waiter.wake = wake
    for place in places:
        gate.back(place)
    with pytest.raises(KeyboardInterrupt):
        gate.settle()
    assert (len(calls), second.waiter.wakes) == (2, 1)
    assert gate.counts() == Counts(executed=4, rejected=0, timeout=0, running=2, waiting=0, peak=2)


def test_who_leaves_between_its_place_and_its_wake_up() -> None:
    """A call that is let in while it leaves gives the place back and does not stay in the queue (G2)."""
    gate = Gate(1, 10)
    place = taken(gate)
    leaving, patient = ticket(gate), ticket(gate)
    wake = leaving.waiter.wake

    def interrupted() -> bool:
        leaving.waiter.wake = wake
        gate.leave(leaving)
        raise KeyboardInterrupt

    leaving.waiter.wake = interrupted
    gate.back(place)
    with pytest.raises(KeyboardInterrupt):
        gate.settle()
    assert patient.place is place
    assert len(gate.queue) == 0


def test_an_interrupt_before_the_lock() -> None:
    """An interrupt while waiting for the lock does not release it for somebody else (G2)."""
    gate = Gate(1, 10)
    acquire = gate._acquire

    def interrupted(_blocking: bool) -> bool:
        raise KeyboardInterrupt

    gate._acquire = interrupted
    with pytest.raises(KeyboardInterrupt):
        gate.take()
    gate._acquire = acquire
    assert gate.take() is not None


def test_a_place_that_counts_for_nothing() -> None:
    """It comes and goes without a trace (G16)."""
    gate = Gate(1, 10)
    place = taken(gate)
    for _ in range(3):
        give(gate, uncounted())
    assert gate.counts().running == 1
    assert gate.take() is None, "it is never handed out"
    give(gate, uncounted())
    gate.end(uncounted())
    give(gate, place)
    give(gate, uncounted())
    assert gate.take() is place
    assert gate.counts().running == 1


def test_pooled_calls_need_a_thread_as_well() -> None:
    """No more pooled calls are inside than there are threads; others need none (B4)."""
    gate = Gate(3, 10, threads=1)
    pooled, starved = ticket(gate, pooled=True), ticket(gate, pooled=True)
    assert pooled.place is not None
    assert starved.place is None
    assert gate.take() is None, "nobody overtakes the one who waits for a thread"
    behind = ticket(gate)
    assert behind.place is None
    assert pooled.place is not None
    gate.end(pooled.place)
    assert starved.place is not None
    assert behind.place is not None


def test_the_thread_of_a_dropped_place_comes_back() -> None:
    """A pooled place that is dropped frees its thread (G2)."""
    gate = Gate(2, 10, threads=1)
    pooled, starved = ticket(gate, pooled=True), ticket(gate, pooled=True)
    pooled.place = None
    assert starved.place is not None


def test_who_waits_behind_a_pooled_call_goes_in_when_that_gives_up() -> None:
    """When the head of the queue leaves, those behind it are let in at once (B1)."""
    for give_up in (Gate.claim, Gate.leave):
        gate = Gate(2, 10, threads=1)
        _pooled, starved = ticket(gate, pooled=True), ticket(gate, pooled=True)
        behind = ticket(gate)
        give_up(gate, starved)
        assert behind.place is not None
        assert behind.waiter.wakes == 1


def test_an_interrupt_while_a_place_is_made_does_not_raise_the_limit() -> None:
    """A place that was dropped before its seat was in is not replaced (G2)."""
    gate = Gate(1, 10)

    class Interrupted(dict[Any, None]):
        def __setitem__(self, seat: Any, value: None) -> None:
            raise KeyboardInterrupt

    gate.seats.all = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        gate.take()
    gate.seats.all = {}
    gc.collect()
    place = taken(gate)
    assert gate.take() is None
    assert place is not None


def test_counts() -> None:
    """Everything is counted, exactly, at one moment (B6)."""
    gate = Gate(2, 1)
    first, second = taken(gate), taken(gate)
    waiting = ticket(gate)
    gate.join(Ticket(None))
    assert gate.counts() == Counts(executed=2, rejected=1, timeout=0, running=2, waiting=1, peak=2)
    gate.claim(waiting)
    give(gate, first)
    give(gate, second)
    assert gate.counts() == Counts(executed=2, rejected=1, timeout=1, running=0, waiting=0, peak=2)


def test_a_smaller_limit_lets_calls_drain() -> None:
    """Calls inside go on; nobody is let in before so many have ended that there is room under the new limit (B5)."""
    gate = Gate(4, 10)
    places = [taken(gate) for _ in range(4)]
    gate.resize(lambda: (2, 10, 0))
    assert gate.counts().running == 4
    waiting = ticket(gate)
    for left in (3, 2):
        give(gate, places.pop())
        assert gate.counts().running == left
        assert gate.take() is None
        assert waiting.place is None
    give(gate, places.pop())
    assert waiting.place is not None
    assert gate.counts() == Counts(executed=5, rejected=0, timeout=0, running=2, waiting=0, peak=4)
    give(gate, places.pop())
    _last = taken(gate)
    assert gate.take() is None


def test_free_places_go_when_the_limit_becomes_smaller() -> None:
    """Places that were not in use count against the new limit, and are kept up to it (B5)."""
    gate = Gate(5, 0)
    places = [taken(gate) for _ in range(5)]
    while places:
        give(gate, places.pop())
    gate.resize(lambda: (3, 0, 0))
    places = [taken(gate) for _ in range(3)]
    assert gate.take() is None
    assert gate.counts() == Counts(executed=8, rejected=0, timeout=0, running=3, waiting=0, peak=5)
    assert [place.seat.barred for place in places] == [False] * 3, "from now on they are taken without the lock again"
    assert len(gate.seats.all) == 3


def test_a_larger_limit_lets_in_who_waits() -> None:
    """At once, and as many as there is room for (B5)."""
    gate = Gate(1, 10)
    _place = taken(gate)
    waiting = [ticket(gate) for _ in range(3)]
    gate.resize(lambda: (3, 10, 0))
    assert [each.place is not None for each in waiting] == [True, True, False]
    assert [each.waiter.wakes for each in waiting] == [1, 1, 0]
    assert gate.counts().peak == 3


def test_a_limit_that_is_lowered_and_raised_again() -> None:
    """Whatever the limit was in between, it is exact (B5)."""
    gate = Gate(3, 0)
    places = [taken(gate) for _ in range(3)]
    gate.resize(lambda: (1, 0, 0))
    give(gate, places.pop())
    assert gate.take() is None
    gate.resize(lambda: (4, 0, 0))
    places += [taken(gate), taken(gate)]
    assert gate.take() is None
    assert gate.counts() == Counts(executed=5, rejected=0, timeout=0, running=4, waiting=0, peak=4)


def test_a_dropped_place_under_a_smaller_limit() -> None:
    """A place that is dropped instead of given back counts once, too (B5, G2)."""
    gate = Gate(2, 0)
    first, second = taken(gate), taken(gate)
    gate.resize(lambda: (1, 0, 0))
    del first
    assert gate.counts().running == 1
    assert gate.take() is None
    del second
    assert gate.counts().running == 0
    _last = taken(gate)
    assert gate.take() is None


def test_a_smaller_queue_and_fewer_threads() -> None:
    """Who waits stays in the queue; new limits hold for who comes next (B5)."""
    gate = Gate(5, 2, 2)
    first, second = ticket(gate, pooled=True), ticket(gate, pooled=True)
    waiting = [ticket(gate, pooled=True), ticket(gate, pooled=True)]
    gate.resize(lambda: (5, 1, 1))
    assert gate.counts().waiting == 2
    assert not gate.join(Ticket(Waiter()))
    for pooled in (first, second):
        assert waiting[0].place is None
        place, pooled.place = pooled.place, None
        assert place is not None
        gate.end(place)
    assert waiting[0].place is not None
    assert waiting[1].place is None
    gate.resize(lambda: (5, 1, 2))
    assert waiting[1].place is not None


def test_resizing_waits_for_nobody() -> None:
    """Who resizes while somebody decides leaves a note, which that one reads (B5, G7)."""
    gate = Gate(1, 10)
    _place = taken(gate)
    waiting = ticket(gate)
    gate._acquire(True)
    resizer = threading.Thread(target=gate.resize, args=(lambda: (2, 10, 0),))
    resizer.start()
    resizer.join(10)
    assert not resizer.is_alive()
    assert waiting.place is None
    gate._release()
    assert gate.counts().running == 2
    assert waiting.place is not None


def test_the_peak_is_not_the_limit() -> None:
    """The peak is the most that were inside at once, not what could have been (B6)."""
    gate = Gate(100, 0)
    for _ in range(10):
        places = [taken(gate) for _ in range(3)]
        for place in places:
            give(gate, place)
    assert gate.counts().peak == 3


def test_a_forked_child_begins_anew() -> None:
    """The child has a lock that nobody holds, no waiters and no leases; the parent's places count for nothing (G18)."""
    gate = Gate(2, 10)
    inherited, _other = taken(gate), taken(gate)
    _waiting = ticket(gate)
    free = threading.Event()
    held = threading.Event()

    def hold() -> None:
        gate._acquire(True)
        held.set()
        free.wait(10)
        gate._release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    child = os.fork()
    if not child:
        try:
            wrong = int(gate.counts() != Counts(0, 0, 0, 0, 0, 0))
            give(gate, inherited)
            wrong += 2 * (gate.counts() != Counts(0, 0, 0, 0, 0, 0))
            first, second = gate.take(), gate.take()
            wrong += 4 * (first is None or second is None or first is second)
            wrong += 8 * (gate.take() is not None)
        finally:
            os._exit(wrong)
    free.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gate.counts() == Counts(executed=2, rejected=0, timeout=0, running=2, waiting=1, peak=2)


def test_a_handler_that_forks() -> None:
    """A signal handler may fork in the midst of a decision: the interrupted call goes on in the child too (G7, G18)."""
    gate = Gate(1, 10)

    class Forks(Waiter):
        def wake(self) -> bool:
            gate.after_fork()  # what the child does
            return super().wake()

    place = taken(gate)
    ticket_ = Ticket(Forks())
    assert gate.join(ticket_)
    give(gate, place)
    assert gate.counts() == Counts(0, 0, 0, 0, 0, 0)
    assert gate.take() is not None


def test_beginning_anew() -> None:
    """Places of an earlier life count for nothing, given back or dropped; limits and counts start again (G18)."""
    gate = Gate(2, 10)
    given, dropped = taken(gate), taken(gate)
    waiting = ticket(gate)
    gate.after_fork()
    assert gate.counts() == Counts(0, 0, 0, 0, 0, 0)
    give(gate, given)
    gate.end(given)
    gate.leave(waiting)
    del dropped, given
    assert gate.counts() == Counts(0, 0, 0, 0, 0, 0)
    _first, _second = taken(gate), taken(gate)
    assert gate.take() is None
    assert gate.counts().peak == 2


def test_another_thread_is_faster() -> None:
    """A place that was there a step ago may be gone; then the call joins like any other (B1)."""
    gate = Gate(1, 10)

    class Taken(deque[Place]):
        def __len__(self) -> int:
            return 1

    free, gate._free = gate._free, Taken()
    assert gate.take() is None
    gate._free = free
    gate.seats.free = Taken()
    joined = ticket(gate)
    assert joined.place is not None, "a place is made for it"
    gate.seats.free = free


def cost(length: int, rounds: int = 2000) -> float:
    """Measure, for a queue of some length: one joins, one in the middle leaves, the head gets the place."""
    gate = Gate(1, length + 2)
    place: Any = taken(gate)
    waiting: list[Ticket] = []

    def replace(slot: int) -> None:
        waiting[slot] = joined = ticket(gate)
        joined.waiter.slot = slot

    for slot in range(length):
        waiting.append(ticket(gate))
        waiting[slot].waiter.slot = slot
    began = time.perf_counter()
    for number in range(rounds):
        slot = number * 7919 % length
        leaves = waiting[slot]
        replace(slot)
        gate.leave(leaves)
        head = next(iter(gate.queue))
        give(gate, place)
        place = head.place
        replace(head.waiter.slot)
    took = time.perf_counter() - began
    assert len(gate.queue) == length
    return took


def test_ten_thousand_waiters_cost_no_more_each_than_ten() -> None:
    """Joining, leaving from the middle and handing over take the same time whatever the length of the queue (B2)."""
    ratio = min(cost(10_000) / cost(10) for _ in range(3))
    assert ratio < 4
