"""The lines of a bulkhead beside plain lists (B7)."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.strategies.bulkhead.lines import FairLine, Lanes, PriorityLine, Rank
from recoup.strategies.bulkhead.tickets import Ticket


class LineMachine(RuleBasedStateMachine):
    """Drives a line as the gate does: tickets join, the next one is served, others leave."""

    @initialize(fair=st.booleans())
    def begin(self, fair: bool) -> None:
        self.fair = fair
        self.line: Lanes = FairLine() if fair else PriorityLine()
        self.waiting: list[Ticket] = []
        self.turns: list[Any] = []  # keys, in the order of their turns

    def next(self) -> Ticket:
        if self.fair:
            return next(each for each in self.waiting if each.rank.key == self.turns[0])
        return max(self.waiting, key=lambda each: each.rank.priority)  # the first of the greatest

    def out(self, ticket: Ticket) -> None:
        self.waiting.remove(ticket)
        if self.fair and all(each.rank.key != ticket.rank.key for each in self.waiting):
            self.turns.remove(ticket.rank.key)

    @rule(priority=st.integers(-2, 2), key=st.sampled_from(["a", "b", 1, None]))
    def join(self, priority: int, key: Any) -> None:
        ticket = Ticket(None)
        ticket.rank = Rank(priority, key)
        self.line[ticket] = None
        self.waiting.append(ticket)
        if self.fair and key not in self.turns:
            self.turns.append(key)

    @precondition(lambda self: self.waiting)
    @rule()
    def serve(self) -> None:
        ticket = self.next()
        assert next(iter(self.line)) is ticket
        ticket.place = object()  # type: ignore[assignment] # only whether there is one matters
        assert self.line.pop(ticket, None) is None
        self.out(ticket)
        if self.fair and ticket.rank.key in self.turns:
            self.turns.append(self.turns.pop(0))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), swept=st.booleans())
    def leave(self, data: st.DataObject, swept: bool) -> None:
        ticket = data.draw(st.sampled_from(self.waiting))
        if swept:
            del self.line[ticket]
        else:
            self.line.pop(ticket, None)
        self.line.pop(ticket, None)  # a second time does nothing
        self.out(ticket)

    @rule()
    def begin_anew(self) -> None:
        self.line.clear()
        self.waiting.clear()
        self.turns.clear()

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "line"):
            assert len(self.line) == len(self.waiting)
            assert bool(self.line) is bool(self.waiting)
            assert sorted(map(id, self.line)) == sorted(map(id, self.waiting))
            assert len(self.line._lanes) <= len(self.waiting), "no lane is kept when it is empty"


LineMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestLines = LineMachine.TestCase
