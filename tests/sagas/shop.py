"""Steps that sagas of the tests are made of; they are at the top of a module, as durable ones have to be."""

from __future__ import annotations

from typing import Any

from recoup import compensate, step
from recoup.sagas.steps import UNKNOWN

LOG: list[tuple[str, str]] = []
FAULTS: dict[str, BaseException] = {}


def number() -> str:
    return step().key.rpartition(":")[2]


def happen(what: str, name: str) -> None:
    LOG.append((what, name))
    if (fault := FAULTS.get(f"{what} {name}")) is not None:
        raise fault


def undo(state: dict[str, Any]) -> None:
    result = state.get("result", "-")
    happen("undo", f"{state['name']}{number()} {'?' if result is UNKNOWN else result}")


async def undo_async(state: dict[str, Any]) -> None:
    undo(state)


def no_state() -> None:
    happen("undo", number())


@compensate(undo)
def do(name: str) -> str:
    happen("do", name)
    return name.upper()


@compensate(undo_async)
async def do_async(name: str) -> str:
    happen("do", name)
    return name.upper()


@compensate(None, pivot=True)
def ship(name: str) -> str:
    happen("do", name)
    return name.upper()


@compensate([no_state, undo], use_sagas=True)
def twice(name: str, *more: str, **options: object) -> str:
    happen("do", name)
    return name.upper()


@compensate(undo, attempts=2, compensation_delay=0)
def stubborn(name: str) -> str:
    happen("do", name)
    return name.upper()


@compensate(undo, save_state=False)
def secret(name: str) -> str:
    happen("do", name)
    return name.upper()


@compensate(undo)
def returning(name: str) -> object:
    happen("do", name)
    return object()


@compensate(lambda state: None)
def nameless(name: str) -> None:
    happen("do", name)


@compensate(undo)
def streaming(name: str) -> Any:
    happen("do", name)
    yield name
