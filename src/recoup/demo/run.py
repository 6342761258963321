"""One run of the demo: the server, the two clients, the traffic, and somebody who looks on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, Self

import recoup
from recoup.demo import clients
from recoup.demo.script import SCRIPT, scaled
from recoup.demo.service import running_service
from recoup.demo.stage import BARE, PROTECTED, Stage
from recoup.demo.traffic import Side, drive

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from recoup.demo.script import Phase
    from recoup.demo.service import Service

__all__ = ["View", "perform"]

RATE = 70.0
"""Calls a second of each client, on average: enough that the outage is some 800 of them."""

FRAME = 0.2
"""Seconds between two looks at the stage: while one draws, which takes 10 ms, the calls in flight wait."""


class View(Protocol):
    """Somebody who looks on."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def enter(self, phase: Phase, /) -> None:
        """See a phase begin."""

    def tick(self) -> None:
        """See what is on now; called every `FRAME` seconds."""


async def perform(look: Callable[[Stage], View], *, speed: float = 1.0, seed: int = 1) -> Stage:
    """Run the demo once.

    Args:
        look: Makes the view of a stage.
        speed: How many times as fast as the script everything goes: phases, answers, callers and time limits.
        seed: Seed of the traffic and of the clients' luck.

    Returns:
        The stage after the last call has ended, with the server's last report.

    Raises:
        ServiceError: If the server did not start, or ended by itself.
        Exception: What the view raises.
    """
    stage = Stage(scaled(SCRIPT, speed))
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running_service(speed=speed, seed=seed))
        sides = await _sides(stack, stage, url=service.url, t=1 / speed)
        stack.enter_context(recoup.subscribe(stage.activity.listen))
        view = stack.enter_context(look(stage))

        def enter(phase: Phase) -> None:
            stage.phase = phase
            service.enter(phase.name)
            view.enter(phase)

        stage.begin()
        try:
            async with asyncio.TaskGroup() as group:
                over = asyncio.Event()
                group.create_task(_watch(stage, service, view, over))
                await drive(stage, sides, rate=RATE * speed, seed=seed, enter=enter)
                over.set()
        except ExceptionGroup as group_of_errors:
            raise _first(group_of_errors) from None
        stage.books = await service.report()
    return stage


async def _sides(stack: AsyncExitStack, stage: Stage, *, url: str, t: float) -> list[Side]:
    """Open the two clients."""
    plain, guarded = [await stack.enter_async_context(clients.session(name, url, t)) for name in (BARE, PROTECTED)]
    fetches = {BARE: clients.bare(plain), PROTECTED: clients.protected(guarded, t)}
    return [Side(fetch, stage.accounts[name]) for name, fetch in fetches.items()]


async def _watch(stage: Stage, service: Service, view: View, over: asyncio.Event) -> None:
    """Look at the stage, until all is over: never cancelled in the middle of a question to the server."""
    while not over.is_set():
        stage.books = await service.report()
        view.tick()
        await asyncio.sleep(FRAME)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Give the first error in a group of groups: the others are its consequences."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
