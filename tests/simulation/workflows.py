"""The workflow under watch: how often, how long, what it counts, and that its places come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup import (
    BulkheadConfig,
    CircuitBreakerConfig,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RetryConfig,
)
from tests.simulation.parts import GRAIN, Part

if TYPE_CHECKING:
    from tests.simulation.parts import Pass

__all__ = ["WorkflowPart"]

SLACK = 0.25  # seconds, as for deadlines


class WorkflowPart(Part):
    kind: ClassVar[str] = "workflow"

    def made(self) -> ErrorRecoveryWorkflow:
        dice, world = self.dice, self.world
        self.good = self.cut = 0
        self.most = dice.choice((1, 2, 3))
        stand_in = world.services.stand_in_plain if world.mixed else world.services.stand_in
        config = ErrorRecoveryConfig(
            retry_config=RetryConfig(max_attempts=self.most, initial_delay=dice.choice((0.0, 0.5))),
            circuit_breaker_config=dice.choice((None, CircuitBreakerConfig(failure_threshold=3, timeout=2))),
            bulkhead_config=dice.choice((None, BulkheadConfig(max_concurrent=2, max_queue_size=1, queue_timeout=1))),
            fallback_config=dice.choice((None, FallbackConfig(fallback_service=stand_in))),
            global_timeout=dice.choice((3.0, 100.0)),
            log_errors=False,
        )
        return ErrorRecoveryWorkflow(config, name=self.name)

    def enters(self, passing: Pass) -> None:
        self.expect(passing.entries <= self.most, f"call {passing.entries} of {self.most}")
        bulkhead = self.strategy.config.bulkhead_config
        self.expect(bulkhead is None or self.inside <= 2, f"{self.inside} calls inside, at most 2 may")

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        if error is None:
            self.good += 1
        elif not isinstance(error, Exception):
            self.cut += 1
        elif self.strategy.config.fallback_config is not None and not passing.operation.streams:
            self.expect(False, f"{error!r} was not answered")
        took, allowed = self.now - passing.at, self.strategy.config.global_timeout
        late = took - allowed - passing.operation.cleanup
        self.expect(late <= SLACK + GRAIN, f"it took {took} s, at most {allowed} s allowed")

    def end(self) -> None:
        counts = self.strategy.get_metrics()
        seen = f"{counts} after {self.arrived} executions, {self.good} good, {self.cut} cut off"
        self.expect(counts["attempts"] == self.arrived - self.cut, seen)
        self.expect(counts["calls"] == self.entered, seen)
        self.expect(counts["successes"] + counts["fallbacks"] == self.good, seen)
        for layer in self.strategy.layers:
            if layer.kind == "bulkhead":
                seats = layer._gate.seats
                self.expect(seats.running() == 0, f"{seats.running()} places were never given back")
