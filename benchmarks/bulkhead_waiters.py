"""What a call through a full bulkhead costs, by the number of calls that wait: it must not depend on it (rule B1).

python benchmarks/bulkhead_waiters.py
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time

from recoup import Bulkhead, BulkheadConfig

WAITING = (10, 100, 1_000, 10_000, 100_000)
CALLS, ROUNDS = 1_000, 9


def taken(began: int, calls: int) -> float:
    """Give microseconds of this thread a call: what others do on the machine counts less."""
    return (time.thread_time_ns() - began) / calls / 1_000


async def crowd(waiting: int) -> tuple[list[float], list[float]]:
    """Keep so many calls waiting; time calls that come as others end, and calls that are cancelled in the queue."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=waiting + CALLS, queue_timeout=3_600))
    ending = asyncio.Event()
    ended = 0

    async def work() -> None:
        nonlocal ended
        ended += 1
        if ended % CALLS == 0:
            ending.set()
            await asyncio.sleep(0)

    async def pause() -> None:
        await asyncio.Event().wait()

    protected = guard(work)
    blocker = asyncio.ensure_future(guard.execute(pause))
    await asyncio.sleep(0)
    tasks = [asyncio.ensure_future(protected()) for _ in range(waiting)]
    await asyncio.sleep(0)
    cancelling = []
    for _ in range(ROUNDS):
        victims = [asyncio.ensure_future(protected()) for _ in range(CALLS)]
        await asyncio.sleep(0)
        random.shuffle(victims)
        began = time.thread_time_ns()
        for victim in victims:
            victim.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cancelling.append(taken(began, CALLS))
    blocker.cancel()
    passing = []
    for _ in range(ROUNDS):
        ending.clear()
        began = time.thread_time_ns()
        tasks += [asyncio.ensure_future(protected()) for _ in range(CALLS)]
        await ending.wait()
        passing.append(taken(began, CALLS))
    await asyncio.gather(*tasks)
    return passing, cancelling


def main() -> None:
    """Measure each length of the queue and print the curve."""
    print(f"CPython {sys.version.split()[0]}; microseconds a call, medians of {ROUNDS} rounds of {CALLS}")
    print(f"{'waiting':>10} {'joins, gets a place, runs':>28} {'is cancelled in the queue':>28}")
    for waiting in WAITING:
        passing, cancelling = asyncio.run(crowd(waiting))
        print(f"{waiting:>10,} {statistics.median(passing):>28.1f} {statistics.median(cancelling):>28.1f}")


if __name__ == "__main__":
    main()
