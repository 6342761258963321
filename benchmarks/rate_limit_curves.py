"""What a call under a rate limit costs, by keys, by calls in the window and by calls that wait: it may not grow (L1).

python benchmarks/rate_limit_curves.py
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from itertools import cycle
from typing import TYPE_CHECKING, Any

from recoup import RateLimitConfig, RateLimiter
from recoup._core import waiting
from recoup.strategies.rate_limit.desk import Demand

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 100, 1_000, 10_000, 100_000)
CALLS, ROUNDS = 2_000, 15
HOUR = 3_600.0


def timed(call: Callable[[], object]) -> float:
    """Give microseconds of this thread a call, the median of several rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        for _ in range(CALLS):
            call()
        found.append((time.thread_time_ns() - began) / CALLS / 1_000)
    return statistics.median(found)


def same(key: int) -> int:
    """Do nothing."""
    return key


def by_keys(size: int) -> tuple[float, float]:
    """Call for so many keys in turn: time of a call, and bytes that a key takes."""
    tracemalloc.start()
    limiter = RateLimiter(RateLimitConfig(rate=10**9, key=lambda key: key, max_keys=size, max_wait=0))
    work = limiter(same)
    before = tracemalloc.get_traced_memory()[0]
    for key in range(size):
        work(key)
    taken = (tracemalloc.get_traced_memory()[0] - before) / size
    tracemalloc.stop()
    keys = cycle(range(size))
    return timed(lambda: work(next(keys))), taken


def by_new_keys(size: int) -> float:
    """Call for a new key each time, so that another one is forgotten."""
    limiter = RateLimiter(RateLimitConfig(rate=10**9, key=lambda key: key, max_keys=size, max_wait=0))
    work = limiter(same)
    for key in range(size):
        work(key)
    keys = iter(range(size, 10**9))
    return timed(lambda: work(next(keys)))


def by_window(size: int) -> float:
    """Call under a window that so many calls are in."""
    limiter = RateLimiter(RateLimitConfig(rate=10**9, per=HOUR, mode="window", max_wait=0))
    for _ in range(size):
        limiter.try_acquire()
    work = limiter(same)
    return timed(lambda: work(1))


def by_waiting(size: int) -> float:
    """Let a call wait behind so many others, and cancel it."""
    limiter = RateLimiter(RateLimitConfig(rate=1, max_wait=10**9))
    desk, demand = limiter._desk, Demand(1)  # noqa: SLF001 - without a task for each that waits

    def come_and_leave() -> None:
        turn: Any = desk.claim(demand, 1e9, 1e12, waiting.for_thread)
        desk.give_back(turn)

    for _ in range(size):
        desk.claim(demand, 1e9, 1e12, waiting.for_thread)
    return timed(come_and_leave)


def main() -> None:
    """Measure each size and print the curves."""
    print("| how many | keys, known | keys, new | bytes a key | calls in the window | calls that wait |")
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        known, taken = by_keys(size)
        row = (known, by_new_keys(size), taken, by_window(size), by_waiting(size))
        cells = " | ".join(f"{each:,.0f}" if each > 100 else f"{each:.2f}" for each in row)
        print(f"| {size:,} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
