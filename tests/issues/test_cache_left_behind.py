"""A cached call whose loop was closed over it held up its key for ever: everybody waited for it (F6, G7)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from recoup import cached
from recoup.testing import VirtualEventLoop

if TYPE_CHECKING:
    from recoup.testing import VirtualClock


def abandon(function: Any, *others: Any) -> list[asyncio.Task[Any]]:
    """Begin calls in a loop, and close it over them; give their tasks, which keep them from being collected."""
    loop = VirtualEventLoop()

    async def begin() -> list[asyncio.Task[Any]]:
        tasks = [asyncio.ensure_future(each()) for each in (function, *others)]
        await asyncio.sleep(0.01)
        return tasks

    tasks: list[Any] = loop.run_until_complete(begin())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False
    return tasks


def test_the_next_call_does_not_wait_for_it(clock: VirtualClock) -> None:
    """It calls, and what comes of it is kept; also when the other one is collected in the end (F6)."""
    calls: list[str] = []

    @cached
    async def load() -> str:
        calls.append("call")
        await asyncio.sleep(3600 if len(calls) == 1 else 1)
        return f"call {len(calls)}"

    tasks = abandon(load)

    async def main() -> list[str]:
        waits = [asyncio.ensure_future(load()) for _ in range(5)]
        await asyncio.sleep(0.5)
        coroutine: Any = tasks.pop().get_coro()
        coroutine.close()
        return [*await asyncio.gather(*waits), await load()]

    loop = VirtualEventLoop()
    assert loop.run_until_complete(main()) == ["call 2"] * 6
    loop.close()
    assert len(calls) == 2


def test_those_who_waited_already_call_by_themselves(clock: VirtualClock) -> None:
    """They are woken as soon as somebody finds out (F6)."""
    calls: list[str] = []

    @cached
    async def load() -> str:
        calls.append("call")
        await asyncio.sleep(3600 if len(calls) == 1 else 1)
        return "ok"

    first = VirtualEventLoop()
    task = first.create_task(load())
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # not of the public surface
    first.run_until_complete(asyncio.sleep(0.01))

    async def main() -> list[str]:
        waits = [asyncio.ensure_future(load()) for _ in range(2)]
        await asyncio.sleep(0.01)
        first.close()
        waits.append(asyncio.ensure_future(load()))
        return await asyncio.gather(*waits)

    other = VirtualEventLoop()
    assert other.run_until_complete(main()) == ["ok"] * 3
    other.close()
    assert len(calls) == 4


@pytest.mark.parametrize("trio", [False, True])
def test_a_call_that_lives_is_waited_for(clock: VirtualClock, trio: bool) -> None:
    """Nothing is taken from a leader whose loop runs (F6, G15)."""
    calls: list[str] = []
    pause: Any = asyncio.sleep
    if trio:
        import trio as library

        pause = library.sleep

    @cached
    async def load() -> str:
        calls.append("call")
        await pause(1)
        return "ok"

    async def both() -> None:
        if not trio:
            assert await asyncio.gather(load(), load()) == ["ok", "ok"]
            return
        async with library.open_nursery() as nursery:
            nursery.start_soon(load)
            nursery.start_soon(load)

    if trio:
        from tests.conftest import run_trio

        run_trio(both)
    else:
        loop = VirtualEventLoop()
        loop.run_until_complete(both())
        loop.close()
    assert len(calls) == 1
