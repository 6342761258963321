"""A service that takes eight calls at once and then slows down: the bulkhead finds that out by itself."""

from __future__ import annotations

import asyncio

from recoup import Bulkhead, BulkheadConfig, VegasLimit
from recoup.testing import VirtualClock, VirtualEventLoop

CAPACITY = 8
search = Bulkhead(
    BulkheadConfig(max_concurrent=40, max_queue_size=1_000, adaptive=VegasLimit(max_limit=60), histograms=True),
    name="search",
)
RUNNING: list[int] = []


@search
async def query(number: int) -> int:
    RUNNING.append(number)
    await asyncio.sleep(0.05 * max(1, len(RUNNING) / CAPACITY))  # more than it can take queue up inside it
    RUNNING.remove(number)
    return number


async def caller(first: int) -> None:
    for number in range(first, first + 40):
        await query(number)


async def main() -> None:
    await query(-1)
    await asyncio.gather(*(caller(first * 100) for first in range(50)))
    ran = search.histograms["ran"]
    print(f"{ran.count} queries by 50 callers; the limit went from 40 to {search.limit}")
    print(f"half of them took {ran.quantile(0.5):.3f} s or less; 40 at once would take {0.05 * 40 / CAPACITY} s each")
    assert CAPACITY <= search.limit <= 2 * CAPACITY
    assert search.metrics["running"] == 0


if __name__ == "__main__":
    with VirtualClock(), asyncio.Runner(loop_factory=VirtualEventLoop) as runner:  # two minutes in a second
        runner.run(main())
