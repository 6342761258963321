"""What tells the key of a call: a function of its arguments, or one of them (C9)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from recoup._core import checks
from recoup._core.colour import described

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["argument", "check", "picker"]


def check(key: object) -> None:
    """Check what is to give keys."""
    if isinstance(key, str):
        return
    if not callable(key):
        raise TypeError(f"key must be a function or the name of an argument, not {checks.shown(key)}")
    if checks.awaitable_callback(key):
        raise TypeError("key must be a plain function: a circuit is found without waiting")


def picker(key: str | Callable[..., object], target: object) -> Callable[..., object]:
    """Give what tells the key of a call of one function."""
    if isinstance(key, str):
        return argument(key, target)
    return key


def argument(name: str, target: object) -> _Picked:
    """Make a function that picks an argument out of a call by its name.

    Raises:
        TypeError: If the function has no such parameter.
    """
    parameters = inspect.signature(target, follow_wrapped=False).parameters if callable(target) else {}
    found = parameters.get(name)
    if found is None or found.kind in (found.VAR_POSITIONAL, found.VAR_KEYWORD):
        raise TypeError(
            f"key={name!r} names no parameter of {described(target)}: give a function that gets the call's arguments "
            "and returns the key"
        )
    position = len(parameters) if found.kind is found.KEYWORD_ONLY else list(parameters).index(name)
    return _Picked(name, position, None if found.default is found.empty else found.default)


class _Picked:
    """Picks an argument out of a call."""

    __slots__ = ("default", "name", "position")

    def __init__(self, name: str, position: int, default: object) -> None:
        self.name = name
        self.position = position
        self.default = default

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        """Pick it."""
        if self.position < len(args):
            return args[self.position]
        return kwargs.get(self.name, self.default)  # without a default: a call that the function will not accept
