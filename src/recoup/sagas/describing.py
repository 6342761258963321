"""What INTENT says of a call: enough to undo it in another process.

    {"step": "shop:charge", "undo": ["shop:refund"], "args": [...], "kwargs": {...}, "names": ["order"], ...}

`names` are the parameters that the positional arguments go to, so that the state which the undo gets does not depend on
finding the step again.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from recoup.errors import UnserializableError
from recoup.sagas import failures, names, values
from recoup.sagas.ledger import Outcome
from recoup.sagas.steps import UNKNOWN
from recoup.strategies.compensation import actions, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recoup.sagas.ledger import Entry
    from recoup.strategies.compensation.config import CompensationConfig
    from recoup.strategies.compensation.members import Member
    from recoup.strategies.compensation.memory import Packed

__all__ = ["arguments", "intent", "result", "state"]

_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def intent(member: Member, config: CompensationConfig, call: Packed, *, parent: int) -> str:
    """Write the body of INTENT.

    Raises:
        UnserializableError: If an argument, or what undoes the call, cannot be found again after a crash.
    """
    body: dict[str, Any] = {"step": title(member.target), "undo": _undo(member, config)}
    if config.pivot:
        body["pivot"] = True
    if config.compensation_attempts != 1:
        body["attempts"] = config.compensation_attempts
    if parent:
        body["parent"] = parent
    if config.save_state:
        try:
            body |= arguments(member.target, call, body["step"])
        except RecursionError:
            reason = "it is nested too deeply, or contains itself"
            raise UnserializableError(what=f"an argument of {body['step']}", reason=reason) from None
    return json.dumps(body, separators=(",", ":"))


def arguments(target: Callable[..., object], call: Packed, step: str) -> dict[str, Any]:
    """Write the arguments of a call, with the names of the parameters that they go to."""
    args, kwargs = call
    positional, star = _places(target)
    labels = (*positional, *(star or str(place + 1) for place in range(len(positional), len(args))))
    found: dict[str, Any] = {
        "args": [values.plain(each, f"argument {name!r} of {step}") for name, each in zip(labels, args, strict=False)],
        "kwargs": {key: values.plain(each, f"argument {key!r} of {step}") for key, each in kwargs.items()},
        "names": list(positional[: len(args)]),
    }
    return {**found, "star": star} if star else found


def title(target: Any) -> str:
    """Name a step: for people, and to know it again when a function is run again."""
    module, qualname = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    return (
        f"{module}:{qualname}"
        if isinstance(qualname, str)
        else f"{type(target).__module__}:{type(target).__qualname__}"
    )


def _undo(member: Member, config: CompensationConfig) -> list[str]:
    listed = list(config.compensation_actions)
    if config.use_sagas:
        listed.reverse()
    found: list[str] = []
    for action in listed:
        try:
            found.append(names.of(action))
        except names.NamelessError as error:
            what = f"compensation action {actions.named(action)} of {title(member.target)}"
            raise UnserializableError(what=what, reason=str(error)) from None
    return found


def _places(target: Callable[..., object]) -> tuple[tuple[str, ...], str]:
    """Give the names of what can be given by position, and of what takes the rest."""
    code = getattr(target, "__code__", None)
    if code is not None:  # nearly always, and quicker
        positional = code.co_varnames[: code.co_argcount]
        star = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if code.co_flags & inspect.CO_VARARGS else ""
        return positional, star
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return (), ""
    star = next((each.name for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL), "")
    return tuple(each.name for each in parameters if each.kind in _PLACED), star


def result(value: object, what: str, *, keeps: bool, opaque: bool) -> str:
    """Write the body of DONE.

    Args:
        value: What the step returned.
        what: What to call the step in an error.
        keeps: Whether anything of the call may be kept.
        opaque: Whether a result that cannot be written is left out.

    Raises:
        UnserializableError: If it cannot be written and is needed.
    """
    if not keeps and opaque:
        return "{}"
    try:
        return json.dumps({"result": values.plain(value, f"the result of {what}")}, separators=(",", ":"))
    except UnserializableError:
        if opaque:
            return "{}"
        raise


def state(entry: Entry, error: Mapping[str, Any]) -> dict[str, Any]:
    """Make the state that an undo gets, from what the journal knows.

    Raises:
        LookupError: If a class of a value is not found any more.
    """
    why = error or entry.error
    facts: dict[str, Any] = {"error": failures.loads(json.dumps(why)) if why else None}
    body = entry.body
    if "args" not in body:
        return facts
    if entry.outcome is not Outcome.FAILED:
        known = entry.outcome is Outcome.DONE and "result" in entry.result
        facts["result"] = values.back(entry.result["result"]) if known else UNKNOWN
    args, kwargs = tuple(values.back(body["args"])), values.back(body["kwargs"])
    placed = dict(zip(body["names"], args, strict=False))
    if "star" in body:
        placed[body["star"]] = args[len(body["names"]) :]
    return memory.state({**placed, **kwargs}, args, kwargs, **facts)
