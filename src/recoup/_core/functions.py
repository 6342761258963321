"""Functions as parts of a key: when are two functions the same function?

A closure made anew for each call (`async def request(): ... url ...`) is the same function if its code, its defaults
and the values it closes over are equal. Not by name: that is the same for every URL. Not by identity: no two are.

Two things are not input, and do not tell functions apart:

* What an object that is called again and again closes over by now. The values are looked at once for each function
  object, at its first call; like a global variable, what changes later should have been an argument.
* What the call itself changes: a counter (`nonlocal`), a list that it appends to. That is noticed after the first call
  and from then on compared by identity. (A dict that the program changes *between* calls, page by page, is input.)
"""

from __future__ import annotations

import functools
from collections import deque
from threading import RLock
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from recoup._core.frozen import Unkeyable, freeze
from recoup._core.waiting import at_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Function", "function_key", "known", "learn"]


class Function:
    """What stands for a function in a key: one object for the same function, so that keys compare it by identity.

    Attributes:
        parts: What makes it the same function.
        later: The same, for functions that are made after the first call has shown what is no input; `None` until then.
    """

    __slots__ = ("__weakref__", "later", "parts")

    def __init__(self, parts: Hashable) -> None:
        self.parts = parts
        self.later: Hashable = None


class Same:
    """Hold a thing that has no hash and compare it by identity."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)  # held, so nothing else gets this id


_CONTAINERS = (list, dict, set, deque, bytearray)

_known: WeakKeyDictionary[FunctionType, Function] = WeakKeyDictionary()
_functions: WeakValueDictionary[int, Function] = WeakValueDictionary()  # by hash; gone with the last key that has it
_memory: WeakKeyDictionary[CodeType, frozenset[int]] = WeakKeyDictionary()  # variables that a call itself changes
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


def known(function: Any) -> bool:
    """Tell whether a function was seen before."""
    return isinstance(function, FunctionType) and function in _known


def learn(function: Any, seen: Function) -> None:
    """Notice what the first call of a function has changed in its own closure: that is its memory, not its input.

    Functions that are made later, of the same code and the same input, are known as this one from now on.

    Args:
        function: The function.
        seen: What stands for it since before the call.
    """
    try:
        if _notice(function, seen.parts):
            _interned(_parts(function, ()), seen)
    except Exception:  # noqa: BLE001, S110 - an `__eq__` of the user's may raise anything, and the call has succeeded
        pass


def _interned(parts: Hashable, seen: Function | None = None) -> Function:
    """Give the one object for equal parts: the one there is, else `seen`, else a new one.

    Parts are compared outside the lock: that may run code of the user's.
    """
    code = hash(parts)
    while True:
        found = _functions.get(code)
        if found is not None and parts in (found.parts, found.later):
            return found
        made = seen or Function(parts)
        if found is not None:  # another function with the same hash: this one stays alone, which costs calls at worst
            return made
        with _lock:
            if _functions.get(code) is None:
                if seen is not None:
                    seen.later = parts
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
    memory = _memory.get(function.__code__, ())
    try:
        return (
            function.__code__,
            Same(function.__globals__),  # code objects are equal across modules
            freeze(function.__defaults__),
            freeze(function.__kwdefaults__),
            tuple(
                _remembered(cell) if place in memory else _closed_over(cell.cell_contents, within)
                for place, cell in enumerate(function.__closure__ or ())
            ),
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


def _remembered(cell: CellType) -> Same:
    value = cell.cell_contents
    return Same(value if isinstance(value, _CONTAINERS) else cell)


def _notice(function: Any, before: Any) -> bool:
    """Note which variables a function has changed; tell whether that is news."""
    if not isinstance(function, FunctionType) or before[0] is not function.__code__:
        return False
    changed, deeper = set(), False
    for place, (cell, old) in enumerate(zip(function.__closure__ or (), before[-1], strict=True)):
        value = cell.cell_contents
        if isinstance(value, FunctionType):
            deeper = _notice(value, old) or deeper
        elif not isinstance(old, Same) and freeze(value) != old:
            name = function.__code__.co_freevars[place]
            if isinstance(value, _CONTAINERS) or _rebinds(function.__code__, name):
                changed.add(place)
    if changed:
        _memory[function.__code__] = _memory.get(function.__code__, frozenset()) | changed
    return bool(changed) or deeper


def _rebinds(code: CodeType, name: str) -> bool:
    """Tell whether a function binds a closed-over variable itself (`nonlocal`); others may have done it meanwhile."""
    from dis import get_instructions  # noqa: PLC0415 - hardly anybody gets here

    return any(each.opname == "STORE_DEREF" and each.argval == name for each in get_instructions(code))


def _after_fork() -> None:
    """Take a new lock: the old one may be held by a thread that the child does not have (G18)."""
    global _lock  # noqa: PLW0603 - the one lock of the process
    _lock = RLock()


at_fork(_after_fork)
