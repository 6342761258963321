"""Sagas that their processes have left are found and brought to their end, by exactly one (issue 5, rules 6 to 9)."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, JournalError, compensate, configure, saga
from recoup.sagas import people
from recoup.sagas.journal import State
from recoup.sagas.keeper import Journal
from recoup.sagas.owners import Owners, Watch
from recoup.sagas.recoverer import Patience, Recoverer
from recoup.sagas.sqlite import SqliteBackend
from tests.laws.source import ROOT
from tests.sagas import shop
from tests.sagas.fakes import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = Patience(first_pause=0.01, longest_pause=0.02, names_within=0.05)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    shop.LOG.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sagas.db"


def until(true: Callable[[], object]) -> None:
    """Wait until something is so; for ever, as far as a test knows."""
    while not true():
        time.sleep(0.01)


def state(place: Journal, id: str) -> State:
    return people.show(id, journal=place).head.state


def left(path: Path, step: Any = shop.do) -> str:
    """Leave a saga whose undo fails."""
    with Journal(SqliteBackend(path), recover=False) as place, configure(journal=place):
        shop.FAULTS["undo a1 A"] = OSError("disk")
        with pytest.raises(CompensationError), saga("order") as block:
            step("a")
            raise ConnectionError("down")
    return block.id  # type: ignore[attr-defined,no-any-return]


def test_at_start(path: Path) -> None:
    """A journal that is opened looks for sagas that were left, and tries them until they are over."""
    id = left(path)
    with Journal(SqliteBackend(path), patience=QUICK) as place:
        until(lambda: len(shop.LOG) > 4)
        assert state(place, id) is State.COMPENSATING
        shop.FAULTS.clear()
        until(lambda: state(place, id) is State.COMPENSATED)


def test_own_saga(path: Path) -> None:
    """What the foreground could not undo goes on in the background of the same process (rule 9)."""
    with Journal(SqliteBackend(path), patience=QUICK) as place, configure(journal=place):
        shop.FAULTS["undo a1 A"] = OSError("disk")
        with pytest.raises(CompensationError), saga("order") as block:
            shop.do("a")
            raise ConnectionError("down")
        until(lambda: len(shop.LOG) > 4)
        shop.FAULTS.clear()
        until(lambda: state(place, block.id) is State.COMPENSATED)  # type: ignore[attr-defined]


def test_attempts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A step that says how often it may be tried waits for a person after so many tries (rule 9)."""
    id = left(path, shop.stubborn)
    tries = len(shop.LOG)
    with caplog.at_level(logging.ERROR), Journal(SqliteBackend(path), patience=QUICK) as place:
        until(lambda: state(place, id) is State.STUCK)
        assert len(shop.LOG) == tries + 2
        assert "disk" in people.show(id, journal=place).head.reason
        until(lambda: "is stuck: CompensationError" in caplog.text)


def test_age(path: Path) -> None:
    """A saga that cannot be undone for too long waits for a person."""
    id = left(path)
    patience = Patience(first_pause=0.01, longest_pause=0.01, stuck_after=0.05)
    with Journal(SqliteBackend(path), patience=patience) as place:
        until(lambda: state(place, id) is State.STUCK)


def test_not_found_yet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not found may still be defined; after a while a person is asked, and nothing wrong was called."""
    id = left(path)
    shop.FAULTS.clear()
    undo = shop.undo
    monkeypatch.delattr(shop, "undo")
    with Journal(SqliteBackend(path), patience=Patience(first_pause=0.01, names_within=60)) as place:
        time.sleep(0.05)
        assert state(place, id) is State.COMPENSATING
        monkeypatch.setattr(shop, "undo", undo, raising=False)
        until(lambda: state(place, id) is State.COMPENSATED)


def test_never_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads nowhere makes a saga stuck, with that reason (rule 8)."""
    id = left(path)
    monkeypatch.delattr(shop, "undo")
    with Journal(SqliteBackend(path), patience=QUICK) as place:
        until(lambda: state(place, id) is State.STUCK)
        assert "has no 'undo'" in people.show(id, journal=place).head.reason
        assert [each for each in shop.LOG if each[0] == "undo"] == [("undo", "a1 A")]


def test_async_actions(path: Path) -> None:
    """Async actions run in a loop of the recoverer's own."""

    async def main() -> str:
        with Journal(SqliteBackend(path), recover=False) as place, configure(journal=place):
            shop.FAULTS["undo a1 A"] = OSError("disk")
            with pytest.raises(CompensationError):
                async with saga("order") as block:
                    await shop.do_async("a")
                    raise ConnectionError("down")
            return block.id  # type: ignore[attr-defined,no-any-return]

    id = asyncio.run(main())
    shop.FAULTS.clear()
    with Journal(SqliteBackend(path), patience=QUICK) as place:
        until(lambda: state(place, id) is State.COMPENSATED)


def test_stuck_at_its_pivot(path: Path) -> None:
    """A saga that cannot be undone at all is stuck at once."""
    with Journal(SqliteBackend(path), recover=False) as place, configure(journal=place):
        block: Any = saga("order")
        block.__enter__()
        shop.ship("a")
        place.close()
    with Journal(SqliteBackend(path), patience=QUICK) as place:
        until(lambda: state(place, block.id) is State.STUCK)
    from recoup.strategies.compensation import steps

    steps.leave(block._steps)


def test_fenced_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recoverer that is fenced while it works lets the saga go."""
    id = left(path)
    shop.FAULTS.clear()
    place = Journal(SqliteBackend(path), recover=False).open()
    recoverer = Recoverer(place, QUICK)
    recoverer._claim()
    undo = shop.undo

    def taken(state: dict[str, Any]) -> None:
        with Journal(SqliteBackend(path), recover=False) as other:
            people.retry(id, force=True, journal=other)
        undo(state)

    monkeypatch.setattr(shop, "undo", taken)
    recoverer._try_all()
    assert recoverer._cases == {}
    assert state(place, id) is State.COMPENSATING
    place.close()


def test_journal_away(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A journal that cannot be read at the moment is asked again."""
    memory = Memory()
    memory.broken = "full"
    with caplog.at_level(logging.WARNING), Journal(memory, patience=QUICK) as place:
        until(lambda: "cannot be looked after at the moment" in caplog.text)
        memory.broken = ""
        assert place.wait(place.listed((), 1)) == []


def test_gone_meanwhile() -> None:
    """A saga that is over, or somebody else's, needs no looking after."""
    with Journal(Memory(), recover=False) as place:
        recoverer = Recoverer(place, QUICK)
        recoverer.adopt("nobody")
        recoverer._try_all()
        assert recoverer._cases == {}
        recoverer.adopt("nobody")
        recoverer._cases["nobody"].owned = True
        recoverer._try_all()
        assert recoverer._cases == {}
        recoverer.adopt("nobody")
        recoverer._stopping = True
        recoverer._try_all()
        assert "nobody" in recoverer._cases
        recoverer.stop()


SCRIPT = """
import sys, time
sys.path[:0] = ["src", "."]
from pathlib import Path
from recoup import saga, configure
from recoup.sagas.keeper import Journal
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import shop
configure(journal=Journal(SqliteBackend(Path(sys.argv[1])), recover=False))
with saga("order"):
    shop.do("a")
    shop.do("b")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_takeover(path: Path) -> None:
    """A process that is killed is noticed, and its saga undone by another one, once (rule 6)."""
    with Journal(SqliteBackend(path), patience=QUICK) as place:
        other = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        (head,) = people.listed(journal=place)
        time.sleep(0.6)
        assert state(place, head.id) is State.RUNNING
        other.kill()
        until(lambda: state(place, head.id) is State.COMPENSATED)
        assert [each[1][:2] for each in shop.LOG] == ["b2", "a1"]
        other.wait()
        other.stdout.close()


def test_owners(tmp_path: Path) -> None:
    """An owner lives as long as its lock; its file shows it to all, and is gone with it."""
    one, two = Owners(tmp_path / "owners"), Owners(tmp_path / "owners")
    assert one.others() == set()
    assert not one.dead(one.name) or one.name == ""
    one.enter()
    two.enter()
    assert (one.dead(two.name), one.dead(one.name), one.dead("nobody")) == (False, False, True)
    assert one.others() == {two.name}
    seen = Event()
    watch = Watch(one, seen.set)
    until(lambda: two.name in watch._files)
    seen.clear()
    two.drop()
    until(seen.is_set)
    assert one.dead(two.name)
    watch.end()
    one.bury(two.name)
    one.bury(two.name)
    one.leave()
    one.leave()
    assert list((tmp_path / "owners").iterdir()) == []


def test_owner_that_cannot_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that gets no lock is none."""
    one = Owners(tmp_path / "owners")

    def flock(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(one._fcntl, "flock", flock)
    with pytest.raises(OSError, match="no locks here"):
        one.enter()
    assert one.name == ""


def test_windows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no `flock`, and is told so when a journal is made."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(JournalError, match="needs flock"):
        SqliteBackend(path)


@compensate(shop.undo)
def other_step(name: str) -> str:
    return name


def test_closing_while_watched(path: Path) -> None:
    """A saga that is open when its journal is closed belongs to whoever finds it."""
    with Journal(SqliteBackend(path), recover=False) as place, configure(journal=place):
        block: Any = saga("order")
        block.__enter__()
        shop.do("a")
    with pytest.raises(JournalError, match="it is closed"):
        block.__exit__(None, None, None)
    with Journal(SqliteBackend(path), patience=QUICK) as place:
        until(lambda: state(place, block.id) is State.COMPENSATED)
