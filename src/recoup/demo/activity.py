"""What each strategy did, from recoup's own events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from recoup import events

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Activity"]

STATES: dict[type[events.Event], str] = {
    events.CircuitOpened: "open",
    events.CircuitHalfOpened: "half-open",
    events.CircuitClosed: "closed",
}


@dataclass(slots=True)
class Activity:
    """Count what the strategies of one client did. Its `listen` goes to `recoup.subscribe`.

    Attributes:
        now: Tells the seconds since the start.
        circuit: State of the circuit: "closed", "open" or "half-open".
        changes: When the circuit changed, and to what.
        retries: Attempts after the first.
        queued: Calls that waited for a place in the bulkhead.
        refused: Calls that never went out, by the kind of strategy that refused them.
        struck: Deadlines that struck, by name.
        answered: Failures that the fallback answered, by source.
    """

    now: Callable[[], float]
    circuit: str = "closed"
    changes: list[tuple[float, str]] = field(default_factory=list)
    retries: int = 0
    queued: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)

    @property
    def opened(self) -> int:
        """Count how often the circuit opened after it was closed."""
        return sum(1 for _, state in self.changes if state == "open") - self.failed_probes

    @property
    def failed_probes(self) -> int:
        """Count how often the circuit opened again because a probe failed."""
        states = [state for _, state in self.changes]
        return list(pairwise(states)).count(("half-open", "open"))

    def listen(self, event: events.Event) -> None:
        """Count one event."""
        match event:
            case events.RetryScheduled():
                self.retries += 1
            case events.CallRefused(kind=kind):
                self.refused[kind] += 1
            case events.CallQueued():
                self.queued += 1
            case events.FallbackUsed(source=source):
                self.answered[source] += 1
            case events.DeadlineStruck(name=name):
                self.struck[name] += 1
            case _ if state := STATES.get(type(event)):
                self.circuit = state
                self.changes.append((self.now(), state))
            case _:
                pass

    def lines(self) -> list[tuple[str, str]]:
        """Say what each strategy did, outermost first: its decorator, and its deeds."""
        openings = f"opened: {self.opened}, failed probes: {self.failed_probes}"
        return [
            ("@fallback", f"{self.answered['cache']} last known prices, {self.answered['function']} times no price"),
            ("@deadline, total", f"{self.struck['patience']} callers' patience ran out"),
            ("@retry", f"{self.retries} attempts after the first"),
            ("@circuit_breaker", f"{self.refused['circuit_breaker']} attempts refused ({openings})"),
            ("@deadline, attempt", f"{self.struck['attempt']} attempts were cut off"),
            ("@bulkhead", f"{self.queued} attempts waited for a place, {self.refused['bulkhead']} got none"),
        ]
