"""Keys of calls: when are two calls the same call?

They are if the function is the same (`functions.py`) and the arguments are equal and of the same types (`frozen.py`),
whether given by position, by name or by default. A wrong yes hands one caller the result of another, a wrong no costs
a call, so every doubt ends in no.
"""

from __future__ import annotations

from typing import Any

from recoup._core.arguments import Parameters
from recoup._core.conditions import plainly
from recoup._core.frozen import ATOMS, Unkeyable, freeze
from recoup._core.functions import function_key, known, learn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup._core.functions import Function

__all__ = ["Compound", "Keys"]


class Compound(tuple[Any, ...]):
    """A key that holds more than atoms: to compare it may run code of the user's."""

    __slots__ = ()


class Keys:
    """Makes the keys of the calls of one function.

    Args:
        target: The user's function.
        by: The user's own choice of what identifies a call: gets its arguments, gives the key. `None`: the arguments.
        complain: Told, in words, about a call that has no key.

    Attributes:
        function: What stands for the function in its keys; `None` before the first one.
    """

    __slots__ = ("__weakref__", "_by", "_complain", "_first", "_parameters", "_target", "function")

    def __init__(self, target: Any, by: Callable[..., object] | None, complain: Callable[[str], None]) -> None:
        self._target = target
        self._by = by
        self._complain = complain
        self._parameters = Parameters.of(target)
        self.function: Function | None = None
        self._first = False

    def of(self, *args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
        """Give the key of a call: a plain tuple of atoms or a `Compound`; `None` if it has none.

        What `by` raises comes out.
        """
        if self._parameters is not None:
            args, kwargs = self._parameters.normal(args, kwargs)
        try:
            if self.function is None:  # not before: a closed-over variable may be bound after decoration
                self._first = not known(self._target)
                self.function = function_key(self._target)
            if self._by is not None:
                return Compound((self.function, freeze(plainly("key", self._by(*args, **kwargs)))))
            if not kwargs and all(type(arg) in ATOMS for arg in args):
                return self.function, args
            return Compound((self.function, freeze(args), freeze(kwargs)))
        except Unkeyable as problem:
            self._complain(str(problem))
            return None

    def learn(self) -> None:
        """Look at the function again after its first call, which has succeeded."""
        if self._first and self.function is not None:
            self._first = False
            learn(self._target, self.function)
