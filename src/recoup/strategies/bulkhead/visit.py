"""Visit: one call that did not get straight in, its time limit and what became of it."""

from __future__ import annotations

from typing import cast

from recoup._core import emit, timing
from recoup.errors import BulkheadFullError, BulkheadTimeoutError
from recoup.strategies.bulkhead.tickets import Ticket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.timing import Deadline
    from recoup.strategies.bulkhead.config import BulkheadConfig
    from recoup.strategies.bulkhead.state import Gate

__all__ = ["Visit"]


class Visit:
    """One call at the gate that had to stop there.

    Args:
        gate: The gate.
        config: The limits of the bulkhead.
        name: Its name.
        waiter: Who waits; `None` if there is no room in the queue anyway.
        pooled: Whether the call also needs a thread.

    Attributes:
        patience: Seconds that it waits at most: `queue_timeout`, or what is left of a nearer deadline.
        ticket: What it holds at the gate.
    """

    __slots__ = ("_config", "_deadline", "_gate", "_joined", "_name", "patience", "ticket")

    def __init__(self, gate: Gate, config: BulkheadConfig, name: str, waiter: Any, *, pooled: bool) -> None:
        self._gate = gate
        self._config = config
        self._name = name
        self._joined = False
        self._deadline: Deadline | None = None
        self.patience = cast("float", config.queue_timeout)  # the config has made it seconds
        self.ticket = Ticket(waiter, pooled=pooled)
        deadline = timing.current_deadline()
        if deadline is not None and (left := deadline.remaining()) < self.patience:
            self.patience = left
            self._deadline = deadline

    def queued(self) -> bool:
        """Go in or queue up; True if there is something to wait for."""
        self._joined = self._gate.join(self.ticket)
        waits = self._joined and self.ticket.place is None
        if waits and emit.listeners:
            from recoup.events import CallQueued  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(CallQueued(self._name, len(self._gate.queue)))
        return waits

    def late(self) -> None:
        """Take note that the time is up; a place that was given in the last moment still counts."""
        self._gate.claim(self.ticket)

    def leave(self) -> None:
        """Give up, and give back what was got: the caller was cancelled, perhaps because the deadline struck."""
        self._gate.leave(self.ticket, late=self._deadline is not None and self._deadline.struck)

    def refusal(self) -> Exception:
        """Make the error of a call that got no place, and tell listeners about it."""
        name, limit = self._name, self._config.max_concurrent
        if self._joined and self._deadline is not None:
            return timing.exceeded(self._deadline, started=False)
        if emit.listeners:
            from recoup.events import CallRefused  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(CallRefused(name, "bulkhead", None))
        if self._joined:
            return BulkheadTimeoutError(name=name, max_concurrent=limit, waited=self.patience)
        return BulkheadFullError(name=name, max_concurrent=limit, max_queue_size=self._config.max_queue_size)
