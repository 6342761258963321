"""What a configuration makes of outcomes: which errors and results are failures, and what is run when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from recoup._core import conditions
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.rules import Rules
from recoup.strategies.circuit_breaker.telling import planner, wants_seconds

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["Judge"]


class Judge:
    """All that one configuration says, worked out once; immutable, so that replacing it is one step.

    Args:
        config: The configuration.

    Attributes:
        config: The configuration.
        rules: What its circuits go by.
        counts: Tells whether an error is a failure.
        judges_results: Whether results can be failures.
        slow: A call that takes so many seconds is slow; infinity if none is.
        timed: Whether it matters when a call began.
        callbacks: What is run when a circuit enters a state.
        replan: Asks for a circuit's next open time; None if it never changes.
    """

    __slots__ = (
        *("_bad", "_judges_seconds", "callbacks", "config", "counts", "judges_results", "replan", "rules", "slow"),
        "timed",
    )

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.rules = Rules(config)
        self._bad = config.failure_on_result
        self.judges_results = self._bad is not None
        self._judges_seconds = wants_seconds(self._bad)
        self.slow = math.inf if config.slow_call_duration is None else cast("float", config.slow_call_duration)
        self.timed = self.rules.timed
        counts = conditions.compiled("failure_on", Exception if config.failure_on is None else config.failure_on)
        if config.ignore_on is not None:
            counts &= ~conditions.compiled("ignore_on", config.ignore_on)
        self.counts = conditions.some("failure_on", counts)
        self.replan = planner(config)
        self.callbacks = {
            CircuitBreakerState.OPEN: config.on_open,
            CircuitBreakerState.CLOSED: config.on_close,
            CircuitBreakerState.HALF_OPEN: config.on_half_open,
            CircuitBreakerState.METRICS_ONLY: None,
        }

    def counts_in(self, group: BaseExceptionGroup[BaseException]) -> bool:
        """Tell whether one of the errors beside the control flow in a group is a failure (G4).

        That a sibling was cancelled takes nothing from a failure that happened. Trio leaves such a group where a task
        of a nursery fails while a scope outside is cancelled, and `except*` would find the failure in it too. Where
        a generator is closed, nothing counts: that may be a finaliser, which must not lock.
        """
        leaves = list(conditions.leaves(group))
        if any(isinstance(each, GeneratorExit) for each in leaves):
            return False
        return any(self.counts(each) for each in leaves if isinstance(each, Exception))

    def turns_down(self, result: object, seconds: float) -> bool:
        """Tell whether a result of a call that took so long is a failure."""
        assert self._bad is not None  # noqa: S101 - asked only then
        judged = self._bad(result, seconds) if self._judges_seconds else self._bad(result)
        return bool(conditions.plainly("failure_on_result", judged))
