"""Keys of calls: when are two calls the same call?

They are if the function is the same and the arguments are equal and of the same types. A wrong yes hands one caller the
result of another, a wrong no costs a call, so every doubt ends in no.

* Arguments: 1, 1.0 and True differ, at any depth; lists, tuples, dicts and sets are copied into the key ("frozen"); an
  argument given by position, by name or left to its default is the same argument.
* An instance is compared by its own equality and therefore kept alive by the key. One that knows only identity is held
  by a weak reference: a dead one equals nothing, and a cached method does not keep its `self` alive. `id()` alone would
  do neither: it is given to the next object.
* Functions: a closure made anew for each call (`async def request(): ... url ...`) is the same function if its code and
  the values it closes over are equal. Not by name: that is the same for every URL. Not by identity: no two are. The
  values are looked at once for each function object, at its first call: one that counts its calls in a `nonlocal`
  variable stays the same function.
"""

from __future__ import annotations

import functools
from collections import Counter, OrderedDict, defaultdict, deque
from threading import RLock
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from recoup._core.arguments import Parameters
from recoup._core.conditions import plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["ATOMS", "Compound", "Function", "Keys", "Unkeyable", "freeze", "function_key"]

ATOMS = frozenset((str, int, bytes, type(None)))
"""Exact types whose values stand for themselves: none of them equals a value of another type in a key."""


class Unkeyable(Exception):  # noqa: N818 - it says what a value is
    """A value cannot be part of a key; the text says of which type it is, never what it holds (rule G10)."""


class Same:
    """Hold a thing that has no hash and compare it by identity."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)  # held, so nothing else gets this id


class Compound(tuple[Any, ...]):
    """A key that holds more than atoms: to compare it may run code of the user's."""

    __slots__ = ()


class Function:
    """What stands for a function in a key: one object for the same function, so that keys compare it by identity.

    Attributes:
        parts: What makes it the same function.
    """

    __slots__ = ("__weakref__", "parts")

    def __init__(self, parts: Hashable) -> None:
        self.parts = parts


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

_known: WeakKeyDictionary[FunctionType, Function] = WeakKeyDictionary()
_functions: WeakValueDictionary[int, Function] = WeakValueDictionary()  # by hash; gone with the last key that has it
_lock = RLock()  # reentrant: the collector may run inside it, and in the collector a `__del__` that makes a cached call


def function_key(function: Any) -> Function:
    """Tell which function this is: the same object, or the same code with equal defaults and closed-over values.

    Raises:
        Unkeyable: If it is a callable object or a partial that cannot be compared.
    """
    if not isinstance(function, FunctionType):
        return _interned(_parts(function, ()))
    found = _known.get(function)
    if found is None:
        # setdefault is atomic: of two threads that see a function first, both go on with the same key
        found = _known.setdefault(function, _interned(_parts(function, ())))
    return found


def _interned(parts: Hashable) -> Function:
    """Give the one object for equal parts. They are compared outside the lock: that may run code of the user's."""
    code = hash(parts)
    while True:
        found = _functions.get(code)
        if found is not None and found.parts == parts:
            return found
        made = Function(parts)
        if found is not None:  # another function with the same hash: this one stays alone, which costs calls at worst
            return made
        with _lock:
            if _functions.get(code) is None:
                _functions[code] = made
                return made


def _parts(function: Any, within: tuple[Any, ...]) -> Hashable:
    if isinstance(function, FunctionType):
        return _plain_parts(function, within)
    if isinstance(function, MethodType):
        return "method", _parts(function.__func__, within), freeze(function.__self__)
    if isinstance(function, functools.partial):
        return "partial", _parts(function.func, within), freeze(function.args), freeze(function.keywords)
    return "object", freeze(function)


def _plain_parts(function: FunctionType, within: tuple[Any, ...]) -> Hashable:
    within = (*within, function)
    try:
        return (
            function.__code__,
            Same(function.__globals__),  # code objects are equal across modules
            freeze(function.__defaults__),
            freeze(function.__kwdefaults__),
            tuple(_closed_over(cell.cell_contents, within) for cell in function.__closure__ or ()),
        )
    except (Unkeyable, ValueError):  # nothing to compare it by, or a variable that is not bound yet
        return "identity", ref(function)


def _closed_over(value: Any, within: tuple[Any, ...]) -> Hashable:
    """Freeze what a function closes over; a function in there may have been made for this call as well."""
    if isinstance(value, (FunctionType, MethodType, functools.partial)):
        for depth, outer in enumerate(within):
            if value is outer:  # it closes over itself
                return "within", depth
        return _parts(value, within)
    return freeze(value)


class Keys:
    """Makes the keys of the calls of one function.

    Args:
        target: The user's function.
        by: The user's own choice of what identifies a call: gets its arguments, gives the key. `None`: the arguments.
        complain: Told, in words, about a call that has no key.

    Attributes:
        function: What stands for the function in its keys; `None` before the first one.
        count: How many arguments make a call of atoms complete; `None` if there is no such number.
    """

    __slots__ = ("__weakref__", "_by", "_complain", "_parameters", "_target", "count", "function")

    def __init__(self, target: Any, by: Callable[..., object] | None, complain: Callable[[str], None]) -> None:
        self._target = target
        self._by = by
        self._complain = complain
        self._parameters = parameters = Parameters.of(target)
        self.count = None if parameters is None or parameters.keyword_only or by is not None else parameters.count
        self.function: Function | None = None

    def of(self, *args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
        """Give the key of a call: a plain tuple of atoms or a `Compound`; `None` if it has none.

        What `by` raises comes out.
        """
        if self._parameters is not None:
            args, kwargs = self._parameters.normal(args, kwargs)
        try:
            if self.function is None:
                self.function = function_key(self._target)  # not before: a closed-over variable may be bound late
            if self._by is not None:
                return Compound((self.function, freeze(plainly("key", self._by(*args, **kwargs)))))
            if not kwargs and ATOMS.issuperset(map(type, args)):
                return self.function, args
            return Compound((self.function, freeze(args), freeze(kwargs)))
        except Unkeyable as problem:
            self._complain(str(problem))
            return None
