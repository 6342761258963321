"""Sagas are found and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup.sagas.journal import State
from tests.sagas.contract.stores import add, begun, do, ended, intent, saga, transaction

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend
    from tests.sagas.contract.stores import Store


def test_lists_are_by_state_oldest_first(backend: Backend) -> None:
    """A list has the sagas in the states asked for, oldest first, all of them if none is named."""
    heads = [begun(backend) for _ in State]
    for head, state in zip(heads, State, strict=True):
        assert ended(backend, head, state)
    assert [each.id for each in do(backend, "listed", [], 10)] == [each.id for each in heads]
    for head, state in zip(heads, State, strict=True):
        assert [(each.id, each.state) for each in do(backend, "listed", [state], 10)] == [(head.id, state)]
    some = do(backend, "listed", [State.STUCK, State.RUNNING], 10)
    assert [each.state for each in some] == [State.RUNNING, State.STUCK]


def test_lists_have_a_limit_and_a_name(backend: Backend) -> None:
    """A list has at most so many, and only sagas of a name if one is given."""
    heads = [begun(backend, name=name) for name in ("a", "b", "a", "b", "a")]
    assert [each.id for each in do(backend, "listed", [], 2)] == [heads[0].id, heads[1].id]
    assert [each.id for each in do(backend, "listed", [], 2, "b")] == [heads[1].id, heads[3].id]
    assert [each.id for each in do(backend, "listed", [State.RUNNING], 9, "a")] == [heads[n].id for n in (0, 2, 4)]
    assert do(backend, "listed", [State.DONE], 9, "a") == []
    assert do(backend, "listed", [], 9, "c") == []


def test_what_one_commits_the_others_read(backend: Backend, store: Store) -> None:
    """What is committed is seen by everybody, what is not by nobody else."""
    head = begun(backend)
    other = store.open()
    with transaction(other, writes=False):
        assert other.load(head.id) == (head, [])
    assert add(backend, head, intent(1))
    assert do(other, "load", head.id).records == [intent(1)]


def test_reading_goes_together_with_writing(backend: Backend) -> None:
    """A transaction that writes may read as well, and sees what it has written."""
    with transaction(backend):
        head = backend.start(saga())
        story = backend.load(head.id)
        assert story is not None
        assert story.head == head
        assert backend.listed([], 9) == [head]
    assert do(backend, "load", head.id).head == head
