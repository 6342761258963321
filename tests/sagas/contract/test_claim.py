"""Orphans are found and taken over, by one, with a fence one higher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recoup.sagas.journal import Kind, Record, State
from tests.sagas.contract.stores import add, begun, do, ended, intent

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend
    from tests.sagas.contract.stores import Store

OPEN = (State.RUNNING, State.COMPENSATING)


def test_sagas_of_the_living_are_no_orphans(backend: Backend, store: Store) -> None:
    """Nobody claims from an owner that lives, however long it has been silent (rule 6)."""
    head = begun(backend)
    other = store.open()
    assert do(other, "claim", 10) == []
    assert do(backend, "claim", 10) == []
    assert add(backend, head, intent(1))


def test_sagas_of_the_dead_are_claimed(backend: Backend, store: Store) -> None:
    """What an owner that is gone left open is claimed, oldest first, with a fence one higher (rule 6)."""
    heads = [begun(backend, args=f"{number}") for number in range(3)]
    assert add(backend, heads[1], Record(1, Kind.COMPENSATING), state=State.COMPENSATING)
    backend.close()
    other = store.open()
    claimed = do(other, "claim", 10)
    assert [each.id for each in claimed] == [each.id for each in heads]
    assert {(each.owner, each.fence) for each in claimed} == {(other.owner, 2)}
    assert [each.state for each in claimed] == [State.RUNNING, State.COMPENSATING, State.RUNNING]
    assert claimed == [do(other, "load", each.id).head for each in heads]
    assert add(other, claimed[0], intent(1))
    assert do(other, "claim", 10) == []


@pytest.mark.parametrize("state", [State.DONE, State.COMPENSATED, State.STUCK])
def test_what_has_ended_is_not_claimed(backend: Backend, store: Store, state: State) -> None:
    """A saga that is done, compensated or stuck is nobody's orphan (rule 7)."""
    ended(backend, begun(backend), state)
    add(backend, begun(backend), Record(1, Kind.END), state=state)  # still owned
    backend.close()
    assert do(store.open(), "claim", 10) == []


@pytest.mark.parametrize("state", OPEN)
def test_what_was_given_up_is_claimed_while_its_owner_lives(backend: Backend, store: Store, state: State) -> None:
    """An open saga that belongs to nobody is an orphan, for the one who gave it up as well."""
    one, two = begun(backend), begun(backend)
    for head in (one, two):
        assert add(backend, head, Record(1, Kind.STUCK), state=state, release=True)
    assert [each.id for each in do(store.open(), "claim", 1)] == [one.id]
    assert [(each.id, each.fence) for each in do(backend, "claim", 9)] == [(two.id, 2)]


def test_a_claim_takes_no_more_than_its_limit(backend: Backend, store: Store) -> None:
    """A claim takes at most so many, the oldest, and leaves the rest to others."""
    heads = [begun(backend) for _ in range(5)]
    backend.close()
    others = [store.open(), store.open()]
    found = [[each.id for each in do(other, "claim", 2)] for other in (*others, *others)]
    assert found == [[heads[0].id, heads[1].id], [heads[2].id, heads[3].id], [heads[4].id], []]


def test_sagas_of_several_dead_are_claimed_together(store: Store) -> None:
    """One claim finds the orphans of all who are gone, and of nobody who lives."""
    owners = [store.open() for _ in range(4)]
    heads = [begun(owner) for owner in owners]
    owners[0].close()
    owners[2].close()
    claimed = do(owners[3], "claim", 10)
    assert sorted(each.id for each in claimed) == sorted([heads[0].id, heads[2].id])


def test_a_claim_that_is_rolled_back_is_none(backend: Backend, store: Store) -> None:
    """What a rolled-back claim found is an orphan as before."""
    head = begun(backend)
    backend.close()
    other = store.open()
    other.begin(writes=True)
    assert [each.id for each in other.claim(10)] == [head.id]
    other.rollback()
    assert [(each.id, each.fence) for each in do(store.open(), "claim", 10)] == [(head.id, 2)]


def test_of_many_who_claim_each_saga_goes_to_one(backend: Backend, store: Store) -> None:
    """Eight who claim at once get every orphan, each of them once."""
    heads = [begun(backend) for _ in range(60)]
    backend.close()
    found: list[list[str]] = []

    def claim(owner: Backend) -> None:
        ids: list[str] = []
        found.append(ids)
        idle = 0
        while idle < 20:  # a claim passes by what another one is just looking at
            claimed = do(owner, "claim", 3)
            ids.extend(each.id for each in claimed)
            idle = 0 if claimed else idle + 1

    store.crowd(8, claim)
    assert sorted(id_ for ids in found for id_ in ids) == sorted(each.id for each in heads)


@pytest.mark.parametrize("state", OPEN)
def test_one_saga_can_be_taken_from_the_dead(backend: Backend, store: Store, state: State) -> None:
    """A saga is taken from an owner that is gone, and not from one that lives unless somebody insists (rule 6)."""
    head = begun(backend)
    assert add(backend, head, Record(1, Kind.STUCK), state=state)
    other = store.open()
    assert do(other, "take", head.id, OPEN) is None
    backend.close()
    taken = do(other, "take", head.id, OPEN)
    assert (taken.id, taken.owner, taken.fence, taken.state) == (head.id, other.owner, 2, state)
    assert do(other, "load", head.id).head == taken


def test_taking_by_force_needs_no_death(backend: Backend, store: Store) -> None:
    """`force` takes a saga from an owner that lives, which is fenced from then on (rules 4 and 6)."""
    head = begun(backend)
    other = store.open()
    taken = do(other, "take", head.id, [State.RUNNING], force=True)
    assert (taken.owner, taken.fence) == (other.owner, 2)
    assert not add(backend, head, intent(1))


def test_taking_one_s_own_raises_the_fence(backend: Backend) -> None:
    """An owner may take its own saga anew; what still runs under the old fence is fenced (rule 4)."""
    head = begun(backend)
    taken = do(backend, "take", head.id, [State.RUNNING])
    assert (taken.owner, taken.fence) == (backend.owner, 2)
    assert not add(backend, head, intent(1))
    assert add(backend, taken, intent(1))


def test_a_stuck_saga_is_anybody_s_to_take(backend: Backend, store: Store) -> None:
    """A stuck saga is taken whoever had it, for it belongs to nobody."""
    head = begun(backend)
    assert add(backend, head, Record(1, Kind.STUCK), state=State.STUCK, reason="look")
    other = store.open()
    assert do(other, "take", head.id, OPEN) is None
    taken = do(other, "take", head.id, [State.STUCK])
    assert (taken.owner, taken.fence, taken.state, taken.reason) == (other.owner, 2, State.STUCK, "look")


@pytest.mark.parametrize("state", [State.DONE, State.COMPENSATED])
def test_what_has_ended_is_not_taken(backend: Backend, state: State) -> None:
    """A saga that has ended is nobody's to take, not even by force (rule 7)."""
    head = begun(backend)
    assert ended(backend, head, state)
    assert do(backend, "take", head.id, list(State), force=True) is None
    assert do(backend, "take", "no-such", list(State), force=True) is None


def test_a_state_that_is_not_asked_for_is_not_taken(backend: Backend) -> None:
    """A saga is taken only in the states that the taker names."""
    head = begun(backend)
    assert do(backend, "take", head.id, [State.COMPENSATING, State.STUCK]) is None
    assert do(backend, "take", head.id, []) is None
    assert do(backend, "load", head.id).head == head
