"""Many callers at once: eight threads on one object, ten thousand tasks for a hundred places, a thousand deadlines."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.calls import protect, works
from benchmarks.libraries.base import Missing
from benchmarks.proofs import outcome, proved
from benchmarks.timing import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.libraries.base import Library

__all__ = ["Crowd", "Shared", "crowds", "deadlines", "shared"]

THREADS, TASKS, PLACES, TIMED = 8, 10_000, 100, 1_000
PATTERNS = ("retry", "breaker", "bulkhead", "rate_limit")


@dataclass
class Shared:
    """One object called by one thread, and by eight.

    Attributes:
        pattern: Which pattern.
        name: Of the library.
        one: Calls a second by one thread, each round.
        eight: Calls a second by eight threads together, each round.
        exact: Whether a limit of 1,000 calls let through exactly so many of what eight threads tried; `None`: no limit.
    """

    pattern: str
    name: str
    one: list[float] = field(default_factory=list)
    eight: list[float] = field(default_factory=list)
    exact: bool | None = None

    @property
    def kept(self) -> float:
        """Which part of the rate of one thread eight threads have together."""
        return statistics.median(eight / one for one, eight in zip(self.one, self.eight, strict=True))


def _rate(call: Callable[[int], Any], threads: int, calls: int) -> float:
    """Give the calls a second that so many threads make together, each `calls`."""
    source = "def drive(call, times):\n for _ in range(times):\n  call(1)"
    barrier = threading.Barrier(threads + 1)
    ended: list[float] = []

    def work() -> None:
        drive = compiled(source, "drive")
        barrier.wait()
        drive(call, calls)
        ended.append(time.perf_counter())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return threads * calls / (max(ended) - began)


async def _limits_exactly(library: Library) -> bool | None:
    """Let eight threads try 4,000 calls under a limit of 1,000: tell whether exactly so many got through."""
    if await proved(library, "rate_limit", "sync") != "":
        return None
    counted: list[int] = []
    fn = library.rate_limit(counted.append, "sync", 1_000, 3600.0)
    if library.name == "grit-toolkit":
        return None  # it waits for the next call, an hour and more

    def work() -> None:
        for number in range(500):
            asyncio.run(outcome(fn, number))

    workers = [threading.Thread(target=work) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join)
    return len(counted) == 1_000


async def shared(libraries: Sequence[Library], rounds: int) -> list[Shared]:
    """Let one thread and eight call the same object, in turns."""
    found = []
    for pattern in PATTERNS:
        entered: list[tuple[Shared, Callable[[int], Any]]] = []
        for library in libraries:
            if await proved(library, pattern, "sync") != "":
                continue
            exact = await _limits_exactly(library) if pattern == "rate_limit" else None
            entered.append(
                (Shared(pattern, library.name, exact=exact), protect(library, pattern, works("sync"), "sync"))
            )
        for _ in range(rounds):
            for each, call in entered:
                times = max(50, min(20_000, int(0.02 * _rate(call, 1, 50))))
                each.one.append(_rate(call, 1, times))
                each.eight.append(_rate(call, THREADS, max(10, times // THREADS)))
                gc.collect(1)
        found += [each for each, _ in entered]
        print(f"threads, {pattern}: {len(entered)} measured", file=sys.stderr)
    return found


@dataclass
class Crowd:
    """What a crowd of tasks cost.

    Attributes:
        name: Of the library.
        seconds: Of each round, for the whole crowd.
        peak: Most calls that ran at once.
        moved: How often a task ran right before one that had come earlier.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    moved: int = 0

    @property
    def microseconds(self) -> float:
        """Microseconds a task, the median of all rounds."""
        return statistics.median(self.seconds) / TASKS * 1e6


async def crowds(libraries: Sequence[Library], rounds: int) -> list[Crowd]:
    """Send ten thousand tasks at once through a bulkhead of a hundred places, in which each pauses once."""
    found = []
    for library in libraries:
        order: list[int] = []
        crowd = Crowd(library.name)
        running = 0

        async def work(x: int, order: list[int] = order, crowd: Crowd = crowd) -> None:
            nonlocal running
            order.append(x)
            running += 1
            crowd.peak = max(crowd.peak, running)
            await asyncio.sleep(0)
            running -= 1

        try:
            call = library.waiting_bulkhead(work, "async", PLACES)
        except Missing:
            continue
        for _ in range(rounds):
            order.clear()
            began = time.perf_counter()
            await asyncio.gather(*(outcome(call, number) for number in range(TASKS)))
            crowd.seconds.append(time.perf_counter() - began)
        crowd.moved = sum(one > other for one, other in pairwise(order))
        if len(order) == TASKS and crowd.peak <= PLACES:
            found.append(crowd)
        else:
            print(f"{library.name}: {len(order)} of {TASKS} tasks ran, {crowd.peak} at once", file=sys.stderr)
    return found


async def deadlines(libraries: Sequence[Library], rounds: int) -> dict[str, float]:
    """Let a thousand tasks at once await something under a deadline: microseconds a task, and of none ("bare")."""

    async def work(x: int) -> int:
        await asyncio.sleep(0.001)
        return x

    calls: dict[str, Callable[[int], Any]] = {"bare": work}
    for library in libraries:
        if await proved(library, "deadline", "async") == "":
            calls[library.name] = library.deadline(work, "async", 30.0)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.process_time()
            await asyncio.gather(*(call(number) for number in range(TIMED)))
            taken[name].append((time.process_time() - began) / TIMED * 1e6)
            gc.collect(1)
    return {name: statistics.median(each) for name, each in taken.items()}
