"""The store beside a list in plain Python (F6: time to live, bound, order of eviction, nothing lost or resurrected)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup._core.keys import Compound
from recoup._core.store import Entry, Slot, Store

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Name:
    """Many of them have one hash."""

    text: str

    def __hash__(self) -> int:
        return len(self.text)


KEYS: list[Any] = [("a",), ("b",), (1,), *(Compound((Name(text),)) for text in ("a", "b", "c", "aa"))]
keys = st.sampled_from(KEYS)


class Work:
    """Something under way."""

    idle = False

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass
class Model:
    """What a store has to do, by the book."""

    max_size: int
    lifetime: float | None
    entries: list[list[Any]] = field(default_factory=list)  # [key, value, stored, used], the next to go first
    busy: dict[Any, Work] = field(default_factory=dict)

    def entry(self, key: Any) -> list[Any] | None:
        return next((each for each in self.entries if each[0] == key), None)

    def expired(self, entry: list[Any], now: float) -> bool:
        entry[2] = min(entry[2], now)  # a clock that went backwards starts it anew
        return self.lifetime is not None and now - entry[2] >= self.lifetime

    def use(self, key: Any) -> None:
        entry = self.entry(key)
        if entry is not None:
            entry[3] = True

    def touch(self, key: Any) -> None:
        entry = self.entry(key)
        if entry is not None:
            self.entries.remove(entry)
            self.entries.append(entry)

    def put(self, key: Any, value: object, now: float) -> None:
        self.entries = [each for each in self.entries if each[0] != key]
        self.entries.append([key, value, now, False])

    def bound(self) -> None:
        while len(self.entries) > self.max_size:
            first = self.entries.pop(0)
            if first[3]:
                first[3] = False
                self.entries.append(first)

    def tidy(self, now: float) -> None:
        self.bound()
        for _ in range(2):
            if self.entries and self.expired(self.entries[0], now):
                del self.entries[0]


class StoreMachine(RuleBasedStateMachine):
    """Puts, hits, work under way, forgetting, and a clock that may go backwards."""

    @initialize(max_size=st.integers(1, 4), lifetime=st.sampled_from([None, 5.0, 20.0]))
    def begin(self, max_size: int, lifetime: float | None) -> None:
        self.now = 100.0
        self.number = 0
        self.store = Store(max_size, lifetime)
        self.model = Model(max_size, lifetime)
        self.slots: dict[int, tuple[Any, Slot, Work]] = {}  # work that ends some time, also if it was forgotten

    def value(self) -> int:
        self.number += 1
        return self.number

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 30.0, -3.0, -50.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys)
    def put(self, key: Any) -> None:
        value = self.value()
        self.store.put(key, Entry(value, self.now))
        self.model.put(key, value, self.now)
        self.model.tidy(self.now)

    @rule(key=keys)
    def hit(self, key: Any) -> None:
        found = self.store.fresh(key, self.now)
        right = self.model.entry(key)
        if right is None or self.model.expired(right, self.now):
            assert found is None
            return
        assert found is not None
        assert found.value == right[1]
        self.model.use(key)

    @rule(key=keys)
    def begin_work(self, key: Any) -> None:
        work = self.model.busy.get(key) or Work(self.value())

        def take(slot: Slot) -> None:
            assert slot.busy is self.model.busy.get(key)
            slot.busy = work

        slot = self.store.change(key, self.now, take)
        self.model.busy[key] = work
        self.slots[work.number] = (key, slot, work)
        self.model.touch(key)
        self.model.tidy(self.now)

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), gives=st.booleans())
    def end_work(self, data: st.DataObject, gives: bool) -> None:
        key, slot, work = self.slots.pop(data.draw(st.sampled_from(sorted(self.slots))))
        current, gone = self.model.busy.get(key) is work, slot.gone
        if gives:
            value = self.value()
            self.store.finish(slot, Entry(value, self.now), self.now)
            if current:
                self.model.put(key, value, self.now)
        else:
            self.store.finish(slot, None, self.now)
            if current:
                self.model.touch(key)
        if current:
            del self.model.busy[key]
        if not gone:  # of what was forgotten, nobody looks at the others
            self.model.tidy(self.now)

    @rule(max_size=st.integers(1, 4), lifetime=st.sampled_from([None, 5.0, 20.0]))
    def resize(self, max_size: int, lifetime: float | None) -> None:
        self.store.resize(lambda: (max_size, lifetime))
        self.model.max_size, self.model.lifetime = max_size, lifetime
        self.model.bound()

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def abandon_work(self, data: st.DataObject) -> None:
        key, slot, work = self.slots.pop(data.draw(st.sampled_from(sorted(self.slots))))
        work.idle = True
        self.store.release(slot)
        value = self.value()
        self.store.put(KEYS[0], Entry(value, self.now))  # the next change sees to it
        self.model.put(KEYS[0], value, self.now)
        self.model.tidy(self.now)
        if self.model.busy.get(key) is work:
            if self.model.entry(key) is None:
                del self.model.busy[key]  # the slot is gone
            else:
                self.slots[work.number] = (key, slot, work)  # it stays with its entry; somebody takes the work up again
        work.idle = False

    @rule(key=keys)
    def forget(self, key: Any) -> None:
        right = self.model.entry(key)
        assert self.store.forget(key) is (right is not None)
        self.model.entries = [each for each in self.model.entries if each is not right]
        self.model.busy.pop(key, None)

    @rule()
    def clear(self) -> None:
        self.store.clear()
        self.model.entries.clear()
        self.model.busy.clear()

    @rule()
    def fork(self) -> None:
        self.store.after_fork()
        self.model.busy.clear()
        self.slots.clear()

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "store"):
            return
        found = {slot.key: slot for row in self.store.rows.values() for slot in row}
        assert {key: slot.entry.value for key, slot in found.items() if slot.entry} == {
            key: value for key, value, *_ in self.model.entries
        }
        assert {key: slot.busy for key, slot in found.items() if slot.busy} == self.model.busy
        assert len(self.store) == len(self.model.entries) <= self.model.max_size
        assert all(slot.entry or slot.busy for slot in found.values()), "an empty slot is left"
        assert not any(slot.gone for slot in found.values())


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
