"""One shop for all engines: the very same decorated sagas, whose effects are lines of a file that outlives them."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recoup import UNKNOWN, compensate, retry, saga, step

if TYPE_CHECKING:
    from collections.abc import Iterator


class DeclinedError(Exception):
    """The card is refused."""


@dataclass(frozen=True)
class Order:
    """What is bought."""

    item: str
    price: Decimal = Decimal("19.90")


def happen(what: str) -> None:
    """Write an effect down, and die if the test says so."""
    line = f"{what} {step().key}\n".encode()
    file = os.open(os.environ["SHOP_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line)
    os.close(file)
    if os.environ.get("SHOP_KILL") == what:
        os.kill(os.getpid(), signal.SIGKILL)


def said(state: dict[str, Any]) -> str:
    """What an undo is told of the result."""
    result = state.get("result", "nothing")
    return "?" if result is UNKNOWN else str(result).replace(" ", "_")


def unreserve(state: dict[str, Any]) -> None:
    happen(f"unreserve:{state['order'].item}:{said(state)}")


def refund(state: dict[str, Any]) -> None:
    happen(f"refund:{said(state)}:{type(state['error']).__name__}")


async def refund_async(state: dict[str, Any]) -> None:
    await asyncio.sleep(0)
    refund(state)


tries = 0


def charging(order: Order) -> str:
    global tries  # noqa: PLW0603 - one service
    happen("charge")
    if order.item == "flaky":
        tries += 1
        if tries % 3:
            raise ConnectionError("again, please")
    if order.item == "dear":
        raise DeclinedError("no money", order.price)
    return f"receipt {order.price}"


def shipping(order: Order) -> None:
    happen("ship")
    if order.item == "piano":
        raise ValueError("too heavy")


@compensate(unreserve)
def reserve(order: Order) -> tuple[str, int]:
    happen("reserve")
    return order.item, 7


@compensate(refund)
@retry(max_attempts=3, initial_delay=0.001, on=ConnectionError)
def charge(order: Order) -> str:
    return charging(order)


@compensate(refund)
def invoice(order: Order) -> str:
    happen("invoice")
    return "invoice"


@compensate(None, pivot=True)
def ship(order: Order) -> None:
    shipping(order)


@compensate(unreserve)
async def reserve_async(order: Order) -> tuple[str, int]:
    happen("reserve")
    return order.item, 7


@compensate(refund_async)
@retry(max_attempts=3, initial_delay=0.001, on=ConnectionError)
async def charge_async(order: Order) -> str:
    return charging(order)


@compensate(refund_async)
async def invoice_async(order: Order) -> str:
    happen("invoice")
    return "invoice"


@compensate(None, pivot=True)
async def ship_async(order: Order) -> None:
    shipping(order)


def number(order: Order, note: object = None) -> str:
    """Make the key of an order; "-" stands for none."""
    return order.item


@saga
def place(order: Order, note: object = None) -> dict[str, Any]:
    """Reserve, charge, ship."""
    place, _ = reserve(order)
    receipt = charge(order)
    ship(order)
    return {"place": place, "receipt": receipt, "price": order.price}


@saga
async def place_async(order: Order, note: object = None) -> dict[str, Any]:
    """Reserve, charge, ship."""
    place, _ = await reserve_async(order)
    receipt = await charge_async(order)
    await ship_async(order)
    return {"place": place, "receipt": receipt, "price": order.price}


@saga("keyed", key=number)
def place_once(order: Order) -> str:
    """Charge, ship; once for each item."""
    receipt = charge(order)
    ship(order)
    return receipt


@saga("keyed_async", key=number)
async def place_once_async(order: Order) -> str:
    """Charge, ship; once for each item."""
    receipt = await charge_async(order)
    await ship_async(order)
    return receipt


@saga
def second_way(order: Order) -> str:
    """Charge, or send an invoice; ship."""
    reserve(order)
    try:
        paid = charge(order)
    except DeclinedError as error:
        paid = f"{invoice(order)} for {error.args[1]}"
    ship(order)
    return paid


@saga
async def second_way_async(order: Order) -> str:
    """Charge, or send an invoice; ship."""
    await reserve_async(order)
    try:
        paid = await charge_async(order)
    except DeclinedError as error:
        paid = f"{await invoice_async(order)} for {error.args[1]}"
    await ship_async(order)
    return paid


@saga
def pay(order: Order) -> str:
    """A saga inside others."""
    invoice(order)
    return charge(order)


@saga
async def pay_async(order: Order) -> str:
    """A saga inside others."""
    await invoice_async(order)
    return await charge_async(order)


@saga
def nested(order: Order) -> str:
    """Reserve; pay, which is a saga itself; ship."""
    reserve(order)
    try:
        paid = pay(order)
    except DeclinedError:
        paid = "later"
    ship(order)
    return paid


@saga
async def nested_async(order: Order) -> str:
    """Reserve; pay, which is a saga itself; ship."""
    await reserve_async(order)
    try:
        paid = await pay_async(order)
    except DeclinedError:
        paid = "later"
    await ship_async(order)
    return paid


@saga
async def side_by_side_async(order: Order) -> list[Any]:
    """Reserve twice and charge, all at once."""
    both = await asyncio.gather(reserve_async(order), reserve_async(Order("box")))
    await asyncio.gather(invoice_async(order), charge_async(order))
    await ship_async(order)
    return list(both)


# What engines refuse, and what gets stuck.


@saga
async def mixed_async(order: Order) -> None:
    """A synchronous step in an async saga."""
    await reserve_async(order)
    charge(order)


@compensate(refund)
def charge_and_reserve(order: Order) -> None:
    reserve(order)


@saga
def step_in_step(order: Order) -> None:
    """A step that calls another one."""
    charge_and_reserve(order)


@compensate(refund_async)
async def charge_and_reserve_async(order: Order) -> None:
    await reserve_async(order)


@saga
async def step_in_step_async(order: Order) -> None:
    """A step that calls another one."""
    await charge_and_reserve_async(order)


@compensate(refund)
def installments(order: Order) -> Iterator[int]:
    yield 1


@saga
def streaming(order: Order) -> list[int]:
    """A generator as a step."""
    return list(installments(order))


@saga
def threaded(order: Order) -> None:
    """A step in another thread."""
    reserve(order)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, charge, order).result()


@saga
async def of_both_colours_async(order: Order) -> Any:
    """A synchronous saga in an async one."""
    await reserve_async(order)
    return pay(order)


@saga
def changing(order: Order) -> None:
    """A saga whose code changes between two lives."""
    if os.environ.get("SHOP_VERSION") == "2":
        invoice(order)
    reserve(order)
    charge(order)


def never(state: dict[str, Any]) -> None:
    if not Path(os.environ["SHOP_LOG"] + ".open").exists():
        raise ConnectionError("the bank is closed")
    happen("refund")


async def never_async(state: dict[str, Any]) -> None:
    never(state)


@compensate(never, attempts=2)
def charge_for_ever(order: Order) -> None:
    happen("charge")


@compensate(never_async, attempts=2)
async def charge_for_ever_async(order: Order) -> None:
    happen("charge")


@saga
def stuck(order: Order) -> None:
    """A saga that cannot be undone for now."""
    reserve(order)
    charge_for_ever(order)
    ship(order)


@saga
async def stuck_async(order: Order) -> None:
    """A saga that cannot be undone for now."""
    await reserve_async(order)
    await charge_for_ever_async(order)
    await ship_async(order)


@compensate(None, pivot=True)
def slow_ship(order: Order) -> None:
    happen("ship")
    raise TimeoutError("no answer")


@saga
def doubtful(order: Order) -> None:
    """A saga of which nobody knows whether it passed its pivot."""
    reserve(order)
    slow_ship(order)


@retry(max_attempts=2, initial_delay=0.001, on=ConnectionError)
@compensate(refund)
def charge_at_second_try(order: Order) -> str:
    global tries  # noqa: PLW0603 - as above
    happen("charge")
    tries += 1
    if tries == 1:
        raise ConnectionError("again, please")
    return "receipt"


@saga
def outer_retry(order: Order) -> str:
    """A retry round a step: each try is a step of its own."""
    return charge_at_second_try(order)


@compensate(never, attempts=2)
def charge_badly(order: Order) -> None:
    happen("charge")
    raise ValueError("no")


@compensate(never_async, attempts=2)
async def charge_badly_async(order: Order) -> None:
    happen("charge")
    raise ValueError("no")


@saga
def stuck_at_once(order: Order) -> None:
    """A step fails, and cannot be undone for now."""
    reserve(order)
    charge_badly(order)


@saga
async def stuck_at_once_async(order: Order) -> None:
    """A step fails, and cannot be undone for now."""
    await reserve_async(order)
    await charge_badly_async(order)


@saga(key=number)
def stuck_once(order: Order) -> None:
    """A saga with a key that cannot be undone for now."""
    charge_for_ever(order)
    ship(order)


@compensate(refund_async)
async def slow_async(order: Order) -> None:
    happen("slow")
    while not Path(os.environ["SHOP_LOG"] + ".go").exists():  # noqa: ASYNC110, ASYNC240 - it waits for a file
        await asyncio.sleep(0.01)


@saga(key=number)
async def slow_once_async(order: Order) -> None:
    """A saga that takes its time."""
    await slow_async(order)
