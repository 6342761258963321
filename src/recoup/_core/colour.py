"""What kind of callable is this: the answer decides which pumps go round it, or that none can."""

from __future__ import annotations

import functools
import inspect
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Colour", "colour_of", "described", "innermost"]

_KINDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Colour(Enum):
    """How a callable gives its answer."""

    SYNC = "sync"
    ASYNC = "async"
    STREAM = "stream"
    ASYNC_STREAM = "async stream"

    @property
    def is_async(self) -> bool:
        """Whether callbacks and strategies may await."""
        return self in (Colour.ASYNC, Colour.ASYNC_STREAM)

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a generator."""
        return self in (Colour.STREAM, Colour.ASYNC_STREAM)


def described(target: object) -> str:
    """Name a callable in a message."""
    name = getattr(target, "__qualname__", None)
    # a proxy gives the class of what it carries
    return f"{name!r}" if isinstance(name, str) else f"an object of type {target.__class__.__qualname__!r}"


def innermost(target: Any) -> Any:
    """Find the function that decides the colour: below partials, bound methods, descriptors and `__call__`."""
    while True:
        if isinstance(target, (functools.partial, functools.partialmethod, functools.singledispatchmethod)):
            target = target.func
        elif isinstance(target, (classmethod, staticmethod, MethodType)):
            target = target.__func__
        elif isinstance(target, (FunctionType, BuiltinFunctionType, type)) or inspect.iscoroutinefunction(target):
            return target
        else:
            call = getattr(type(target), "__call__", None)  # noqa: B004 - the method is wanted, not a yes or no
            if not isinstance(call, FunctionType):
                return target
            return call


def colour_of(target: object) -> Colour:
    """Tell how a callable answers.

    A function that looks synchronous and returns a coroutine all the same counts as SYNC; the rim notices it when
    it happens.

    Raises:
        TypeError: If it cannot be protected; the message says what to do instead.
    """
    if type(target) is FunctionType:
        kind = target.__code__.co_flags & _KINDS
        if kind == inspect.CO_COROUTINE:
            return Colour.ASYNC
        if not kind:  # a mark that says otherwise is an attribute
            return Colour.ASYNC if target.__dict__ and inspect.iscoroutinefunction(target) else Colour.SYNC
    _refuse(target)
    function = innermost(target)
    if inspect.iscoroutinefunction(function):
        return Colour.ASYNC
    if inspect.isasyncgenfunction(function):
        return Colour.ASYNC_STREAM
    if inspect.isgeneratorfunction(function):
        # @types.coroutine marks a generator function whose result is awaited, not iterated
        return Colour.ASYNC if function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE else Colour.STREAM
    return Colour.SYNC


def _refuse(target: object) -> None:
    """Raise for what cannot be protected."""
    if isinstance(target, (property, functools.cached_property)):
        kind = type(target).__name__
        raise TypeError(f"a {kind} cannot be decorated: put the recoup decorator below @{kind}")
    if isinstance(target, type):
        raise TypeError(
            f"class {target.__qualname__!r} cannot be decorated: its instances and subclasses would not be protected; "
            "decorate the methods that may fail, or a function that makes the instance"
        )
    if inspect.isawaitable(target) or inspect.isgenerator(target) or inspect.isasyncgen(target):
        raise TypeError(
            f"{shown_kind(target)} is a call already made and cannot be made again: give the function, not its result"
        )
    if not (callable(target) or isinstance(target, (classmethod, staticmethod, functools.partialmethod))) and not (
        hasattr(type(target), "__get__")
    ):
        raise TypeError(
            f"{shown_kind(target)} is not callable: recoup decorates functions, methods and callable objects"
        )


def shown_kind(target: object) -> str:
    """Name a thing that is no function."""
    return f"an object of type {type(target).__qualname__!r}"
