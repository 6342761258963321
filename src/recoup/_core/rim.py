"""Put layers of recovery round a callable: one rim, however many decorators are stacked.

A function becomes a native function again, so methods bind, pickle and copy as ever. wrapt carries what a native
function cannot (callable objects, partials, bound methods, foreign descriptors) and is imported only then.

The layers of a rim are kept on the function, together with whose they are: `functools.wraps` copies attributes, and a
foreign decorator in the middle of a stack would pass for one of ours and be dropped. A weak dictionary beside it would
keep a function alive for ever whose own body refers to it.
"""

from __future__ import annotations

import functools
import sys
import warnings
from pickle import PicklingError
from types import FunctionType, MethodType
from typing import NamedTuple
from weakref import ref

from recoup._core import chain, lint
from recoup._core.colour import Colour, colour_of
from recoup._core.strategy import Strategy
from recoup.errors import StackWarning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


__all__ = ["layers_of", "recover"]


class Rim(NamedTuple):
    """What is known of a protected callable."""

    target: Any
    layers: tuple[Strategy, ...]


class _Mark:
    """A rim on its function; on another function, to which it was copied, it means nothing."""

    __slots__ = ("owner", "rim")

    def __init__(self, owner: FunctionType, rim: Rim) -> None:
        self.owner = ref(owner)
        self.rim = rim

    def __reduce__(self) -> Any:
        return type(None), ()  # a tool that pickles functions by value, attributes and all, makes another function


_MARK = "__recoup__"


def recover(target: Any, layer: Strategy) -> Any:
    """Put one more layer round a callable, outside those it has.

    Raises:
        TypeError: If it cannot be protected, by anything or by this layer.
    """
    if isinstance(target, Strategy):
        raise TypeError(f"{target!r} is a strategy, not a function: write one decorator above the other")
    colour = colour_of(target)
    layer._accept(colour, target)
    if type(target) in (classmethod, staticmethod):
        return type(target)(recover(target.__func__, layer))
    known = _known(target)
    if known is not None:
        inside = known.layers + layers_of(known.target)
    else:
        known = Rim(target, ())
        inside = () if type(target) is FunctionType else layers_of(target)
    rim = Rim(known.target, (layer, *known.layers))
    if inside:
        _warn((layer, *inside), inside)
    if isinstance(rim.target, FunctionType):
        return _native(target, rim, colour)
    return _carried(rim, colour)


def _warn(layers: tuple[Strategy, ...], before: tuple[Strategy, ...]) -> None:
    """Warn of what a new layer makes certain; a workflow's own order is canonical and only explained."""
    if any(layer._members() != (layer,) for layer in layers):
        return
    known = lint.lints(before)
    for text in lint.lints(layers):
        if text not in known:
            warnings.warn(text, StackWarning, stacklevel=_users_level())


def _users_level() -> int:
    """Count the frames from the warning up to the first that is not ours: the line that decorates."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "recoup":
        frame, level = frame.f_back, level + 1
    return level


def layers_of(target: Any) -> tuple[Strategy, ...]:
    """Give the strategy objects round a callable, outermost first.

    Args:
        target: A decorated function, method (bound or not), classmethod, staticmethod or callable object.

    Returns:
        The strategy objects; empty if recoup does not protect it.

    >>> from recoup import retry, circuit_breaker
    >>> @retry
    ... @circuit_breaker
    ... def fetch() -> int:
    ...     return 1
    >>> [layer.kind for layer in layers_of(fetch)]
    ['retry', 'circuit_breaker']
    """
    known = _known(target) or _known(getattr(target, "_self_parent", None))  # what a bound carrier was taken from
    while known is None and isinstance(target, (classmethod, staticmethod, MethodType)):
        target = target.__func__
        known = _known(target)
    return () if known is None else known.layers + layers_of(known.target)  # a bound method may have layers of its own


def _known(target: Any) -> Rim | None:
    if "wrapt" in sys.modules:
        carried = getattr(target, "_self_recoup_rim", None)
        if isinstance(carried, Rim) and getattr(target, "_self_parent", None) is None:
            return carried
    mark = target.__dict__.get(_MARK) if isinstance(target, FunctionType) else None
    return mark.rim if isinstance(mark, _Mark) and mark.owner() is target else None


def _native(named: Any, rim: Rim, colour: Colour) -> Any:
    function: Any = chain.compose(rim.layers, rim.target, colour)
    functools.update_wrapper(function, named)
    function.__wrapped__ = rim.target
    function.__dict__[_MARK] = _Mark(function, rim)
    return function


class _Itself:
    """Its copies are itself, as for any function."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def _bound_carrier(library: Any) -> type[Any]:
    class BoundCarrier(_Itself, library.BoundFunctionWrapper):  # type: ignore[misc]  # generic since wrapt 2 only
        """A protected descriptor, bound to an instance."""

        def __reduce_ex__(self, protocol: Any) -> Any:
            name = getattr(self, "__name__", None) or getattr(self._self_parent, "_self_recoup_name", None)
            owner = self._self_instance
            if owner is None or name is None or getattr(owner, name, None) is None:
                raise PicklingError(_unpicklable(self))
            return getattr, (owner, name)

    return BoundCarrier


@functools.cache
def _carrier() -> type[Any]:
    """Make the wrapt class; a function because importing wrapt costs everybody and helps few."""
    import wrapt  # noqa: PLC0415

    library: Any = wrapt  # its classes are generic since wrapt 2 only

    class Carrier(_Itself, library.FunctionWrapper):  # type: ignore[misc]  # as above
        """A protected callable that is no function."""

        __bound_function_wrapper__ = _bound_carrier(library)

        def __set_name__(self, owner: type, name: str) -> None:
            self._self_recoup_name = name  # a partialmethod has no name of its own
            wrapped: Any = self.__wrapped__
            if hasattr(wrapped, "__set_name__"):
                wrapped.__set_name__(owner, name)

        def __reduce_ex__(self, protocol: Any) -> Any:
            module = sys.modules.get(getattr(self, "__module__", None) or "")
            name = getattr(self, "__qualname__", None) or _found_in(module, self)
            found: Any = module
            for part in (name or "?").split("."):
                found = getattr(found, part, None)
            if found is not self:
                raise PicklingError(_unpicklable(self))
            return name

    return Carrier


def _unpicklable(carrier: Any) -> str:
    return (
        f"cannot pickle the protected {type(carrier.__wrapped__).__qualname__}: it pickles by reference, and its "
        "module and name do not lead to it; bind it to a name at module level"
    )


def _found_in(module: Any, carrier: Any) -> str | None:
    for name, value in vars(module).items() if module is not None else ():
        if value is carrier:
            return str(name)
    return None


def _carried(rim: Rim, colour: Colour) -> Any:
    whole = chain.compose(rim.layers, rim.target, colour) if callable(rim.target) else None

    def through(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if wrapped is rim.target and whole is not None:
            return whole(*args, **kwargs)
        # a foreign descriptor gives a new bound object each time, of any colour, so its chain is made each time
        bound = colour if isinstance(rim.target, functools.singledispatchmethod) else colour_of(wrapped)
        if bound is not colour:
            for layer in rim.layers:
                layer._accept(bound, wrapped)
        return chain.compose(rim.layers, wrapped, bound)(*args, **kwargs)

    carrier = _carrier()(rim.target, through)
    carrier._self_recoup_rim = rim
    return carrier
