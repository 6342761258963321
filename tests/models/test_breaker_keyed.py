"""The table of a keyed breaker beside a plain dictionary of what must not be forgotten (C9).

Calls begin and end in any order over a few keys, more than are kept. The model remembers for each key the circuit that
a running call holds, and which circuits are open.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.strategies.circuit_breaker.calls import Calls
from recoup.strategies.circuit_breaker.closed import Closed
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.strategies.circuit_breaker.table import Table
from tests.strategies.circuit_breaker.services import ticked

KEYS = st.sampled_from("abcdefgh")


class TableMachine(RuleBasedStateMachine):
    """Drives a table as the pumps do."""

    @initialize(most=st.integers(1, 4))
    def begin(self, most: int) -> None:
        config = CircuitBreakerConfig(failure_threshold=1, timeout=1e9)
        self.table = Table(Calls(CircuitBreaker(config), config), most)
        self.most = most
        self.running: list[tuple[str, Calls, Any]] = []
        self.opened: list[str] = []  # in order, of those that were kept ever since

    @rule(key=KEYS)
    def call(self, key: str) -> None:
        held = [calls for other, calls, _ in self.running if other == key]
        known = self.table.known(key)
        calls = self.table.of(key)
        assert known is None or calls is known
        assert all(calls is each for each in held), "a busy circuit was replaced"
        if key in self.opened:
            assert self.is_open(key), "an open circuit was forgotten while closed ones were kept"
        permit = calls.circuit.era
        if permit is not None:
            self.running.append((key, calls, permit))
        self.forget_what_had_to_go()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: st.DataObject, fails: bool) -> None:
        key, calls, permit = self.running.pop(data.draw(st.integers(0, len(self.running) - 1), label="which"))
        if fails:
            calls.failed(permit, OSError("down"), ())
            calls.tell()
            if key not in self.opened:
                self.opened.append(key)
            assert self.table.known(key) is calls
        elif not ticked(permit):
            calls.returned(permit, None)
        del calls, permit
        self.forget_what_had_to_go()

    @rule(key=KEYS)
    def reset(self, key: str) -> None:
        self.table.forget(key)
        self.running = [each for each in self.running if each[0] != key]
        self.opened = [each for each in self.opened if each != key]

    def forget_what_had_to_go(self) -> None:
        """Of open circuits, as many as fit are kept; which of them went is for the table to choose."""
        gone = [key for key in self.opened if not self.is_open(key)]
        kept = len(self.opened) - len(gone)
        assert not gone or kept >= self.most - 1, "open circuits went while closed ones were kept"
        self.opened = [key for key in self.opened if key not in gone]

    def is_open(self, key: str) -> bool:
        known = self.table.known(key)
        return known is not None and not isinstance(known.circuit.phase, Closed)

    @invariant()
    def no_more_than_allowed(self) -> None:
        assert len(self.table) <= self.most


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
