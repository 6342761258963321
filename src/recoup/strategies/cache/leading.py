"""What the code that runs now is part of: the calls that are led in this context, and in those it comes from.

A call that is made by the very call it would have to wait for must go past the cache. The context tells: tasks that a
leader starts, and threads that get a copy of its context, inherit the chain. (So does a background task that the leader
does not wait for: it may make one call more than necessary.)
"""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.strategies.cache.flight import Flight

__all__ = ["Lead", "detach", "led"]


class Lead:
    """A link of the chain; to make one is to put it at the end of the chain of this context.

    It is not the run itself: the context would keep that, and a lead that is lost comes back only when its run is
    collected.
    """

    __slots__ = ("_outer", "flight")

    def __init__(self, flight: Flight) -> None:
        self.flight: Flight | None = flight
        self._outer = _open(_leading.get())
        _leading.set(self)

    def end(self) -> None:
        """Count no longer, here and in every copy of the context."""
        self.flight = None
        if _leading.get() is self:  # not by Token.reset: the collector closes coroutines in a foreign context
            _leading.set(self._outer)


_leading: ContextVar[Lead | None] = ContextVar("recoup_cache_leading", default=None)


def _open(lead: Lead | None) -> Lead | None:
    """Skip what is over: a background task has a copy of the context and outlives it (G16)."""
    while lead is not None and lead.flight is None:
        lead = lead._outer
    return lead


def led() -> list[Flight]:
    """List the flights that the code running now is part of."""
    flights = []
    lead = _leading.get()
    while lead is not None:
        if lead.flight is not None:
            flights.append(lead.flight)
        lead = lead._outer
    return flights


def detach() -> None:
    """Have what runs in this context be part of nothing."""
    _leading.set(None)
