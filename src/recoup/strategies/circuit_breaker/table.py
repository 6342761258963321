"""Circuits by key: found without a lock, and no more of them than allowed (C9).

Which one goes when there are too many: the oldest that was not used since it was last looked at ("second chance"), so
that a hit need only set a mark; open ones only when nobody else is left, the oldest first. One that goes while a call
runs in it is found again as long as that call runs, and comes back with what that call has to tell: so no busy one is
ever replaced by a new one, and nothing it learns is lost.

Each key costs the same however many there are: a hit is a look into a dictionary, and a circuit that is spared was used
since, or opened since, and pays for being spared.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from recoup._core.arguments import Parameters
from recoup._core.conditions import plainly
from recoup._core.frozen import ATOMS
from recoup.strategies.circuit_breaker.closed import Closed, Watched
from recoup.strategies.circuit_breaker.phases import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from recoup.strategies.circuit_breaker.calls import Calls

__all__ = ["Table", "plain"]


class Table:
    """The circuits of one keyed breaker.

    Args:
        first: What all of them are made like.
        max_keys: How many are kept; those in which a call runs come on top.
    """

    __slots__ = ("__weakref__", "_calm", "_first", "_leaving", "_lock", "_open", "max_keys")

    def __init__(self, first: Calls, max_keys: int) -> None:
        self._first = first
        self.max_keys = max_keys
        self._lock = Lock()
        self._calm: OrderedDict[Hashable, Calls] = OrderedDict()
        self._open: OrderedDict[Hashable, Calls] = OrderedDict()
        self._leaving: WeakValueDictionary[Hashable, Calls] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._calm) + len(self._open)

    def of(self, key: Hashable) -> Calls:
        """Give the circuit of a key, a new one if there is none."""
        found = self._calm.get(key)
        if found is None:
            return self._missed(key)
        found.used = True
        return found

    def finder(self, by: Callable[..., object], target: object) -> Callable[..., Calls]:
        """Make what finds the circuit of a call of one function; `by` tells the key."""
        parameters = Parameters.of(target)

        def keyed(*args: Any, **kwargs: Any) -> Calls:
            if parameters is not None:
                args, kwargs = parameters.normal(args, kwargs)
            return self.of(plain(by(*args, **kwargs)))

        return keyed

    def known(self, key: Hashable) -> Calls | None:
        """Give the circuit of a key if there is one; that is no use of it."""
        return self._calm.get(key) or self._open.get(key) or self._leaving.get(key)

    def items(self) -> list[tuple[Hashable, Calls]]:
        """Give all circuits with their keys: those that left while calls run in them, closed ones, open ones."""
        with self._lock:
            return [*self._leaving.items(), *self._calm.items(), *self._open.items()]

    def all(self) -> list[Calls]:
        """Give all circuits."""
        return [calls for _, calls in self.items()]

    def fill(self, circuits: list[tuple[Hashable, Calls]]) -> None:
        """Keep these and no others; no more than are allowed."""
        with self._lock:
            self._open.clear()
            self._leaving.clear()
            self._calm.clear()
            self._calm.update(circuits)
        for _, each in circuits:
            each.catch_up()

    def follow(self, now: float) -> None:
        """Have all circuits be held as the first one is, with which they share the holds."""
        for each in self.all():
            each.circuit.follow(now)

    def forget(self, key: Hashable) -> None:
        """Begin anew with a key."""
        with self._lock:
            for each in (self._calm, self._open, self._leaving):
                each.pop(key, None)

    def clear(self) -> None:
        """Begin anew with all."""
        with self._lock:
            self._calm.clear()
            self._open.clear()
            self._leaving.clear()

    def after_fork(self) -> None:
        """Begin anew in the child of a fork: closed circuits begin with an empty window there, so they can go (G18)."""
        self._first.after_fork()
        self._lock = Lock()
        self._leaving = WeakValueDictionary()
        kept = [(key, each) for group in (self._open, self._calm) for key, each in group.items() if not _closed(each)]
        self._calm, self._open = OrderedDict(), OrderedDict(kept)
        for _, each in kept:
            each.circuit.rejoin(self._first.circuit)

    def _missed(self, key: Hashable) -> Calls:
        found = self._open.get(key)
        if found is not None and not _closed(found):
            return found
        first = self._first
        new = first.beside(first.circuit.sibling())  # not under the lock: open times may be the user's code
        new.catch_up()  # held from the beginning, if all are
        with self._lock:
            kept = self._keep_locked(key, self._leaving.get(key) or new)
        kept.catch_up()  # made before the configuration was changed or all were held, and kept afterwards?
        return kept

    def _keep_locked(self, key: Hashable, calls: Calls) -> Calls:
        """Keep a circuit for a key, unless there is one."""
        found = self._calm.get(key) or self._open.pop(key, calls)
        while key not in self._calm and len(self) >= self.max_keys:
            self._evict_locked()
        found.used, found.left = True, None
        self._calm[key] = found
        return found

    def _returned(self, key: Hashable, calls: Calls) -> None:
        """Take one back that has left, and has something to tell."""
        with self._lock:
            if self._leaving.get(key) is calls:
                self._keep_locked(key, calls)

    def _let_go_locked(self, key: Hashable, calls: Calls) -> None:
        calls.left = partial(self._returned, key)
        self._leaving[key] = calls

    def _evict_locked(self) -> None:
        """Let one go, or put one aside."""
        if not self._calm:
            self._let_go_locked(*self._open.popitem(last=False))
            return
        key, each = self._calm.popitem(last=False)
        if not _closed(each):
            self._open[key] = each
        elif each.used:
            each.used = False
            self._calm[key] = each
        else:
            self._let_go_locked(key, each)


def _closed(calls: Calls) -> bool:
    """Tell whether a circuit is closed, or would be if nobody held it."""
    phase = calls.circuit.phase
    return isinstance(phase.beneath if isinstance(phase, (Held, Watched)) else phase, Closed)


def plain(key: Any) -> Hashable:
    """Make a key of plain parts, whose comparing runs no code of the user's: it happens under a lock.

    Raises:
        TypeError: For anything but a str, int, bytes, bool, float, None, an enumeration's member, or a tuple or
            frozenset of such.
    """
    kind = type(key)
    if kind in ATOMS:
        return key  # type: ignore[no-any-return]  # hashable, by its type
    if isinstance(key, Enum):
        return Enum, kind.__module__, kind.__qualname__, key.name
    if isinstance(key, str):
        return str.__str__(key)
    if kind in (bool, float):
        return kind, key
    if kind in (tuple, frozenset):
        return kind, kind(map(plain, key))
    raise TypeError(
        f"key must give a str, int, bytes, None, or a tuple of them, not an object of type "
        f"{type(plainly('key', key)).__qualname__!r}: make one of it, such as its name or id"
    )
