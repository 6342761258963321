"""What a type checker knows of durable sagas."""

from __future__ import annotations

from typing import assert_type

from recoup import (
    UNKNOWN,
    Fenced,
    Journal,
    JournalError,
    Saga,
    SagaExists,
    SagaStuck,
    Step,
    UnserializableError,
    compensate,
    configure,
    saga,
    step,
)
from recoup.sagas.steps import Unknown


@compensate(print, attempts=3)
def reserve(item: str) -> int:
    return len(item)


@compensate(None, pivot=True)
async def ship(item: str) -> bool:
    return bool(item)


def blocks(journal: Journal) -> None:
    with configure(journal=journal) as held:
        assert_type(held.journal, Journal | None)
    with saga("order", key="7", journal="sqlite:///app.db") as order:
        assert_type(order, Saga)
        assert_type(reserve("chair"), int)
    assert_type(step(), Step)
    assert_type(step().key, str)


async def blocks_async() -> None:
    async with saga("order", version="2"):
        assert_type(await ship("chair"), bool)


def errors(error: BaseException) -> None:
    if isinstance(error, JournalError):
        assert_type(error.timeout, bool)
    elif isinstance(error, SagaExists):
        assert_type(error.key, str)
    elif isinstance(error, (SagaStuck, UnserializableError)):
        assert_type(error.reason, str)
    elif isinstance(error, Fenced):
        assert_type(error.id, str)


def outcome(result: str | Unknown) -> str:
    return "?" if result is UNKNOWN else str(result)
