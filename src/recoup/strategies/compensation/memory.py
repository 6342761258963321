"""What an action gets to know about the call that it undoes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.arguments import Parameters

    Packed = tuple[tuple[Any, ...], Mapping[str, Any]]

__all__ = ["NOTHING", "packed", "saved"]

NOTHING: Packed = ((), MappingProxyType({}))
"""What is kept of a call of which nothing may be kept."""


def packed(parameters: Parameters | None, /, *args: Any, **kwargs: Any) -> Packed:
    """Keep the arguments of a call, the same way however it was written."""
    return (args, kwargs) if parameters is None else parameters.normal(args, kwargs)


def saved(
    target: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any], **facts: object
) -> dict[str, Any]:
    """Make the state of a call, as its arguments are now.

    What is found under a name, highest first:

    1. `args` and `kwargs`, which make the same call again (what can be given by position stands in `args`, defaults are
       filled in), and the facts (`error`, and `result` if there is one);
    2. the function's parameters, with defaults filled in;
    3. what is in a mapping among the arguments (`**options` too): a saga that is handed one dictionary is read by the
       same actions as one that is handed keywords. Of two mappings the later parameter wins.

    Args:
        target: The user's function.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        facts: What else is known.

    >>> def pay(order, card="visa"):
    ...     ...
    >>> state = saved(pay, ({"payment_id": 7},), {}, error=None)
    >>> state["payment_id"], state["card"], state["order"], state["args"]
    (7, 'visa', {'payment_id': 7}, ({'payment_id': 7},))
    """
    named = _bound(target, args, kwargs)
    state: dict[str, Any] = {}
    for value in named.values():
        if isinstance(value, Mapping):
            state.update(_contents(value))
    state.update(named)
    state.update(args=args, kwargs=kwargs, **facts)
    return state


def _contents(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """Copy what a mapping of the user's holds under names; nothing if it cannot be read."""
    try:
        return {key: mapping[key] for key in mapping if isinstance(key, str)}
    except Exception:  # noqa: BLE001 - a mapping that breaks must not replace the operation's error; the state has it whole
        return {}


def _bound(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments by the names of their parameters, also those that a partial has bound before."""
    while isinstance(target, partial):
        target, args, kwargs = target.func, target.args + args, {**target.keywords, **kwargs}
    try:
        bound = inspect.signature(target).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the arguments do not fit, which may be the very failure; or no signature is told
        return dict(kwargs)
    bound.apply_defaults()
    return bound.arguments
