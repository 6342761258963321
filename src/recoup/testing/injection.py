"""A layer that does what a test wants done to calls, below all other layers."""

from __future__ import annotations

import threading
from functools import partial
from itertools import count
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, ClassVar

from recoup._core import checks, rim
from recoup._core import clock as seam
from recoup._core.arguments import Parameters
from recoup._core.colour import Colour, colour_of, described
from recoup._core.strategy import Place, Pump, Strategy
from recoup.testing import pumps
from recoup.testing.calls import Call, Calls
from recoup.testing.faults import Fault
from recoup.testing.visits import AsyncVisit, PlainVisit, hang_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["Injection", "below"]

_FACTORIES: dict[Colour, Callable[..., Any]] = {
    Colour.SYNC: pumps.faulting,
    Colour.ASYNC: pumps.faulting_async,
    Colour.STREAM: pumps.faulting_stream,
    Colour.ASYNC_STREAM: pumps.faulting_stream_async,
}


class Injection(Strategy):
    """What is done to the calls of one function, and what is filed of them.

    Args:
        called: Name of the function.
        faults: What is done.
        key: Gets the arguments of a call and gives what it is filed under; `None` for no keys.
        method: Whether the first argument is an object or a class, which is nobody's business here; `below` finds out
            for what is bound.

    Thread and loop safety: calls are numbered exactly, from any thread; faults, keys and predicates run outside locks.
    """

    kind: ClassVar[str] = "fault_injection"

    def __init__(
        self, called: str, faults: Sequence[Fault], *, key: Callable[..., object] | None, method: bool = False
    ) -> None:
        super().__init__()
        for fault in faults:
            checks.instance("fault", fault, Fault)
        checks.callback("key", key)
        self._given_name = called
        self._faults = tuple(faults)
        self._key = key
        self.method = method
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._counted: dict[tuple[int, object], int] = {}
        self._home = threading.get_ident()
        self._released = threading.Event()
        self.calls = Calls(called)

    def hang(self) -> None:
        """Block this thread for as long as the test lets it hang."""
        hang_in(self._home, self._released)

    def release(self) -> None:
        """Let go of the threads that hang."""
        self._released.set()

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if not colour.is_stream and any(fault.after_items is not None for fault in self._faults):
            raise TypeError(f"after_items counts what a generator yields, and {described(target)} is none")

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour = place.colour
        visit = AsyncVisit if colour.is_async else PlainVisit
        begin = partial(self._begin, visit, Parameters.of(place.target), self._handed(place))
        return [Pump(_FACTORIES[colour], (begin,))]

    def _handed(self, place: Place) -> list[Call]:
        """Give the call that the synchronous pass has begun already, if there is one."""
        number = place.spent.get(id(self))
        return [] if number is None else [self.calls[number - 1]]

    def _begin(
        self,
        visit: type[Any],
        parameters: Parameters | None,
        handed: list[Call],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if handed:
            return visit(self, handed.pop(), (), begun=True)
        if parameters is not None:
            args, kwargs = parameters.normal(args, kwargs)
        if self.method:
            args = args[1:]
        key = None if self._key is None else self._key(*args, **kwargs)
        counting = [
            (index, fault)
            for index, fault in enumerate(self._faults)
            if fault.where is None or fault.where(*args, **kwargs)
        ]
        at = seam.monotonic()
        with self._lock:
            numbers = [self._number(index, key) for index, _ in counting]
            call = Call(self.name, next(self._numbers), key, args, kwargs, at)
            self.calls._add(call)
        hits = [fault for (_, fault), number in zip(counting, numbers, strict=True) if fault.hits(number)]
        last = next((place for place, fault in enumerate(hits, 1) if not fault.goes_on), len(hits))
        chosen = hits[:last]
        call.injected = ", ".join(map(str, chosen))
        return visit(self, call, chosen)

    def _number(self, index: int, key: object) -> int:
        number = self._counted[index, key] = self._counted.get((index, key), 0) + 1
        return number


def below(target: Any, layer: Injection) -> Any:
    """Put a layer under those that a callable has, right round the user's own function.

    Raises:
        TypeError: If it cannot be protected.
    """
    if type(target) in (classmethod, staticmethod):
        layer.method = layer.method or type(target) is classmethod
        return type(target)(below(target.__func__, layer))
    if type(target) is MethodType:  # not isinstance: a carrier gives the class of what it carries
        layer.method = True
        return below(target.__func__, layer).__get__(target.__self__)
    known = rim._known(target)
    if known is None:
        return rim.recover(target, layer)
    colour = colour_of(target)
    layer._accept(colour, target)
    if rim.layers_of(known.target):  # a bound method with layers of its own
        again = rim.Rim(below(known.target, layer), known.layers)
    else:
        outside = [each for each in known.layers if not isinstance(each, Injection)]
        inside = known.layers[len(outside) :]  # of outer blocks: the newest is the first to act
        again = rim.Rim(known.target, (*outside, layer, *inside))
    return rim._native(target, again, colour) if isinstance(again.target, FunctionType) else rim._carried(again, colour)
