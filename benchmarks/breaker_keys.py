"""What a keyed circuit breaker costs, by the number of its keys, in time and memory (rule C9).

python benchmarks/breaker_keys.py
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
import tracemalloc

from recoup import KeyedCircuitBreaker

COUNTS = (10, 1_000, 100_000)
ROUNDS, CALLS = 31, 1_000


def answer(host: str) -> None:
    """Do nothing, well."""


def same(host: str) -> str:
    """Give the key of a call."""
    return host


def made(count: int) -> KeyedCircuitBreaker:
    """Make a breaker that knows so many keys; all are idle."""
    breaker = KeyedCircuitBreaker(key=same, max_keys=count)
    guarded = breaker(answer)
    for number in range(count):
        guarded(f"host-{number}")
    return breaker


def memory(count: int) -> float:
    """Give bytes a key, the key itself included."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    breaker = made(count)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / breaker.metrics["keys"]


def seconds(count: int) -> float:
    """Give the median of nanoseconds of this thread a call, over keys far apart."""
    guarded = made(count)(answer)
    hosts = [f"host-{number * 7919 % count}" for number in range(CALLS)]
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        for host in hosts:
            guarded(host)
        rounds.append((time.thread_time_ns() - began) / CALLS)
    return statistics.median(rounds)


def main() -> None:
    """Print the figures."""
    print(f"Python {sys.version.split()[0]}")
    print(f"{'keys':>10}{'ns a call':>12}{'bytes a key':>14}")
    for count in COUNTS:
        print(f"{count:>10,}{seconds(count):>12.0f}{memory(count):>14.0f}")


if __name__ == "__main__":
    main()
