"""The bulkhead under watch: its limit, its queue, its counts (B1-B3, B5, B6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup import Bulkhead, BulkheadConfig, BulkheadFullError, BulkheadTimeoutError, DeadlineExceeded
from tests.simulation.parts import GRAIN, Part

if TYPE_CHECKING:
    from tests.simulation.parts import Pass

__all__ = ["BulkheadPart"]


class BulkheadPart(Part):
    kind: ClassVar[str] = "bulkhead"

    def made(self) -> Bulkhead:
        dice = self.dice
        limit = dice.choice((1, 1, 2, 3))
        self.full = self.late = self.early = 0
        self.allowed = limit
        self.most_waiting = dice.choice((0, 1, 2, 100))
        self.queued: list[Any] = []
        # Only first come first served is a promise that can be seen from the queue alone.
        order: Any = dice.choice(("oldest_first", "oldest_first", "fair", "newest_first"))
        return Bulkhead(
            BulkheadConfig(
                max_concurrent=limit,
                max_queue_size=self.most_waiting,
                queue_timeout=dice.choice((0.0, 0.1, 1.0, 30.0)),
                queue_order=order,
            ),
            name=self.name,
        )

    def meddles(self) -> None:
        limit = self.dice.choice((1, 2, 3))
        self.allowed = max(self.allowed, limit)
        self.world.say(f"the bulkhead gets {limit} places")
        self.strategy.reconfigure(max_concurrent=limit)

    def enters(self, passing: Pass) -> None:
        self.expect(passing.entries == 1, "a call entered twice")
        patience = self.strategy.config.queue_timeout
        self.expect(self.now - passing.at <= patience + GRAIN, f"a call waited {self.now - passing.at} s")

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        if self.mine(error, BulkheadFullError):
            self.full += 1
        elif self.mine(error, BulkheadTimeoutError):
            self.late += 1
        elif isinstance(error, DeadlineExceeded) and not passing.entries:
            self.early += 1
        elif not isinstance(error, BaseException) or isinstance(error, Exception):
            self.expect(passing.entries, f"{error!r} came from nowhere")

    def step(self) -> None:
        gate = self.strategy._gate
        seats = gate.seats
        running, queue = seats.running(), list(gate.queue)
        self.allowed = max(seats.limit, min(self.allowed, running))
        self.expect(self.inside <= running, f"{self.inside} calls inside, and {running} places are taken")
        self.expect(running <= self.allowed, f"{running} calls run, at most {self.allowed} may")
        self.expect(len(queue) <= self.most_waiting, f"{len(queue)} wait, at most {self.most_waiting} may")
        if queue:
            self.expect(running >= seats.limit, f"{len(queue)} wait while {seats.limit - running} places are free")
            self.expect(all(ticket.place is None for ticket in queue), "somebody with a place still waits")
        if self.strategy.config.queue_order == "oldest_first":
            self._in_turn(queue)

    def _in_turn(self, queue: list[Any]) -> None:
        """See that who was let in since the last look had come before all who still wait."""
        before, self.queued = self.queued, queue
        if not before or before == queue:
            return
        staying = [number for number, ticket in enumerate(before) if ticket in queue]
        chosen = [number for number, ticket in enumerate(before) if ticket not in queue and ticket.place is not None]
        self.expect(not staying or not chosen or max(chosen) < min(staying), "somebody was let in before his turn")
        self.expect(queue[: len(staying)] == [before[number] for number in staying], "the queue lost its order")

    def end(self) -> None:
        gate = self.strategy._gate
        seats = gate.seats
        free = sum(not place.seat.dead for place in seats.free)
        self.expect(not gate.queue, f"{len(gate.queue)} wait for ever")
        self.expect(free == len(seats.all), f"{len(seats.all) - free} places were never given back")
        counts = self.strategy.metrics
        self.expect(counts["executed"] == self.entered, f"{counts} after {self.entered} calls")
        self.expect(counts["rejected"] == self.full, f"{counts} after {self.full} refusals")
        # A caller may be cancelled while a deadline of his strikes: the gate knows that it was late, the caller not.
        upper = self.late + self.early + self.errors["CancelledError"]
        self.expect(self.late + self.early <= counts["timeout"] <= upper, f"{counts}, {self.late} late")

    async def proves_alive(self) -> None:
        async def nothing() -> str:
            return "done"

        self.expect(await self.strategy.execute(nothing) == "done", "no call gets through")
