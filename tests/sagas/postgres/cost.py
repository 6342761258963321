"""What a step of a durable saga costs, beside one bare durable append of the same run.

    python -m tests.sagas.postgres.cost [SAGAS]

Both are measured in turns, so that whatever else the machine does falls on both. The bare append is what anybody would
have to do to keep one line: an INSERT that is committed, with the same driver, in the same file system.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from recoup import compensate, saga
from recoup.sagas.keeper import Journal
from recoup.sagas.postgres import PostgresBackend
from recoup.sagas.sqlite import SqliteBackend
from tests.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 10
LINE = "INSERT INTO bare (saga, seq, kind, body) VALUES ({0}, {0}, {0}, {0})"
VALUES = ("5f0a", 1, "intent", '{"step":"shop:charge","args":[7]}')
TABLE = "CREATE TABLE bare (saga TEXT, seq BIGINT, kind TEXT, body TEXT)"


def undo() -> None:
    """Undo nothing: every saga here ends well."""


@compensate(undo)
def step(order: int) -> int:
    return order


def measured(journal: Journal, bare: Callable[[], object], sagas: int) -> tuple[list[float], list[float]]:
    """Run sagas and bare appends in turns; give the seconds of a commit of each."""
    steps: list[float] = []
    appends: list[float] = []
    for _ in range(sagas):
        began = time.perf_counter()
        with saga("cost", journal=journal):
            for number in range(STEPS):
                step(number)
        steps.append((time.perf_counter() - began) / STEPS)  # k steps have k + 1 commits: the end is paid by the steps
        for _ in range(STEPS):
            began = time.perf_counter()
            bare()
            appends.append(time.perf_counter() - began)
    return steps, appends


def told(name: str, steps: list[float], appends: list[float]) -> None:
    step_ms, bare_ms = statistics.median(steps) * 1000, statistics.median(appends) * 1000
    print(  # noqa: T201 - a command
        f"{name:<11} step {step_ms:.3f} ms, bare durable append {bare_ms:.3f} ms, ratio {step_ms / bare_ms:.2f}"
    )


def of_sqlite(sagas: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        own.execute("PRAGMA journal_mode = WAL")
        own.execute("PRAGMA synchronous = FULL")
        own.execute(TABLE)
        with Journal(SqliteBackend(Path(folder) / "sagas.db")) as journal:
            told("SQLite", *measured(journal, lambda: own.execute(LINE.format("?"), VALUES), sagas))
        own.close()


def of_postgres(sagas: int) -> None:
    with PostgresServer(durable=True) as server, psycopg.connect(server.dsn, autocommit=True) as own:
        own.execute(TABLE)
        line = LINE.format("%s")
        with Journal(PostgresBackend(server.dsn)) as journal:
            told("PostgreSQL", *measured(journal, lambda: own.execute(line, VALUES, prepare=True), sagas))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    of_sqlite(count)
    of_postgres(count)
