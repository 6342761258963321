"""Functions that are sagas; what they do after a crash is decided by what stands here then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from recoup import saga
from tests.sagas import shop

PLAN: list[str] = []
RUNS: list[str] = []


@dataclass(frozen=True)
class Order:
    id: str
    lines: tuple[str, ...] = ()


@saga
def place(name: str) -> str:
    RUNS.append(name)
    for each in PLAN:
        if each == "ship":
            shop.ship("ship")
        elif each == "crash":
            raise ConnectionError("down")
        else:
            shop.do(each)
    return f"{name}!"


@saga("async order", version="2")
async def place_async(name: str) -> str:
    RUNS.append(name)
    for each in PLAN:
        if each == "crash":
            raise ConnectionError("down")
        await shop.do_async(each)
    return f"{name}!"


@saga("branches")
async def branches(name: str) -> list[str]:
    async def branch(first: str) -> str:
        return await shop.do_async(first) + await shop.do_async(f"{first}{first}")

    RUNS.append(name)
    return list(await asyncio.gather(*(branch(each) for each in PLAN)))


@saga("threads")
async def threads(name: str) -> list[str]:
    RUNS.append(name)
    return list(await asyncio.gather(*(asyncio.to_thread(shop.do, each) for each in PLAN)))


@saga("keyed", key=lambda order: order.id)
def keyed(order: Order) -> str:
    shop.do(order.id)
    return f"{order.id} with {len(order.lines)} lines"


@saga("keyed async", key=lambda order: int(order.id))
async def keyed_async(order: Order) -> str:
    await shop.do_async(order.id)
    return f"{order.id} with {len(order.lines)} lines"


@saga
def outer(name: str) -> str:
    first = shop.do(name)
    return first + place("inner")


@saga
def returning(name: str) -> object:
    shop.do(name)
    return object()


@saga
def opaque(name: str) -> None:
    shop.returning(name)


@saga("failing")
def caught(name: str) -> str:
    RUNS.append(name)
    try:
        shop.do("fails")
    except ConnectionError as error:
        shop.do(f"instead of {error.args[0]}")
    for each in PLAN:
        shop.do(each)
    return name
