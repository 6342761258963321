"""What `@idempotent` takes, refuses, and leaves as it was."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from recoup import RecoveryError, idempotent
from recoup.sagas.idempotent_places import SqlitePlace, place_of
from tests.sagas.idempotent.banks import PostgresBank, SqliteBank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def memory() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    yield connection
    connection.close()


@pytest.fixture
def server(database: str) -> Iterator[PostgresBank]:
    bank = PostgresBank(database)
    yield bank
    bank.close()


def test_a_function_stays_what_it_was(memory: sqlite3.Connection) -> None:
    """Name, docstring and signature stay; async stays async."""

    @idempotent(memory, key="payment")
    def book(payment: str, amount: int = 1) -> int:
        """Book."""
        return amount

    @idempotent(memory, key="payment", undo=True)
    async def unbook(payment: str) -> None:
        """Unbook."""

    assert (book.__name__, book.__doc__, str(inspect.signature(book))) == (
        "book", "Book.", "(payment: 'str', amount: 'int' = 1) -> 'int'",
    )  # fmt: skip
    assert inspect.iscoroutinefunction(unbook)
    assert not inspect.iscoroutinefunction(book)


def test_methods_have_their_object(memory: sqlite3.Connection) -> None:
    """A method is decorated like a function; its connection may hang on its object."""

    class Shop:
        def __init__(self) -> None:
            self.connection = memory

        @idempotent("connection", key="payment")
        def book(self, connection: sqlite3.Connection, payment: str) -> str:
            return f"{type(self).__name__} {payment}"

    assert Shop().book(memory, "p1") == "Shop p1"


@pytest.mark.parametrize(
    ("store", "options", "message"),
    [
        (None, {}, "store must be a connection"),
        ("connection", {}, "store='connection' is to name a parameter, and .*book.* has none such"),
        ("payment", {"key": "order"}, "key='order' is to name a parameter"),
        ("payment", {"key": 7}, "key must be the name of a parameter, a function or None, not 7"),
        ("payment", {"scope": None}, "scope must be a str"),
        ("payment", {"undo": "yes"}, "undo must be True or False"),
    ],
)
def test_wrong_arguments_are_refused(store: Any, options: dict[str, Any], message: str) -> None:
    """What cannot mean anything is refused when it is written (G1)."""

    def book(payment: str) -> None: ...

    with pytest.raises(TypeError, match=message):
        idempotent(store, **options)(book)


def test_generators_and_descriptors_are_refused(memory: sqlite3.Connection) -> None:
    """What has no one end, or is no function yet, is refused."""

    def stream(payment: str) -> Iterator[int]:
        yield 1

    async def stream_async(payment: str) -> Any:
        yield 1

    for each in (stream, stream_async):
        with pytest.raises(TypeError, match="is a generator"):
            idempotent(memory, key="payment")(each)
    kinds: list[Any] = [classmethod, staticmethod]
    for kind in kinds:
        with pytest.raises(TypeError, match=f"below @{kind.__name__}"):
            idempotent(memory, key="payment")(kind(lambda payment: None))
    with pytest.raises(TypeError, match="not callable"):
        idempotent(memory)(7)  # type: ignore[arg-type]  # the point


def test_what_is_no_connection_is_refused(memory: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is neither sqlite3's nor psycopg's is refused by name, also where neither is there."""
    with pytest.raises(TypeError, match="a connection of sqlite3 or psycopg, not an object of type 'object'"):
        idempotent(object, key="payment")(lambda payment: None)("p1")
    monkeypatch.delitem(__import__("sys").modules, "psycopg")
    with pytest.raises(TypeError, match="of type 'int'"):
        place_of(5)
    assert isinstance(place_of(memory), SqlitePlace)


def test_other_rows_of_the_user_s_do_no_harm(memory: sqlite3.Connection, server: PostgresBank) -> None:
    """Connections whose rows are objects or dictionaries are read all the same."""
    memory.row_factory = sqlite3.Row
    connection = psycopg.connect(server.address, row_factory=psycopg.rows.dict_row)
    for each in (memory, connection):
        count = iter(range(9))
        book = idempotent(each, key="payment")(lambda payment, count=count: next(count))
        assert [book("p1"), book("p1")] == [0, 0]
    connection.close()


@pytest.mark.parametrize("level", [None, "", "DEFERRED", "EXCLUSIVE"])
def test_every_way_of_transactions_of_sqlite_works(level: Any, tmp_path: Path) -> None:
    """Whatever the connection's isolation level, key and effect are committed together."""
    path = tmp_path / "bank.db"
    connection = sqlite3.connect(path, isolation_level=level)
    connection.execute("CREATE TABLE entry (payment TEXT)")
    book = idempotent(connection, key="payment")(
        lambda payment: connection.execute("INSERT INTO entry VALUES (?)", (payment,)).lastrowid
    )
    assert [book("p1"), book("p1")] == [1, 1]
    assert not connection.in_transaction
    connection.close()
    again = sqlite3.connect(path)
    assert again.execute("SELECT payment FROM entry").fetchall() == [("p1",)]
    again.close()


def test_a_function_that_commits_itself_is_told(tmp_path: Path) -> None:
    """A function that ends the transaction has parted its effect from its key: it is told at once, and each time."""
    bank = SqliteBank(tmp_path / "bank.db")
    connection = bank.connect()

    @idempotent(connection, key="payment")
    def book(payment: str) -> int:
        with connection:
            connection.execute(bank.insert(), (payment, 1))
        return 1

    @idempotent(connection, key="payment", undo=True)
    def unbook(state: dict[str, Any], payment: str = "p1") -> Any:
        connection.execute(bank.delete(), (payment,))
        return str(state["result"])

    with pytest.raises(RecoveryError, match="ended the transaction that holds its key"):
        book("p1")
    with pytest.raises(RecoveryError, match="half-way"):
        book("p1")
    from recoup.sagas.steps import UNKNOWN

    assert unbook({"result": UNKNOWN}) == "Unknown.UNKNOWN"  # nobody knows what the effect was: it is undone
    assert bank.entries() == []
    bank.close()


def test_an_async_connection_needs_an_async_function(server: PostgresBank) -> None:
    """A plain function cannot await an async connection, and is told."""

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(server.address) as connection:
            with pytest.raises(TypeError, match=r"needs a psycopg\.Connection in a plain function"):
                idempotent(connection, key="payment")(lambda payment: 1)("p1")

    asyncio.run(main())


def test_async_connections_do_as_blocking_ones(server: PostgresBank) -> None:
    """Over an async connection an effect happens once, is undone once, and is refused afterwards (rule 3)."""
    from recoup import AlreadyUndone

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(server.address) as connection:

            @idempotent(connection, key="payment")
            async def book(payment: str, *, fails: bool = False) -> str:
                await connection.execute(server.insert(), (payment, 1))
                if fails:
                    raise ConnectionError
                return payment

            @idempotent(connection, key="payment", undo=True)
            async def unbook(payment: str) -> str:
                await connection.execute(server.delete(), (payment,))
                return "gone"

            with pytest.raises(ConnectionError):
                await book("p1", fails=True)
            assert [await book("p1"), await book("p1", fails=True)] == ["p1", "p1"]
            assert server.entries() == [("p1", 1)]
            assert [await unbook("p1"), await unbook("p1"), await unbook("p2")] == ["gone", None, None]
            for each in ("p1", "p2"):
                with pytest.raises(AlreadyUndone):
                    await book(each)
            assert server.states() == [("p1", "undone"), ("p2", "undone")]
            assert server.entries() == []

    asyncio.run(main())


def test_a_cancelled_effect_leaves_nothing(server: PostgresBank) -> None:
    """Cancellation rolls back the effect and the key, and the connection is of use again (C4)."""

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(server.address) as connection:
            inside = asyncio.Event()

            @idempotent(connection, key="payment")
            async def book(payment: str, seconds: float) -> str:
                await connection.execute(server.insert(), (payment, 1))
                inside.set()
                await asyncio.sleep(seconds)
                return payment

            task = asyncio.create_task(book("p1", 3600))
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert server.entries() == []
            assert await book("p1", 0) == "p1"
            assert server.entries() == [("p1", 1)]

    asyncio.run(main())


def test_two_tasks_do_not_share_a_transaction(memory: sqlite3.Connection) -> None:
    """A task that calls on a connection in whose transaction another one is refused: they would share its rollback."""

    async def main() -> None:
        inside, go = asyncio.Event(), asyncio.Event()

        @idempotent(memory, key="payment")
        async def book(payment: str) -> str:
            inside.set()
            await go.wait()
            return payment

        first = asyncio.create_task(book("p1"))
        await inside.wait()
        with pytest.raises(RuntimeError, match="give each call a connection of its own"):
            await book("p2")
        go.set()
        assert await first == "p1"
        assert await book("p2") == "p2"

    asyncio.run(main())


def test_two_threads_do_not_share_a_transaction(memory: sqlite3.Connection) -> None:
    """Threads are told apart as tasks are."""
    inside, go = Event(), Event()

    @idempotent(memory, key="payment")
    def book(payment: str) -> str:
        inside.set()
        go.wait(60)
        return payment

    thread = Thread(target=book, args=("p1",))
    thread.start()
    inside.wait(60)
    with pytest.raises(RuntimeError, match="another call is in a transaction on this connection"):
        book("p2")
    go.set()
    thread.join()
    assert book("p2") == "p2"


def test_the_first_who_come_make_the_table(server: PostgresBank) -> None:
    """However many come first at once, one makes the table and all go on."""
    results: list[str] = []

    def client(name: str) -> None:
        connection = server.connect()
        results.append(idempotent(connection, key="payment")(lambda payment: payment)(name))

    threads = [Thread(target=client, args=(f"p{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [f"p{number}" for number in range(6)]


def test_a_missing_table_of_the_user_s_is_the_user_s_error(memory: sqlite3.Connection, server: PostgresBank) -> None:
    """An error of the function's own statements goes to the caller as it is."""
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        idempotent(memory, key="payment")(lambda payment: memory.execute("SELECT * FROM nowhere"))("p1")
    connection = server.connect()
    with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
        idempotent(connection, key="payment")(lambda payment: connection.execute("SELECT * FROM nowhere"))("p1")


def test_a_database_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Errors of the database that are not about our table go to the caller, and the connection is free again."""
    path = tmp_path / "bank.db"
    SqliteBank(path).close()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    book = idempotent(connection, key="payment")(lambda payment: 1)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            book("p1")
    connection.close()


def test_another_table_of_that_name_is_an_error(memory: sqlite3.Connection) -> None:
    """A table of the user's own that is called like ours is left alone, and the error says what is wrong with it."""
    memory.execute("CREATE TABLE recoup_key (mine TEXT)")
    with pytest.raises(sqlite3.OperationalError, match="no column named scope"):
        idempotent(memory, key="payment")(lambda payment: 1)("p1")
