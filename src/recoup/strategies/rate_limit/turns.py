"""What a call gets that asks for permits which are not there yet."""

from __future__ import annotations

from typing import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.rate_limit.config import RateLimitConfig

__all__ = ["TICK", "Claim", "Permits"]

TICK = 1e-9
"""Seconds: the resolution of the clocks. A moment that is nearer than that has come."""


class Claim:
    """The answer to a call that asked for permits: when it may begin, or that it may not.

    Attributes:
        granted: Whether the permits are set aside for the call; if not, nothing was taken.
        wait: Seconds until they are there; for a call that is refused, until they would be.
        weight: How many.
        state: Where they were set aside.
        place: Where among the others of that state; its own matter.
        era: Since when that state has counted; its own matter.
    """

    __slots__ = ("era", "granted", "place", "state", "wait", "weight")

    def __init__(self, state: Permits, weight: int, wait: float, *, granted: bool, place: Any, era: float) -> None:
        self.state = state
        self.weight = weight
        self.wait = wait
        self.granted = granted
        self.place = place
        self.era = era


class Permits(Protocol):
    """How many permits there are, and when there will be more; whoever calls a method holds the lock of the limiter."""

    def take(self, weight: int, now: float) -> bool:
        """Take permits, if they are there and nobody waits."""
        ...

    def reserve(self, weight: int, now: float, max_wait: float, left: float) -> Claim:
        """Take permits now, or set aside those that come first and are not promised to anybody.

        Args:
            weight: How many.
            now: The time.
            max_wait: Seconds that the call waits at most.
            left: Seconds until its deadline: the wait has to be shorter.
        """
        ...

    def cancel(self, claim: Claim, now: float) -> None:
        """Take back what was set aside for a call that will not come, as far as others can still have it."""
        ...

    def available(self, now: float) -> int:
        """Tell how many permits could be taken now."""
        ...

    def idle(self, now: float) -> bool:
        """Tell whether nothing would be lost by beginning anew."""
        ...

    def reconfigure(self, config: RateLimitConfig, now: float) -> None:
        """Go on with another rate; what was taken stays taken, and what was promised stays promised."""
        ...

    def desert(self, now: float) -> None:
        """Take back all that was set aside: those who waited are gone."""
        ...
