"""What a call through a circuit breaker costs, by the size of its window: it must not depend on it (rule C3).

python benchmarks/breaker_windows.py
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

from recoup import CircuitBreaker, CircuitBreakerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 100, 1_000, 10_000, 100_000)
RULES: dict[str, dict[str, float]] = {
    "count": {},
    "failure_rate": {"failure_rate": 0.5},
    "slow_call_rate": {"slow_call_rate": 0.5, "slow_call_duration": 1},
}
ROUNDS, CALLS = 61, 1_000


def answer() -> None:
    """Do nothing, well."""


def timed(made: Callable[[], None], calls: int) -> float:
    """Give nanoseconds of this thread a call: what others do on the machine counts less."""
    began = time.thread_time_ns()
    for _ in range(calls):
        made()
    return (time.thread_time_ns() - began) / calls


def main() -> None:
    """Fill every window, measure all in turn, round by round, and print the curve."""
    made = {
        (size, rule): CircuitBreaker(CircuitBreakerConfig(window_size=size, **fields))(answer)  # type: ignore[arg-type]
        for size in SIZES
        for rule, fields in RULES.items()
    }
    for function in made.values():
        timed(function, max(SIZES) + 1)
    rounds = [{key: timed(function, CALLS) for key, function in made.items()} for _ in range(ROUNDS)]
    print(f"Python {sys.version.split()[0]}, ns a call (median of {ROUNDS} rounds)")
    print(f"{'window_size':>12}" + "".join(f"{rule:>16}" for rule in RULES))
    for size in SIZES:
        figures = [statistics.median(each[size, rule] for each in rounds) for rule in RULES]
        print(f"{size:>12,}" + "".join(f"{figure:>16.0f}" for figure in figures))


if __name__ == "__main__":
    main()
