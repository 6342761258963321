"""The gate beside a model in plain Python (B1-B6, G2, G16).

The model is a list of who is inside and a list of who waits, worked through from the front after each event. The gate
is driven as the pumps drive it, and its givers may be interrupted before they look at the queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import Counts, Ticket, uncounted


@dataclass(eq=False)
class Call:
    """One call, as model and gate see it."""

    pooled: bool = False
    reachable: bool = True
    woken: int = 0
    place: Any = None  # of a call that went straight in
    ticket: Ticket | None = None  # of one that did not

    def wake(self) -> bool:
        self.woken += 1
        return self.reachable

    def gone(self) -> bool:
        return not self.reachable

    def held(self) -> Any:
        return self.place if self.ticket is None else self.ticket.place

    def let_go(self) -> Any:
        held, self.place = self.held(), None
        if self.ticket is not None:
            self.ticket.place = None
        return held


@dataclass
class Model:
    """What a gate has to do, by the book."""

    limit: int
    most_waiting: int
    threads: int
    inside: list[Call] = field(default_factory=list)
    line: list[Call] = field(default_factory=list)
    executed: int = 0
    counted: list[Call] = field(default_factory=list)  # those in `executed` that are inside
    rejected: int = 0
    timeout: int = 0
    peak: int = 0
    refusals: int = 0

    def fits(self, call: Call) -> bool:
        pooled = sum(each.pooled for each in self.inside)
        return len(self.inside) < self.limit and not (call.pooled and pooled >= self.threads)

    def enter(self, call: Call) -> None:
        self.inside.append(call)
        self.peak = max(self.peak, len(self.inside))
        self.executed += call.reachable  # who is not there does not run
        self.counted.append(call)

    def advance(self) -> None:
        while self.line and self.fits(self.line[0]):
            call = self.line.pop(0)
            self.enter(call)
            if not call.reachable:
                self.inside.remove(call)

    def arrive(self, call: Call) -> bool:
        """Let a call in or into the line; False if there is no room."""
        if not self.line and self.fits(call):
            self.enter(call)
            return True
        if self.line and len(self.line) >= self.most_waiting:
            self.sweep()
        if len(self.line) >= self.most_waiting:
            self.rejected += 1
            self.advance()  # the first in the line may have been swept out
            return False
        self.line.append(call)
        self.advance()
        return True

    def sweep(self) -> None:
        """Throw out those on closed loops: at the first refusal, and then after as many as there are in the line."""
        self.refusals -= 1
        if self.refusals < 0:
            self.line = [call for call in self.line if call.reachable]
            self.refusals = len(self.line)

    def recount(self) -> None:
        """Count from 0 again; who is inside counts no more."""
        self.executed = self.rejected = self.timeout = 0
        self.counted.clear()
        self.peak = len(self.inside)

    def counts(self) -> Counts:
        return Counts(self.executed, self.rejected, self.timeout, len(self.inside), len(self.line), self.peak)


class GateMachine(RuleBasedStateMachine):
    """Drives a gate as the pumps, the pool and the collector do."""

    @initialize(limit=st.integers(1, 4), most_waiting=st.integers(0, 4), threads=st.integers(1, 3))
    def begin(self, limit: int, most_waiting: int, threads: int) -> None:
        self.gate = Gate(limit, most_waiting, threads)
        self.model = Model(limit, most_waiting, threads)

    def give(self, place: Any) -> None:
        self.gate.back(place)
        if self.gate.queue:
            self.gate.settle()

    def pick(self, data: st.DataObject, calls: list[Call]) -> Call:
        return calls[data.draw(st.integers(0, len(calls) - 1), label="which")]

    @rule()
    def call(self) -> None:
        """Come, and go straight in or join the queue."""
        call = Call()
        expected = self.model.arrive(call)
        call.place = self.gate.take()
        if call.place is None:
            call.ticket = Ticket(call)
            assert self.gate.join(call.ticket) is expected
        else:
            assert expected

    @rule()
    def call_pooled(self) -> None:
        call = Call(pooled=True)
        call.ticket = Ticket(call, pooled=True)
        assert self.gate.join(call.ticket) is self.model.arrive(call)

    @rule(limit=st.integers(1, 5), most_waiting=st.integers(0, 4), threads=st.integers(1, 3))
    def resize(self, limit: int, most_waiting: int, threads: int) -> None:
        """Change the limits: nobody is thrown out, and who fits now comes in (B5)."""
        self.model.limit, self.model.most_waiting, self.model.threads = limit, most_waiting, threads
        self.model.advance()
        self.gate.resize(lambda: (limit, most_waiting, threads))

    @rule()
    def reset(self) -> None:
        """Count from 0 again: nobody is thrown out or let in by that."""
        self.model.recount()
        self.gate.note(Gate.recount, None)

    @precondition(lambda self: self.model.line)
    @rule(data=st.data())
    def a_loop_is_closed(self, data: st.DataObject) -> None:
        self.pick(data, self.model.line).reachable = False

    @precondition(lambda self: self.model.inside)
    @rule(data=st.data(), dropped=st.booleans())
    def end(self, data: st.DataObject, dropped: bool) -> None:
        """Give the place back, or have it collected."""
        call = self.pick(data, self.model.inside)
        self.model.inside.remove(call)
        self.model.advance()
        place = call.let_go()
        assert place is not None
        if dropped:
            del place
        elif call.pooled:
            self.gate.end(place)
        else:
            self.give(place)

    @precondition(lambda self: not self.model.line and any(not call.pooled for call in self.model.inside))
    @rule(data=st.data())
    def end_and_be_interrupted(self, data: st.DataObject) -> None:
        """Give the place back without looking at the queue: nobody waits, but somebody may come next."""
        call = self.pick(data, [call for call in self.model.inside if not call.pooled])
        self.model.inside.remove(call)
        self.gate.back(call.let_go())

    @precondition(lambda self: self.model.line)
    @rule(data=st.data(), how=st.sampled_from(["late", "cancelled", "cancelled by its deadline"]))
    def give_up(self, data: st.DataObject, how: str) -> None:
        call = self.pick(data, self.model.line)
        self.model.line.remove(call)
        self.model.timeout += how != "cancelled"
        self.model.advance()
        assert call.ticket is not None
        if how == "late":
            self.gate.claim(call.ticket)
            assert call.ticket.place is None
        else:
            self.gate.leave(call.ticket, late=how != "cancelled")

    @precondition(lambda self: any(call.ticket is not None for call in self.model.inside))
    @rule(data=st.data())
    def cancelled_after_the_hand_over(self, data: st.DataObject) -> None:
        """A call that has its place, and does not know yet, is cancelled."""
        call = self.pick(data, [call for call in self.model.inside if call.ticket is not None])
        self.model.inside.remove(call)
        self.model.executed -= call in self.model.counted
        self.model.advance()
        assert call.ticket is not None
        self.gate.leave(call.ticket)

    @rule()
    def without_a_place(self) -> None:
        self.give(uncounted())

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "gate"):
            return
        assert self.gate.counts() == self.model.counts()
        assert list(self.gate.queue) == [call.ticket for call in self.model.line]
        for call in self.model.inside:
            assert call.held() is not None
        places = [id(call.held()) for call in self.model.inside]
        assert len(places) == len(set(places)), "nobody shares a place"


GateMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestGate = GateMachine.TestCase
