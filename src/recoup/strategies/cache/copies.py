"""Copies of one error for several who wait for it (G3): each may add notes, causes and a traceback of its own."""

from __future__ import annotations

from contextlib import suppress
from operator import is_
from types import GetSetDescriptorType, MemberDescriptorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["copied"]

_OWN = frozenset(
    {"args", "__cause__", "__context__", "__dict__", "__suppress_context__", "__traceback__", "__weakref__"}
)


def copied(error: Exception, *, bare: bool = False) -> Exception:
    """Make an equal exception: type, arguments, attributes and notes are the same, and its traceback if it has one.

    Not by `copy.copy`: that calls the class with `args` again, and a class that does `super().__init__(f"bad {code}")`
    says "bad bad 5" then.

    Args:
        error: The exception; it stays as it is.
        bare: Leave out traceback, cause and context, which keep the locals of a whole call alive; in a group, of all
            that is in it.

    Returns:
        The copy; the same object if its class cannot be copied.
    """
    kind, args = type(error), error.args
    if bare and isinstance(error, ExceptionGroup):
        inner = [copied(each, bare=True) for each in error.exceptions]
        if any(map(is_, inner, error.exceptions)):
            return error
        args = (error.message, inner)
    try:
        twin = kind.__new__(kind, *args)
        if type(twin) is not kind or twin is error:
            return error
        twin.args = args
        _fill(twin, error)
    except Exception:  # noqa: BLE001 - a class with a will of its own: better the same object than none
        return error
    if not bare:
        twin.__cause__ = error.__cause__
        twin.__context__ = error.__context__
        twin.__suppress_context__ = error.__suppress_context__
        twin.__traceback__ = error.__traceback__
    return twin


def _fill(twin: Exception, error: Exception) -> None:
    """Copy attributes: those in the dictionary and those that classes written in C or with slots keep elsewhere."""
    attributes: dict[str, Any] = dict(vars(error))
    notes = attributes.get("__notes__")
    if isinstance(notes, list):
        attributes["__notes__"] = list(notes)
    vars(twin).update(attributes)
    for base in type(error).__mro__:
        for name, descriptor in vars(base).items():
            if isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType)) and name not in _OWN:
                value = getattr(error, name, None)
                if getattr(twin, name, None) is not value:  # setting None is not the same as leaving it alone
                    with suppress(AttributeError, TypeError):  # read-only: the constructor has set it
                        descriptor.__set__(twin, value)
