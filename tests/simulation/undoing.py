"""Compensation under watch: what failed is undone once, and so are the steps of a saga, the last one first (S1-S4)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from recoup import Compensation, CompensationConfig
from tests.simulation.parts import Part

if TYPE_CHECKING:
    from tests.simulation.parts import Pass

__all__ = ["CompensationPart"]

LONGEST = 0.3  # seconds that one try takes, with the pause before it


class CompensationPart(Part):
    kind: ClassVar[str] = "compensation"

    def made(self) -> Compensation:
        dice = self.dice
        self.steps = 0
        self.interrupted = False
        self.going: Counter[Any] = Counter()  # by operation: calls that have entered and not departed
        self.failed: dict[Any, int] = {}  # by operation: so many calls
        self.undone: dict[Any, int] = {}
        self.tries: Counter[Any] = Counter()
        self.attempts = dice.choice((1, 2))
        action = self.undo if self.world.mixed or dice.random() < 0.5 else self.undo_slowly
        again: dict[str, Any] = {"compensation_delay": dice.choice((0.0, 0.2))} if self.attempts > 1 else {}
        config = CompensationConfig(compensation_actions=[action], compensation_attempts=self.attempts, **again)
        return Compensation(config, name=self.name)

    def undo(self, state: dict[str, Any]) -> None:
        operation = state["operation"]
        operation.cleanup += LONGEST  # no deadline counts while undoing
        job = operation, id(state["error"]), id(state.get("result"))
        self.tries[job] += 1
        if self.tries[job] < self.attempts:
            raise OSError("try again")
        del self.tries[job]
        if "result" in state:
            operation.trip.undone.append(state["result"].step)
        else:
            self.undone[operation] = self.undone.get(operation, 0) + 1

    async def undo_slowly(self, state: dict[str, Any]) -> None:
        await asyncio.sleep(0.05)
        self.undo(state)

    def enters(self, passing: Pass) -> None:
        self.going[passing.operation] += 1

    def leaves(self, passing: Pass, entry: Any, error: BaseException | None, result: Any) -> None:
        operation = passing.operation
        if error is not None:
            if not (operation.streams and isinstance(error, GeneratorExit)):  # a closed stream is a step that is done
                self.failed[operation] = self.failed.get(operation, 0) + 1
        elif operation.trip is not None and not operation.streams:
            self.steps += 1
            result.step = self.steps
            operation.trip.completed.append(self.steps)

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        operation = passing.operation
        if not passing.entries:
            return
        self.going[operation] -= passing.entries
        if operation.plain and operation.cancelled:
            self.interrupted = True  # nothing shields what a thread undoes from Ctrl-C
        elif not self.going[operation]:  # several hedges may undo at once
            failed, undone = self.failed.get(operation, 0), self.undone.get(operation, 0)
            self.expect(failed == undone, f"{failed} calls failed, {undone} were undone: {error!r}")

    def end(self) -> None:
        counted, failed = self.strategy.compensations, sum(self.failed.values())
        self.expect(counted == failed, f"{counted} compensations counted, {failed} calls failed")
        self.expect(self.interrupted or self.failed == self.undone, f"{self.failed} failed, {self.undone} were undone")
