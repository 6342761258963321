"""Where the rows behind `@idempotent` are: in the user's own database, through the user's own connection.

A transaction is a part of the user's if there is one (a savepoint), else one of its own: key, effect and result are
committed together, or not at all.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, contextmanager
from threading import get_ident
from typing import TYPE_CHECKING

from recoup._core.scopes import running_task
from recoup.errors import RecoveryError
from recoup.sagas.idempotent_keys import TABLE, Answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from typing import Any

    from recoup.sagas.idempotent_keys import Found, Talk

__all__ = [
    "AsyncPlace",
    "NoTableError",
    "Place",
    "alone",
    "asked",
    "asked_async",
    "async_place_of",
    "known",
    "place_of",
]

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(1919247215, hashtext(current_schema() || '.recoup_key'))"


class NoTableError(Exception):
    """There is no table for keys yet: nothing has happened."""


class SqlitePlace:
    """A connection of the standard library's `sqlite3`."""

    locks = ""  # who has written in a transaction is alone until its end

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def said(self, statement: str, given: tuple[Any, ...]) -> Answer:
        """Run a statement."""
        cursor = self.connection.cursor()
        cursor.row_factory = None  # the user may have one
        try:
            cursor.execute(statement, given)
            return Answer(cursor.rowcount, cursor.fetchone())
        except sys.modules["sqlite3"].OperationalError as error:
            if "no such table: recoup_key" in str(error):
                raise NoTableError from error
            raise
        finally:
            cursor.close()

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Have a transaction, which may write from the first."""
        connection = self.connection
        joined = connection.in_transaction
        connection.execute("SAVEPOINT recoup_key" if joined else "BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("RELEASE recoup_key" if joined else "COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK TO recoup_key" if joined else "ROLLBACK")
                if joined:
                    connection.execute("RELEASE recoup_key")
            raise

    def held(self) -> None:
        """See that the function has left the transaction as it was.

        Raises:
            RecoveryError: If it is over: the effect is committed without its result.
        """
        if not self.connection.in_transaction:
            raise RecoveryError("the function ended the transaction that holds its key: leave that to @idempotent")

    def make(self) -> None:
        """Make the table."""
        with self.transaction():
            self.connection.execute(TABLE)


class PostgresPlace:
    """A connection of psycopg's."""

    locks = " FOR UPDATE"  # of two who undo the same key the second one sees what the first one did

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._psycopg: Any = sys.modules["psycopg"]

    def said(self, statement: str, given: tuple[Any, ...]) -> Answer:
        """Run a statement."""
        try:
            with self.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), given)
                return Answer(cursor.rowcount, cursor.fetchone() if cursor.description else None)
        except self._psycopg.errors.UndefinedTable as error:
            raise NoTableError from error

    def cursor(self) -> Any:
        """Give a cursor whose rows are tuples, whatever the user likes."""
        return self.connection.cursor(row_factory=self._psycopg.rows.tuple_row)

    def transaction(self) -> AbstractContextManager[Any]:
        """Have a transaction."""
        transaction: AbstractContextManager[Any] = self.connection.transaction()
        return transaction

    def held(self) -> None:
        """See that the function has left the transaction as it was: psycopg lets nobody end it."""

    def make(self) -> None:
        """Make the table."""
        with self.transaction():
            self.connection.execute(_ONE_AT_A_TIME)
            self.connection.execute(TABLE)


class AsyncPostgresPlace(PostgresPlace):
    """An async connection of psycopg's."""

    async def said_async(self, statement: str, given: tuple[Any, ...]) -> Answer:
        """Run a statement."""
        try:
            async with self.cursor() as cursor:
                await cursor.execute(statement.replace("?", "%s"), given)
                return Answer(cursor.rowcount, await cursor.fetchone() if cursor.description else None)
        except self._psycopg.errors.UndefinedTable as error:
            raise NoTableError from error

    def transaction_async(self) -> AbstractAsyncContextManager[Any]:
        """Have a transaction."""
        transaction: AbstractAsyncContextManager[Any] = self.connection.transaction()
        return transaction

    async def make_async(self) -> None:
        """Make the table."""
        async with self.transaction_async():
            await self.connection.execute(_ONE_AT_A_TIME)
            await self.connection.execute(TABLE)


class BlockingPlace:
    """A connection that blocks, in an async function: its statements are short, and its file or server is near."""

    def __init__(self, place: SqlitePlace | PostgresPlace) -> None:
        self._place = place
        self.connection = place.connection
        self.locks = place.locks

    async def said_async(self, statement: str, given: tuple[Any, ...]) -> Answer:
        """Run a statement."""
        return self._place.said(statement, given)

    @asynccontextmanager
    async def transaction_async(self) -> AsyncGenerator[None]:
        """Have a transaction."""
        with self._place.transaction():
            yield

    def held(self) -> None:
        """See that the function has left the transaction as it was."""
        self._place.held()

    async def make_async(self) -> None:
        """Make the table."""
        self._place.make()


Place = SqlitePlace | PostgresPlace
AsyncPlace = AsyncPostgresPlace | BlockingPlace


def asked(place: Place, talk: Talk) -> Found:
    """Have a conversation."""
    try:
        statement = next(talk)
        while True:
            statement = talk.send(place.said(*statement))
    except StopIteration as end:
        found: Found = end.value
        return found


async def asked_async(place: AsyncPlace, talk: Talk) -> Found:
    """Have a conversation."""
    try:
        statement = next(talk)
        while True:
            statement = talk.send(await place.said_async(*statement))
    except StopIteration as end:
        found: Found = end.value
        return found


def place_of(connection: object) -> Place:
    """Find out what a connection is, for a plain function.

    Raises:
        TypeError: If it is none that `@idempotent` knows.
    """
    if _is(connection, "sqlite3", "Connection"):
        return SqlitePlace(connection)
    if _is(connection, "psycopg", "Connection"):
        return PostgresPlace(connection)
    if _is(connection, "psycopg", "AsyncConnection"):
        raise TypeError("@idempotent needs a psycopg.Connection in a plain function, not a psycopg.AsyncConnection")
    raise TypeError(
        f"@idempotent needs a connection of sqlite3 or psycopg, not an object of type {type(connection).__qualname__!r}"
    )


def known(thing: object) -> bool:
    """Tell whether a thing is a connection; those of `sqlite3` can be called as well."""
    return any(_is(thing, *each) for each in (("sqlite3", "Connection"), ("psycopg", "BaseConnection")))


def async_place_of(connection: object) -> AsyncPlace:
    """Find out what a connection is, for an async function."""
    if _is(connection, "psycopg", "AsyncConnection"):
        return AsyncPostgresPlace(connection)
    return BlockingPlace(place_of(connection))


def _is(connection: object, module: str, name: str) -> bool:
    """Tell whether it is of a class; who has no such module has no such connection."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(connection, kind)


class _User:
    """Who is in a transaction of ours on some connection."""

    __slots__ = ("who",)

    def __init__(self) -> None:
        self.who = running_task() or get_ident()


_users: dict[int, _User] = {}  # by the identity of the connection


@contextmanager
def alone(connection: object) -> Generator[None]:
    """See that nobody else uses a connection meanwhile: two calls would share one transaction, and one's rollback.

    Calls inside one another, in one thread or task, are fine.

    Raises:
        RuntimeError: If another thread or task is in a transaction on it.
    """
    user = _User()
    found = _users.setdefault(id(connection), user)
    if found.who != user.who:
        raise RuntimeError(
            "another call is in a transaction on this connection: give each call a connection of its own"
        )
    try:
        yield
    finally:
        if found is user:
            del _users[id(connection)]
