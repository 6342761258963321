"""Sagas begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recoup.sagas.journal import State
from tests.sagas.contract.stores import begun, do, ended, saga, transaction

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend, Head
    from tests.sagas.contract.stores import Store


def test_a_saga_begins_as_its_owner_s(backend: Backend) -> None:
    """A new saga is RUNNING, belongs to who began it, and has fence 1 (rule 4)."""
    start = saga(version="2", fn="shop:place", args='{"order":7}', key="7")
    head: Head = do(backend, "start", start)
    assert head == do(backend, "load", start.id).head
    assert head[:6] == start[:6]
    assert (head.state, head.owner, head.fence, head.reason) == (State.RUNNING, backend.owner, 1, "")
    assert head.created == head.changed == start.created


def test_a_saga_sent_again_is_the_same(backend: Backend) -> None:
    """To begin a saga again after a lost answer changes nothing (rule 5)."""
    start = saga(key="7")
    first = do(backend, "start", start)
    assert do(backend, "start", start._replace(created=5.0, args="{}")) == first


def test_a_key_is_taken_once(backend: Backend, store: Store) -> None:
    """Another saga with the same name and key is not begun: the one there is comes back, whoever asks (rule 5)."""
    first = begun(backend, key="7")
    other = store.open()
    for each in (backend, other):
        assert do(each, "start", saga(key="7")).id == first.id
    assert begun(other, key="8").id != first.id
    assert begun(other, name="refund", key="7").id != first.id
    assert begun(other).id != begun(other).id


@pytest.mark.parametrize("state", list(State))
def test_a_key_is_free_again_after_compensation(backend: Backend, state: State) -> None:
    """What was undone may be tried anew with its key; what is done, stuck or under way may not."""
    first = begun(backend, key="7")
    assert ended(backend, first, state)
    assert (begun(backend, key="7").id != first.id) == (state is State.COMPENSATED)


def test_a_key_is_free_again_and_again(backend: Backend) -> None:
    """Any number of compensated sagas may have had a key."""
    for _ in range(3):
        assert ended(backend, begun(backend, key="7"), State.COMPENSATED)
    assert begun(backend, key="7").state is State.RUNNING


@pytest.mark.parametrize("text", ["", 'it\'s "quoted" \\ {1,2}', "Grüße 漢字 🚀", "%s ? $1 :x", "a\nb\tc", "x" * 5000])
def test_text_comes_back_as_it_was(backend: Backend, text: str) -> None:
    """Names, keys, versions and arguments are kept letter by letter."""
    start = saga(name=text, version=text, fn=text, args=text, key=text[:900])
    assert do(backend, "start", start)[:6] == start[:6]
    assert do(backend, "load", start.id).head[:6] == start[:6]


def test_of_many_who_begin_the_same_saga_one_does(store: Store) -> None:
    """However many owners begin a saga with the same key at once, there is one saga, and they all know which."""
    found: list[list[str]] = []

    def begin(owner: Backend) -> None:
        found.append([do(owner, "start", saga(key=f"{number}")).id for number in range(10)])

    store.crowd(4, begin)
    assert found == [found[0]] * 4
    assert len(set(found[0])) == 10


def test_a_refused_start_leaves_the_others_of_its_transaction(backend: Backend) -> None:
    """In one transaction sagas of many callers begin; one whose key is taken does not disturb the others."""
    first = begun(backend, key="7")
    fresh, again = saga(), saga(key="7")
    with transaction(backend):
        assert backend.start(fresh).id == fresh.id
        assert backend.start(again).id == first.id
    assert do(backend, "load", fresh.id) is not None
    assert do(backend, "load", again.id) is None
