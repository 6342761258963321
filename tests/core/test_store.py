"""The bounded store of results (F6): time to live, size, order of eviction; no lock over code of the user's (G7)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from recoup._core import waiting
from recoup._core.entries import Eased
from recoup._core.frozen import Unkeyable
from recoup._core.keys import Compound
from recoup._core.store import Entry, Slot, Store, shareable
from recoup.strategies.cache.run import Negative


class Thing:
    pass


class Nosy:
    """Equal by number; does something whenever it is compared."""

    def __init__(self, number: int, nose: Callable[[], object] | None = None) -> None:
        self.number = number
        self.nose = nose

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Nosy)
        for each in (self, other):
            nose, each.nose = each.nose, None
            if nose is not None:
                nose()
        return self.number == other.number

    def __hash__(self) -> int:
        return 1


class Busy:
    """Something under way."""

    def __init__(self, *, idle: bool = False) -> None:
        self.idle = idle


def key(*values: object) -> Compound:
    return Compound(values)


def put(store: Store, key: Any, value: object, now: float) -> None:
    store.put(key, Entry(value, now))


def held(store: Store, now: float = 0.0) -> dict[Any, Any]:
    return {slot.key: slot.entry.value for row in store.rows.values() for slot in row if slot.entry is not None}


def test_a_result_is_found_until_its_lifetime_ends() -> None:
    """A result is fresh while it is younger than the lifetime, exactly (F1)."""
    store = Store(10, 5.0)
    put(store, ("a",), 1, 100.0)
    for now, there in ((100.0, True), (104.999, True), (105.0, False), (200.0, False)):
        entry = store.fresh(("a",), now)
        assert (entry is not None and entry.value == 1) is there
    assert store.fresh(("b",), 100.0) is None


def test_a_result_may_last_for_ever() -> None:
    """Without a lifetime only the size bounds the store."""
    store = Store(10, None)
    put(store, ("a",), None, 0.0)
    entry = store.fresh(("a",), 1e18)
    assert entry is not None
    assert entry.value is None


def test_a_new_result_takes_the_place_of_the_old() -> None:
    """One key has one result, with a lifetime of its own."""
    store = Store(10, 5.0)
    put(store, ("a",), 1, 0.0)
    put(store, ("a",), 2, 4.0)
    entry = store.fresh(("a",), 8.0)
    assert entry is not None
    assert entry.value == 2
    assert len(store) == 1


def test_a_clock_that_goes_backwards_starts_an_entry_anew() -> None:
    """No entry becomes younger than new, and none lasts longer than its lifetime from then on (G12)."""
    store = Store(10, 5.0)
    put(store, ("a",), 1, 100.0)
    assert store.fresh(("a",), 10.0) is not None
    assert store.fresh(("a",), 14.9) is not None
    assert store.fresh(("a",), 15.0) is None


def test_the_oldest_goes_first_unless_it_has_answered() -> None:
    """The bound holds exactly; a hit saves an entry once, and so does a new result (F6)."""
    store = Store(3, None)
    for name in "abc":
        put(store, (name,), name, 0.0)
    store.fresh(("a",), 0.0)
    put(store, ("b",), "B", 0.0)
    put(store, ("d",), "d", 0.0)
    assert held(store) == {("a",): "a", ("b",): "B", ("d",): "d"}
    put(store, ("e",), "e", 0.0)
    assert set(held(store)) == {("a",), ("d",), ("e",)}
    put(store, ("f",), "f", 0.0)
    put(store, ("g",), "g", 0.0)
    assert set(held(store)) == {("e",), ("f",), ("g",)}
    assert len(store) == 3


def test_expired_entries_make_room_before_living_ones() -> None:
    """What nobody can use any more goes with the next change, though there is room (F6: bounded)."""
    store = Store(100, 5.0)
    for number in range(6):
        put(store, (number,), number, 0.0)
    put(store, ("new",), 0, 10.0)
    assert len(store) == 5  # two of the old ones went
    for number in range(10, 13):
        put(store, (number,), number, 10.0)
    assert set(held(store)) == {("new",), (10,), (11,), (12,)}


def test_one_change_spares_only_so_many() -> None:
    """A store all of whose entries have answered does not hold up the next change for as long as it is large (G7)."""
    store = Store(3000, None)
    for number in range(3000):
        put(store, (number,), number, 0.0)
        store.fresh((number,), 0.0)
    put(store, ("new",), 0, 0.0)
    assert len(store) == 3000
    assert (1024,) not in held(store)
    marked = [slot.entry.used for slot in store._order if slot.entry is not None]
    assert marked.count(False) == 1024 + 1


def test_the_next_to_go_is_found_at_once() -> None:
    """It does not matter how many went before it (issue 6), as in a plain dict it does: 67 us at 100,000 entries."""
    store = Store(1, None)
    assert type(store._order) is OrderedDict
    store.after_fork()
    assert type(store._order) is OrderedDict


def easy(store: Store, name: Any) -> tuple[Eased, Slot]:
    eased = Eased()
    put(store, (name,), name, 0.0)
    store.ease((name,), eased, name)
    slot = store.find((name,))
    assert slot is not None
    return eased, slot


def test_a_short_cut_follows_its_slot() -> None:
    """It leads to the newest result, and to nothing once that is forgotten, evicted or an error (F6)."""
    store = Store(2, None)
    eased, slot = easy(store, "a")
    assert eased["a"].value == "a"
    put(store, ("a",), "new", 0.0)
    assert eased["a"].value == "new"
    store.forget(("a",))
    assert (eased, slot.eased) == ({}, None)
    eased, slot = easy(store, "a")
    for other in "bc":
        put(store, (other,), 1, 0.0)
    assert (eased, slot.eased) == ({}, None)
    eased, slot = easy(store, "a")
    store.clear()
    assert (eased, slot.eased) == ({}, None)
    eased, slot = easy(store, "a")
    store.finish(slot, Negative(OSError(), 0.0), 0.0)
    assert (eased, slot.eased) == ({}, None)


def test_what_is_evicted_while_something_is_under_way() -> None:
    """The slot stays, its entry goes, and the short cut with it (F6)."""
    store = Store(1, None)
    eased, slot = easy(store, "a")
    slot.busy = Busy()
    put(store, ("b",), 1, 0.0)
    assert (eased, slot.eased, slot.gone) == ({}, None, False)


def test_a_fork_in_the_midst_of_a_change() -> None:
    """The child finds what the slot holds, also if its short cut was not brought up to date before (G18)."""
    store = Store(2, None)
    eased, slot = easy(store, "a")
    slot.entry = Entry("new", 0.0)
    store.after_fork()
    assert eased["a"].value == "new"


def test_a_slot_has_one_short_cut() -> None:
    """The last one counts, and nothing is left of the one before."""
    store = Store(2, None)
    first, slot = easy(store, "a")
    second = Eased()
    store.ease(("a",), second, 1)
    assert (first, second[1].value) == ({}, "a")
    store.forget(("a",))
    assert (second, slot.eased) == ({}, None)


def test_a_short_cut_that_leads_nowhere() -> None:
    """What is not there is not made, and what comes is found (F6)."""
    store = Store(2, None)
    store.ease(("b",), Eased(), "b")
    assert store.find(("b",)) is None
    busy = store.change(("c",), 0.0, lambda slot: setattr(slot, "busy", Busy()))
    other = Eased()
    store.ease(("c",), other, "c")
    assert other == {}
    store.finish(busy, Entry(1, 0.0), 0.0)
    assert other["c"].value == 1


def test_a_short_cut_holds_nobody_up() -> None:
    """While somebody changes the store, in another thread or further out in this one, none is made (G7)."""
    store = Store(2, None)
    put(store, ("a",), 1, 0.0)
    eased, taken, end = Eased(), threading.Event(), threading.Event()

    def hold() -> None:
        with store._lock:
            taken.set()
            end.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    store.ease(("a",), eased, "a")
    end.set()
    holder.join()
    assert eased == {}
    store.change(("a",), 0.0, lambda slot: store.ease(slot.key, eased, "a"))
    assert eased == {}
    store.ease(("a",), eased, "a")
    assert eased["a"].value == 1
    assert not store._lock._is_owned()


def test_compound_keys_with_one_hash() -> None:
    """Keys with the same hash are told apart by what they hold; each is found, forgotten and evicted by itself."""
    store = Store(3, None)
    for number in range(3):
        put(store, key(Nosy(number)), number, 0.0)
    assert [store.fresh(key(Nosy(number)), 0.0).value for number in range(3)] == [0, 1, 2]  # type: ignore[union-attr]
    assert store.forget(key(Nosy(1)))
    assert not store.forget(key(Nosy(1)))
    assert store.fresh(key(Nosy(1)), 0.0) is None
    put(store, key(Nosy(3)), 3, 0.0)
    put(store, key(Nosy(4)), 4, 0.0)
    assert sorted(held(store).values()) == [0, 2, 4]
    store.clear()
    assert store.rows == {}


def test_no_lock_is_held_while_keys_are_compared() -> None:
    """A comparison may take as long as it likes, and use the store itself from another thread (G7)."""
    store = Store(10, None)
    put(store, key(Nosy(1)), 1, 0.0)

    def elsewhere() -> None:
        thread = threading.Thread(target=put, args=(store, key(Nosy(3)), 3, 0.0), daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive(), "the lock was held"

    put(store, key(Nosy(2, elsewhere)), 2, 0.0)
    assert sorted(held(store).values()) == [1, 2, 3]


def test_whoever_comes_second_finds_what_the_first_put() -> None:
    """Two threads that make a slot for one key at the same time share it (F6)."""
    store = Store(10, None)
    put(store, key(Nosy(0)), 0, 0.0)
    nosy = Nosy(1, lambda: put(store, key(Nosy(1)), "first", 0.0))
    put(store, key(nosy), "second", 0.0)
    assert len(store) == 2
    assert [slot.entry.value for slot in store.rows[hash(key(nosy))]] == [0, "second"]  # type: ignore[union-attr]


def test_a_key_that_is_raced_for_without_equality_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """For keys of atoms as well: the lock guards that nothing has changed since the look (F6)."""
    store = Store(10, None)
    real = store._lock

    class Raced:
        def __enter__(self) -> None:
            store._lock = real
            put(store, ("a",), "first", 0.0)
            real.acquire()

        def __exit__(self, *_: object) -> None:
            real.release()

    store._lock = Raced()
    seen: list[Slot] = []
    store.change(("a",), 0.0, seen.append)
    assert [slot.entry.value for slot in seen] == ["first"]  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [1, "x"])
def test_an_error_in_a_comparison(value: object) -> None:
    """A value that cannot be compared after all says so, without what it holds (F6, G10)."""

    class Broken:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError(value)

        def __hash__(self) -> int:
            return 5

    store = Store(10, None)
    put(store, key(Broken()), 1, 0.0)
    with pytest.raises(Unkeyable, match=r"cannot be compared \(ZeroDivisionError\)$"):
        put(store, key(Broken()), 2, 0.0)
    with pytest.raises(Unkeyable, match="cannot be compared"):
        store.find(Compound([[]]))


def test_what_is_dropped_is_freed_outside_the_lock() -> None:
    """The last reference to a result may run its `__del__`, which may use the store from any thread (G7)."""
    store = Store(1, 5.0)
    problems: list[str] = []

    class Loud:
        def __del__(self) -> None:
            thread = threading.Thread(target=store.find, args=(("a",),), daemon=True)
            thread.start()
            done = threading.Event()

            def use() -> None:
                with store._lock:
                    done.set()

            user = threading.Thread(target=use, daemon=True)
            user.start()
            if not done.wait(5):
                problems.append("the lock was held")  # pragma: no cover - that would be the fault
            user.join(5)
            thread.join(5)

    put(store, ("a",), Loud(), 0.0)
    put(store, ("a",), Loud(), 0.0)  # replaced
    put(store, ("b",), Loud(), 0.0)  # evicted
    put(store, ("c",), Loud(), 9.0)  # expired and evicted
    store.forget(("c",))
    put(store, ("d",), Loud(), 9.0)
    store.clear()
    slot = store.change(("e",), 9.0, lambda slot: None)
    store.finish(slot, Entry(Loud(), 9.0), 9.0)
    store.finish(slot, Entry(1, 9.0), 9.0)
    gc.collect()
    assert problems == []


def test_a_cached_call_in_a_finaliser() -> None:
    """The collector may run under the lock, and in it a `__del__` that uses the store: no deadlock (G7)."""
    store = Store(2, None)

    class Loud:
        def __del__(self) -> None:
            put(store, ("inner",), 1, 0.0)

    def decide(slot: Slot) -> None:
        loud = Loud()
        del loud
        slot.entry = Entry("outer", 0.0)

    store.change(("outer",), 0.0, decide)
    assert held(store) == {("inner",): 1, ("outer",): "outer"}


def test_nothing_dropped_is_kept_alive() -> None:
    """Notes about hits do not keep what has been evicted or forgotten (F6: bounded)."""
    store = Store(10, None)
    watches = []
    for number in range(5):
        thing = Thing()
        watches.append(ref(thing))
        put(store, (number,), thing, 0.0)
        store.fresh((number,), 0.0)
        del thing
    store.forget((0,))
    assert [watch() is None for watch in watches] == [True, False, False, False, False]
    store.clear()
    assert [watch() is None for watch in watches] == [True] * 5
    assert len(store) == 0


def test_a_busy_slot_stays_without_an_entry() -> None:
    """What is under way can be found until nobody is at it, and counts for nothing in the size (F6)."""
    store = Store(1, None)
    busy = Busy()

    def take(slot: Slot) -> None:
        slot.busy = busy

    slot = store.change(("a",), 0.0, take)
    put(store, ("b",), 1, 0.0)
    put(store, ("c",), 1, 0.0)
    assert store.find(("a",)) is slot
    assert set(held(store)) == {("c",)}
    store.release(slot)
    put(store, ("d",), 1, 0.0)
    assert store.find(("a",)) is slot  # somebody is at it again
    busy.idle = True
    store.release(slot)
    put(store, ("e",), 1, 0.0)
    assert store.find(("a",)) is None
    assert slot.gone
    store.release(slot)
    put(store, ("f",), 1, 0.0)


def test_eviction_leaves_what_is_under_way() -> None:
    """An entry that is being refreshed may be evicted; its slot stays, so that equal calls still meet (F6)."""
    store = Store(1, None)
    put(store, ("a",), 1, 0.0)
    slot = store.find(("a",))
    assert slot is not None
    slot.busy = Busy()
    put(store, ("b",), 1, 0.0)
    assert store.find(("a",)) is slot
    assert slot.entry is None
    store.finish(slot, Entry(2, 0.0), 0.0)
    assert held(store) == {("a",): 2}


def test_what_comes_of_a_forgotten_call_is_not_stored() -> None:
    """`forget` and `clear` hold for results that are under way: they may be from before the change (F6)."""
    for all_of_it in (False, True):
        store = Store(10, None)
        busy = Busy()

        def take(slot: Slot, busy: Busy = busy) -> None:
            slot.busy = busy

        slot = store.change(("a",), 0.0, take)
        store.clear() if all_of_it else store.forget(("a",))
        assert store.find(("a",)) is None
        store.finish(slot, Entry("old", 0.0), 0.0)
        assert store.find(("a",)) is None
        assert slot.entry is None
        put(store, ("a",), "new", 0.0)
        assert held(store) == {("a",): "new"}


def test_finishing_without_a_result() -> None:
    """A call of which nothing came leaves the earlier entry, or no slot at all (F6)."""
    store = Store(10, None)
    slot = store.change(("a",), 0.0, lambda slot: setattr(slot, "busy", Busy()))
    store.finish(slot, None, 0.0)
    assert store.rows == {}
    put(store, ("a",), 1, 0.0)
    slot = store.change(("a",), 0.0, lambda slot: setattr(slot, "busy", Busy()))
    store.finish(slot, None, 0.0)
    assert held(store) == {("a",): 1}
    assert slot.busy is None


def test_after_a_fork_entries_stay_and_nothing_is_under_way() -> None:
    """The child has new locks and no leases; what was stored is still there (G18)."""
    store = Store(10, None)
    put(store, ("a",), 1, 0.0)
    put(store, key(Nosy(1)), 2, 0.0)
    put(store, key(Nosy(2)), 3, 0.0)
    for busy in (("a",), ("b",)):
        store.change(busy, 0.0, lambda slot: setattr(slot, "busy", Busy()))
    rows = store.rows
    taken, end = threading.Event(), threading.Event()

    def hold(lock: Any) -> None:
        with lock:
            taken.set()
            end.wait(5)

    thread = threading.Thread(target=hold, args=(store._lock,))
    thread.start()
    taken.wait(5)  # the child gets the lock as it is, held by a thread that it does not have
    waiting._after_fork()  # what the interpreter calls in the child
    assert store._lock.acquire(blocking=False)
    store._lock.release()
    put(store, ("c",), 4, 0.0)
    end.set()
    thread.join()
    assert store.rows is rows
    assert sorted(held(store).values()) == [1, 2, 3, 4]
    assert store.find(("b",)) is None
    found = store.find(("a",))
    assert found is not None
    assert found.busy is None


def items() -> Iterator[int]:
    yield 1


async def later() -> int:
    return 1


async def stream() -> Any:
    yield 1


def test_what_can_be_given_twice() -> None:
    """Iterators and awaitables are used up by the first who gets them; lists, functions and None are not (F6)."""
    coroutine = later()
    with Path(os.devnull).open() as file, contextlib.closing(coroutine):
        for result in (items(), iter([]), map(str, []), coroutine, stream(), file):
            assert not shareable(result)
            if hasattr(result, "close"):
                result.close()
        with asyncio.Runner() as runner:
            assert not shareable(runner.get_loop().create_future())
    for result in (None, 1, [], {}, range(3), items, later, Thing()):
        assert shareable(result)
