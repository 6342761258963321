"""Looking after sagas while the journal answers late, or not at all, or has forgotten."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from recoup import JournalError, configure, saga
from recoup.sagas import people
from recoup.sagas.journal import Head, Start, State
from recoup.sagas.keeper import Journal
from recoup.sagas.recoverer import Patience, Recoverer
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import shop
from tests.sagas.fakes import Memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


class Disk(SqliteBackend):
    """A journal on a disk that may be full."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise JournalError(journal=self.journal, reason="disk is full")
        super().commit()


DISKS: list[Disk] = []
"""What `filling` fills."""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    shop.LOG.clear()
    shop.FAULTS.clear()
    yield
    DISKS.clear()


class Forgetful(Memory):
    """A store of which somebody deletes what was just listed."""

    def listed(self, states: Collection[State], limit: int, name: str | None = None) -> list[Head]:
        found = super().listed(states, limit, name)
        self.rows.clear()
        return found


def test_claim_answered_late() -> None:
    """What a claim took counts although its answer came too late: it is waited for again, not asked for again."""
    memory = Memory()
    with Journal(memory, recover=False) as place:
        place.wait(place.start(Start("s", "order")))
        place.hand_over("s", 1)
        place.wait(place.load("s"))
        recoverer = Recoverer(place)
        memory.gate.clear()
        place.timeout = 0.01
        for _ in range(2):
            with pytest.raises(JournalError, match="no answer"):
                recoverer._claim()
        memory.gate.set()
        ticket = recoverer._claiming
        assert ticket is not None
        while not ticket.done:
            time.sleep(0.01)
        place.timeout = 60.0
        recoverer._claim()
        assert recoverer._cases["s"].owned
        assert memory.rows["s"].fence == 2
        recoverer._cases.clear()
        recoverer._claim()
        assert recoverer._cases == {}


@saga
def filling(name: str) -> str:
    """Fill the disk once the last step is done."""
    shop.do(name)
    for each in DISKS:
        each.full = True
    return f"{name}!"


def test_disk_full_at_the_end(tmp_path: Path) -> None:
    """A disk that is full when a function is run again is no failure of the function: it is tried again, not undone."""
    disk = Disk(tmp_path / "sagas.db")
    DISKS.append(disk)
    with Journal(disk, recover=False) as place, configure(journal=place):
        recoverer = place._recoverer = Recoverer(place, Patience(first_pause=60.0))  # its thread is this one
        with pytest.raises(JournalError, match="disk is full"):
            filling("a")
        disk.full = False
        (head,) = people.listed()
        with pytest.raises(JournalError, match="disk is full"):
            recoverer._try_all()
        assert recoverer._cases[head.id].due == 0.0
        disk.full = False
        assert people.show(head.id).head.state is State.RUNNING
        DISKS.clear()
        recoverer._try_all()
        assert recoverer._cases == {}
        assert people.show(head.id).head.state is State.DONE
    assert set(shop.LOG) == {("do", "a")}


def test_deleted_while_it_is_looked_for() -> None:
    """A saga that is deleted between being found and being read is not there any more, and that is what is said."""
    with Journal(Forgetful(), recover=False) as place:
        place.wait(place.start(Start("saga-1", "order")))
        with pytest.raises(LookupError, match="there is no saga 'saga' any more"):
            people.show("saga", journal=place)
