"""A saga's function on an engine whose steps run beside one another when it fails."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from recoup import compensate
from recoup.sagas import failures
from recoup.sagas.engines import hands, pumps
from recoup.sagas.engines.play import Play

if TYPE_CHECKING:
    from recoup.sagas.engines.play import Act

LOG: list[str] = []
GATES: dict[str, tuple[asyncio.Event, asyncio.Event]] = {}


async def undo(state: dict[str, Any]) -> None:
    LOG.append(f"undo {state['name']} {state['result']}")


@compensate(undo)
async def do(name: str) -> str:
    LOG.append(f"do {name}")
    if name in GATES:
        began, gate = GATES[name]
        began.set()
        await gate.wait()
    LOG.append(f"over {name}")
    return name.upper()


class Here:
    """An engine that carries out everything where it is, and remembers nothing."""

    def reserve(self) -> None:
        """Keep no place."""

    async def do(self, act: Act) -> str:
        return await hands.do_async(act.task, act.meant(act.body))

    async def undo(self, task: hands.Task, error: str, place: object) -> None:
        await hands.undo_async(task, json.loads(error))


async def test_undoing_waits_for_what_runs_beside() -> None:
    """A step that still runs when the function fails comes to its end first; it is undone then, with its result."""
    LOG.clear()
    began, gate = GATES["slow"] = asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def opening() -> None:
        for _ in range(20):  # undoing that does not wait is long over then
            await asyncio.sleep(0)
        gate.set()

    async def function() -> None:
        await do("quick")
        tasks.append(asyncio.ensure_future(do("slow")))
        await began.wait()
        tasks.append(asyncio.ensure_future(opening()))
        raise ValueError("no")

    with pytest.raises(hands.Compensated) as caught:
        await pumps.playing_async(Play("order", "7", Here(), waits=True), function)
    assert failures.named(caught.value.text) == ("ValueError", "no")
    assert LOG == ["do quick", "over quick", "do slow", "over slow", "undo slow SLOW", "undo quick QUICK"]
    assert await tasks[0] == "SLOW"
