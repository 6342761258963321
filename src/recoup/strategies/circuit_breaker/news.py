"""Transitions on their way to callbacks and listeners: each told once, in order, by one teller at a time (G9)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

    from recoup.strategies.circuit_breaker.moves import Moves
    from recoup.strategies.circuit_breaker.phases import CircuitBreakerState

__all__ = ["MOST", "News", "Notice"]

MOST: Final = 10_000  # as many as a keyed breaker keeps circuits by default: it may restore so many open ones


class Notice(NamedTuple):
    """A transition that has to be told: to OPEN, HALF_OPEN or CLOSED. METRICS_ONLY: it would have opened."""

    state: CircuitBreakerState
    open_time: float = 0.0
    error_type: str | None = None
    source: Moves | None = None  # the circuit


class News(deque[Notice]):
    """What has not been told yet. True while there is something.

    No lock: a teller may end in a finaliser, which may run inside any lock.

    If nobody calls, asynchronous callbacks cannot be run, and somebody who goes on holding and releasing a breaker by
    hand would fill the memory. So the oldest transitions are forgotten when there are more than `MOST` of them; the
    newest, which say how things are, never.
    """

    __slots__ = ("_seat",)

    def __init__(self) -> None:
        super().__init__(maxlen=MOST)
        self._seat: deque[None] = deque([None])  # whoever has popped it is telling

    def hear(self) -> Notice | None:
        """Give the next notice to the only teller; None if there is none, or somebody else tells them."""
        while self:  # looked at again after the seat is free, for what came in between
            try:
                self._seat.pop()
            except IndexError:
                return None
            try:
                return self.popleft()
            except IndexError:
                self._seat.append(None)
        return None

    def told(self) -> None:
        """Let the next notice be told; follows every notice that `hear` gave."""
        self._seat.append(None)
