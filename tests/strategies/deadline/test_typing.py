"""What a type checker knows of a function behind `@deadline`: everything it knew before (G6)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, assert_type

from recoup import Deadline, DeadlineConfig, TimeLimiter, current_deadline, deadline


@deadline(5)
async def fetch(path: str, *, times: int = 1) -> bytes:
    return path.encode() * times


@deadline(timedelta(seconds=5), mode="cooperative", name="plain")
def plain(path: str) -> int:
    return len(path)


def test_types() -> None:
    """Parameters, colour and result stay; a limiter is a `TimeLimiter` whichever way it was made (G6)."""
    assert asyncio.run(assert_type(fetch("/home", times=2), Coroutine[Any, Any, bytes])) == b"/home/home"
    assert_type(plain("abc"), int)
    assert_type(deadline(5), TimeLimiter)
    assert_type(deadline(seconds=5, thread_workers=2), TimeLimiter)
    assert_type(deadline(DeadlineConfig(5), name="config"), TimeLimiter)
    assert_type(deadline(deadline(5)), TimeLimiter)
    assert_type(current_deadline(), Deadline | None)


async def test_types_of_executions() -> None:
    """`execute` and `execute_sync` give the function's own result type (G6)."""
    limiter = deadline(5, mode="cooperative")
    assert_type(await limiter.execute(fetch, "/home"), bytes)
    assert_type(limiter.execute_sync(plain, "abc"), int)
