"""What a person can do about sagas (issue 5): list, show, retry, skip, resolve; nothing ends silently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from recoup import CompensationError, RecoveryError, configure, saga
from recoup.sagas import people, recovery
from recoup.sagas.journal import State
from recoup.sagas.keeper import Journal
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import shop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    shop.LOG.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


def left(journal: Journal, *, attempts: bool = False) -> str:
    """Make a saga whose second step cannot be undone, and leave it."""
    shop.FAULTS["undo b2 B"] = OSError("disk")
    with pytest.raises(CompensationError), saga("order", key="7") as block:
        shop.do("a")
        shop.stubborn("b") if attempts else shop.do("b")
        raise ConnectionError("down")
    return block.id  # type: ignore[attr-defined,no-any-return]


def stuck(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a saga that waits for a person, because the undo of its second step is not found."""
    id = left(journal)
    with monkeypatch.context() as patch:
        patch.delattr(shop, "undo")
        assert people.recover() == {id: State.STUCK}
    return id


def test_list_and_show(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stuck sagas are listed with the reason, and shown with all their records."""
    id = stuck(journal, monkeypatch)
    (head,) = people.listed(["stuck"])
    assert head.id == id
    assert "has no 'undo'" in head.reason
    assert people.listed(["stuck"], name="other") == []
    for letters in (id, id[:8], "7"):
        assert people.show(letters).head.id == id
    assert [(each["n"], each["outcome"], each["undone"]) for each in people.told(people.show(id))] == [
        (1, "done", False),
        (2, "done", False),
    ]
    with pytest.raises(LookupError, match="no sagas are called 'x'"):
        people.show("x")
    with pytest.raises(ValueError, match="'nothing' is not a valid State"):
        people.listed(["nothing"])


def test_retry(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stuck saga is tried again when a person says so, and that stands in its story."""
    id = stuck(journal, monkeypatch)
    shop.FAULTS.clear()
    people.retry(id, reason="the disk is back")
    assert people.listed()[0].owner is None
    assert people.recover() == {id: State.COMPENSATED}
    assert shop.LOG[-2:] == [("undo", "b2 B"), ("undo", "a1 A")]
    resumed = next(each for each in people.show(id).records if each.kind == "resumed")
    assert json.loads(resumed.body)["reason"] == "the disk is back"
    assert json.loads(resumed.body)["by"]
    with pytest.raises(RecoveryError, match="is compensated: nothing was changed"):
        people.retry(id)


def test_skip(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that a person skips is not undone; the others are."""
    id = stuck(journal, monkeypatch)
    with pytest.raises(ValueError, match="reason must say why"):
        people.skip(id, 2, reason=" ")
    with pytest.raises(RecoveryError, match="has no step 9"):
        people.skip(id, 9, reason="never was")
    people.skip(id, 2, reason="refunded by hand")
    assert people.recover() == {id: State.COMPENSATED}
    assert [each for each in shop.LOG if each[0] == "undo"] == [("undo", "b2 B"), ("undo", "a1 A")]


@pytest.mark.parametrize("done", [True, False])
def test_resolve(journal: Journal, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    """A saga that a person has settled is over, with the reason."""
    id = stuck(journal, monkeypatch)
    people.resolve(id, reason="settled with the customer", done=done)
    head = people.show(id).head
    assert head.state is (State.DONE if done else State.COMPENSATED)
    assert head.reason == "settled with the customer"
    assert people.recover() == {}


def test_force(journal: Journal) -> None:
    """A saga of an owner that lives is taken only by force; then its owner is fenced (rule 4)."""
    from recoup import Fenced

    with Journal(SqliteBackend(journal._backend.path), recover=False) as other:  # type: ignore[attr-defined]
        with pytest.raises(Fenced, match="was taken over by another process"), saga("order") as block:
            shop.do("a")
            with pytest.raises(RecoveryError, match="is running: nothing was changed"):
                people.retry(block.id, journal=other)  # type: ignore[attr-defined]
            people.retry(block.id, force=True, journal=other)  # type: ignore[attr-defined]
            shop.do("b")
        assert shop.LOG == [("do", "a")]
        assert list(people.recover(journal=other).values()) == [State.COMPENSATED]
    assert shop.LOG[-1] in {("undo", "a1 A"), ("undo", "a1 ?")}  # whether its DONE was written before


def test_recover_async_actions(journal: Journal) -> None:
    """Async actions of a saga that was left run in an event loop of their own."""
    import asyncio

    async def main() -> None:
        shop.FAULTS["undo a1 A"] = OSError("disk")
        with pytest.raises(CompensationError):
            async with saga("order"):
                await shop.do_async("a")
                raise ConnectionError("no")

    asyncio.run(main())
    shop.FAULTS.clear()
    assert list(people.recover().values()) == [State.COMPENSATED]


def test_recover_tries_once(journal: Journal) -> None:
    """What fails again stays for the next one."""
    id = left(journal)
    assert people.recover() == {id: State.COMPENSATING}
    shop.FAULTS.clear()
    assert people.recover() == {id: State.COMPENSATED}


def test_no_journal() -> None:
    """Without a journal there is nothing to ask."""
    with configure(journal=None), pytest.raises(RecoveryError, match="there is no journal"):
        people.listed()


def test_user_without_name(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision by somebody whom the system does not know is a decision all the same."""

    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    id = stuck(journal, monkeypatch)
    people.resolve(id, reason="done")
    assert json.loads(people.show(id).records[-1].body)["by"] == "?"


def test_lost_is_an_error_of_ours() -> None:
    """What is not found is told by an error that says so."""
    assert issubclass(recovery.LostError, RecoveryError)
