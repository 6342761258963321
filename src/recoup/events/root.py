"""What all events are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a strategy.

    Attributes:
        name: Name of the strategy object, by default that of the first function it was put on.
    """

    name: str
