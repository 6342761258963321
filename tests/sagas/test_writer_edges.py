"""The writer at its edges: full batches, callers that cannot be woken, and being stopped before the store is open."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest

from recoup import JournalError
from recoup.sagas import writer
from recoup.sagas.journal import Head, Start, State, Unavailable
from recoup.sagas.writer import Ticket, Writer
from tests.sagas.fakes import Memory

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend

AT_LEISURE = 60.0
"""Seconds for what takes none."""


class Deaf:
    """Somebody whose loop cannot be told anything."""

    def wake(self) -> bool:
        raise OSError("no more file descriptors")

    def gone(self) -> bool:
        return False


class Gated(Memory):
    """A store that is away, and says so when the test lets it."""

    def open(self) -> None:
        self.gate.wait(AT_LEISURE)
        raise Unavailable(journal=self.journal, reason="away")


def beginning(id: str) -> Ticket:
    def begin(backend: Backend) -> Head:
        return backend.start(Start(id, "order"))

    return Ticket(begin)


def test_full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction takes so many requests and no more; the others are written in the next ones, in their order."""
    monkeypatch.setattr(writer, "MOST", 3)
    memory = Memory()
    made = Writer(memory)
    tickets = [made.submit(beginning(f"s{n}")) for n in range(7)]
    made.start()
    made.stop(AT_LEISURE)
    assert memory.batches == [3, 3, 1]
    assert [each.result().id for each in tickets] == [f"s{n}" for n in range(7)] == list(memory.rows)


def test_caller_that_cannot_be_woken() -> None:
    """The first answer counts: a batch repeated because a caller could not be woken takes nobody's answer away."""
    memory = Memory()
    memory.rows["s"] = Head("s", "order", "", "", "", None, State.RUNNING, None, 1, 0.0, 0.0, "")
    made = Writer(memory)
    claiming = made.submit(Ticket(lambda backend: backend.claim(10)))
    assert claiming.awaited_by(Deaf())
    other = made.submit(beginning("other"))
    made.start()
    made.stop(AT_LEISURE)
    assert [(each.id, each.owner) for each in claiming.result()] == [("s", "owner-1")]
    assert other.result().id == "other"


def test_stopped_before_it_is_open() -> None:
    """A writer that is stopped while its store is away answers everybody, those who come after the stop as well."""
    memory = Gated()
    memory.gate = Event()
    made = Writer(memory, patience=10 * AT_LEISURE)
    opening = made.start()
    before = made.submit(beginning("before"))
    made.stop(0.0)
    after = made.submit(beginning("after"))
    memory.gate.set()
    made.stop(AT_LEISURE)
    for each in (opening, before, after):
        with pytest.raises(JournalError, match="away"):
            each.result()
    assert memory.rows == {}
    assert memory.closed == 1
