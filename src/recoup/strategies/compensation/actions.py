"""How an action is called: with the state or without, decided by its signature and never by trying.

Catching the `TypeError` of a wrong call would hide every `TypeError` of the action itself, and run half of it twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from recoup._core import checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["begin", "check", "check_action", "close", "known_async", "named", "takes_state"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ADVICE = "give a function that takes the saved state, or nothing"


def named(action: Any) -> str:
    """Name an action in a message."""
    while hasattr(action, "func") and hasattr(action, "keywords"):  # functools.partial
        action = action.func
    name = getattr(action, "__qualname__", None)
    return repr(name) if isinstance(name, str) else f"an object of type {type(action).__qualname__!r}"


def check(listed: object) -> None:
    """Check what is given as `compensation_actions`, and every action that it holds by now.

    Raises:
        TypeError: If it is no list, or an action cannot be called with a state or without arguments.
    """
    if isinstance(listed, (str, bytes)) or not isinstance(listed, Sequence):
        hint = f"; for a single one write [{getattr(listed, '__name__', 'undo')}]" if callable(listed) else ""
        raise TypeError(f"compensation_actions must be a list of callables, not {checks.shown(listed)}{hint}")
    for position, action in enumerate(listed):
        check_action(f"compensation_actions[{position}]", action)


def check_action(argument: str, action: object) -> None:
    """Check one action."""
    if inspect.isawaitable(action):
        raise TypeError(
            f"{argument} is a call already made ({checks.shown(action)}): give the function, or a lambda round the call"
        )
    if not callable(action):
        raise TypeError(f"{argument} must be callable, not {checks.shown(action)} ({type(action).__qualname__})")
    try:
        takes_state(action)
    except TypeError as error:
        raise TypeError(f"{argument}: {error}") from None


def takes_state(action: Callable[..., object]) -> bool:
    """Tell whether an action is called with the state: it is if it has a required positional parameter.

    A parameter with a default does not ask for the state (`lambda order_id=order_id: ...` binds a value of its own),
    nor does `*args`. A callable that does not tell its signature (some written in C) is called without.

    Raises:
        TypeError: If it can be called neither way.
    """
    try:
        parameters = inspect.signature(action).parameters.values()
    except ValueError:
        return False
    required = [each for each in parameters if each.default is each.empty]
    positional = [each.name for each in required if each.kind in _POSITIONAL]
    keywords = [each.name for each in required if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if len(positional) > 1 or keywords:
        asked = ", ".join(positional + keywords)
        raise TypeError(f"{named(action)} asks for {asked}, but an action gets one argument at most: {_ADVICE}")
    return bool(positional)


def begin(action: Any, state: dict[str, Any]) -> object:
    """Call an action; give what it returned, which may be an awaitable."""
    if not callable(action):  # appended after the list was checked
        raise TypeError(f"a compensation action must be callable, not {checks.shown(action)}: {_ADVICE}")
    result: object = action(state) if takes_state(action) else action()
    return result


def known_async(listed: Sequence[Callable[..., object]]) -> list[str]:
    """Name the actions that are known to be asynchronous."""
    return [named(action) for action in listed if callable(action) and checks.awaitable_callback(action)]


def close(awaitable: Any) -> None:
    """Dispose of an awaitable that nobody can await: closed, if it can be."""
    if callable(closing := getattr(awaitable, "close", None)):
        closing()
