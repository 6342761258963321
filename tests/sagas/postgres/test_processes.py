"""Many processes at one journal: orphans are recovered once each, zombies do nothing, takeovers are quick."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.laws.source import ROOT
from tests.sagas.postgres.shop import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0


class Process:
    """One process of the shop."""

    def __init__(self, what: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sagas.postgres.shop", what, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def heard(self) -> str:
        """Wait for a line; empty at the end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def rest(self) -> list[str]:
        """Wait for the end; give what it said."""
        return self._process.communicate()[0].splitlines()

    def send(self, sign: signal.Signals) -> None:
        self._process.send_signal(sign)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def shop(*arguments: object) -> Iterator[Process]:
    process = Process(str(arguments[0]), *arguments[1:])
    try:
        yield process
    finally:
        process.send(signal.SIGCONT)
        process.kill()


@pytest.fixture
def bank(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection to the shop's own database, whose tables are there."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


def states(bank: psycopg.Connection[Any]) -> Counter[str]:
    return Counter(state for (state,) in bank.execute("SELECT state FROM recoup_saga"))


def gone(bank: psycopg.Connection[Any]) -> None:
    """Wait until the server has noticed that nobody owns anything any more."""
    until = time.monotonic() + PATIENCE
    asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 'recoup_saga'::regclass::oid"
    while bank.execute(asked).fetchone() != (0,):
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.slow
def test_eight_recoverers_share_two_hundred_orphans(bank: psycopg.Connection[Any], database: str) -> None:
    """Each of 200 orphans is recovered by one of eight processes, once; nothing is left, nothing undone twice."""
    with shop("leave", database, 200) as left:
        assert left.heard() == "left 200"
    gone(bank)
    recoverers = [Process("recover", database) for _ in range(8)]
    try:
        for each in recoverers:
            assert each.heard() == "ready"
        for each in recoverers:
            each.go()
        said = [each.rest() for each in recoverers]
    finally:
        for each in recoverers:
            each.kill()
    recovered = Counter(line for lines in said for line in lines)
    assert len(recovered) == 200
    assert set(recovered.values()) == {1}
    assert all(line.endswith(" compensated") for line in recovered)
    assert sum(bool(lines) for lines in said) > 1  # more than one had something to do
    assert states(bank) == {"compensated": 200}
    assert bank.execute("SELECT count(*) FROM effect").fetchone() == (0,)
    assert bank.execute("SELECT what, count(*) FROM deed GROUP BY what ORDER BY what").fetchall() == [
        ("do", 600), ("undo", 600),
    ]  # fmt: skip
    backwards = "SELECT key FROM deed WHERE what = 'undo' ORDER BY split_part(key, ':', 1), n"
    numbers = [int(key.rpartition(":")[2]) for (key,) in bank.execute(backwards)]
    assert numbers == [3, 2, 1] * 200


@pytest.mark.slow
def test_a_zombie_leaves_nothing(bank: psycopg.Connection[Any]) -> None:
    """Stopped at a point, taken over and woken, a process finds itself fenced or late; no effect stands (rule 3).

    Every fifth point; all of them: `python -m tests.sagas.postgres.zombies`.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.sagas.postgres.zombies", "3", "5"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'fenced'" in done.stdout


def takeover(bank: psycopg.Connection[Any], database: str) -> float:
    """Kill a process in the middle of its sagas; give the seconds until another one has undone them."""
    bank.execute("TRUNCATE recoup_saga, recoup_rec, effect, deed")
    with shop("leave", database, 1) as process:
        assert process.heard() == "left 1"
        time.sleep(float(os.environ.get("RECOUP_SETTLE", "0")))
        began = time.monotonic()
        process.kill()
        while states(bank) != {"compensated": 1}:
            assert time.monotonic() < began + PATIENCE, states(bank)
            time.sleep(0.001)
        return time.monotonic() - began


def takeovers(bank: psycopg.Connection[Any], database: str, count: int) -> list[float]:
    with shop("watch", database) as process:
        assert process.heard() == "ready"
        return sorted(takeover(bank, database) for _ in range(count))


def test_a_killed_process_is_taken_over(bank: psycopg.Connection[Any], database: str) -> None:
    """What a killed process has left is undone by another one that lives (rule 6)."""
    with shop("leave", database, 1) as process:
        process.heard()
    times = takeovers(bank, database, 2)
    assert times
    assert bank.execute("SELECT count(*) FROM effect").fetchone() == (0,)


if __name__ == "__main__":  # python -m tests.sagas.postgres.test_processes: the figures
    from tests.servers.postgres import PostgresServer

    with PostgresServer(durable=True) as server, psycopg.connect(server.dsn, autocommit=True) as own:
        server.suffix = "?options=-csearch_path%3Dpublic"
        own.execute(TABLES)
        with shop("leave", server.dsn, 1) as one:
            one.heard()
        os.environ["RECOUP_SETTLE"] = "1.2"
        measured = takeovers(own, server.dsn, int(sys.argv[1]) if len(sys.argv) > 1 else 50)
        print(  # noqa: T201 - a command
            f"{len(measured)} takeovers: p50 {statistics.median(measured) * 1000:.0f} ms, "
            f"p99 {measured[int(len(measured) * 0.99)] * 1000:.0f} ms"
        )
