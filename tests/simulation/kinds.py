"""All kinds of parts."""

from __future__ import annotations

from tests.simulation.answers import CachePart, FallbackPart, HedgePart
from tests.simulation.attempts import DeadlinePart, RetryPart
from tests.simulation.breakers import BreakerPart, KeyedBreakerPart
from tests.simulation.gates import BulkheadPart
from tests.simulation.rates import LimiterPart, ThrottlePart

__all__ = ["KINDS"]

KINDS = (
    BreakerPart,
    BulkheadPart,
    CachePart,
    DeadlinePart,
    FallbackPart,
    HedgePart,
    KeyedBreakerPart,
    LimiterPart,
    RetryPart,
    ThrottlePart,
)
