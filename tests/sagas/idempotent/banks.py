"""Databases of users, with money in them: the effects that may happen once."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "CREATE TABLE entry (payment TEXT, amount INTEGER)"


class Bank:
    """One database, with connections of one kind.

    Attributes:
        mark: How a value stands in a statement.
    """

    mark = "?"
    awaits = False

    def connect(self) -> Any:
        raise NotImplementedError

    def entries(self) -> list[tuple[str, int]]:
        """Read what is committed."""
        raise NotImplementedError

    def states(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def insert(self) -> str:
        return f"INSERT INTO entry VALUES ({self.mark}, {self.mark})"  # noqa: S608 - a mark

    def delete(self) -> str:
        return f"DELETE FROM entry WHERE payment = {self.mark}"  # noqa: S608 - as above


class SqliteBank(Bank):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[sqlite3.Connection] = []
        self.connect().execute(TABLE)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        self._open.append(connection)
        return connection

    def entries(self) -> list[tuple[str, int]]:
        return self._open[0].execute("SELECT * FROM entry ORDER BY payment").fetchall()

    def states(self) -> list[tuple[str, str]]:
        return self._open[0].execute("SELECT key, state FROM recoup_key ORDER BY key").fetchall()

    def close(self) -> None:
        for connection in self._open:
            connection.close()


class PostgresBank(Bank):
    mark = "%s"

    def __init__(self, address: str) -> None:
        self.address = address
        self._open: list[psycopg.Connection[Any]] = []
        self._own = psycopg.connect(address, autocommit=True)
        self._own.execute(TABLE)

    def connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.address)
        self._open.append(connection)
        return connection

    def entries(self) -> list[tuple[str, int]]:
        return self._own.execute("SELECT * FROM entry ORDER BY payment").fetchall()

    def states(self) -> list[tuple[str, str]]:
        return self._own.execute("SELECT key, state FROM recoup_key ORDER BY key").fetchall()

    def close(self) -> None:
        for connection in (self._own, *self._open):
            connection.close()
