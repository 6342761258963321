"""Values as JSON, so that they come back the same, or are refused before anything happens.

What JSON has stays as it is. Everything else is an object with one key more than users have, `"$"`, which says what it
is. Only exact types: a subclass of `int` would come back as an `int`. Dataclasses, enums and named tuples are found
again by the name of their class, and are made by calling it; nothing is ever unpickled.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import math
import pathlib
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from recoup.errors import UnserializableError
from recoup.sagas import names

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["back", "dumps", "loads", "plain"]

_TAG = "$"
_KINDS = (
    "None, bool, int, float, str, bytes, list, tuple, set, frozenset, dict, datetime, date, time, timedelta, Decimal, "
    "UUID, Path, members of an Enum, named tuples and dataclasses at module level"
)
_TEXT: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: ("bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
    dt.datetime: ("datetime", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("time", dt.time.isoformat, dt.time.fromisoformat),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
    type(pathlib.Path()): ("path", str, pathlib.Path),
    pathlib.PurePosixPath: ("posix path", str, pathlib.PurePosixPath),
}
_PARTS: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_FROM_TEXT = {tag: back for tag, _, back in _TEXT.values()}
_FROM_PARTS: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


def dumps(value: object, what: str) -> str:
    """Write a value as JSON.

    Args:
        value: What to write.
        what: What to call it in an error: "argument 'card' of 'shop:charge'".

    Raises:
        UnserializableError: If it, or something in it, would not come back the same.

    >>> dumps({"cards": (1, 2)}, "it")
    '{"cards":{"$":"tuple","v":[1,2]}}'
    """
    try:
        return json.dumps(plain(value, what), allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise UnserializableError(what=what, reason="it is nested too deeply, or contains itself") from None


def loads(text: str) -> Any:
    """Read what `dumps` has written.

    Raises:
        LookupError: If a class is not found any more.

    >>> loads('{"cards":{"$":"tuple","v":[1,2]}}')
    {'cards': (1, 2)}
    """
    return back(json.loads(text))


def plain(value: Any, what: str) -> Any:  # noqa: PLR0911 - a table of kinds
    """Make what JSON has out of a value; as `dumps`, but no text yet."""
    kind = type(value)
    if value is None or kind in {bool, int, str}:
        return value
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}
    if kind is list:
        return [plain(each, what) for each in value]
    if kind is dict:
        if all(type(key) is str for key in value) and _TAG not in value:
            return {key: plain(each, what) for key, each in value.items()}
        return {_TAG: "dict", "v": [[plain(key, what), plain(each, what)] for key, each in value.items()]}
    if kind in _TEXT:
        return _as_text(value, kind, what)
    if kind in _PARTS:
        parts = [plain(each, what) for each in value]
        return {_TAG: _PARTS[kind], "v": parts if kind is tuple else sorted(parts, key=json.dumps)}  # sets: one order
    if kind is dt.timedelta:
        return {_TAG: "timedelta", "v": [value.days, value.seconds, value.microseconds]}
    return _by_class(value, kind, what)


def _as_text(value: Any, kind: type, what: str) -> Any:
    """Write what has a text of its own, if that says everything."""
    tag, text, _back = _TEXT[kind]
    if kind in {dt.datetime, dt.time} and not _fixed_zone(value.tzinfo):
        reason = f"time zone {value.tzinfo} has rules, and would come back as a fixed offset: use .astimezone(UTC)"
        raise UnserializableError(what=what, reason=reason)
    fold = {"fold": 1} if getattr(value, "fold", 0) else {}
    return {_TAG: tag, "v": text(value), **fold}


def _fixed_zone(zone: dt.tzinfo | None) -> bool:
    # A name of its own (timezone(offset, "CET")) makes no difference: such zones compare by their offset alone.
    return zone is None or type(zone) is dt.timezone


def _by_class(value: Any, kind: type, what: str) -> Any:
    """Write what is made by calling a class of the user's."""
    tag: str
    parts: Any
    if isinstance(value, Enum):
        tag, parts = "enum", value.name
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        tag, parts = "named tuple", [plain(each, what) for each in value]
    elif dataclasses.is_dataclass(kind):
        fields = dataclasses.fields(kind)
        if not all(each.init for each in fields):
            raise UnserializableError(what=what, reason=f"a field of {kind.__qualname__} is not given when it is made")
        tag, parts = "dataclass", {each.name: plain(getattr(value, each.name), what) for each in fields}
    else:
        raise UnserializableError(what=what, reason=f"{kind.__qualname__} is none of {_KINDS}")
    try:
        made = {_TAG: tag, "c": names.of(kind), "v": parts}
        if getattr(kind, "__eq__", None) is not object.__eq__ and back(made) != value:
            raise UnserializableError(what=what, reason=f"this {kind.__qualname__} would come back as another one")
    except names.NamelessError as error:
        raise UnserializableError(what=what, reason=str(error)) from None
    return made


def back(value: Any) -> Any:  # noqa: PLR0911 - as above
    """Undo `plain`."""
    if type(value) is list:
        return [back(each) for each in value]
    if type(value) is not dict:
        return value
    tag: Any = value.get(_TAG)
    found: Any = value.get("v")
    if tag is None:
        return {key: back(each) for key, each in value.items()}
    if tag in _FROM_TEXT:
        made = _FROM_TEXT[tag](found)
        return made.replace(fold=1) if "fold" in value else made
    if tag in _FROM_PARTS:
        return _FROM_PARTS[tag](back(found))
    if tag == "float":
        return float(found)
    if tag == "timedelta":
        return dt.timedelta(*found)
    if tag == "dict":
        return {back(key): back(each) for key, each in found}
    return _made(tag, names.find(value["c"]), found)


def _made(tag: str, kind: Any, found: Any) -> Any:
    if tag == "enum":
        return kind[found]
    if tag == "named tuple":
        return kind(*back(found))
    if tag == "dataclass":
        return kind(**{key: back(each) for key, each in found.items()})
    raise LookupError(f"a newer recoup has written a value of kind {tag!r}")
