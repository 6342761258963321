"""Compose layers round a function, outermost first.

    rim -> outermost layer's pumps -> ... -> innermost layer's pumps -> the user's function

A plain function may return a coroutine all the same (a lambda round an async call, an undecorated wrapper). The
innermost pump `calling` notices and raises `Pending`, a BaseException, which passes the synchronous pumps like any
control flow: they give back what they hold and record nothing. The outermost pump `recovering` catches it and runs
the asynchronous pumps with that coroutine as their first attempt (rule G5).
"""

from __future__ import annotations

from types import CoroutineType, MappingProxyType

from recoup._core import shape
from recoup._core.colour import Colour, colour_of, described
from recoup._core.strategy import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Any

    from recoup._core.strategy import Pump, Strategy

    Layers = tuple[Strategy, ...]

__all__ = ["Pending", "compose", "composed_async", "composed_sync"]


class Pending(BaseException):
    """A plain function returned a coroutine: the synchronous pass ends neutrally."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        super().__init__()
        self.coroutine = coroutine
        self.spent: dict[int, int] = {}  # what the layers used up before, for the pass that takes over


def compose(layers: Layers, target: Any, colour: Colour) -> Callable[..., Any]:
    """Put layers round a callable, for good.

    Args:
        layers: Outermost first.
        target: The user's callable; a plain function lends its parameters to the pumps.
        colour: Its colour.

    Returns:
        A native function of the same colour. Name and the rest are for the caller to set.
    """
    if colour is not Colour.SYNC:
        return _stacked(layers, target, target, colour)
    inner = shape.build(calling, target, target, CoroutineType, Pending, inside=True)
    chain = _stacked(layers, target, inner, colour, inside=True)

    def adopt(pending: Pending) -> Callable[..., Awaitable[Any]]:
        inner = resuming(target, pending.coroutine)
        return _stacked(layers, None, inner, Colour.ASYNC, named=target, spent=pending.spent)

    return shape.build(recovering, target, chain, Pending, adopt)  # type: ignore[no-any-return]


def composed_async(layers: Layers, func: Any) -> Callable[..., Awaitable[Any]]:
    """Put layers round any callable, for one asynchronous execution."""
    colour = _executed(func)
    for layer in layers:
        layer._accept(Colour.ASYNC, func)
    if colour is Colour.ASYNC:
        return _stacked(layers, None, func, Colour.ASYNC, named=func)
    for index, layer in enumerate(layers):
        bridge = layer._bridge(Place(func, layers[:index], Colour.ASYNC))
        if bridge is not None:
            inside = _stacked(layers[index + 1 :], None, func, Colour.SYNC, named=func, outer=layers[: index + 1])
            return _stacked(layers[:index], None, bridge.factory(inside, *bridge.cells), Colour.ASYNC, named=func)
    return _stacked(layers, None, invoking(func), Colour.ASYNC, named=func)


def composed_sync(layers: Layers, func: Any) -> Callable[..., Any]:
    """Put layers round a plain callable, for one synchronous execution."""
    colour = _executed(func)
    if colour is Colour.ASYNC:
        raise TypeError(
            f"{described(func)} is asynchronous: it cannot run in a synchronous call; use `await ....execute(...)`"
        )
    for layer in layers:
        layer._accept(Colour.SYNC, func)
    return finishing(_stacked(layers, None, calling(func, CoroutineType, Pending), Colour.SYNC, named=func))


def _stacked(
    layers: Layers,
    like: Any,
    call: Callable[..., Any],
    colour: Colour,
    *,
    named: Any = None,
    outer: Layers = (),
    spent: Mapping[int, int] = MappingProxyType({}),
    inside: bool = False,
) -> Callable[..., Any]:
    """Wrap the pumps of all layers round `call`, innermost first, with the parameters of `like` if it is given.

    `inside` says that yet another pump goes round them all.
    """
    target = like if named is None else named
    pumps: list[Pump] = []
    for index in range(len(layers) - 1, -1, -1):
        pumps += reversed(layers[index]._pumps(Place(target, outer + layers[:index], colour, spent)))
    for left, (factory, cells) in zip(range(len(pumps) - 1, -1, -1), pumps, strict=True):
        if like is None:
            call = factory(call, *cells)
        else:
            call = shape.build(factory, like, call, *cells, inside=inside or left > 0)
    return call


def _executed(func: Any) -> Colour:
    """Tell the colour of what is to be executed; a class, which cannot be decorated, can be called."""
    colour = Colour.SYNC if isinstance(func, type) else colour_of(func)
    if colour.is_stream:
        raise TypeError(
            f"{described(func)} is a generator function: it gives its answer piece by piece and cannot be executed; "
            "decorate it instead"
        )
    return colour


# The ends of a synchronous chain. They are pumps as far as shape.py is concerned, but have no asynchronous twin:
# only a plain function can surprise us with a coroutine.


def calling(fn: Callable[..., Any], coroutine: type, pending: type[Pending]) -> Callable[..., Any]:
    """Call the user's function; raise Pending for a coroutine."""

    def calling(*args: Any, **kwargs: Any) -> Any:
        result: Any = fn(*args, **kwargs)
        if type(result) is coroutine:
            raise pending(result)  # type: ignore[arg-type]  # a coroutine, by its type
        return result

    return calling


def recovering(
    fn: Callable[..., Any], pending: type[Pending], adopt: Callable[[Pending], Callable[..., Any]]
) -> Callable[..., Any]:
    """Run the synchronous chain; go over to the asynchronous one if the function returned a coroutine."""

    def recovering(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except pending as found:
            adopted = adopt(found)
        return adopted(*args, **kwargs)

    return recovering


def finishing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Run a synchronous chain for a caller that cannot await."""

    def finishing(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Pending as found:
            found.coroutine.close()
        raise TypeError("the function returned a coroutine, which a synchronous call cannot await; use `await execute`")

    return finishing


def resuming(fn: Callable[..., Any], first: Coroutine[Any, Any, Any]) -> Callable[..., Awaitable[Any]]:
    """Await a coroutine that was made already; call the function anew for every later attempt."""
    made = [first]

    async def resuming(*args: Any, **kwargs: Any) -> Any:
        result = made.pop() if made else fn(*args, **kwargs)
        return await result if hasattr(type(result), "__await__") else result

    return resuming


def invoking(fn: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Call a function of unknown colour from asynchronous code."""

    async def invoking(*args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        return await result if hasattr(type(result), "__await__") else result

    return invoking
