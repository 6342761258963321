"""Errors of steps as text, for engines: what a step raised is raised again when the function is run again.

The body of a saga sees the same error each time, in the process where the step ran and in every other one: it is
written once, and always made anew from what was written. An error whose class cannot make it again (its arguments are
no values that come back the same, or its class is not loaded) is a `RecoveryError` that tells its name and its text.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from recoup.errors import RecoveryError, UnserializableError
from recoup.sagas import values

if TYPE_CHECKING:
    from typing import TypeGuard

__all__ = ["dumps", "loads", "named"]


def dumps(error: BaseException) -> str:
    """Write an error as JSON.

    >>> repr(loads(dumps(KeyError("order", 7))))
    "KeyError('order', 7)"
    """
    kind = type(error)
    found = {"type": f"{kind.__module__}:{kind.__qualname__}", "text": _text(error), "notes": _notes(error)}
    try:
        args, facts = _parts(error)
        found["args"] = values.dumps(args, "error")
        found["facts"] = values.dumps({key: each for key, each in facts.items() if key != "__notes__"}, "error")
    except UnserializableError:
        found.pop("args", None)
        return json.dumps(found)
    # What does not come back the same here would not there: then the other way is taken in both places.
    if type(_rebuilt(found)) is not kind or _text(_rebuilt(found)) != found["text"]:
        del found["args"]
    return json.dumps(found)


def loads(text: str) -> Exception:
    """Make an error again from what `dumps` has written."""
    found = json.loads(text)
    made = _rebuilt(found) if "args" in found else None
    if made is None:
        made = RecoveryError(f"a step failed with {found['type'].partition(':')[2]}: {found['text']}")
    for each in found["notes"]:
        made.add_note(each)
    return made


def named(text: str) -> tuple[str, str]:
    """Give class and text of a written error, for people."""
    found = json.loads(text)
    return found["type"].partition(":")[2], found["text"]


def _parts(error: BaseException) -> tuple[Any, dict[str, Any]]:
    """Give what an error is made from, as it tells pickle: an `OSError` has more than its `args`."""
    reduced = error.__reduce__()
    if isinstance(reduced, tuple) and reduced[0] is type(error):
        return reduced[1], vars(error)
    return error.args, vars(error)


def _rebuilt(found: dict[str, Any]) -> Exception | None:
    """Make an error from its parts, as pickle would; `None` if its class cannot."""
    module, _, qualname = found["type"].partition(":")
    kind: Any = sys.modules.get(module)  # what a saga can name in an `except` is loaded; nothing else is imported
    for part in qualname.split("."):
        kind = getattr(kind, part, None)
    if not _is_error(kind):
        return None
    try:
        args, facts = values.loads(found["args"]), values.loads(found["facts"])
        # Ours take keywords, and have an empty `args`; they are made from their facts, as when they are unpickled.
        made = kind.__new__(kind, *args) if issubclass(kind, RecoveryError) else kind(*args)
        made.__dict__.update(facts)
    except Exception:  # noqa: BLE001 - a class may ask for anything, and raise anything
        return None
    return made


def _is_error(kind: Any) -> TypeGuard[type[Exception]]:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _text(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error that cannot say what it is
        return "(its text cannot be made)"


def _notes(error: BaseException) -> list[str]:
    return [each for each in getattr(error, "__notes__", ()) if isinstance(each, str)]
