"""Interleaved timing: A B C A B C ..., so that whatever the machine does meanwhile meets all alike.

Every contestant gets a driver and a function of its own, compiled anew: two that share code share what the interpreter
has learned about it. Batches are sized to take some milliseconds; the collector is off in a batch, and runs in between.
What is compared are ratios within a round; the median of all rounds' ratios is reported, with the quartiles.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.libraries.base import Colour

__all__ = ["Contestant", "Figure", "compiled", "figures", "measure"]

_CALL = {
    "sync": "{call}",
    "async": "await {call}",
}
_DRIVER = """
{begin}def drive(target, times):
    wall, cpu = perf_counter_ns(), process_time_ns()
    for _ in repeat(None, times):
        {body}
    return perf_counter_ns() - wall, process_time_ns() - cpu
"""
_RAISING = "try: {call}\n        except Exception: pass"


def compiled(source: str, name: str, **names: Any) -> Any:
    """Compile a function of its own, so that it shares nothing with its likes."""
    exec(compile(source, f"<{name}>", "exec"), names)  # noqa: S102 - our own text
    return names[name]


@dataclass
class Contestant:
    """One library in one scenario.

    Attributes:
        name: Of the library.
        target: What is called with 1; for methods, an object with a method `work`.
        colour: Whether calls are awaited.
        raises: Whether calls raise.
        method: Whether `target.work(1)` is called.
        wall: Nanoseconds a call, for each round.
        cpu: The same of the process's own time.
    """

    name: str
    target: Any
    colour: Colour
    raises: bool = False
    method: bool = False
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    times: int = 1

    def __post_init__(self) -> None:
        call = _CALL[self.colour].format(call="target.work(1)" if self.method else "target(1)")
        source = _DRIVER.format(
            begin="async " if self.colour == "async" else "",
            body=_RAISING.format(call=call) if self.raises else call,
        )
        clocks = {"perf_counter_ns": time.perf_counter_ns, "process_time_ns": time.process_time_ns}
        self._drive: Callable[..., Any] = compiled(source, "drive", repeat=repeat, **clocks)

    async def batch(self) -> tuple[float, float]:
        """Call as often as was found out; give nanoseconds a call, wall and CPU."""
        taken: Any = self._drive(self.target, self.times)
        wall, cpu = await taken if self.colour == "async" else taken
        return wall / self.times, cpu / self.times

    async def size(self, milliseconds: float) -> None:
        """Find out how many calls take so long, and warm up."""
        for _ in range(4):
            wall, _cpu = await self.batch()
            self.times = max(5, min(50_000, int(milliseconds * 1e6 / max(wall, 1.0))))


@dataclass(frozen=True)
class Figure:
    """What came out for one library.

    Attributes:
        name: Of the library.
        wall: Median nanoseconds a call.
        cpu: Median nanoseconds of the process's own time a call.
        low: First quartile of `wall`.
        high: Third quartile of `wall`.
        ratio: Median of the ratios to the limit, round by round; `nan` where there is no limit.
    """

    name: str
    wall: float
    cpu: float
    low: float
    high: float
    ratio: float


async def measure(contestants: Sequence[Contestant], rounds: int, milliseconds: float = 2.0) -> None:
    """Let all take turns, each round beginning with the next one."""
    for each in contestants:
        await each.size(milliseconds)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for number in range(rounds):
            first = number % len(contestants)
            for each in (*contestants[first:], *contestants[:first]):
                wall, cpu = await each.batch()
                each.wall.append(wall)
                each.cpu.append(cpu)
                gc.collect(1)
    finally:
        gc.enable()
        gc.unfreeze()


def figures(contestants: Sequence[Contestant]) -> list[Figure]:
    """Sum up what was measured; the limit is what all are compared with, where there is one."""
    limits = [each.wall for each in contestants if each.name == "limit"]
    base = limits[0] if limits else [math.nan] * len(contestants[0].wall)
    found = []
    for each in contestants:
        low, wall, high = statistics.quantiles(each.wall, n=4)
        ratio = statistics.median(mine / its for mine, its in zip(each.wall, base, strict=True))
        found.append(Figure(each.name, wall, statistics.median(each.cpu), low, high, ratio))
    return found
