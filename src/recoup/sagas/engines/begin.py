"""What a workflow is given of a saga that begins, as text, and the way back from it to the function."""

from __future__ import annotations

import json
from collections.abc import Callable  # noqa: TC003 - typing.get_type_hints looks for it here
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from recoup.sagas import functions, values

if TYPE_CHECKING:
    from recoup.sagas.functions import SagaFunction

__all__ = ["Begin", "dumps", "loads"]


class Begin(NamedTuple):
    """A saga that a workflow is to run.

    Attributes:
        name: What it is called.
        body: The user's function, with its arguments.
        is_async: Whether that is a coroutine function.
        told: What else the engine has written.
    """

    name: str
    body: Callable[[], Any]
    is_async: bool
    told: dict[str, Any]


def dumps(function: SagaFunction, args: tuple[Any, ...], kwargs: dict[str, Any], **more: Any) -> str:
    """Write what a workflow is given.

    Raises:
        UnserializableError: If an argument would not come back the same; nothing has happened then.
    """
    given = json.loads(function.packed(args, kwargs))
    return json.dumps({"fn": function.ref, "version": function.version, "name": function.name, "given": given, **more})


def loads(text: str) -> Begin:
    """Find the function again.

    Raises:
        LookupError: If it is not there, or not in this version, or a class of an argument is not.
    """
    told = json.loads(text)
    function = functions.find(told["fn"], told["version"])
    args, kwargs = values.back(told["given"]["args"]), values.back(told["given"]["kwargs"])
    return Begin(told["name"], partial(function.body, *args, **kwargs), function.is_async, told)
