"""All kinds of parts."""

from __future__ import annotations

from tests.simulation.answers import CachePart, FallbackPart, HedgePart
from tests.simulation.attempts import DeadlinePart, RetryPart
from tests.simulation.breakers import BreakerPart, KeyedBreakerPart
from tests.simulation.gates import BulkheadPart
from tests.simulation.rates import LimiterPart, ThrottlePart
from tests.simulation.undoing import CompensationPart
from tests.simulation.workflows import WorkflowPart

__all__ = ["KINDS"]

KINDS = (
    BreakerPart,
    BulkheadPart,
    CachePart,
    CompensationPart,
    DeadlinePart,
    FallbackPart,
    HedgePart,
    KeyedBreakerPart,
    LimiterPart,
    RetryPart,
    ThrottlePart,
    WorkflowPart,
)
