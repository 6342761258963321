"""The sagas that are killed, in both colours. What undoes a step is found by its name in a new process."""

from __future__ import annotations

import asyncio
from typing import Any

from recoup import compensate
from recoup.sagas.front import saga
from recoup.sagas.steps import step
from tests.sagas.crash import world


def undo(state: dict[str, Any]) -> None:
    world.happen("undo", state["name"], step().key, state.get("result", "-"))


async def undo_async(state: dict[str, Any]) -> None:
    await asyncio.sleep(0)
    world.happen("undo", state["name"], step().key, state.get("result", "-"))


@compensate(undo)
def do(name: str) -> str:
    world.happen("do", name, step().key)
    return f"did-{name}"


@compensate(undo)
def fail(name: str) -> None:
    world.happen("do", name, step().key)
    raise ConnectionError("no answer")


@compensate(None, pivot=True)
def ship(name: str) -> None:
    world.happen("do", name, step().key)


@compensate(undo_async)
async def do_async(name: str) -> str:
    await asyncio.sleep(0)
    world.happen("do", name, step().key)
    return f"did-{name}"


@compensate(undo_async)
async def fail_async(name: str) -> None:
    world.happen("do", name, step().key)
    await asyncio.sleep(0)
    raise ConnectionError("no answer")


def good() -> None:
    with saga("good"):
        do("a")
        do("b")
        do("c")


def bad() -> None:
    with saga("bad", key="1"):
        do("a")
        with saga("inner"):
            do("b")
        fail("c")


def caught() -> None:
    with saga("caught"):
        do("a")
        try:
            with saga("inner"):
                do("b")
                fail("c")
        except ConnectionError:
            pass
        do("d")


def pivot() -> None:
    with saga("pivot"):
        do("a")
        do("b")
        ship("c")


async def _good_async() -> None:
    async with saga("good"):
        await do_async("a")
        await do_async("b")
        await do_async("c")


async def _bad_async() -> None:
    async with saga("bad", key="1"):
        await do_async("a")
        async with saga("inner"):
            do("b")
        await fail_async("c")


def good_async() -> None:
    asyncio.run(_good_async())


def bad_async() -> None:
    asyncio.run(_bad_async())


@saga
def place(name: str) -> str:
    first = do(name)
    try:
        with saga("inner"):
            do("b")
            fail("c")
    except ConnectionError:
        pass
    return first + do("d")


@saga("doomed", key=lambda name: f"key of {name}")
def doomed(name: str) -> None:
    do(name)
    do("b")
    fail("c")


@saga
def forward(name: str) -> None:
    do(name)
    ship("b")
    do("c")


@saga
async def place_async(name: str) -> str:
    first = await do_async(name)
    both = await asyncio.gather(do_async("b"), do_async("c"))
    return first + "".join(both)


def placed() -> None:
    assert place("a") == "did-adid-d"


def is_doomed() -> None:
    doomed("a")


def only_forward() -> None:
    forward("a")


def placed_async() -> None:
    assert asyncio.run(place_async("a")) == "did-adid-bdid-c"


STORIES = {
    each.__name__: each
    for each in (
        *(good, bad, caught, pivot, good_async, bad_async),
        *(placed, is_doomed, only_forward, placed_async),
    )
}
