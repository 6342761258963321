"""Records are added, by the owner alone, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recoup.sagas.journal import Append, Kind, Record, State
from tests.sagas.contract.stores import NOW, add, begun, do, ended, intent, saga, transaction

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend
    from tests.sagas.contract.stores import Store


def test_records_are_read_in_order_of_seq(backend: Backend) -> None:
    """Records come back in the order of `seq`, whatever the order in which they were sent."""
    head = begun(backend)
    later = [Record(seq, Kind.DONE, seq, f'{{"result":{seq}}}') for seq in (10, 2, 11, 3)]
    assert add(backend, head, *later)
    assert add(backend, head, Record(1, Kind.INTENT, 1))
    assert do(backend, "load", head.id).records == [Record(1, Kind.INTENT, 1), *sorted(later)]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_record_comes_back(backend: Backend, kind: Kind) -> None:
    """A record comes back as it was: kind, step, body to the letter."""
    body = '{"error":"it\'s \\"bad\\" \\\\ {1,2} Grüße 🚀 \\u0000"}'
    head = begun(backend)
    record = Record(1, kind, 3, body)
    assert add(backend, head, record)
    found = do(backend, "load", head.id).records
    assert found == [record]
    assert type(found[0].kind) is Kind


def test_records_sent_again_change_nothing(backend: Backend) -> None:
    """An append that is sent again after a lost answer adds nothing and is answered as the first time (rule 5)."""
    head = begun(backend)
    assert add(backend, head, intent(1), intent(2))
    assert add(backend, head, intent(1), Record(2, Kind.DONE, 2, '"other"'), intent(3))
    assert do(backend, "load", head.id).records == [intent(1), intent(2), intent(3)]


def test_only_the_owner_appends(backend: Backend, store: Store) -> None:
    """Nobody but the owner adds anything, whatever fence it names (rule 4)."""
    head = begun(backend)
    other = store.open()
    assert not add(other, head, intent(1))
    assert not add(other, head, Record(1, Kind.END), state=State.DONE, release=True)
    assert do(backend, "load", head.id) == (head, [])


@pytest.mark.parametrize("fence", [0, 2, 1 << 40])
def test_another_fence_is_refused(backend: Backend, fence: int) -> None:
    """An append with another fence than the saga's is refused, the owner's own too (rule 4)."""
    head = begun(backend)
    assert not add(backend, head, intent(1), fence=fence, state=State.COMPENSATING)
    assert do(backend, "load", head.id) == (head, [])


def test_an_unknown_saga_is_refused(backend: Backend) -> None:
    """Nothing is kept for a saga that there is not."""
    assert not do(backend, "append", Append("no-such", 1, [intent(1)], NOW))
    assert do(backend, "load", "no-such") is None


def test_a_fenced_owner_adds_nothing(backend: Backend, store: Store) -> None:
    """Once a saga is taken over its former owner changes nothing any more, with the old fence or the new (rule 4)."""
    head = begun(backend)
    other = store.open()
    taken = do(other, "take", head.id, [State.RUNNING], force=True)
    assert (taken.owner, taken.fence) == (other.owner, 2)
    for fence in (1, 2):
        assert not add(backend, head, intent(1), fence=fence)
    assert add(other, taken, intent(1))


def test_a_state_is_changed_with_the_records(backend: Backend) -> None:
    """State, reason and time of change are those of the last append that gave a state."""
    head = begun(backend)
    assert add(backend, head, Record(1, Kind.COMPENSATING), state=State.COMPENSATING)
    story = do(backend, "load", head.id)
    assert (story.head.state, story.head.changed) == (State.COMPENSATING, NOW + 1_000_000)
    assert add(backend, head, Record(2, Kind.STUCK), state=State.STUCK, reason="no such step", release=True)
    stuck = do(backend, "load", head.id).head
    assert (stuck.state, stuck.reason, stuck.owner, stuck.fence) == (State.STUCK, "no such step", None, 1)


def test_records_without_a_state_leave_it(backend: Backend) -> None:
    """An append without a state leaves state and reason alone."""
    head = begun(backend)
    assert add(backend, head, Record(1, Kind.STUCK), state=State.STUCK, reason="look")
    assert add(backend, head, Record(2, Kind.RESUMED))
    assert do(backend, "load", head.id).head[6:] == (State.STUCK, backend.owner, 1, head.created, NOW + 1e6, "look")


def test_a_release_sent_again_is_answered_as_the_first_time(backend: Backend) -> None:
    """An append that gave the saga up is true when it comes again after a lost answer, and adds nothing (rule 5)."""
    head = begun(backend)
    last = Append(head.id, head.fence, [intent(1), Record(2, Kind.END)], NOW, State.DONE, "", release=True)
    assert do(backend, "append", last)
    story = do(backend, "load", head.id)
    assert do(backend, "append", last)
    assert do(backend, "load", head.id) == story


@pytest.mark.parametrize(
    "record",
    [Record(3, Kind.END), Record(2, Kind.STUCK), Record(2, Kind.END, 1), Record(2, Kind.END, 0, '"other"')],
    ids=["seq", "kind", "n", "body"],
)
def test_what_was_given_up_takes_nothing_new(backend: Backend, record: Record) -> None:
    """Who gave a saga up adds nothing to it any more: only what is there already is said yes to."""
    head = begun(backend)
    assert add(backend, head, intent(1), Record(2, Kind.END), state=State.DONE, release=True)
    story = do(backend, "load", head.id)
    assert not add(backend, head, intent(1), record)
    assert not add(backend, head)
    assert do(backend, "load", head.id) == story


def test_a_release_sent_again_after_a_takeover_is_refused(backend: Backend, store: Store) -> None:
    """When somebody else has the saga by now, the former owner learns it, whatever it sends again (rule 4)."""
    head = begun(backend)
    last = Append(head.id, head.fence, [Record(1, Kind.INTENT, 1)], NOW, None, "", release=True)
    assert do(backend, "append", last)
    other = store.open()
    assert [each.id for each in do(other, "claim", 10)] == [head.id]
    assert not do(backend, "append", last)


def test_a_refused_append_leaves_the_others_of_its_transaction(backend: Backend) -> None:
    """In one transaction the appends of many sagas meet; a fenced one does not disturb the others."""
    one, two = begun(backend), begun(backend)
    with transaction(backend):
        assert backend.append(Append(one.id, one.fence, [intent(1)], NOW))
        assert not backend.append(Append(two.id, 9, [intent(1)], NOW))
        assert backend.append(Append(one.id, one.fence, [intent(2)], NOW))
    assert do(backend, "load", one.id).records == [intent(1), intent(2)]
    assert do(backend, "load", two.id).records == []


def test_what_is_rolled_back_never_was(backend: Backend) -> None:
    """After a rollback nothing of the transaction is there, and the next one works."""
    head = begun(backend)
    backend.begin(writes=True)
    backend.append(Append(head.id, head.fence, [intent(1)], NOW, State.COMPENSATING))
    fresh = backend.start(saga())
    backend.rollback()
    assert do(backend, "load", head.id) == (head, [])
    assert do(backend, "load", fresh.id) is None
    assert add(backend, head, intent(1))


def test_an_append_without_records_asks_whether_we_own_it(backend: Backend, store: Store) -> None:
    """An empty append changes nothing and tells whether the saga is still ours."""
    head = begun(backend)
    assert add(backend, head)
    assert ended(backend, head, State.DONE)
    assert not add(backend, head)


def test_many_records_go_in_one_append(backend: Backend) -> None:
    """An append may have any number of records, large ones too."""
    head = begun(backend)
    records = [Record(seq, Kind.DONE, seq, '{"x":"' + "y" * (seq * 100) + '"}') for seq in range(1, 301)]
    assert add(backend, head, *records)
    assert do(backend, "load", head.id).records == records


def test_several_appends_are_one_transaction(backend: Backend) -> None:
    """Records of several sagas, new ones among them, are added together; each is told whether it is still owned."""
    one, fenced, new = begun(backend), begun(backend), saga()
    with transaction(backend):
        held = backend.appends([
            (Append(one.id, one.fence, [intent(1)], NOW), None),
            (Append(fenced.id, 9, [intent(1)], NOW), None),
            (Append(new.id, 1, [intent(1)], NOW), new),
            (Append(one.id, one.fence, [intent(2)], NOW, State.DONE, "", release=True), None),
        ])  # fmt: skip
    assert held == [True, False, True, True]
    assert do(backend, "load", one.id).records == [intent(1), intent(2)]
    assert do(backend, "load", one.id).head.owner is None
    assert do(backend, "load", fenced.id).records == []
    story = do(backend, "load", new.id)
    assert (story.head.owner, story.records) == (backend.owner, [intent(1)])


def test_a_saga_may_begin_with_its_first_records(backend: Backend) -> None:
    """A saga and its first records are sent together, and again: there is one saga, and each record once (rule 5)."""
    new = saga(key="7")
    for _ in range(2):
        assert do(backend, "append", Append(new.id, 1, [intent(1)], NOW), new)
    assert do(backend, "load", new.id).records == [intent(1)]
    other = saga(key="7")
    assert not do(backend, "append", Append(other.id, 1, [intent(1)], NOW), other)
    assert do(backend, "load", other.id) is None
