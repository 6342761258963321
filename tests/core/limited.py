"""What the tests of timers share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from recoup._core import timing
from recoup._core.colour import Colour
from recoup._core.strategy import Strategy

Async = Callable[..., Coroutine[Any, Any, Any]]


class Layer(Strategy):
    kind = "layer"


def limited(
    fn: Callable[..., Awaitable[Any]], seconds: float, name: str = "test", owner: Strategy | None = None
) -> Async:
    """Put the pump of a limit round an async function."""
    pump = timing.limit(Colour.ASYNC, timing.Live(timing.Limit(owner, seconds, name)))
    made: Async = pump.factory(fn, *pump.cells)
    return made


async def hang() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()
