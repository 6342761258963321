"""Effects happen once for a key, and not at all once they were undone (rule 3)."""

from __future__ import annotations

import pickle
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from recoup import AlreadyUndone, RecoveryError, idempotent
from recoup.errors import UnserializableError
from recoup.sagas.steps import UNKNOWN, in_step

if TYPE_CHECKING:
    from tests.conftest import Both
    from tests.sagas.idempotent.banks import Bank


class Teller:
    """A service that books and unbooks in a bank, in the colour of the test.

    Attributes:
        calls: The functions that really ran.
    """

    def __init__(self, bank: Bank, both: Both) -> None:
        self.bank = bank
        self.both = both
        self.connection = bank.connect()
        self.calls: list[str] = []
        self.fails = False
        self.book = idempotent(self.connection, key="payment")(both.wrap(self._book))
        self.unbook = idempotent(self.connection, key="payment", undo=True)(both.wrap(self._unbook))

    def _book(self, payment: str, amount: int = 100) -> Any:
        self.calls.append("book")
        self.connection.execute(self.bank.insert(), (payment, amount))
        if self.fails:
            raise ConnectionError("the printer of receipts does not answer")
        return {"receipt": payment, "amounts": (amount,)}

    def _unbook(self, payment: str) -> Any:
        self.calls.append("unbook")
        self.connection.execute(self.bank.delete(), (payment,))
        if self.fails:
            raise ConnectionError("the printer of receipts does not answer")
        return "gone"


@pytest.fixture
def teller(bank: Bank, both: Both) -> Teller:
    return Teller(bank, both)


def test_an_effect_happens_once(teller: Teller, both: Both, bank: Bank) -> None:
    """Called again with its key, a function does not run: the same result comes back (rule 3)."""
    first = both.call(teller.book, "p1")
    assert first == {"receipt": "p1", "amounts": (100,)}
    assert both.call(teller.book, "p1") == first
    assert both.call(teller.book, payment="p1", amount=7) == first
    assert both.call(teller.book, "p2", 50)["receipt"] == "p2"
    assert bank.entries() == [("p1", 100), ("p2", 50)]
    assert bank.states() == [("p1", "done"), ("p2", "done")]
    assert teller.calls == ["book", "book"]


def test_an_effect_is_undone_once(teller: Teller, both: Both, bank: Bank) -> None:
    """An undo runs once for its key, however often it is asked for (rule 3)."""
    both.call(teller.book, "p1")
    assert both.call(teller.unbook, "p1") == "gone"
    assert both.call(teller.unbook, "p1") is None
    assert teller.calls == ["book", "unbook"]
    assert bank.entries() == []


def test_what_was_undone_does_not_happen_again(teller: Teller, both: Both, bank: Bank) -> None:
    """A late effect is refused after its undo: the zombie of a step does nothing (rule 3)."""
    both.call(teller.book, "p1")
    both.call(teller.unbook, "p1")
    with pytest.raises(AlreadyUndone, match=r"_book with key 'p1' was undone before: it was not called") as caught:
        both.call(teller.book, "p1")
    assert caught.value.key == "p1"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own
    assert teller.calls == ["book", "unbook"]
    assert bank.entries() == []


def test_an_undo_of_nothing_leaves_a_tombstone(teller: Teller, both: Both, bank: Bank) -> None:
    """An undo that comes first does not run, and the effect that comes after it is refused (rule 3)."""
    assert both.call(teller.unbook, "p1") is None
    with pytest.raises(AlreadyUndone):
        both.call(teller.book, "p1")
    assert teller.calls == []
    assert bank.states() == [("p1", "undone")]
    assert both.call(teller.book, "p2")["receipt"] == "p2"


def test_a_failed_effect_leaves_nothing(teller: Teller, both: Both, bank: Bank) -> None:
    """What a function raises rolls back its effect and its key: the next call tries again."""
    teller.fails = True
    for _ in range(2):
        with pytest.raises(ConnectionError):
            both.call(teller.book, "p1")
    assert bank.entries() == []
    assert bank.states() == []
    teller.fails = False
    both.call(teller.book, "p1")
    teller.fails = True
    with pytest.raises(ConnectionError):
        both.call(teller.unbook, "p1")
    assert bank.entries() == [("p1", 100)]
    teller.fails = False
    both.call(teller.unbook, "p1")
    assert teller.calls == ["book", "book", "book", "unbook", "unbook"]
    assert bank.entries() == []


def test_a_failed_effect_that_is_undone_is_undone_by_nothing(teller: Teller, both: Both, bank: Bank) -> None:
    """After an effect that was rolled back the undo has nothing to do, and does nothing."""
    teller.fails = True
    with pytest.raises(ConnectionError):
        both.call(teller.book, "p1")
    assert both.call(teller.unbook, "p1") is None
    assert teller.calls == ["book"]
    assert bank.entries() == []


def test_a_result_that_cannot_be_kept_is_no_effect(bank: Bank, both: Both) -> None:
    """What does not come back the same is refused while the effect can be rolled back."""
    connection = bank.connect()

    @idempotent(connection, key="payment")
    @both.wrap
    def book(payment: str) -> object:
        connection.execute(bank.insert(), (payment, 1))
        return object()

    with pytest.raises(UnserializableError, match=r"the result of .*book cannot be written"):
        both.call(book, "p1")
    assert bank.entries() == []


def test_a_transaction_of_the_user_s_is_joined(bank: Bank, both: Both, teller: Teller) -> None:
    """Within a transaction of the user's its end is the user's: key and effect go with the rest."""
    teller.connection.execute("BEGIN" if bank.mark == "?" else "SELECT 1")
    teller.connection.execute(bank.insert(), ("own", 1))
    both.call(teller.book, "p1")
    teller.fails = True
    with pytest.raises(ConnectionError):  # undoes its own part alone
        both.call(teller.book, "p2")
    assert both.call(teller.book, "p1")["receipt"] == "p1"
    assert bank.entries() == []
    teller.connection.rollback()
    teller.fails = False
    both.call(teller.book, "p1")
    assert bank.entries() == [("p1", 100)]
    assert teller.calls == ["book", "book", "book"]
    teller.connection.execute("BEGIN" if bank.mark == "?" else "SELECT 1")
    teller.connection.execute(bank.insert(), ("own", 1))
    both.call(teller.unbook, "p1")
    teller.connection.commit()
    assert bank.entries() == [("own", 1)]


def test_inside_a_step_the_key_is_the_step_s(bank: Bank, both: Both) -> None:
    """Without a key of its own a function takes that of the running step, for doing and for undoing alike (rule 3)."""
    connection = bank.connect()
    undone: list[Any] = []

    @idempotent(lambda: connection)
    @both.wrap
    def charge(amount: int) -> int:
        connection.execute(bank.insert(), ("x", amount))
        return amount * 2

    @idempotent(lambda: connection, undo=True)
    @both.wrap
    def refund(state: dict[str, Any]) -> None:
        undone.append(state["result"])
        connection.execute(bank.delete(), ("x",))

    def step(fn: Any, *args: Any, key: str) -> Any:
        with in_step(key, 1, "order", "s1"):
            return both.call(fn, *args)

    assert step(charge, 5, key="s1:1") == 10
    assert step(charge, 5, key="s1:1") == 10
    assert bank.states() == [("s1:1", "done")]
    assert step(refund, {"result": UNKNOWN}, key="s1:1") is None
    step(charge, 5, key="s1:2")
    step(refund, {"result": "known"}, key="s1:2")
    assert undone == [10, "known"]  # the database knows what the saga does not
    assert step(refund, {"result": UNKNOWN}, key="s1:3") is None
    with pytest.raises(AlreadyUndone):
        step(charge, 5, key="s1:3")
    with pytest.raises(RuntimeError, match="outside the steps of a saga"):
        both.call(charge, 5)
    assert bank.entries() == []


def test_the_connection_may_be_a_parameter(bank: Bank, both: Both) -> None:
    """A function may get its connection in a parameter, by position, by name or as a default."""
    connection = bank.connect()

    @idempotent("connection", key=lambda payment, **_: payment["id"])
    @both.wrap
    def book(payment: dict[str, Any], connection: Any = connection) -> str:
        connection.execute(bank.insert(), (payment["id"], 1))
        return "booked"

    assert both.call(book, {"id": "p1"}) == "booked"
    assert both.call(book, {"id": "p2"}, connection=bank.connect()) == "booked"
    assert [payment for payment, _ in bank.entries()] == ["p1", "p2"]


def test_effects_of_one_step_have_a_scope_each(bank: Bank, both: Both) -> None:
    """Two functions with one key are told apart by their scopes; without them the second is refused, not skipped."""
    connection = bank.connect()

    def effect(name: str, **options: Any) -> Any:
        def body(payment: str) -> str:
            connection.execute(bank.insert(), (name, 1))
            return name

        body.__qualname__ = name
        return idempotent(connection, key="payment", **options)(both.wrap(body))

    assert both.call(effect("money"), "p1") == "money"
    with pytest.raises(RecoveryError, match=r"stock was not called: key 'p1' belongs to a call of .*:money; give each"):
        both.call(effect("stock"), "p1")
    assert both.call(effect("stock", scope="stock"), "p1") == "stock"
    assert both.call(effect("stock", scope="stock"), "p1") == "stock"
    assert [name for name, _ in bank.entries()] == ["money", "stock"]


@pytest.mark.parametrize(("key", "kept"), [(7, "7"), (UUID(int=7), str(UUID(int=7))), ("it's %s ?", "it's %s ?")])
def test_keys_are_texts_numbers_or_uuids(teller: Teller, both: Both, bank: Bank, key: Any, kept: str) -> None:
    """A key may be a text, a whole number or a UUID."""
    with pytest.raises(ZeroDivisionError):
        both.call(idempotent(teller.connection, key="payment")(both.wrap(lambda payment: 1 / 0)), key)
    assert both.call(idempotent(teller.connection, key="payment")(both.wrap(lambda payment: 5)), key) == 5
    assert bank.states() == [(kept, "done")]


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (None, TypeError, "a key must be a text, a whole number or a UUID, not None"),
        (True, TypeError, "not True"),
        (1.5, TypeError, "not 1.5"),
        ("", ValueError, "must not be empty"),
    ],
)
def test_other_keys_are_refused(teller: Teller, both: Both, key: Any, error: type[Exception], message: str) -> None:
    """What is no key is refused before anything happens."""
    for each in (teller.book, teller.unbook):
        with pytest.raises(error, match=message):
            both.call(each, key)
    assert teller.calls == []


def test_a_call_inside_itself_is_refused(bank: Bank, both: Both) -> None:
    """A function that calls itself with its own key is refused instead of doing its effect twice."""
    connection = bank.connect()
    inner: list[Any] = []

    @idempotent(connection, key="payment")
    @both.wrap
    def book(payment: str) -> Any:
        connection.execute(bank.insert(), (payment, 1))
        return inner[0](payment) if inner else None

    inner.append(book)
    with pytest.raises(RecoveryError, match="is running further out"):
        both.call(book, "p1")
    inner[0] = idempotent(connection, key="payment")(both.wrap(lambda payment: None))
    inner[0].__wrapped__.__qualname__ = "other"
    assert bank.entries() == []


def test_calls_inside_one_another_are_one_transaction(bank: Bank, both: Both) -> None:
    """An effect may have others inside it, with keys of their own: all of them happen, or none."""
    connection = bank.connect()
    fails = [True]

    @idempotent(connection, key="payment")
    @both.wrap
    def entry(payment: str) -> None:
        connection.execute(bank.insert(), (payment, 1))

    async def inside() -> None:
        await entry("a")
        await entry("b")
        if fails:
            raise ConnectionError

    def plainly() -> None:
        entry("a")
        entry("b")
        if fails:
            raise ConnectionError

    whole = idempotent(connection, key=lambda: "whole")(inside if both.is_async else plainly)
    with pytest.raises(ConnectionError):
        both.call(whole)
    assert bank.entries() == []
    fails.clear()
    both.call(whole)
    both.call(entry, "a")
    assert bank.entries() == [("a", 1), ("b", 1)]


def test_of_many_who_come_at_once_one_has_the_effect(bank: Bank) -> None:
    """However many threads call with one key, the effect happens once, and all get its result (rule 3)."""
    size = 6
    barrier = Barrier(size)
    results: list[Any] = []

    def client() -> None:
        connection = bank.connect()

        @idempotent(connection, key="payment")
        def book(payment: str) -> int:
            connection.execute(bank.insert(), (payment, 1))
            return len(results)

        for number in range(5):
            barrier.wait()
            results.append((number, book(f"p{number}")))

    threads = [Thread(target=client) for _ in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 5 * size
    assert len(set(results)) == 5
    assert [payment for payment, _ in bank.entries()] == [f"p{number}" for number in range(5)]


def test_do_and_undo_at_once_leave_nothing(bank: Bank) -> None:
    """Whichever of an effect and its undo is first, in the end there is no effect (rule 3)."""
    barrier = Barrier(2)
    refused: list[str] = []

    def doing() -> None:
        connection = bank.connect()
        book = idempotent(connection, key="payment")(
            lambda payment: connection.execute(bank.insert(), (payment, 1)) and 1
        )
        for number in range(20):
            barrier.wait()
            try:
                book(f"p{number}")
            except AlreadyUndone as error:
                refused.append(error.key)

    def undoing() -> None:
        connection = bank.connect()
        unbook = idempotent(connection, key="payment", undo=True)(
            lambda payment: connection.execute(bank.delete(), (payment,)) and None
        )
        for number in range(20):
            barrier.wait()
            unbook(f"p{number}")

    threads = [Thread(target=doing), Thread(target=undoing)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bank.entries() == []
    assert [state for _, state in bank.states()] == ["undone"] * 20


def test_of_two_undos_at_once_one_runs(bank: Bank) -> None:
    """An undo that comes while the same one is running waits for it, and finds nothing left to undo (rule 3)."""
    ran: list[str] = []
    inside, again = Event(), Event()
    first = bank.connect()
    idempotent(first, key="payment")(lambda payment: first.execute(bank.insert(), (payment, 1)) and 1)("p1")

    def unbook(connection: Any, name: str) -> Any:
        def undo(payment: str) -> None:
            ran.append(name)
            inside.set()
            if len(ran) > 1:
                again.set()
            again.wait(0.2)  # the time in which another one would run, if it were let
            connection.execute(bank.delete(), (payment,))

        return idempotent(connection, key="payment", undo=True)(undo)

    thread = Thread(target=unbook(first, "first"), args=("p1",))
    thread.start()
    inside.wait(60)
    unbook(bank.connect(), "second")("p1")
    thread.join()
    assert ran == ["first"]
    assert bank.entries() == []
