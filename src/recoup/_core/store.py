"""A bounded store of results by key, with a time to live, for threads and any number of event loops.

A *slot* belongs to a key. It holds an *entry* (a result and when it came), or what the strategy has under way for that
key (`busy`), or both. Entries are bounded: the oldest goes first, but one that has answered since it was last in danger
is spared once. (That is "second chance", or CLOCK: nearly as good a choice as the least recently used, and a hit only
sets a mark. Source: Corbato, "A Paging Experiment with the Multics System", 1968.) What is under way is bounded by the
calls that run.

* Reading takes no lock. A change takes one short lock, which is never held while code of the user's runs. A key of
  atoms is simply looked up. A compound key may hold an instance with an `__eq__` of its own, so its slot is looked for,
  outside the lock, in the immutable row of those with the same hash, and the lock only guards that the row is still the
  one that was looked through. What is evicted is freed after the lock is released: the last reference to a result may
  run its `__del__`.
* The lock is reentrant: the collector may run inside it, and in the collector a `__del__` that makes a cached call.
  Every step leaves the store whole, so at worst such a call is made twice.
* An entry may also be found through a short cut that somebody keeps (`ease`), for as long as it is there.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import RLock

from recoup._core.entries import Entry, Slot, shareable
from recoup._core.frozen import Unkeyable
from recoup._core.keys import Compound
from recoup._core.waiting import at_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from recoup._core.entries import Eased

__all__ = ["Entry", "Slot", "Store", "shareable"]

_SPARED = 1024  # entries that one change spares at the most: under 1 ms, even if all of them have answered
_LOOKED_AT = 2  # expired entries dropped at each change: more than one can come in, so they do not pile up


class Store:
    """Results by key.

    Args:
        max_size: How many results there may be; at least 1.
        lifetime: Seconds that a result is worth keeping; `None` for as long as there is room.

    Attributes:
        rows: The slots: one for a key of atoms, a row of them for the hash of a compound key. Only to be looked at.

    `key` in its methods is what `Keys.of` gives. They raise `Unkeyable` if a value in it cannot be compared.
    """

    def __init__(self, max_size: int, lifetime: float | None) -> None:
        self.max_size, self.lifetime = max_size, lifetime
        self.rows: dict[Hashable, tuple[Slot, ...]] = {}
        self._begin()
        at_fork(self)

    def _begin(self) -> None:
        self._lock: Any = RLock()
        # The slots that have an entry, the next to go first. (A plain dict looks the longer for its first, the more of
        # those before it have been taken out.)
        self._order: OrderedDict[Slot, None] = OrderedDict()
        self._released: deque[Slot] = deque()

    def after_fork(self) -> None:
        """Begin anew in a forked child: what is under way runs in a thread that does not exist here (G18)."""
        slots = list(self._order)
        self._begin()
        self.rows.clear()
        for slot in slots:
            slot.busy = None
            self.rows[slot.place] = (*self.rows.get(slot.place, ()), slot)
            self._order[slot] = None
            slot.ease()  # somebody may have been in the midst of changing it

    def __len__(self) -> int:
        return len(self._order)

    def find(self, key: Hashable) -> Slot | None:
        """Look for the slot of a key; takes no lock."""
        return self._look(key)[2]

    def fresh(self, key: Hashable, now: float) -> Entry | None:
        """Give the entry of a key, unless it is past its lifetime; takes no lock."""
        slot = self.find(key)
        if slot is None:
            return None
        entry = slot.entry
        if entry is None or self._expired(entry, now):
            return None
        entry.used = True
        return entry

    def put(self, key: Hashable, entry: Entry) -> None:
        """Store a result, which came just now, under a key."""
        slot = self.find(key)
        if slot is not None and self._write(slot, entry, entry.stored, done=False):
            return

        def place(slot: Slot) -> None:
            slot.entry = entry

        self.change(key, entry.stored, place)

    def change(self, key: Hashable, now: float, decide: Callable[[Slot], None]) -> Slot:
        """Find or make the slot of a key, and decide about it under the lock.

        Args:
            key: The key.
            now: Seconds on a monotonic clock.
            decide: Looks at the slot and changes its entry or what is busy in it. It runs once, under the lock: it is
                quick, runs nothing of the user's and does not raise.
        """
        while True:
            place, row, slot = self._look(key)
            grown = row
            if slot is None:
                slot = Slot(key, place)
                grown = (*row, slot)
            with self._lock:
                if self.rows.get(place, ()) is not row:
                    continue  # somebody came first, and what was found may be gone
                self.rows[place] = grown
                freed: list[object] = [slot.entry]
                decide(slot)
                self._tidy_locked(slot, now, freed)
            freed.clear()  # outside the lock
            return slot

    def finish(self, slot: Slot, entry: Entry | None, now: float) -> None:
        """Say that nothing is under way in a slot any more, and store what came of it.

        Args:
            slot: The slot. If it was forgotten meanwhile, so is the entry.
            entry: The result; `None` to keep what there is.
            now: Seconds on a monotonic clock.
        """
        self._write(slot, entry, now, done=True)

    def ease(self, key: Hashable, eased: Eased, by: Hashable) -> None:
        """Have the entry of a key of atoms found through a short cut, too, unless somebody changes something just now.

        It is nothing but a short cut, so who only reads is not held up, and an interrupt leaves no lock behind.
        """
        lock = self._lock
        if lock._is_owned():
            return
        try:
            row = lock.acquire(blocking=False) and self.rows.get(key)
            if row:
                (slot,) = row
                slot.harden()
                slot.eased = (eased, by)
                slot.ease()
        finally:
            if lock._is_owned():
                lock.release()

    def release(self, slot: Slot) -> None:
        """Say that nobody is at what was under way; takes no lock, because a finaliser may say it (G7)."""
        self._released.append(slot)

    def forget(self, key: Hashable) -> bool:
        """Drop the slot of a key, with what will come of what is under way in it; tell whether it had an entry."""
        slot = self.find(key)
        if slot is None:
            return False
        freed: list[object] = []
        with self._lock:
            self._drop_locked(slot, freed)
        return freed.pop() is not None

    def clear(self) -> None:
        """Drop everything, with what will come of what is under way."""
        freed: list[object] = []
        with self._lock:
            for slot in [slot for row in self.rows.values() for slot in row]:
                self._drop_locked(slot, freed)
        freed.clear()

    def resize(self, limits: Callable[[], tuple[int, float | None]]) -> None:
        """Change the bounds; what is too much is dropped at once, what is too old with the next changes.

        Args:
            limits: Gives `max_size` and `lifetime`, as they are when it is called. That is under the lock, so of two
                who change something at once one comes last, with all of it; it is quick and runs nothing of the user's.
        """
        freed: list[object] = []
        with self._lock:
            self.max_size, self.lifetime = limits()
            self._bound_locked(freed)
        freed.clear()  # outside the lock

    def _write(self, slot: Slot, entry: Entry | None, now: float, *, done: bool) -> bool:
        """Put an entry into a slot, and end what is under way in it; False if the store has forgotten the slot."""
        freed: list[object] = [slot.entry]
        with self._lock:
            if done:  # together with the entry: whoever comes in between would see neither
                slot.busy = None
            if slot.gone:
                return False
            if entry is not None:
                slot.entry = entry
            self._tidy_locked(slot, now, freed)
        freed.clear()  # outside the lock
        return True

    def _look(self, key: Hashable) -> tuple[Hashable, tuple[Slot, ...], Slot | None]:
        if type(key) is not Compound:
            row = self.rows.get(key, ())
            return key, row, row[0] if row else None
        try:
            place = hash(key)
            row = self.rows.get(place, ())
            for slot in row:
                if slot.key == key:
                    return place, row, slot
        except Exception as error:  # noqa: BLE001 - a __hash__ or __eq__ of the user's may raise anything
            raise Unkeyable(f"a value that cannot be compared ({type(error).__qualname__})") from None
        return place, row, None

    def _expired(self, entry: Entry | None, now: float) -> bool:
        return entry is None or (self.lifetime is not None and entry.age(now) >= self.lifetime)

    def _tidy_locked(self, changed: Slot, now: float, freed: list[object]) -> None:
        """Bring the order up to date and keep the bound; hand over what the caller frees outside the lock."""
        if changed.entry is not None and not changed.gone:
            self._order[changed] = None
            self._order.move_to_end(changed)
            changed.ease()
        self._bound_locked(freed)
        self._vacate_locked(changed, freed)
        for _ in range(_LOOKED_AT):
            first = next(iter(self._order), None)
            if first is None or not self._expired(first.entry, now):
                return
            self._evict_locked(first, freed)

    def _bound_locked(self, freed: list[object]) -> None:
        """Evict the entries that are too many."""
        while self._released:
            self._vacate_locked(self._released.popleft(), freed)
        spared = 0
        while len(self._order) > self.max_size:
            slot = next(iter(self._order))
            if slot.entry is not None and slot.entry.used and spared < _SPARED:
                slot.entry.used = False
                self._order.move_to_end(slot)
                spared += 1
            else:
                self._evict_locked(slot, freed)

    def _evict_locked(self, slot: Slot, freed: list[object]) -> None:
        """Drop the entry of a slot, and the slot if nothing is under way in it."""
        slot.harden()
        self._order.pop(slot, None)
        freed.append(slot.entry)
        slot.entry = None
        self._vacate_locked(slot, freed)

    def _vacate_locked(self, slot: Slot, freed: list[object]) -> None:
        """Drop a slot in which there is nothing."""
        if slot.entry is None and (slot.busy is None or slot.busy.idle) and not slot.gone:
            self._drop_locked(slot, freed)

    def _drop_locked(self, slot: Slot, freed: list[object]) -> None:
        slot.harden()
        row = tuple(each for each in self.rows.get(slot.place, ()) if each is not slot)
        if row:
            self.rows[slot.place] = row
        else:
            self.rows.pop(slot.place, None)
        self._order.pop(slot, None)
        slot.gone = True
        freed += (slot, slot.entry)
        slot.entry = None
