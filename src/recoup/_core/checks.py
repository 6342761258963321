"""Validation: every message names the argument, the value and the allowed range."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from typing import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum
    from typing import Any, TypeVar

    E = TypeVar("E", bound=Enum)

__all__ = [
    "DefaultFloat",
    "DefaultInt",
    "awaitable_callback",
    "boolean",
    "callback",
    "count",
    "duration",
    "exceptions",
    "fraction",
    "instance",
    "member",
    "number",
    "optional_duration",
    "optional_size",
    "plain_callback",
    "shown",
    "size",
]


def shown(value: object) -> str:
    """Show a value in a message, shortened."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - as of a number with thousands of digits; the message must still come out
        text = f"an object of type {type(value).__qualname__}"
    return text if len(text) <= 80 else text[:77] + "..."


def number(argument: str, value: object, *, low: float, high: float = math.inf, low_ok: bool = True) -> float:
    """Check a finite real number within `low`..`high`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{argument} must be a number, not {shown(value)} ({type(value).__qualname__})")
    ok = _finite(value) and (low <= value if low_ok else low < value) and value <= high
    if not ok:
        low_words = f"at least {low:g}" if low_ok else f"greater than {low:g}"
        high_words = "finite" if high == math.inf else f"at most {high:g}"
        raise ValueError(f"{argument} must be {low_words} and {high_words}, not {shown(value)}")
    return float(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is too large for any float
        return False


def duration(argument: str, value: object, *, zero: bool = True) -> float:
    """Check a duration, in seconds or as a timedelta; give seconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"{argument} must be seconds (int or float) or a timedelta, not {shown(value)} ({type(value).__qualname__})"
        )
    return number(argument, value, low=0, low_ok=zero)


def optional_duration(argument: str, value: object, *, zero: bool = True) -> float | None:
    """Check a duration that may be absent."""
    return None if value is None else duration(argument, value, zero=zero)


def fraction(argument: str, value: object) -> float:
    """Check a share between 0 and 1."""
    return number(argument, value, low=0, high=1)


def size(argument: str, value: object, *, low: int = 1) -> int:
    """Check a whole number of at least `low` that is a size of something, and so within what sizes can be."""
    if count(argument, value, low=low) > sys.maxsize:
        raise ValueError(f"{argument} must be at most {sys.maxsize}, not {shown(value)}")
    return cast("int", value)


def optional_size(argument: str, value: object) -> int | None:
    """Check a size that may be absent."""
    return None if value is None else size(argument, value)


def count(argument: str, value: object, *, low: int = 1) -> int:
    """Check a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be a whole number, not {shown(value)} ({type(value).__qualname__})")
    if value < low:
        raise ValueError(f"{argument} must be at least {low}, not {shown(value)}")
    return value


def boolean(argument: str, value: object) -> bool:
    """Check a real bool: 0, 1, None and strings are mistakes more often than meant."""
    if not isinstance(value, bool):
        raise TypeError(f"{argument} must be True or False, not {shown(value)} ({type(value).__qualname__})")
    return value


def callback(argument: str, value: object) -> None:
    """Check something callable, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{argument} must be callable or None, not {shown(value)} ({type(value).__qualname__})")


def plain_callback(argument: str, value: Callable[..., object] | None, of: str = "the result") -> None:
    """Check a plain function of something, or None."""
    callback(argument, value)
    if awaitable_callback(value):
        raise TypeError(f"{argument} must be a plain function of {of}, not an async one")


def instance(argument: str, value: object, kind: type) -> None:
    """Check an instance of a class of ours."""
    if not isinstance(value, kind):
        raise TypeError(f"{argument} must be a {kind.__name__}, not {shown(value)} ({type(value).__qualname__})")


def member(argument: str, value: object, enumeration: type[E]) -> E:
    """Check a member of an enumeration; its value as a string will do."""
    if isinstance(value, enumeration):
        return value
    known = ", ".join(repr(each.value) for each in enumeration)
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a {enumeration.__name__} or one of {known}, not {shown(value)}")
    try:
        return enumeration(value)
    except ValueError:
        raise ValueError(f"{argument} must be one of {known}, not {shown(value)}") from None


def exceptions(argument: str, value: Any) -> tuple[type[Exception], ...]:
    """Check an exception type or a list or tuple of them; control flow (BaseException) is refused."""
    listed = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    for each in listed:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{argument} must list exception types, not {shown(each)}")
        if not issubclass(each, Exception):
            raise ValueError(  # noqa: TRY004 - a type it is, but one that must not be caught
                f"{argument} must not list {each.__name__}: it is control flow (cancellation, interpreter exit) "
                "and is never retried, counted or replaced; list Exception subclasses"
            )
    return listed


def awaitable_callback(value: Callable[..., object] | None) -> bool:
    """Tell whether a callback is a coroutine function (also behind a partial or as an object's `__call__`)."""
    from functools import partial  # noqa: PLC0415 - as below
    from inspect import iscoroutinefunction  # noqa: PLC0415 - inspect is 8 ms, and most programs give no callback

    if value is None:
        return False
    while isinstance(value, partial):
        value = value.func
    return iscoroutinefunction(value) or iscoroutinefunction(getattr(value, "__call__", None))  # noqa: B004


class DefaultFloat(float):
    """A default that knows it is one, so that it can yield to values that were really given (rule G1)."""

    __slots__ = ()


class DefaultInt(int):
    """A whole default that knows it is one."""

    __slots__ = ()
