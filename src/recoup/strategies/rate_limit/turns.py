"""What a call gets that has to wait for its permits, and what it waits for."""

from __future__ import annotations

from typing import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.rate_limit.config import RateLimitConfig
    from recoup.strategies.rate_limit.line import Line

__all__ = ["TICK", "Demand", "Permits", "Turn"]

TICK = 1e-9
"""Seconds: the resolution of the clocks. A moment that is nearer than that has come."""


class Demand(NamedTuple):
    """What a call asks for: how many permits, and of whose."""

    weight: int
    key: Any = None  # what `plain_key` lets pass


class Turn:
    """A call in the line.

    Attributes:
        line: Where it stands.
        number: Who came before has a smaller one.
        weight: How many permits it needs.
        end: How many permits those of its line have asked for, from the first one ever to this one.
        due: When it will look whether it may begin.
        asked: When it looked last.
        standing: Whether it is in the line: neither over nor passed over.
        over: Whether it has begun, or left.
        waiter: How it is woken; another one for each wait.
    """

    __slots__ = ("asked", "due", "end", "line", "number", "over", "standing", "waiter", "weight")

    def __init__(self, line: Line, number: int, weight: int, end: int, now: float, *, wait: float, waiter: Any) -> None:
        self.line = line
        self.number = number
        self.weight = weight
        self.end = end
        self.asked = now
        self.due = now + wait
        self.standing = True
        self.over = False
        self.waiter = waiter

    def __lt__(self, other: Turn) -> bool:
        return self.number < other.number


class Permits(Protocol):
    """How many permits there are, and when there will be more; whoever calls a method holds the lock of the limiter.

    Attributes:
        line: Who waits for them; `None` if nobody ever did.
        queued: How many permits those need who wait; while that is not 0, nobody else gets any.
        most: How many there can be at once.
    """

    line: Line | None
    queued: int
    most: int

    def take(self, weight: int, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        ...

    def begin(self, weight: int, now: float) -> None:
        """Take permits for a call that has waited for them, and was told to wait no longer."""
        ...

    def wait(self, weight: int, now: float, unit: int = 1, waste: int = 0) -> float:
        """Tell in how many seconds so many permits will have come, if nobody takes any; also more than `most`.

        Args:
            weight: How many, of all those together who wait for them.
            now: The time.
            unit: What the weights of those are multiples of.
            waste: How many of those that are there may have to be left, because the next one needs more of them.

        Returns:
            0.0 if they are there.
        """
        ...

    def available(self, now: float) -> int:
        """Tell how many permits could be taken now."""
        ...

    def drain(self, now: float) -> int:
        """Take all permits that are there, if nobody waits; tell how many."""
        ...

    def idle(self, now: float) -> bool:
        """Tell whether nothing would be lost by beginning anew."""
        ...

    def correct(self, now: float) -> None:
        """Go back with a clock that went backwards, as far as can be known (rule G12)."""
        ...

    def reconfigure(self, config: RateLimitConfig, now: float) -> None:
        """Go on with another rate; what was taken stays taken."""
        ...

    def reset(self, now: float) -> None:
        """Begin anew with all permits there."""
        ...
