"""Names that lead back to functions and classes after a crash: `module:qualname`, or one that the user has given.

A name is given out only if it leads back to the very same object now. What it leads to later is found by importing the
module, as pickle would; what is not found is never guessed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Lock

from recoup._core.waiting import at_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T", bound=Callable[..., object])

__all__ = ["NamelessError", "find", "of", "register"]

_lock = Lock()
_given: dict[str, object] = {}
_names: dict[int, tuple[object, str]] = {}  # by identity, with the object itself: an identity is used again


class NamelessError(TypeError):
    """No name leads to this object."""


def register(name: str, target: T) -> T:
    """Have a function found by a name of its own, whatever becomes of its module and its Python name.

    Args:
        name: Any text without a colon, unique in the program; the same name again replaces the function.
        target: What the name leads to.

    Returns:
        The function.

    Raises:
        TypeError: If the name is no text, or the target is not callable.
        ValueError: If the name is empty or has a colon.

    Thread safety: may be called from any thread at any time.

    >>> def refund(state): ...
    >>> register("refund", refund) is refund
    True
    """
    if not isinstance(name, str) or not callable(target):
        raise TypeError("register() needs a name and a function: register('refund', refund)")
    if not name or ":" in name:
        raise ValueError(f"name must be a text without a colon, not {name!r}: those with one are places in modules")
    with _lock:
        _given[name] = target
        _names[id(target)] = (target, name)
    return target


def of(target: Any) -> str:
    """Give the name that leads to an object.

    Raises:
        NamelessError: If there is none; the message says what to do.
    """
    known = _names.get(id(target))
    if known is not None and known[0] is target:
        return known[1]
    module, qualname = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise NamelessError(f"an object of type {type(target).__qualname__!r} has no name that leads to it: {_ADVICE}")
    name = f"{_real(module)}:{qualname}"
    if "<" in qualname:
        raise NamelessError(f"{name} is made anew by each call, so nothing leads to it after a crash: {_ADVICE}")
    try:
        found = find(name)
    except LookupError as error:
        raise NamelessError(f"{error}: {_ADVICE}") from None
    if found is not target:
        raise NamelessError(f"{name} leads to something else: {_ADVICE}")
    with _lock:
        _names[id(target)] = (target, name)
    return name


_ADVICE = "define it with `def` at the top of a module, or give it a name with recoup.sagas.names.register"


def find(name: str) -> Any:
    """Find what a name leads to, importing its module if need be.

    Raises:
        LookupError: If there is nothing; the message says what is missing.
    """
    if name in _given:
        return _given[name]
    module, colon, qualname = name.partition(":")
    if not colon:
        raise LookupError(f"nothing is registered as {name!r}")
    found = _module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise LookupError(f"{module} has no {qualname!r}")
    return found


def _module(name: str) -> Any:
    if name == _real("__main__"):
        return sys.modules["__main__"]
    try:
        return sys.modules.get(name) or import_module(name)
    except ImportError as error:
        raise LookupError(f"{name} cannot be imported: {error}") from None


def _real(module: str) -> str:
    """Give the name by which others can import a module: `python -m shop.main` runs `shop.main` as `__main__`."""
    if module != "__main__":
        return module
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return "__main__" if spec is None else str(spec.name)


def _after_fork() -> None:
    """Have a lock that nobody holds in the child (rule G18)."""
    global _lock  # noqa: PLW0603 - the one of the module
    _lock = Lock()


at_fork(_after_fork)
