"""What a type checker knows of `@idempotent`: a function keeps its type, and the error its facts."""

from __future__ import annotations

import sqlite3
from typing import assert_type

from recoup import AlreadyUndone, Refusal, idempotent

bank = sqlite3.connect(":memory:")


@idempotent(bank, key="order")
def charge(order: str, amount: int = 1) -> float:
    return float(amount)


@idempotent("connection", undo=True, scope="money")
async def refund(connection: sqlite3.Connection, *, order: str) -> None: ...


@idempotent(lambda: bank, key=str)
def ship(order: int) -> bool:
    return bool(order)


def calls() -> None:
    assert_type(charge("a", amount=2), float)
    assert_type(ship(7), bool)


async def calls_async() -> None:
    assert_type(await refund(bank, order="a"), None)


def late(error: AlreadyUndone) -> None:
    refusal: Refusal = error
    assert_type(error.key, str)
    assert_type(error.name, str)
    assert_type(refusal.retry_after, float | None)
