"""The one seam to time, sleep and randomness.

Everybody writes `clock.monotonic()`, never `from ...clock import monotonic`: the names are looked up when they are
used, so that freezegun (which replaces module attributes) and `recoup.testing` see every use. A default argument, a
class attribute or a closure cell would keep the real clock for ever.
"""

from __future__ import annotations

import sys
from random import random
from time import monotonic, sleep
from time import time as wall

from recoup._core import mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup._core.waiting import TaskWaiter, ThreadWaiter

__all__ = [
    "in_trio",
    "monotonic",
    "pause",
    "pause_async",
    "random",
    "rest",
    "rest_async",
    "sleep",
    "sleep_async",
    "uniform",
    "wall",
]


def in_trio() -> bool:
    """Tell whether the running task belongs to Trio; False for asyncio and outside any loop."""
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    if lowlevel is None:
        return False
    asks = getattr(lowlevel, "in_trio_task", None)
    if asks is not None:
        answer: bool = asks()
        return answer
    try:  # Trio before 0.29
        lowlevel.current_task()
    except (AttributeError, RuntimeError):  # another thread is importing Trio, or this is no task of it
        return False
    return True


async def sleep_async(seconds: float) -> None:
    """Sleep in the running loop, asyncio's or Trio's."""
    if in_trio():
        await sys.modules["trio"].sleep(seconds)
        return
    import asyncio  # noqa: PLC0415 - 45 ms that a program without asyncio should not pay

    await asyncio.sleep(seconds)


def pause(seconds: float) -> None:
    """Block for some seconds; return at once for 0 (`time.sleep(0)` costs 50 us of timer slack)."""
    if seconds > 0 and not (mode.active and mode.instant()):
        sleep(seconds)


async def pause_async(seconds: float) -> None:
    """Sleep in the running loop; for 0 still give other tasks their turn and cancellation its chance."""
    await sleep_async(0 if mode.active and mode.instant() else seconds)


def rest(waiter: ThreadWaiter, seconds: float) -> bool:
    """Block for some seconds, or until somebody wakes the waiter; True when woken."""
    return waiter.wait(seconds)


async def rest_async(waiter: TaskWaiter, seconds: float) -> bool:
    """Sleep in the running loop, or until somebody wakes the waiter; True when woken."""
    return await waiter.wait_async(seconds)


def uniform(low: float, high: float) -> float:
    """Draw evenly from [low, high)."""
    return low + (high - low) * random()  # noqa: S311 - jitter, not cryptography
