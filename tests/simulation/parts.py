"""What all parts of a simulated stack have in common: a strategy, and a spy on either side of it."""

from __future__ import annotations

import itertools
from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from tests.simulation.spies import Spy

if TYPE_CHECKING:
    from tests.simulation.world import Operation, World

__all__ = ["Part", "Pass", "Violation"]

GRAIN = 1e-6  # seconds: times are floats


class Violation(AssertionError):
    """A strategy broke one of its rules."""


class Pass:
    """One way of an operation through a part.

    Attributes:
        operation: Whose.
        number: The how manieth through this part.
        at: When it arrived.
        entries: How often the inside was called so far.
        left: When the inside ended last.
        error: What the inside raised last.
        running: How many of those calls run now.
    """

    __slots__ = ("at", "entries", "error", "left", "number", "operation", "running")

    def __init__(self, operation: Operation, number: int, at: float) -> None:
        self.operation = operation
        self.number = number
        self.at = at
        self.entries = self.running = 0
        self.left = at
        self.error: BaseException | None = None


class Part:
    """A strategy under watch.

    Attributes:
        strategy: The strategy object, shared by all stacks of a world.
        inside: How many calls are inside now.
        entered: How many ever were.
        errors: How often each type of error came out.
    """

    kind: ClassVar[str] = ""
    plain: ClassVar[bool] = True  # whether plain functions may have it
    streams: ClassVar[bool] = True  # whether generators may

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.dice
        self.inside = self.entered = self.arrived = 0
        self.errors: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._pass: ContextVar[Pass | None] = ContextVar(f"{self.kind}_pass")
        self.name = f"the {self.kind}"
        self.strategy: Any = self.made()

    def made(self) -> Any:
        """Make the strategy, with a random configuration."""
        raise NotImplementedError

    def around(self, fn: Any, *, plain: bool = False) -> Any:
        """Put the strategy round a function of any colour, with a spy on either side.

        Args:
            fn: The function.
            plain: Whether it is not async.
        """
        watched = self.layer(plain)(Spy(self._enters, self._leaves)(fn))
        return Spy(self._arrives, self._departs)(watched)

    def layer(self, plain: bool) -> Any:
        """Give the strategy object for a function of a colour: the same for all, if it can be."""
        return self.strategy

    @property
    def now(self) -> float:
        """The virtual time."""
        return self.world.clock.monotonic()

    def expect(self, promise: object, text: str) -> None:
        """Have something be true."""
        if not promise:
            raise self.world.violation(f"{self.kind}: {text}")

    def mine(self, error: BaseException | None, kind: type[BaseException]) -> bool:
        """Tell whether an error is a refusal of this very strategy."""
        return isinstance(error, kind) and getattr(error, "name", None) == self.name

    def _arrives(self, operation: Operation) -> Any:
        passing = Pass(operation, next(self._numbers), self.now)
        self.arrived += 1
        before = self._pass.get(None)
        self._pass.set(passing)
        return passing, before

    def _departs(self, token: Any, error: BaseException | None, result: Any) -> None:
        passing, before = token
        self._pass.set(before)  # not by a token: a coroutine may be closed in a foreign context
        if error is not None:
            self.errors[type(error).__name__] += 1
        self.departs(passing, error, result)

    def _enters(self, operation: Operation) -> Any:
        passing = self._pass.get()
        assert passing is not None
        self.inside += 1
        self.entered += 1
        passing.entries += 1
        passing.running += 1
        self.world.say(f"{operation} enters {self.name}")
        return passing, self.enters(passing)

    def _leaves(self, token: Any, error: BaseException | None, result: Any) -> None:
        passing, entry = token
        self.inside -= 1
        passing.running -= 1
        passing.left, passing.error = self.now, error
        self.leaves(passing, entry, error, result)

    # What a kind of part knows about its strategy

    def enters(self, passing: Pass) -> Any:
        """See a call go in; what is returned here goes to `leaves`."""

    def leaves(self, passing: Pass, entry: Any, error: BaseException | None, result: Any) -> None:
        """See a call come out, of the function or what is round it further in."""

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        """See what the strategy made of it."""

    def step(self) -> None:
        """Look after every step of the loop; without touching anything, or what is broken would be repaired."""

    def end(self) -> None:
        """Look when all operations have ended."""

    async def proves_alive(self) -> None:
        """Work once more, a long time after."""

    def meddles(self) -> None:
        """Do something to the strategy by hand."""
