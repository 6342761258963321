"""Where a fault injection is armed: in the current context, or everywhere.

    arm() ............. everywhere, until disarm()
    with armed(): ..... in this context: here, in tasks started here, in threads that get a copy of the context

The innermost open block of an injection counts, else the arming of everybody. A background task that outlives the block
in whose context it was started is not hit any more (G16). Each arming numbers its calls by itself.

`Armings.open` is empty nearly always, which is all that a call has to look at. It is changed by single operations on a
dictionary, which are atomic: no lock, so nothing to inherit in a fork (G18) or to meet in a finaliser (G7).
"""

from __future__ import annotations

from contextvars import ContextVar
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Armed", "Arming", "Armings"]

_EVERYWHERE = "everywhere"


class Arming:
    """One arming, with the numbers of its calls."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin to number."""
        self._numbers = count(1)

    def number(self) -> int:
        """Number a call; safe in any thread."""
        return next(self._numbers)


class Armings:
    """All armings of one injection.

    Attributes:
        open: Those that are in force, in whatever context.
    """

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open: dict[object, Arming] = {}

    def arm(self) -> None:
        """Arm everywhere, unless it is."""
        self.open.setdefault(_EVERYWHERE, Arming())

    def disarm(self) -> None:
        """End the arming of everybody; blocks stay."""
        self.open.pop(_EVERYWHERE, None)

    def renumber(self) -> None:
        """Have all that are in force number from 1 again."""
        for arming in tuple(self.open.values()):
            arming.begin_anew()

    def here(self) -> Arming | None:
        """Give the arming that counts for the code running now."""
        scope = _open(_scope.get())
        while scope is not None:
            if scope.armings is self:
                return scope.arming
            scope = _open(scope.outer)
        return self.open.get(_EVERYWHERE)


class Armed:
    """A block in whose context an injection is armed. It is entered once."""

    __slots__ = ("_entered", "arming", "armings", "outer")

    def __init__(self, armings: Armings) -> None:
        self.armings = armings
        self.arming = Arming()
        self.outer: Armed | None = None
        self._entered = False

    @property
    def is_open(self) -> bool:
        """Whether the block is running."""
        return self in self.armings.open

    def __enter__(self) -> None:
        if self._entered:
            raise RuntimeError("this block was entered before: write `with faults.armed():` for each")
        self._entered = True
        self.outer = _open(_scope.get())
        self.armings.open[self] = self.arming
        _scope.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.armings.open.pop(self, None)
        if _scope.get() is self:  # not by Token.reset: a generator may be closed in a foreign context
            _scope.set(self.outer)


_scope: ContextVar[Armed | None] = ContextVar("recoup_faults_armed", default=None)


def _open(scope: Armed | None) -> Armed | None:
    """Skip the blocks that are over: a background task has a copy of the context and outlives them."""
    while scope is not None and not scope.is_open:
        scope = scope.outer
    return scope
