"""Values as parts of a key: hashable, and equal only if the values are, with their types.

* 1, 1.0 and True differ, at any depth. Lists, tuples, dicts and sets are copied ("frozen").
* An instance is compared by its own equality and therefore kept alive by the key. One that knows only identity is held
  by a weak reference: a dead one equals nothing, and a cached method does not keep its `self` alive. `id()` alone would
  do neither: it is given to the next object.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any
from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["ATOMS", "Unkeyable", "freeze"]

ATOMS = frozenset((str, int, bytes, type(None)))
"""Exact types whose values stand for themselves: none of them equals a value of another type in a key."""


class Unkeyable(Exception):  # noqa: N818 - it says what a value is
    """A value cannot be part of a key; the text says of which type it is, never what it holds (rule G10)."""


def freeze(value: Any) -> Hashable:
    """Turn a value into something that is hashable and equal only to what comes from an equal value of the same type.

    Raises:
        Unkeyable: If it holds something that cannot be compared, or itself.
    """
    try:
        return _frozen(value)
    except RecursionError:
        raise Unkeyable(f"a {type(value).__qualname__} that contains itself, or is nested too deep") from None


def _frozen(value: Any) -> Hashable:
    kind = type(value)
    if kind in ATOMS:
        return value  # type: ignore[no-any-return]
    freezer = _FREEZERS.get(kind)
    if freezer is not None:
        return kind, freezer(value)
    for base in (tuple, list, dict, set, frozenset):  # subclasses that compare like their base: named tuples and such
        if isinstance(value, base) and _equality(kind) is _equality(base):
            return kind, _FREEZERS[base](value)
    return _instance(kind, value)


def _equality(kind: type) -> object:
    return kind.__eq__


def _instance(kind: type, value: Any) -> Hashable:
    try:
        if _equality(kind) is _equality(object):
            try:
                weak: ref[Any] = ref(value)
            except TypeError:  # a type without weak references: held
                hash(value)
                return kind, value
            hash(weak)  # now: it keeps the hash for the time after the death of its object
            return kind, weak
        hash(value)
    except Exception as error:  # noqa: BLE001 - the user's own __hash__ may raise anything; the call matters more
        raise Unkeyable(f"an object of type {kind.__qualname__} ({type(error).__qualname__}: no usable hash)") from None
    return kind, value


def _row(values: Any) -> Hashable:
    return tuple(map(_frozen, values))


def _bag(values: Any) -> Hashable:
    return frozenset(map(_frozen, values))


def _pairs(mapping: Any) -> Hashable:
    return frozenset((_frozen(key), _frozen(value)) for key, value in mapping.items())


def _float(value: float) -> Hashable:
    """Keep 0.0 and -0.0 apart, which are equal and not the same, and let nan equal itself."""
    return value if value and value == value else str(value)  # noqa: PLR0124 - that is how a nan is told


_FREEZERS: dict[type, Callable[[Any], Hashable]] = {
    bool: int,
    float: _float,
    complex: lambda value: (_float(value.real), _float(value.imag)),
    tuple: _row,
    list: _row,
    deque: _row,
    OrderedDict: lambda mapping: _row(mapping.items()),  # two of them are equal only in the same order
    dict: _pairs,
    defaultdict: _pairs,
    Counter: _pairs,
    set: _bag,
    frozenset: _bag,
    bytearray: bytes,
}
