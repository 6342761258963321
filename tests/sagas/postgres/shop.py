"""A shop whose every effect is a row in its own database, once for a key: run in processes of their own.

    python -m tests.sagas.postgres.shop leave ADDRESS COUNT     begin sagas, stop in the middle of each, say so, wait
    python -m tests.sagas.postgres.shop recover ADDRESS         recover what is left until there is nothing, say what
    python -m tests.sagas.postgres.shop watch ADDRESS           recover in the background, until the input ends

What is kept: `effect(key, name)` has a row as long as an effect stands, `deed(what, key, process)` one for everything
that was ever done.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg

from recoup import compensate, configure, idempotent, saga, step
from recoup.sagas.keeper import Journal
from recoup.sagas.people import recover
from recoup.sagas.postgres import PostgresBackend

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = """
    CREATE TABLE effect (key TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE deed (n BIGSERIAL PRIMARY KEY, what TEXT NOT NULL, key TEXT NOT NULL, process INTEGER NOT NULL)
"""

_address = ""
_deadly = 0  # at which point a zombie stops
_points = count(1)


@cache
def bank() -> psycopg.Connection[Any]:
    """Give the one connection of this process: one thread of it has effects."""
    # Who stops in the middle of an effect is thrown out by the server, and the effect is not: else its undo would wait.
    return psycopg.connect(f"{_address}%20-cidle_in_transaction_session_timeout%3D1s", autocommit=True)


@idempotent("connection")
def put(connection: psycopg.Connection[Any], name: str) -> str:
    connection.execute("INSERT INTO effect VALUES (%s, %s)", (step().key, name))
    connection.execute("INSERT INTO deed (what, key, process) VALUES ('do', %s, %s)", (step().key, os.getpid()))
    point()
    return f"did {name}"


@idempotent("connection", undo=True)
def remove(connection: psycopg.Connection[Any]) -> None:
    connection.execute("DELETE FROM effect WHERE key = %s", (step().key,))
    connection.execute("INSERT INTO deed (what, key, process) VALUES ('undo', %s, %s)", (step().key, os.getpid()))


def undo(state: dict[str, Any]) -> None:
    remove(bank())


@compensate(undo)
def do(name: str) -> str:
    point()
    done: str = put(bank(), name)
    point()
    return done


def point() -> None:
    """A moment at which a zombie stops, until somebody wakes it."""
    if next(_points) == _deadly:  # in one step: the writer's thread passes points as well
        os.kill(os.getpid(), signal.SIGSTOP)


class Pointed(PostgresBackend):
    """A journal at whose exchanges a zombie may stop."""

    def _run(self, *statements: tuple[str, Any]) -> list[Any]:
        point()
        replies = super()._run(*statements)
        point()
        return replies


def journal(kind: type[PostgresBackend] = PostgresBackend, *, timeout: float = 60, background: bool = False) -> Journal:
    return Journal(kind(_address, timeout=timeout, reconnect_grace=0), timeout=60, recover=background)


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - whoever has started it listens


def begin() -> None:
    """Begin a saga that does not end."""
    saga("order").__enter__()
    for name in ("a", "b", "c"):
        do(name)


def leave(number: int) -> None:
    """Begin so many sagas of three steps, and leave each in its third."""
    with journal() as place, configure(journal=place):
        for _ in range(number):
            copy_context().run(begin)  # a context of its own: it is not inside the one before
        say("left", number)
        sys.stdin.read()


def recover_all() -> None:
    """Recover until nothing is left twice in a row: others may be at work on the last ones."""
    with journal() as place:
        say("ready")
        sys.stdin.readline()
        idle = 0
        while idle < 3:
            fates = recover(limit=5, journal=place)
            for identity, state in fates.items():
                say(identity, state)
            idle = 0 if fates else idle + 1


def watch() -> None:
    """Recover in the background."""
    with journal(background=True), suppress(KeyboardInterrupt):
        say("ready")
        sys.stdin.read()


def enter(address: str, deadly: int = 0) -> None:
    """Begin in a new process, which stops at its `deadly`-th point; 0 for never."""
    global _address, _deadly, _points
    _address, _deadly, _points = address, deadly, count(1)
    bank.cache_clear()


def main() -> None:
    what, address, *more = sys.argv[1:]
    enter(address)
    commands: dict[str, Callable[..., None]] = {
        "leave": leave, "recover": recover_all, "watch": watch,
    }  # fmt: skip
    commands[what](*map(int, more))


if __name__ == "__main__":
    main()
