"""One seed: some shared strategies, some stacks of them, and tasks that call a fickle service through these."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any

from recoup import RecoveryError
from tests.simulation.kinds import KINDS
from tests.simulation.parts import Violation
from tests.simulation.schedule import counted
from tests.simulation.services import Answer, Fault, Services
from tests.simulation.stacks import Stack, Trip
from tests.simulation.threads import Hand, HandClock, Interrupt

if TYPE_CHECKING:
    from tests.simulation.parts import Part

__all__ = ["OPERATIONS", "Answer", "Fault", "Operation", "World"]

OPERATIONS = 50
HORIZON = 1_000.0  # virtual seconds; no configuration lets an operation take a tenth of it


class Operation:
    """One call through a stack.

    Attributes:
        key: What it is about.
        cancelled: Whether it was cancelled before it had ended.
        cleanup: Seconds that the service took at most, in this operation, to be cancelled.
        streams: Whether it asks for items, one after another.
        plain: Whether it is made in a thread.
        trip: The saga that it is a step of.
    """

    def __init__(self, number: int, key: int, trip: Trip | None = None) -> None:
        self.number = number
        self.key = key
        self.cancelled = False
        self.cleanup = 0.0
        self.streams = self.plain = False
        self.trip = trip

    def __repr__(self) -> str:
        return f"operation {self.number}"


class World:
    """All that belongs to one seed.

    Args:
        seed: Decides everything.
        only: Kinds of parts to choose from; None for all.
    """

    def __init__(self, seed: int, only: tuple[str, ...] | None = None) -> None:
        self.seed = seed
        self.only = only
        self.dice = random.Random(seed)
        self.mixed = self.dice.random() < 0.4  # whether plain functions take part, in threads
        self.clock = HandClock()
        self.began = self.clock.monotonic()
        self.steps = self.faults = self.cancellations = self.begun = self.ended = 0
        self.failing = 0.3  # the share of failures at the moment
        self._trace: deque[str] = deque(maxlen=40)
        self._broken: Violation | None = None
        self.over = False
        self.running: dict[Operation, None] = {}

    def violation(self, text: str) -> Violation:
        """Make the error that says what is broken, and how to see it again; the first one counts."""
        if self._broken is None:
            only = f" --only {','.join(self.only)}" if self.only else ""
            story = "\n  ".join(self._trace)
            self._broken = Violation(
                f"seed {self.seed}, step {self.steps}: {text}\n"
                f"stacks: {self.describe()}\nlast:\n  {story}\n"
                f"replay it with: python -m tests.simulation {self.seed}{only}"
            )
        return self._broken

    def say(self, text: str) -> None:
        """Write down what happens."""
        self._trace.append(f"{self.clock.monotonic():.3f} {text}")

    def describe(self) -> str:
        """Tell what the stacks are, outermost first."""
        stacks = " | ".join(map(str, self.stacks))
        return f"{stacks}; " + "; ".join(repr(getattr(part.strategy, "config", part.strategy)) for part in self.parts)

    def build(self) -> None:
        """Choose parts and their order, and stacks of them: each part is shared by those that have it."""
        dice = self.dice
        known = [kind for kind in KINDS if self.only is None or kind.kind in self.only]
        chosen = dice.sample(known, dice.randint(1, min(5, len(known))))
        self.services = Services(self)
        self.parts: list[Part] = [kind(self) for kind in chosen]
        self.stacks: list[Stack] = [Stack(self, self.parts)]
        # In the same order as in the first: two locks taken in two orders is the user's mistake.
        if len(self.parts) > 1 and dice.random() < 0.5:
            self._stack([part for part in self.parts if dice.random() < 0.6] or self.parts[:1])
        if dice.random() < 0.4:
            self._stack(self.parts, streams=True)
        if self.mixed:
            self._stack(self.parts, plain=True)
            if dice.random() < 0.4:
                self._stack(self.parts, plain=True, streams=True)

    def _stack(self, parts: list[Part], *, plain: bool = False, streams: bool = False) -> None:
        """Add a stack of those parts that it can have, if there are any."""
        fit = [part for part in parts if (part.plain or not plain) and (part.streams or not streams)]
        if fit:
            self.stacks.append(Stack(self, fit, plain=plain, streams=streams))

    async def client(self) -> None:
        """Make one operation after another; none is the last before there was a fault and a cancellation."""
        dice = self.dice
        while self.begun < OPERATIONS or (not (self.faults and self.cancellations) and self.begun < 20 * OPERATIONS):
            operation = Operation(self.begun, dice.randrange(3))
            self.begun += 1
            if dice.random() < 0.1:
                self.failing = dice.choice((0.0, 0.3, 0.9))
            if dice.random() < 0.1:
                dice.choice(self.parts).meddles()
            if dice.random() < 0.3:
                await asyncio.sleep(dice.choice((0.0, 0.05, 1.0, 7.0)))
            await self._operate(operation)

    async def _operate(self, operation: Operation) -> None:
        dice = self.dice
        at = dice.randrange(6) if dice.random() < 0.3 else None
        stack = dice.choice(self.stacks if self.cancellations else self.stacks[:1])
        if not self.cancellations:
            at = 0

        def interrupt() -> None:
            self.say(f"{operation} is cancelled")
            self.cancellations += 1
            operation.cancelled = True

        def cancel() -> None:
            if task.cancel():
                interrupt()

        work: Any
        if stack.plain:
            at = None if at is None else at % 3  # a thread waits less often than a task
            work = Hand(lambda: stack.call_plain(operation), at, interrupt).result()
        elif stack.undoes and dice.random() < 0.3:
            work = counted(Trip(self, stack, operation).made(), at, cancel)
        else:
            work = counted(stack.call(operation), at, cancel)
        task = asyncio.ensure_future(work)
        self.say(f"{operation} begins, {stack}")
        self.running[operation] = None
        try:
            await task
        except BaseException:
            if not task.done():  # it is this client that is cancelled: the seed has failed
                raise
        del self.running[operation]
        self.ended += 1
        self._judge(operation, task)

    def _judge(self, operation: Operation, task: asyncio.Future[Any]) -> None:
        """See that the operation came to one of the ends that there are."""
        if task.cancelled():
            self.say(f"{operation} ended by cancellation")
            if not operation.cancelled:
                raise self.violation(f"{operation} was cancelled by nobody")
            return
        error = task.exception()
        self.say(f"{operation} ended: {error!r}")
        if isinstance(error, Violation):
            raise error
        if isinstance(error, Interrupt) and operation.cancelled:
            return
        if operation.cancelled:
            raise self.violation(f"{operation} swallowed its cancellation and ended with {error or task.result()!r}")
        if error is None:
            answer = task.result()
            if not (isinstance(answer, Answer) and answer.key == operation.key):
                raise self.violation(f"{operation} got an answer to something else: {answer!r}")
        elif not isinstance(error, (Fault, RecoveryError)):
            raise self.violation(f"{operation} ended with {error!r}") from error

    def look(self) -> None:
        """Check what always holds; between any two steps."""
        self.steps += 1
        if self.over:
            return
        if self._broken is not None:
            self.over = True  # the loop still cancels what runs
            raise self._broken
        try:
            for part in self.parts:
                part.step()
        except BaseException:
            self.over = True
            raise

    async def main(self) -> None:
        """Run it all."""
        clients = [asyncio.ensure_future(self.client()) for _ in range(self.dice.choice((4, 4, 6)))]
        _, pending = await asyncio.wait(clients, timeout=OPERATIONS * HORIZON, return_when=asyncio.FIRST_EXCEPTION)
        if pending and all(not client.done() or client.exception() is None for client in clients):
            raise self.violation(f"{', '.join(map(str, self.running))}: hangs")
        await asyncio.gather(*clients)
        myself = asyncio.current_task()
        if others := asyncio.all_tasks() - {myself}:
            _, pending = await asyncio.wait(others, timeout=HORIZON)
            if pending:
                raise self.violation(f"{len(pending)} tasks do not end")
        if self.begun != self.ended or not self.faults or not self.cancellations:
            seen = f"{self.faults} faults and {self.cancellations} cancellations"
            raise self.violation(f"{self.begun} operations began and {self.ended} ended, with {seen}")
        self._check_end()
        await asyncio.sleep(HORIZON)
        for part in self.parts:
            await part.proves_alive()
        timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if timers or asyncio.all_tasks() - {myself}:
            raise self.violation(f"something is still pending at the end: {timers}")
        self.over = True

    def _check_end(self) -> None:
        for part in self.parts:
            part.expect(part.inside == 0, f"{part.inside} calls are inside at the end")
            part.end()
