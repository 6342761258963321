"""Stacks of parts round a service, and sagas of several calls through one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from recoup import saga
from tests.simulation.services import Answer, Fault

if TYPE_CHECKING:
    from tests.simulation.parts import Part
    from tests.simulation.world import Operation, World

__all__ = ["Stack", "Trip"]


class Stack:
    """Some parts, outermost first, round one function.

    Attributes:
        plain: Whether the function is not async: it runs in a thread then.
        streams: Whether it is a generator.
        undoes: Whether a saga can have its calls as steps. Not those of a cache: others may have the same call.
    """

    def __init__(self, world: World, parts: list[Part], *, plain: bool = False, streams: bool = False) -> None:
        self.world = world
        self.parts = parts
        self.plain = plain
        self.streams = streams
        kinds = {part.kind for part in parts}
        self.undoes = "compensation" in kinds and not plain and not streams and not kinds & {"cache", "hedge"}
        services = world.services
        call: Any
        if streams:
            call = services.plain_stream() if plain else services.stream()
        else:
            call = services.plain_function() if plain else services.function()
        for part in reversed(parts):
            call = part.around(call, plain=plain)
        self._call = call

    def __str__(self) -> str:
        name = " > ".join(part.kind for part in self.parts)
        return name + " (in a thread)" * self.plain + " (a stream)" * self.streams

    async def call(self, operation: Operation) -> Any:
        """Make a call; of a stream, take the items, or some of them."""
        operation.streams, operation.plain = self.streams, False
        if not self.streams:
            return await self._call(operation)
        most = self._most()
        items: list[Answer] = []
        stream = self._call(operation)
        try:
            async for item in stream:
                self._check(operation, items, item)
                if len(items) == most:
                    break
        finally:
            await stream.aclose()
        return items[-1]

    def call_plain(self, operation: Operation) -> Any:
        """Do the same in a thread."""
        operation.streams, operation.plain = self.streams, True
        if not self.streams:
            return self._call(operation)
        most = self._most()
        items: list[Answer] = []
        stream = self._call(operation)
        try:
            for item in stream:
                self._check(operation, items, item)
                if len(items) == most:
                    break
        finally:
            stream.close()
        return items[-1]

    def _most(self) -> int:
        """Draw after how many items the consumer leaves."""
        return self.world.dice.choice((1, 2, 100, 100))

    def _check(self, operation: Operation, items: list[Answer], item: Any) -> None:
        """See that no item is missing, and none comes twice (R10)."""
        if not isinstance(item, Answer) or item.item != len(items):
            raise self.world.violation(
                f"{operation} got {item!r}, item {getattr(item, 'item', None)}, after {len(items)}"
            )
        items.append(item)


class Trip:
    """A saga of some calls through one stack.

    Attributes:
        completed: The calls that have completed, in order; each is undone if the saga fails.
        undone: Those that were undone since it ended.
    """

    def __init__(self, world: World, stack: Stack, operation: Operation) -> None:
        self.world = world
        self.stack = stack
        self.operation = operation
        self.completed: list[int] = []
        self.undone: list[int] = []

    async def made(self) -> Answer:
        """Make the calls."""
        dice, operation = self.world.dice, self.operation
        answer: Any = None
        operation.trip = self
        failed = True
        try:
            async with saga(f"trip {operation.number}"):
                for _ in range(dice.choice((1, 2, 3))):
                    answer = await self.stack.call(operation)
                    if dice.random() < 0.3:
                        await asyncio.sleep(0.1)
                if dice.random() < 0.3:
                    raise Fault("at the end of a trip")
                failed = False
        finally:
            expected = self.completed[::-1] if failed else []
            if self.undone != expected:
                raise self.world.violation(f"{operation}: {self.undone} was undone, and {expected} had to be")
        return answer  # type: ignore[no-any-return]  # there is at least one
