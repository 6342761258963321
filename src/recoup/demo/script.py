"""What the service does and when: the script that the server plays and the clients live through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

__all__ = ["CLIENT_HEADER", "SCRIPT", "STALL", "Fate", "Phase", "scaled", "total_seconds"]

CLIENT_HEADER = "X-Demo-Client"

STALL = 3.0
"""Seconds that a stalled answer takes: longer than any caller waits, so that it is work for nothing."""


class Fate(Enum):
    """What becomes of one request."""

    ANSWER = "answer"
    ERROR = "error"
    STALL = "stall"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Phase:
    """Describe how the service behaves for a while.

    Args:
        name: Key of the phase, one word.
        title: What it is called.
        text: What it means, for the viewer.
        seconds: How long it lasts.
        errors: Share of the requests that get an error at once, 0..1; default 0.
        stalls: Share whose answer takes `STALL` seconds, 0..1; default 0.
        hangs: Share that never gets an answer, 0..1; default 0.
        latency: Shortest and longest time of a normal answer, in seconds.
        status: HTTP status of the errors; default 500.
    """

    name: str
    title: str
    text: str
    seconds: float
    errors: float = 0.0
    stalls: float = 0.0
    hangs: float = 0.0
    latency: tuple[float, float] = (0.005, 0.025)
    status: int = 500

    def fate(self, draw: float) -> Fate:
        """Tell what becomes of a request that drew this number from [0, 1).

        >>> phase = Phase("odd", "odd", "", 1.0, errors=0.3, hangs=0.1)
        >>> [phase.fate(draw).value for draw in (0.0, 0.29, 0.3, 0.39, 0.4)]
        ['error', 'error', 'hang', 'hang', 'answer']
        """
        for share, fate in ((self.errors, Fate.ERROR), (self.stalls, Fate.STALL), (self.hangs, Fate.HANG)):
            if draw < share:
                return fate
            draw -= share
        return Fate.ANSWER


SCRIPT = (
    Phase("healthy", "healthy", "every answer takes 5 to 25 ms", 5.0),
    Phase("errors", "30 % errors", "three requests in ten get a 500", 7.0, errors=0.3),
    Phase("slow", "slow", "answers take 100 to 250 ms, one in five 3 s", 5.0, stalls=0.2, latency=(0.1, 0.25)),
    Phase("hanging", "hanging", "three connections in ten never answer", 5.0, hangs=0.3),
    # Long enough that the requests which open the circuit are few beside those which the open circuit spares.
    Phase("outage", "full outage", "every request gets a 503", 12.0, errors=1.0, status=503),
    Phase("recovery", "recovery", "all is well again", 6.0),
)


def total_seconds(script: tuple[Phase, ...]) -> float:
    """Add up the phases.

    >>> total_seconds(SCRIPT)
    40.0
    """
    return sum(phase.seconds for phase in script)


def scaled(script: tuple[Phase, ...], speed: float) -> tuple[Phase, ...]:
    """Play a script faster: its phases and its normal answers get shorter alike.

    >>> total_seconds(scaled(SCRIPT, 2.0))
    20.0
    """
    return tuple(
        replace(phase, seconds=phase.seconds / speed, latency=(phase.latency[0] / speed, phase.latency[1] / speed))
        for phase in script
    )
