"""One call of the function, and all who wait for it.

    led --land(outcome)--> landed: everybody takes the outcome
    led --hand_on()--> free: everybody is woken, whoever takes the lead first calls, the others wait again

Nothing here takes a lock: a leader may be given up by a finaliser (a coroutine that is collected), and the collector
may run anywhere (G7). Everything is one operation on a deque, a list or a dict, which are atomic.

Everybody is woken when a leader gives up, not the next in line: the next in line may be cancelled in that very tick, or
belong to a loop that is closed, and then nobody would call.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from recoup._core.store import Entry
    from recoup._core.waiting import Waiter

__all__ = ["THROUGH", "Failed", "Flight"]


class Failed:
    """The outcome of a flight that raised."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Through:
    """The outcome of a flight whose result is no use to anybody else."""

    __slots__ = ()


THROUGH = _Through()


class Flight:
    """A call under way.

    Attributes:
        crew: As many items as callers take part, the leader included.
        waiting: Who is to be woken.
        outcome: How it ended; `None` until then.
        awaits: The flights that its leader, or something that its leader runs, waits for.
        home: The event loop in which its leader calls; `None` for another library, or none.
    """

    __slots__ = ("_lead", "awaits", "crew", "home", "outcome", "waiting")

    def __init__(self) -> None:
        self._lead = deque((True,))
        self.crew: list[bool] = []
        self.waiting: dict[Waiter, None] = {}
        self.outcome: Entry | Failed | _Through | None = None
        self.awaits: list[Flight] = []
        self.home: AbstractEventLoop | None = None

    @property
    def lost(self) -> bool:
        """Whether its leader will never come back: its loop was closed over it, and somebody keeps its task."""
        return self.home is not None and self.home.is_closed()

    @property
    def idle(self) -> bool:
        """Whether nobody takes part."""
        return not self.crew

    def take(self) -> bool:
        """Take the lead if it is free."""
        try:
            return self._lead.pop()
        except IndexError:
            return False

    def hand_on(self) -> None:
        """Give the lead up without an outcome."""
        self._lead.append(True)
        self._wake()

    def land(self, outcome: Entry | Failed | _Through) -> None:
        """End with an outcome."""
        self.outcome = outcome
        self._wake()

    def reaches(self, others: list[Flight]) -> bool:
        """Tell whether it waits, directly or through further flights, for one of these: they must not wait for it."""
        seen: list[Flight] = [self]
        for flight in seen:  # grows
            for further in tuple(flight.awaits):
                if further in others:
                    return True
                if further.outcome is None and further not in seen:
                    seen.append(further)
        return False

    def _wake(self) -> None:
        while True:
            try:
                waiter, _ = self.waiting.popitem()
            except KeyError:
                return
            waiter.wake()
