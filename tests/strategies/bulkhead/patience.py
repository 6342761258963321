"""Wait, in real time, for what other threads are about to do."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["until", "until_async"]

TURNS = 10_000


def until(condition: Callable[[], object]) -> None:
    """Block until a condition holds; fail after ten seconds or more."""
    for _ in range(TURNS):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it did not happen")


async def until_async(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after ten seconds or more."""
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")
