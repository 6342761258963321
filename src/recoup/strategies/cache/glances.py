"""Quick looks for results that are fresh: what most calls need, and no more.

A result of a call whose arguments are atoms is found by them alone: by the argument if there is one parameter, else by
all of them, in their places. It comes here when it is found the long way (`ease`), and goes when the store drops it.

A glance gives `None` in any doubt, and then the desk looks.
"""

from __future__ import annotations

import inspect
from types import FunctionType

from recoup._core import clock, emit, mode
from recoup._core.entries import Eased
from recoup._core.frozen import ATOMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.entries import Entry
    from recoup.strategies.cache.state import Shelf

__all__ = ["Glances"]


class Glances:
    """The quick looks of one function.

    Args:
        shelf: Where the results are.
        target: The user's function.

    Attributes:
        glance: Gets the arguments of a call, gives the result that is to be had quickly.
    """

    def __init__(self, shelf: Shelf, target: Any) -> None:
        self._shelf = shelf
        self._eased = Eased()
        self._single = isinstance(target, FunctionType) and _takes_one(target)
        self._seen = False
        self.glance: Callable[..., Entry | None] = self._one(target) if self._single else self._many()

    def ease(self, key: tuple[Any, ...]) -> None:
        """Have a result found at a glance.

        Args:
            key: The key of its call: function and arguments.
        """
        if not self._seen:  # it may be there for one call only, and then it takes nothing from others
            self._seen = True
            return
        self._shelf.store.ease(key, self._eased, key[1][0] if self._single else key[1])

    def _one(self, target: FunctionType) -> Callable[..., Entry | None]:
        find, shelf = self._eased.get, self._shelf

        def glance(arg: Any) -> Entry | None:
            if type(arg) not in ATOMS:
                return None
            entry = find(arg)
            if entry is None or not 0.0 <= clock.monotonic() - entry.stored < shelf.ttl:
                return None
            if mode.active or emit.listeners:
                return None
            entry.used = True
            return entry

        return _called_as(target, glance)

    def _many(self) -> Callable[..., Entry | None]:
        find, shelf = self._eased.get, self._shelf

        def glance(*args: Any, **kwargs: Any) -> Entry | None:
            if kwargs:
                return None
            for arg in args:  # a set of the types would cost more than the call
                if type(arg) not in ATOMS:
                    return None
            entry = find(args)
            if entry is None or not 0.0 <= clock.monotonic() - entry.stored < shelf.ttl:
                return None
            if mode.active or emit.listeners:
                return None
            entry.used = True
            return entry

        return glance


def _takes_one(target: FunctionType) -> bool:
    code = target.__code__
    return (code.co_argcount, code.co_kwonlyargcount) == (1, 0) and not code.co_flags & (
        inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    )


def _called_as(target: FunctionType, glance: Any) -> Callable[..., Entry | None]:
    """Give a function of one parameter the name and default of that of another, so that it takes the same calls.

    Collecting `*args, **kwargs` would cost as much as all the rest. Names with a dot are those that nobody can write: a
    debugger writes variables back by name (`sys.settrace`, until 3.12).
    """
    code, name = glance.__code__, target.__code__.co_varnames[0]
    code = code.replace(
        co_varnames=(name, *(f"glance.{each}" for each in code.co_varnames[1:])),
        co_freevars=tuple(f"glance.{each}" for each in code.co_freevars),
        co_posonlyargcount=target.__code__.co_posonlyargcount,
    )
    made = FunctionType(code, glance.__globals__, glance.__name__, target.__defaults__, glance.__closure__)
    made.__qualname__ = target.__qualname__  # a TypeError about arguments names it
    return made
