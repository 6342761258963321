"""Errands: calls on their way to a worker, and their outcomes on the way back; both ends.

A decorated function is sent by the name of its module and its own, which lead to the *decorated* function; the worker
looks for what stands inside the isolation there, and calls that. Anything else is pickled as it is.

All that comes out of a function is pickled in the worker, and exceptions are read again there, before they are sent: a
class that pickles and does not unpickle must not be found out about in the parent.
"""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress
from functools import partial
from inspect import iscoroutine, signature
from traceback import format_exception
from types import FunctionType, MethodType
from typing import NamedTuple

from recoup._core import chain
from recoup._core.colour import described
from recoup._core.rim import layers_of
from recoup.errors import UnpicklableError
from recoup.strategies.isolation.frames import BEGUN, LOST, RAISED, READY, RETURNED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from recoup._core.deadlines import Deadline

    Answer = tuple[bytes, bytes]

__all__ = ["Reference", "call", "dumped", "inside", "outcome", "packed", "referred", "set_up"]

inside = False
"""Whether this process is a worker: then an isolated function that is called here runs here."""

KIND = "isolation"
_PROTOCOL = pickle.HIGHEST_PROTOCOL


class Reference(NamedTuple):
    """Where another process finds a function.

    Attributes:
        module: Its module.
        name: Its qualified name.
        whole: Whether all of what is there is meant, or only what stands inside the isolation.
    """

    module: str
    name: str
    whole: bool

    def found(self) -> Callable[..., Any]:
        """Find the function in this process."""
        return _looked_up(self.module, self.name) if self.whole else _within(_looked_up(self.module, self.name))


def referred(target: Any) -> Any:
    """Say where another process finds a function; anything else is its own description, and is pickled.

    Raises:
        UnpicklableError: If its module and name do not lead to it.
    """
    if type(target) is not FunctionType:
        return target
    module, name = target.__module__, target.__qualname__
    main = sys.modules["__main__"]
    if module == "__main__" and getattr(main, "__file__", None) is None and main.__spec__ is None:
        raise UnpicklableError(
            what=f"the function {name!r}",
            reason="a program that was typed in, or given with -c, cannot be imported by a worker; put it into a file",
        )
    with suppress(AttributeError, ImportError, LookupError):
        found = _looked_up(module, name)
        whole = getattr(found, "__func__", found) is target
        if whole or _core_of(found)[1] is target:
            return Reference(module, name, whole)
    raise UnpicklableError(
        what=f"the function {name!r}",
        reason=f"module {module!r} and that name do not lead to it; bind it to its name at module level",
    )


def _looked_up(module: str, name: str) -> Any:
    __import__(module)
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _within(found: Any) -> Callable[..., Any]:
    layers, target = _core_of(found)
    return chain.composed_sync(layers, target) if layers else target


def _core_of(found: Any) -> tuple[tuple[Any, ...], Any]:
    """Give the layers inside the innermost isolation round a function, and the function.

    Raises:
        LookupError: If there is none.
    """
    while True:
        if isinstance(found, MethodType):
            found = found.__func__
        below = getattr(found, "__wrapped__", None)
        if below is None:
            raise LookupError(f"{described(found)} is not isolated")
        layers, deeper = layers_of(found), layers_of(below)
        own = layers[: max(len(layers) - len(deeper), 0)]
        kinds = [layer.kind for layer in own]
        if KIND in kinds and not any(layer.kind == KIND for layer in deeper):
            last = len(kinds) - kinds[::-1].index(KIND)
            return own[last:], below
        found = below


def packed(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Pickle a call.

    Raises:
        UnpicklableError: Naming what cannot be pickled.
    """
    reference = referred(target)
    try:
        return pickle.dumps((reference, args, kwargs), _PROTOCOL)
    except Exception as error:
        raise UnpicklableError(what=_culprit(target, reference, args, kwargs), reason=_shown(error)) from error


def _culprit(target: Any, reference: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    name = _named(target)
    if not _pickles(reference):
        return f"the function {name}"
    try:
        bound = signature(target).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # the call does not fit; a worker would say so
        bound = {**{f"{index}": value for index, value in enumerate(args)}, **kwargs}
    culprit = next((argument for argument, value in bound.items() if not _pickles(value)), None)
    return f"the call of {name}" if culprit is None else f"argument {culprit!r} of {name}"


def _pickles(value: object) -> bool:
    try:
        pickle.dumps(value, _PROTOCOL)
    except Exception:  # noqa: BLE001 - that is the question
        return False
    return True


def _named(target: Any) -> str:
    while isinstance(target, partial):
        target = target.func
    return described(target)


def _shown(error: BaseException) -> str:
    try:
        return f"{type(error).__qualname__}: {error}"
    except Exception:  # noqa: BLE001 - somebody's `__str__`
        return type(error).__qualname__


def dumped(value: object) -> bytes:
    """Pickle what belongs to a message of ours."""
    return pickle.dumps(value, _PROTOCOL)


def set_up(payload: bytes) -> Iterator[Answer]:
    """Call the initializer, in the worker."""
    try:
        initializer = pickle.loads(payload)  # noqa: S301 - the parent's own
        if initializer is not None:
            initializer()
    except BaseException as error:  # noqa: BLE001 - told to the parent
        yield _raised(error, "the initializer")
    else:
        yield READY, b""


def call(payload: bytes) -> Iterator[Answer]:
    """Call a function, in the worker; say so before."""
    name = "the function"
    try:
        pickled, deadline = pickle.loads(payload)  # noqa: S301 - the parent's own
        reference, args, kwargs = pickle.loads(pickled)  # noqa: S301 - as above
        function = reference.found() if isinstance(reference, Reference) else reference
    except BaseException as error:  # noqa: BLE001 - told to the parent
        text = "".join(format_exception(error))
        yield LOST, dumped(("the call, which the worker could not read,", _shown(error), text))
        return
    yield BEGUN, b""
    name = repr(reference.name) if isinstance(reference, Reference) else _named(function)
    try:
        result = _run(deadline, function, args, kwargs)
    except BaseException as error:  # noqa: BLE001 - raised where the caller waits
        yield _raised(error, name)
        return
    yield _returned(result, name)


def _run(deadline: Deadline | None, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if deadline is None:
        return function(*args, **kwargs)
    with deadline:
        return function(*args, **kwargs)


def _returned(result: Any, name: str) -> Answer:
    if iscoroutine(result):
        result.close()
        reason = "it is a coroutine; isolate a plain function, which does its waiting itself"
        return LOST, dumped((f"the result of {name}", reason, ""))
    try:
        return RETURNED, dumped(result)
    except BaseException as error:  # noqa: BLE001 - told to the parent
        return LOST, dumped((f"the result of {name}", _shown(error), ""))


def _raised(error: BaseException, name: str) -> Answer:
    while error.__traceback__ is not None and error.__traceback__.tb_frame.f_code.co_filename == __file__:
        error.__traceback__ = error.__traceback__.tb_next
    text = "".join(format_exception(error))
    try:
        pickled = dumped(error)
        if type(pickle.loads(pickled)) is type(error):  # noqa: S301 - our own
            return RAISED, dumped((pickled, text))
        why = "it unpickles as something else"
    except BaseException as lost:  # noqa: BLE001 - the class refuses, in either direction
        why = _shown(lost)
    return LOST, dumped((f"the exception of {name}", f"{_shown(error)} ({why})", text))


def outcome(tag: bytes, payload: bytes, pid: int | None) -> Any:
    """Return what a function returned in a worker, or raise what it raised.

    Raises:
        UnpicklableError: If that could not be pickled there, or cannot be unpickled here.
    """
    if tag == LOST:
        what, reason, text = pickle.loads(payload)  # noqa: S301 - our own worker's
        raise _annotated(UnpicklableError(what=what, reason=reason), text, pid)
    try:
        found: Any = pickle.loads(payload)  # noqa: S301 - as above
        error: Any = pickle.loads(found[0]) if tag == RAISED else None  # noqa: S301 - as above
    except Exception as failure:
        raise UnpicklableError(what="what came back from the worker", reason=_shown(failure)) from failure
    if tag == RETURNED:
        return found
    try:
        raise _annotated(error, found[1], pid)
    finally:
        del error, found  # its traceback holds this frame


def _annotated(error: BaseException, text: str, pid: int | None) -> BaseException:
    """Note where an exception was raised in the worker; one that refuses notes is left alone."""
    if text:
        with suppress(Exception):  # a class of the user's that forbids attributes
            error.add_note(f"In worker process {pid}:\n{text.rstrip()}")
    return error
