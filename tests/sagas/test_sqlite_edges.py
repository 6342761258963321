"""The embedded journal at its edges: files that cannot be shared, forked children, and lookers that stop looking."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from recoup import JournalError
from recoup.sagas.journal import Start
from recoup.sagas.owners import Owners, Watch
from recoup.sagas.sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sagas.db"


def locked(path: Path) -> bool:
    """Tell whether anybody holds the lock on a file."""
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def test_files_that_cannot_be_shared(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite has no shared memory for its log, the journal is refused; elsewhere the file is as good as new."""
    connect: Any = sqlite3.connect

    def without_shared_memory(path: Path, **options: Any) -> Any:
        return connect(f"{path.as_uri()}?vfs=unix-dotfile", uri=True, **options)

    backend = SqliteBackend(path)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", without_shared_memory)
        with pytest.raises(JournalError, match=r"cannot keep it in WAL mode \(it says 'delete'\)"):
            backend.open()
    assert backend.owner == ""
    assert not locked(path.with_name("sagas.db-turn"))
    backend.open()
    assert backend.owner
    backend.close()


def test_child_in_the_middle_of_a_transaction(path: Path) -> None:
    """A forked child lets go of all it inherited, and the parent keeps it: its turn, its life, its transaction."""
    backend = SqliteBackend(path)
    backend.open()
    turn, life = path.with_name("sagas.db-turn"), path.with_name("sagas.db-owners") / backend.owner
    parent = os.dup(backend._turn), os.dup(backend._owners._file)  # as after a fork: one lock, two who hold it
    connection = backend._connection
    backend.begin(writes=True)
    backend.start(Start("s", "order"))
    backend.abandon()
    assert locked(turn)
    assert locked(life)
    connection.execute("COMMIT")
    for file in parent:
        os.close(file)
    assert not locked(turn)
    assert not locked(life)
    first = life.name
    backend.open()
    assert backend.owner != first
    backend.begin(writes=True)
    assert [(each.id, each.owner, each.fence) for each in backend.claim(10)] == [("s", backend.owner, 2)]
    backend.commit()
    backend.close()
    connection.close()


def test_child_of_a_journal_that_is_not_open(path: Path) -> None:
    """A forked child has nothing to let go of where the parent had not got to opening the journal."""
    backend = SqliteBackend(path)
    backend.abandon()
    assert backend.owner == ""
    assert list(path.parent.iterdir()) == []
    backend.open()
    assert locked(path.with_name("sagas.db-owners") / backend.owner)
    backend.close()


def test_looking_no_longer(tmp_path: Path) -> None:
    """Who stops looking after others has none of their files open any more."""
    one, two = Owners(tmp_path), Owners(tmp_path)
    one.enter()
    two.enter()
    watch = Watch(one, Event().set)
    while two.name not in watch._files:
        time.sleep(0.01)
    file = watch._files[two.name]
    assert os.path.sameopenfile(file, two._file)
    watch.end()
    watch._thread.join()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
    assert not one.dead(two.name)
    two.leave()
    one.leave()
