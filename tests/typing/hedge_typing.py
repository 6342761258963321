"""What type checkers know of hedge: mypy and pyright check this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from recoup import Hedge, HedgeConfig, RetryBudget, hedge

assert_type(hedge(delay=0.1, idempotent=True), Hedge)
assert_type(hedge(idempotent=True, budget=RetryBudget(), name="api"), Hedge)
assert_type(hedge(HedgeConfig(idempotent=True)), Hedge)
assert_type(hedge(idempotent=True).delay, float | None)
assert_type(hedge(idempotent=True).metrics, Mapping[str, int])


@hedge(delay=0.1, idempotent=True)
async def fetch(path: str, *, tries: int = 1) -> bytes:
    return path.encode() * tries


async def use() -> None:
    assert_type(await fetch("a", tries=2), bytes)
    assert_type(await hedge(idempotent=True).execute(fetch, "a"), bytes)


fetch(1)  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
