"""The server is killed, started again, frozen, thawed: what was acknowledged stays, nobody waits for too long."""

from __future__ import annotations

import asyncio
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import pytest

from recoup.errors import Fenced, JournalError
from recoup.sagas.journal import Append, Kind, Record, State
from recoup.sagas.keeper import Journal
from recoup.sagas.postgres import PostgresBackend
from tests.sagas.contract.stores import NOW, intent, saga

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgres import PostgresServer

PATIENCE = 60.0  # seconds that a caller waits here: a busy machine may take long to start a server again


@pytest.fixture
def journal(postgres: PostgresServer) -> Iterator[Journal]:
    made = Journal(PostgresBackend(postgres.dsn, timeout=30, reconnect_grace=3600), timeout=PATIENCE)
    with made:
        yield made


class Crowd:
    """Threads that append to sagas of their own without end, and remember what was acknowledged."""

    def __init__(self, journal: Journal, size: int) -> None:
        self.acknowledged: dict[str, int] = {}
        self.refused: list[BaseException] = []
        self._journal = journal
        self._stop = Event()
        self._threads = [Thread(target=self._work) for _ in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        journal = self._journal
        try:
            head = journal.wait(journal.start(saga()))
            seq = 0
            while not self._stop.is_set():
                seq += 1
                journal.wait(journal.append(Append(head.id, head.fence, [intent(seq)], NOW)))
                self.acknowledged[head.id] = seq
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.refused.append(error)

    def grown(self) -> None:
        """Wait until everybody has had something acknowledged from now on."""
        before, until = dict(self.acknowledged), time.monotonic() + PATIENCE
        while len(self.acknowledged) < len(self._threads) or any(
            self.acknowledged[id_] <= seq for id_, seq in before.items()
        ):
            assert time.monotonic() < until, self.refused
            assert not self.refused
            time.sleep(0.005)


@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_a_server_that_ends_and_comes_back_loses_nothing(
    postgres: PostgresServer, journal: Journal, fault: str
) -> None:
    """However the server ends, every acknowledged record is there when it is back, and no caller notices (rule 5)."""
    owner = journal.owner
    with Crowd(journal, 6) as crowd:
        for _ in range(3):
            crowd.grown()
            getattr(postgres, fault)()
            postgres.start()
        crowd.grown()
    assert crowd.refused == []
    assert journal.owner == owner
    for id_, seq in crowd.acknowledged.items():
        records = journal.wait(journal.load(id_)).records
        assert [each.seq for each in records][:seq] == list(range(1, seq + 1))
        assert len(records) <= seq + 1  # the last one may have been written without an answer


def test_a_frozen_server_holds_nobody(postgres: PostgresServer) -> None:
    """A caller is held no longer than its time limit by a server that does not answer; afterwards all goes on."""
    backend = PostgresBackend(postgres.dsn, timeout=0.5, reconnect_grace=3600)
    with Journal(backend, timeout=PATIENCE) as journal:
        head = journal.wait(journal.start(saga()))
        journal.wait(journal.append(Append(head.id, head.fence, [intent(1)], NOW)))
        link = backend._link
        assert link is not None
        postgres.freeze()
        for seconds in (0.05, 0.0):
            with pytest.raises(JournalError, match=r"no answer within 0") as caught:
                journal.wait(journal.append(Append(head.id, head.fence, [intent(2)], NOW)), seconds)
            assert caught.value.timeout
        while link.open:  # until it is given up, and its session is a ghost in the server
            time.sleep(0.01)
        postgres.thaw()
        journal.wait(journal.append(Append(head.id, head.fence, [intent(3)], NOW)))
        seqs = {each.seq for each in journal.wait(journal.load(head.id)).records}
        assert {1, 3} <= seqs <= {1, 2, 3}


def test_a_frozen_server_holds_no_task(postgres: PostgresServer) -> None:
    """As long as the server is frozen an event loop goes on, and tasks come back when their time is over."""

    async def main() -> int:
        turns = 0

        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        backend = PostgresBackend(postgres.dsn, timeout=0.5, reconnect_grace=3600)
        with Journal(backend, timeout=PATIENCE) as journal:
            head = await journal.wait_async(journal.start(saga()))
            postgres.freeze()
            ticking = asyncio.create_task(tick())
            with pytest.raises(JournalError, match=r"no answer within 0\.1 s"):
                await journal.wait_async(journal.append(Append(head.id, head.fence, [intent(1)], NOW)), 0.1)
            ticking.cancel()
            postgres.thaw()
        return turns

    assert asyncio.run(main()) > 10


def test_who_is_away_for_long_is_fenced(postgres: PostgresServer, journal: Journal) -> None:
    """An owner that comes back after its sagas were claimed is told so, by every one of them (rule 4)."""
    head = journal.wait(journal.start(saga()))
    with Journal(PostgresBackend(postgres.dsn, timeout=30, reconnect_grace=3600), timeout=PATIENCE) as other:
        taken = other.wait(other.take(head.id, [State.RUNNING], force=True))
        postgres.kill()
        postgres.start()
        with pytest.raises(Fenced, match="taken over"):
            journal.wait(journal.append(Append(head.id, head.fence, [intent(1)], NOW)))
        other.wait(other.append(Append(head.id, taken.fence, [Record(1, Kind.END)], NOW, State.DONE, release=True)))
        assert [each.kind for each in other.wait(other.load(head.id)).records] == [Kind.END]


def test_live_owners_keep_their_sagas_over_a_restart(postgres: PostgresServer) -> None:
    """Within the grace after a start of the server the first who is back does not take what the others still run."""
    with (
        Journal(PostgresBackend(postgres.dsn, timeout=30, reconnect_grace=3600), timeout=PATIENCE) as first,
        Journal(PostgresBackend(postgres.dsn, timeout=30, reconnect_grace=3600), timeout=PATIENCE) as second,
    ):
        head = first.wait(first.start(saga()))
        postgres.kill()
        postgres.start()
        assert second.wait(second.claim(9)) == []
        first.wait(first.append(Append(head.id, head.fence, [intent(1)], NOW)))


def test_a_server_that_is_away_for_good_is_an_error(postgres: PostgresServer, journal: Journal) -> None:
    """Without a server a caller gets an error when its time is over, and the effect has not begun (rule 1)."""
    head = journal.wait(journal.start(saga()))
    postgres.kill()
    with pytest.raises(JournalError) as caught:
        journal.wait(journal.append(Append(head.id, head.fence, [intent(1)], NOW)), 0.05)
    assert caught.value.timeout
    postgres.start()
    assert journal.wait(journal.load(head.id)).head == head
