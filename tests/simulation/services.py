"""The fickle service, in every colour and kind, and what answers in its place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from recoup._core import clock as seam

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from tests.simulation.world import Operation, World

__all__ = ["Answer", "Fault", "Services"]


class Fault(Exception):
    """What the service raises."""


class Answer:
    """What the service returns.

    Attributes:
        key: What it is about.
        at: When it was given.
        item: The how manieth of a stream, from 0.
    """

    def __init__(self, key: int, at: float, item: int = 0) -> None:
        self.key = key
        self.at = at
        self.item = item


class Services:
    """What the stacks of a world are round."""

    def __init__(self, world: World) -> None:
        self.world = world

    def function(self) -> Any:
        async def service(operation: Operation) -> Any:
            await self._wait(operation)
            return self._answer(operation)

        return service

    def stream(self) -> Any:
        async def service(operation: Operation) -> AsyncGenerator[Answer, None]:
            for item in range(self.world.dice.choice((1, 2, 3))):
                await self._wait(operation)
                yield self._answer(operation, item)

        return service

    def plain_function(self) -> Any:
        def service(operation: Operation) -> Answer:
            self._pause(operation)
            return self._answer(operation)

        return service

    def plain_stream(self) -> Any:
        def service(operation: Operation) -> Generator[Answer, None, None]:
            for item in range(self.world.dice.choice((1, 2, 3))):
                self._pause(operation)
                yield self._answer(operation, item)

        return service

    async def stand_in(self, operation: Operation) -> Any:
        """Answer instead of the service, which takes a moment."""
        await asyncio.sleep(self.world.dice.choice((0.0, 0.05)))
        return self.stand_in_plain(operation)

    def stand_in_plain(self, operation: Operation) -> Any:
        """Answer instead of the service, at once."""
        answer = Answer(operation.key, self.world.clock.monotonic())
        return [answer] if operation.streams else answer

    async def _wait(self, operation: Operation) -> None:
        world = self.world
        if not world.faults:  # a seed without a fault shows little
            return
        dice = world.dice
        waits = dice.random() < 0.8 or not world.cancellations
        slow = dice.choice((0.0, 0.0, 0.1, 0.5, 2.0, 20.0)) if world.cancellations else 2.0
        cleanup = dice.choice((0.0, 0.0, 0.0, 0.3))
        try:
            if waits:
                await asyncio.sleep(slow)
        except asyncio.CancelledError:
            operation.cleanup = max(operation.cleanup, cleanup)
            if cleanup:
                await asyncio.sleep(cleanup)
            raise

    def _pause(self, operation: Operation) -> None:
        if not self.world.faults:
            return
        dice = self.world.dice
        slow = dice.choice((0.0, 0.0, 0.1, 0.5, 2.0, 20.0))
        operation.cleanup += slow  # nobody can cut it off
        if dice.random() < 0.8:
            seam.sleep(slow)

    def _answer(self, operation: Operation, item: int = 0) -> Answer:
        world = self.world
        if not world.faults or world.dice.random() < world.failing:
            world.faults += 1
            raise Fault(f"of {operation}")
        return Answer(operation.key, world.clock.monotonic(), item)
