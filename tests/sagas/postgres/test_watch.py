"""The death of an owner is noticed at once, by waiting for its lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from threading import Event, active_count
from typing import TYPE_CHECKING

import psycopg
import pytest

from recoup.sagas import postgres_watch
from recoup.sagas.journal import Kind, Record, State
from recoup.sagas.postgres import PostgresBackend
from tests.sagas.contract.stores import add, begun, do

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0  # seconds; what is waited for comes at once, however long a busy machine takes


@contextmanager
def owner(database: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(database, timeout=30, reconnect_grace=0)
    backend.open()
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def watching(backend: PostgresBackend) -> Iterator[Event]:
    noticed = Event()
    end = backend.watch(noticed.set)
    try:
        yield noticed
    finally:
        end()


@pytest.fixture
def no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have watchers look round once an hour: what they notice, they notice by waiting for a lock."""
    monkeypatch.setattr(postgres_watch, "ROUND", 3600.0)


def test_an_end_is_noticed_without_looking_round(database: str, no_rounds: None) -> None:
    """When an owner's session ends, the one who watches it is told, without asking again and again (rule 6)."""
    with owner(database) as first, owner(database) as second:
        begun(first)
        with watching(second) as noticed:
            waits_for_a_lock(database)
            assert not noticed.is_set()
            first.close()
            assert noticed.wait(PATIENCE)
            assert len(do(second, "claim", 9)) == 1


def test_every_owner_is_watched_by_one(database: str, no_rounds: None) -> None:
    """Of three owners each watches the next: whoever ends, one of the others is told."""
    with (
        owner(database) as one, owner(database) as two, owner(database) as three,
        watching(one) as ones, watching(two) as twos, watching(three) as threes,
    ):  # fmt: skip
        waits_for_a_lock(database, 3)
        two.close()
        assert ones.wait(PATIENCE)  # the one before
        assert not twos.is_set()
        assert not threes.is_set()


def waits_for_a_lock(database: str, count: int = 1) -> None:
    """Wait until so many sessions wait for locks of owners."""
    with psycopg.connect(database, autocommit=True) as connection:
        asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        for _ in range(int(PATIENCE * 200)):
            if connection.execute(asked).fetchone() == (count,):
                return
            Event().wait(0.005)
    raise AssertionError("nobody waits")


def test_orphans_that_are_there_are_told_of(database: str) -> None:
    """Who begins to watch is told of what is orphaned already."""
    with owner(database) as first:
        begun(first)
    with owner(database) as second, watching(second) as noticed:
        assert noticed.wait(PATIENCE)


def test_what_is_set_free_is_told_of(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saga that its owner gave up is noticed at the next look round, by a lonely watcher as well."""
    monkeypatch.setattr(postgres_watch, "ROUND", 0.02)
    with owner(database) as first, watching(first) as noticed:
        head = begun(first)
        assert add(first, head, Record(1, Kind.RESUMED), state=State.COMPENSATING, release=True)
        assert noticed.wait(PATIENCE)
        with owner(database):  # one that lives, and is waited for in vain
            for _ in range(3):
                noticed.clear()
                assert noticed.wait(PATIENCE)


def test_a_lost_watcher_comes_back(database: str, no_rounds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher whose session was ended opens another one."""
    with owner(database) as first, owner(database) as second, watching(second) as noticed:
        waits_for_a_lock(database)
        monkeypatch.setattr(postgres_watch, "ROUND", 0.02)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'recoup watch%'"
            )
        begun(first)
        first.close()
        assert noticed.wait(PATIENCE)


def test_the_end_of_watching_ends_its_thread(database: str) -> None:
    """Who ends the watching is told nothing more, and neither thread nor session stays."""
    with owner(database) as first:
        before = active_count()
        with watching(first) as noticed:
            assert active_count() == before + 1
        with psycopg.connect(database, autocommit=True) as connection:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            while connection.execute(asked, [f"recoup watch {first.owner}"]).fetchone() != (0,):
                Event().wait(0.005)
        noticed.clear()
        first._watches[0]._tell()  # what its thread had seen just before the end
        assert not noticed.is_set()


OWNER = """
import sys
from recoup.sagas.postgres import PostgresBackend
from tests.sagas.contract.stores import begun
backend = PostgresBackend(sys.argv[1])
backend.open()
begun(backend, id="orphan")
print(flush=True)
sys.stdin.read()
"""


def test_a_killed_process_is_noticed(database: str, no_rounds: None) -> None:
    """`kill -9` of a process ends its session, and so its ownership: no clock is asked (rule 6)."""
    with owner(database) as here:
        child = subprocess.Popen(
            [sys.executable, "-c", OWNER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            with watching(here) as noticed:
                waits_for_a_lock(database)
                assert do(here, "claim", 9) == []
                child.send_signal(signal.SIGKILL)
                assert noticed.wait(PATIENCE)
                assert [each.id for each in do(here, "claim", 9)] == ["orphan"]


def test_a_forked_child_does_not_keep_its_parent_alive(database: str) -> None:
    """A child that lives on does not hold the session of a parent that is gone, and is an owner of its own (G18)."""
    ready, go = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        backend = PostgresBackend(database)
        backend.open()
        end = backend.watch(lambda: None)
        begun(backend, id="orphan")
        if os.fork() == 0:
            backend.abandon()
            end()
            backend.open()
            begun(backend, id="the child's")
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        os.write(ready[1], b"x")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    with owner(database) as here:
        claimed: list[str] = []
        for _ in range(int(PATIENCE * 100)):
            claimed += [each.id for each in do(here, "claim", 9)]
            if claimed:
                break
            Event().wait(0.01)
        assert claimed == ["orphan"]
    os.write(go[1], b"x")
    for each in (*ready, *go):
        os.close(each)
