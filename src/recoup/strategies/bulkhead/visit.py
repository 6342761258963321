"""Visit: one call that did not get straight in, its time limit and what became of it.

`wait` and `wait_async` are methods of a bulkhead; they differ only in how they wait.
"""

from __future__ import annotations

from recoup._core import clock, emit, mode, timing, waiting
from recoup.errors import BulkheadFullError, BulkheadTimeoutError
from recoup.strategies.bulkhead.tickets import AGAIN, Ticket, uncounted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.timing import Deadline
    from recoup.strategies.bulkhead.config import BulkheadConfig
    from recoup.strategies.bulkhead.histogram import Recorder
    from recoup.strategies.bulkhead.state import Gate
    from recoup.strategies.bulkhead.strategy import Bulkhead
    from recoup.strategies.bulkhead.tickets import Place

__all__ = ["Visit", "wait", "wait_async"]


class Visit:
    """One call at the gate that had to stop there.

    Args:
        gate: The gate.
        config: The limits of the bulkhead.
        name: Its name.
        waiter: Who waits.
        patience: Seconds that it waits at most.
        pooled: Whether the call also needs a thread.
        waited: Records how long calls wait, if anybody wants to know.

    Attributes:
        patience: Seconds that it waits at most: what its bulkhead allows, or what is left of a nearer deadline.
        ticket: What it holds at the gate.
    """

    __slots__ = ("_config", "_deadline", "_gate", "_joined", "_name", "_since", "_waited", "patience", "ticket")

    def __init__(
        self,
        gate: Gate,
        config: BulkheadConfig,
        name: str,
        waiter: Any,
        patience: float,
        *,
        pooled: bool,
        waited: Recorder | None = None,
    ) -> None:
        self._gate = gate
        self._config = config
        self._name = name
        self._joined = False
        self._deadline: Deadline | None = None
        self._waited = waited
        self._since: float | None = None
        self.patience = patience
        self.ticket = Ticket(waiter, pooled=pooled)
        deadline = timing.current_deadline()
        if deadline is not None and (left := deadline.remaining()) < self.patience:
            self.patience = left
            self._deadline = deadline

    def queued(self) -> bool:
        """Go in or queue up; True if there is something to wait for."""
        self._joined = self._gate.join(self.ticket)
        waits = self._joined and self.ticket.place is None
        if waits and self._waited is not None:
            self._since = clock.monotonic()
        if waits and emit.listeners:
            from recoup.events import CallQueued  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(CallQueued(self._name, len(self._gate.queue)))
        return waits

    def place(self) -> Place | None:
        """Give the place that the call has got, if it has."""
        place = self.ticket.place
        if place is not None and self._since is not None and self._waited is not None:
            self._waited.add(clock.monotonic() - self._since)
        return place

    def late(self) -> None:
        """Take note that the time is up; a place that was given in the last moment still counts."""
        self._gate.claim(self.ticket)

    def leave(self) -> None:
        """Give up, and give back what was got: the caller was cancelled, perhaps because the deadline struck."""
        self._gate.leave(self.ticket, late=self._deadline is not None and self._deadline.struck)

    def refusal(self) -> Exception:
        """Make the error of a call that got no place, and tell listeners about it."""
        if not self._joined:
            return _full(self._name, self._gate, self._config)
        if self._deadline is not None:
            return timing.exceeded(self._deadline, started=False)
        _tell_refused(self._name)
        return BulkheadTimeoutError(name=self._name, max_concurrent=self._gate.seats.limit, waited=self.patience)


def wait(self: Bulkhead, *, pooled: bool = False) -> Place:
    """Queue up for a place in plain code.

    Raises:
        BulkheadFullError: If the queue is full.
        BulkheadTimeoutError: If no place was free within `queue_timeout`.
        DeadlineExceeded: If the ambient deadline struck before that; `started` is False.
    """
    if mode.active and mode.off():
        return uncounted()
    if len(self._gate.queue) >= self.config.max_queue_size:
        got = _now_or_never(self, pooled=pooled)
        if got is not None:
            return got
    visit = _begun(self, waiting.for_thread, pooled=pooled)
    try:
        if visit.queued() and not visit.ticket.waiter.wait(visit.patience):
            visit.late()
        place = visit.place()
    except BaseException:
        visit.leave()
        raise
    if place is None:
        raise visit.refusal()
    return place


async def wait_async(self: Bulkhead, *, pooled: bool = False) -> Place:
    """Queue up for a place in async code; raises what `wait` raises."""
    if mode.active and mode.off():
        return uncounted()
    if len(self._gate.queue) >= self.config.max_queue_size:
        got = _now_or_never(self, pooled=pooled)
        if got is not None:
            return got
    visit = _begun(self, waiting.for_task, pooled=pooled)
    try:
        if visit.queued():
            with timing.queueing():  # if the deadline's timer cancels us here, the function was never asked
                if not await visit.ticket.waiter.wait_async(visit.patience):
                    visit.late()
        place = visit.place()
    except BaseException:
        visit.leave()
        raise
    if place is None:
        raise visit.refusal()
    return place


def _begun(bulkhead: Bulkhead, waiter: Callable[[], Any], *, pooled: bool) -> Visit:
    gate, config = bulkhead._gate, bulkhead.config
    waited = None if bulkhead._meter is None else bulkhead._meter.waited
    patience: Any = config.queue_timeout
    if config.overload_timeout is not None and gate.queue.overloaded():
        patience = config.overload_timeout
    visit = Visit(gate, config, bulkhead.name, waiter(), patience, pooled=pooled, waited=waited)
    if bulkhead._ranked is not None:
        visit.ticket.rank = bulkhead._ranked()
    return visit


def _now_or_never(bulkhead: Bulkhead, *, pooled: bool) -> Place | None:
    """Get a place that has come free just now, or refuse: the queue is full, so that nothing has to be made to wait.

    Returns:
        The place; `None` if the queue is not full after all, because those who filled it were gone.
    """
    gate, ticket = bulkhead._gate, Ticket(None, pooled=pooled)
    try:
        gate.join(ticket)
        place = ticket.place
    except BaseException:
        gate.leave(ticket)
        raise
    if place is None and ticket.waiter is not AGAIN:
        raise _full(bulkhead.name, gate, bulkhead.config)
    return place


def _full(name: str, gate: Gate, config: BulkheadConfig) -> BulkheadFullError:
    """Make the error of a call that was refused at once, and tell listeners about it."""
    _tell_refused(name)
    return BulkheadFullError(name=name, max_concurrent=gate.seats.limit, max_queue_size=config.max_queue_size)


def _tell_refused(name: str) -> None:
    if emit.listeners:
        from recoup.events import CallRefused  # noqa: PLC0415 - nobody pays for events who does not listen

        emit.tell(CallRefused(name, "bulkhead", None))
