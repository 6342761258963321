"""Durable sagas at their edges: full disks, forks, odd callables, pivots in memory, undos that were cut off."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, JournalError, compensate, configure, saga
from recoup.sagas import describing, people
from recoup.sagas.journal import Kind, Record, State
from recoup.sagas.keeper import Journal
from recoup.sagas.ledger import Ledger
from recoup.sagas.replay import Replay
from recoup.sagas.sqlite import SqliteBackend
from tests.laws.source import ROOT
from tests.sagas import orders, shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Both


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for each in (shop.LOG, orders.PLAN, orders.RUNS):
        each.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


def test_disk_full(tmp_path: Path) -> None:
    """A full disk is an error before the effect, and the journal goes on when there is room again."""
    backend = SqliteBackend(tmp_path / "a.db")
    with Journal(backend, recover=False) as place, configure(journal=place):
        place.wait(place.listed((), 1))

        def pages(most: int) -> Any:
            return place.wait(place._submit(lambda _: backend._done(f"PRAGMA max_page_count = {most}").fetchone()))

        pages(1)
        with pytest.raises(JournalError, match="full"), saga("order"):
            shop.do("a" * 100_000)
        assert shop.LOG == []
        pages(1_000_000)
        with saga("order"):
            shop.do("b")
    assert shop.LOG == [("do", "b")]


def test_newer_schema(tmp_path: Path) -> None:
    """A journal of a newer recoup is refused, and left as it is."""
    backend = SqliteBackend(tmp_path / "a.db")
    with Journal(backend, recover=False) as place:
        place.wait(place._submit(lambda _: backend._done("UPDATE recoup_schema SET version = 99")))
    with pytest.raises(JournalError, match="version 99, and this recoup knows"):
        Journal(SqliteBackend(tmp_path / "a.db"), recover=False).open()


def test_pivot_in_memory() -> None:
    """In memory, too, nothing that was done before a pivot is undone after it."""
    with pytest.raises(ConnectionError), saga("order"):
        shop.do("a")
        shop.ship("b")
        shop.do("c")
        raise ConnectionError("no")
    assert [each[1][0] for each in shop.LOG if each[0] == "undo"] == ["c"]


def test_pivot_in_memory_async(both: Both) -> None:
    """The same in both colours, and in an inner saga."""
    done: list[str] = []
    step = compensate(lambda: done.append("undone"))(both.wrap(lambda: done.append("done")))
    last = compensate(None, pivot=True)(both.wrap(lambda: done.append("pivot")))

    async def main() -> None:
        async with saga("order"):
            await step()
            async with saga("inner"):
                await last()
            raise ConnectionError("no")

    def plain() -> None:
        with saga("order"):
            step()
            with saga("inner"):
                last()
            raise ConnectionError("no")

    with pytest.raises(ConnectionError):
        both.run(main) if both.is_async else plain()
    assert done == ["done", "pivot"]


def test_own_undo_cut_off(both: Both, journal: Journal) -> None:
    """A step of a function that failed, and whose undo was cut off, is undone before the function is run again."""
    orders.PLAN[:] = ["a", "b"]
    shop.FAULTS["do b"] = ConnectionError("no")
    shop.FAULTS["undo b2 -"] = OSError("disk")
    with pytest.raises(CompensationError):
        both.call(orders.place_async if both.is_async else orders.place, "x")
    (head,) = people.listed()
    assert head.state is State.COMPENSATING
    # As if the process had died before it wrote COMPENSATING.
    path = journal._backend.path  # type: ignore[attr-defined]
    journal.wait(
        journal._submit(
            lambda backend: [
                backend._done("DELETE FROM recoup_rec WHERE kind = 'compensating'"),  # type: ignore[attr-defined]
                backend._done("UPDATE recoup_saga SET state = 'running'"),  # type: ignore[attr-defined]
            ]
        )
    )
    shop.FAULTS.clear()
    assert path.exists()
    assert people.recover() == {head.id: State.COMPENSATED}
    assert shop.LOG[-2:] == [("undo", "b2 -"), ("undo", "a1 A")]


class Odd:
    """A callable that is no function."""

    def __call__(self, name: str, *more: str) -> str:
        shop.LOG.append(("do", name))
        return name


def test_callable_object(journal: Journal) -> None:
    """A callable object is a step like any other."""
    step = compensate(shop.no_state)(Odd())
    with pytest.raises(ConnectionError), saga("order") as block:
        step("a", "b")
        raise ConnectionError("no")
    assert '"step":"tests.sagas.test_corners:Odd"' in people.show(block.id).records[0].body  # type: ignore[attr-defined]
    assert describing._places(dict.get) == (("self", "key", "default"), "") or describing._places(dict.get)


def test_rest_of_the_arguments(journal: Journal) -> None:
    """What an undo in another process gets has the rest of the arguments under its name."""
    shop.FAULTS["undo a1 A"] = OSError("disk")
    with pytest.raises(CompensationError), saga("order"):
        shop.twice("a", "b", "c")
        raise ConnectionError("no")
    shop.FAULTS.clear()
    (head,) = people.listed()
    state = describing.state(Ledger.of(people.show(head.id).records).entries[1], {})
    assert (state["name"], state["more"], state["args"]) == ("a", ("b", "c"), ("a", "b", "c"))


def test_record_of_nothing() -> None:
    """A record of a step whose INTENT was never written says that it never began."""
    ledger = Ledger.of([Record(1, Kind.UNDONE, 3)])
    assert ledger.owed() == []
    assert ledger.intend("{}")[0].n == 4


def test_steps_inside_steps() -> None:
    """What ran inside a step that is over does not come again; what ran inside one that is not, does."""
    inner = '{"step": "inner", "parent": 1}'
    over = Ledger.of(
        [Record(1, Kind.INTENT, 1, '{"step": "outer"}'), Record(2, Kind.INTENT, 2, inner), Record(3, Kind.DONE, 1)]
    )
    assert [each.n for each in (Replay(over).left(),) if each] == [1]
    begun = Ledger.of([Record(1, Kind.INTENT, 1, '{"step": "outer"}'), Record(2, Kind.INTENT, 2, inner)])
    assert len(Replay(begun)._pending[0]) == 2


FORK = """
import os, sys, time
sys.path[:0] = ["src", "."]
from pathlib import Path
from recoup import Fenced, configure, saga
from recoup.sagas.keeper import Journal
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import shop
import warnings; warnings.simplefilter("ignore")
configure(journal=Journal(SqliteBackend(Path(sys.argv[1])), recover=False))
with saga("order"):
    shop.do("a")
    child = os.fork()
    if not child:
        try:
            shop.do("in the child")
        except Fenced:
            os._exit(0 if shop.LOG == [("do", "a")] else 3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if not child:
        os.closerange(0, 3)  # who reads them would wait for this one too
        time.sleep(600)
    print(child, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_fork(tmp_path: Path) -> None:
    """A child is no owner of its parent's sagas, and does not keep them owned when the parent is killed (G18)."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path / "a.db")], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == -9, done.stderr
    with Journal(SqliteBackend(tmp_path / "a.db"), recover=False) as place:
        assert list(people.recover(journal=place).values()) == [State.COMPENSATED]
    import os
    import signal

    os.kill(int(done.stdout), signal.SIGKILL)
