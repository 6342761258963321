"""One writer for everybody: group commit, patience, and what happens when the store has moods (issue 5)."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from recoup import DeadlineExceeded, Fenced, JournalError, current_deadline, deadline
from recoup.sagas import keeper, writer
from recoup.sagas.journal import Append, Kind, Record, Start
from recoup.sagas.keeper import Journal
from recoup.sagas.run import Run
from tests.sagas.fakes import Memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Both


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def place(memory: Memory) -> Iterator[Journal]:
    with Journal(memory, recover=False) as made:
        yield made
        memory.gate.set()


def append(id: str, seq: int = 1, fence: int = 1) -> Append:
    return Append(id, fence, [Record(seq, Kind.INTENT, seq)], 0.0)


def do(both: Both, place: Journal, ticket: Any, seconds: float | None = None) -> Any:
    if both.is_async:
        return both.run(place.wait_async, ticket, seconds)
    return place.wait(ticket, seconds)


def test_group_commit(both: Both, memory: Memory, place: Journal) -> None:
    """What gathers while the store is busy is written in one transaction."""
    memory.gate.clear()
    tickets = [place.start(Start(f"s{n}", "order")) for n in range(50)]
    memory.gate.set()
    for ticket in tickets:
        do(both, place, ticket)
    assert sum(memory.batches) == 50
    assert len(memory.batches) <= 3


def test_lazy_rides_on_the_next_commit(memory: Memory, place: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lazy request has no commit of its own while others come."""
    monkeypatch.setattr(writer, "LINGER", 30.0)
    place.wait(place.start(Start("s", "order")))
    lazy = place.append(append("s", 1), lazy=True)
    assert not lazy.done
    place.wait(place.append(append("s", 2)))
    assert lazy.written()
    assert memory.batches == [1, 2]


def test_lazy_by_itself(memory: Memory, place: Journal) -> None:
    """A lazy request that nobody follows is written after a moment, and at the latest when the journal is closed."""
    place.wait(place.start(Start("s", "order")))
    lazy = place.append(append("s", 1), lazy=True)
    place.wait(lazy)
    last = place.append(append("s", 2), lazy=True)
    place.close()
    assert last.written()
    assert memory.closed == 1


def test_fenced(both: Both, place: Journal) -> None:
    """An append of somebody who is not the owner any more raises, for him alone (rule 4)."""
    place.wait(place.start(Start("s", "order")))
    good, bad = place.append(append("s", 1)), place.append(append("s", 2, fence=9), name="order")
    do(both, place, good)
    with pytest.raises(Fenced, match="saga 'order'"):
        do(both, place, bad)


def test_one_bad_request(both: Both, memory: Memory, place: Journal) -> None:
    """A request that the store refuses does not take the others of its transaction along."""
    memory.poison = "bad"
    memory.gate.clear()
    first = place.start(Start("good", "order"))
    tickets = [place.append(append("good")), place.append(append("bad")), place.append(append("good", 2))]
    memory.gate.set()
    for ticket in (first, tickets[0], tickets[2]):
        do(both, place, ticket)
    with pytest.raises(JournalError, match="poison") as caught:
        do(both, place, tickets[1])
    assert caught.value.journal == "memory:"
    assert tickets[1].failed()


def test_full(both: Both, memory: Memory, place: Journal) -> None:
    """A store that is full says so before the effect, and goes on when there is room."""
    memory.broken = "disk is full"
    with pytest.raises(JournalError, match="disk is full"):
        do(both, place, place.start(Start("s", "order")))
    memory.broken = ""
    do(both, place, place.start(Start("s", "order")))


def test_odd_error(memory: Memory, place: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a store raises comes out as a JournalError, and the writer lives on."""

    def commit() -> None:
        raise ZeroDivisionError("odd")

    with monkeypatch.context() as patch:
        patch.setattr(memory, "commit", commit)
        with pytest.raises(JournalError, match="ZeroDivisionError: odd"):
            place.wait(place.start(Start("s", "order")))
    place.wait(place.start(Start("s", "order")))


def test_away(both: Both, memory: Memory, place: Journal) -> None:
    """While the store cannot be reached the transaction is repeated, after opening it again."""
    place.open()
    memory.away = 3
    do(both, place, place.start(Start("s", "order")))
    assert memory.openings == 2
    assert memory.away == 0


def test_given_up(both: Both, memory: Memory, place: Journal) -> None:
    """Nobody is held past his own limit; what nobody waits for any more fails once the store says it is away."""
    place.open()
    memory.away = 1_000_000
    ticket = place.start(Start("s", "order"))
    with pytest.raises(JournalError, match=r"no answer within 0\.01 s") as caught:
        do(both, place, ticket, 0.01)
    assert caught.value.timeout
    for _ in range(1000):
        if ticket.failed():
            break
        time.sleep(0.01)
    assert ticket.failed()
    memory.away = 0


def test_opening_again(both: Both, memory: Memory) -> None:
    """A store that cannot be reached at first is tried for some time, and may be tried anew."""
    memory.away = 2
    with Journal(memory, recover=False) as place:
        assert place.owner == "owner-1"
        assert repr(place) == "<Journal memory: open>"
    assert repr(place) == "<Journal memory: closed>"
    memory.away = 1_000_000
    place = Journal(memory, timeout=0.05, recover=False)
    assert repr(place) == "<Journal memory: not open>"
    for _ in range(2):
        with pytest.raises(JournalError, match=r"away|no answer"):
            both.run(place.open_async) if both.is_async else place.open()
    with pytest.raises(JournalError, match=r"away|no answer"):
        do(both, place, place.start(Start("s", "order")))
    memory.away = 0
    for _ in range(100):
        try:
            do(both, place, place.start(Start("s", "order")))
        except JournalError:
            continue
        break
    place.close()


def test_closed(place: Journal) -> None:
    """A closed journal is closed for good, and says so."""
    place.close()
    place.close()
    with pytest.raises(JournalError, match="it is closed"):
        place.load("s")
    place.hand_over("s", 1)
    assert place.closed


def test_deadline(memory: Memory, place: Journal) -> None:
    """The ambient deadline limits waiting for the store, and is what is blamed then (rule D1)."""
    place.open()
    memory.gate.clear()
    run = Run.begun(place, "order", key=None)

    @deadline(0.05, mode="cooperative")
    def call() -> None:
        assert current_deadline() is not None
        run.wait(run.announce())

    with pytest.raises(DeadlineExceeded):
        call()
    memory.gate.set()


def test_cancelled(memory: Memory, place: Journal) -> None:
    """A caller that is cancelled leaves at once; what it asked for may still be written."""

    async def main() -> None:
        await place.open_async()
        memory.gate.clear()
        ticket = place.start(Start("s", "order"))
        waiting = asyncio.create_task(place.wait_async(ticket))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ticket.abandoned
        memory.gate.set()
        await place.wait_async(ticket)

    asyncio.run(main())
    assert "s" in memory.rows


def test_many_threads_and_loops(memory: Memory, place: Journal) -> None:
    """Threads and event loops use one journal at once; everybody gets an own answer (rule G7)."""
    place.wait(place.start(Start("s", "order")))
    seen: list[str] = []

    def work(first: int) -> None:
        for n in range(20):
            place.wait(place.append(append("s", first + n)))
        seen.append("thread")

    def loop(first: int) -> None:
        async def main() -> None:
            await asyncio.gather(*(place.wait_async(place.append(append("s", first + n))) for n in range(20)))

        asyncio.run(main())
        seen.append("loop")

    threads = [threading.Thread(target=work if n % 2 else loop, args=(1 + 100 * n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(seen) == ["loop"] * 4 + ["thread"] * 4
    assert len(memory.records["s"]) == 160


def test_after_fork(memory: Memory, place: Journal) -> None:
    """A forked child lets go of what it inherited, and opens its own when it uses it (rule G18)."""
    place.open()
    mine, place._writer = place._writer, place._writer
    place.after_fork()
    assert memory.abandoned == 1
    assert place._writer is None
    place.after_fork()
    assert memory.abandoned == 1
    place.wait(place.start(Start("s", "order")))
    assert memory.openings == 2
    assert mine is not None
    mine.stop(5)


def test_closed_at_exit(memory: Memory) -> None:
    """A program that ends closes its journals, so that lazy records are written."""
    place = Journal(memory, recover=False)
    place.start(Start("s", "order"), lazy=True)
    keeper._close_all()
    assert memory.batches == [1]
    assert os.getpid()


def test_hand_over_without_recoverer(memory: Memory, place: Journal) -> None:
    """Where nobody looks after sagas, one that is left is set free for whoever comes."""
    place.wait(place.start(Start("s", "order")))
    place.hand_over("s", 1)
    place.wait(place.load("s"))
    assert memory.rows["s"].owner is None
