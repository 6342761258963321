"""What it takes to have it: memory for each protected function and each key, time to import, time to decorate."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import recoup
from benchmarks.calls import works
from benchmarks.libraries.base import Missing
from benchmarks.timing import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.libraries.base import Library

__all__ = ["decorating", "importing", "keyed", "memory"]

FUNCTIONS, KEYS = 2_000, 10_000


def memory(libraries: Sequence[Library]) -> dict[str, float]:
    """Give bytes that one more function behind a breaker takes, the function not counted, after some hundred calls."""
    found = {}
    for library in libraries:
        functions = [works("sync") for _ in range(FUNCTIONS)]
        kept: list[Any] = []
        try:
            kept.append(library.breaker(works("sync"), "sync", 5))
        except Missing:
            continue
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept += [library.breaker(each, "sync", 5) for each in functions]
        for each in kept:
            for _ in range(20):
                each(1)
        gc.collect()
        found[library.name] = (tracemalloc.get_traced_memory()[0] - before) / FUNCTIONS
        tracemalloc.stop()
    return found


def keyed() -> dict[str, float]:
    """Give bytes that one more key takes in recoup's keyed breaker and keyed rate limit."""
    makers: dict[str, Any] = {
        "keyed breaker": lambda: recoup.KeyedCircuitBreaker(key=lambda x: x, max_keys=KEYS + 1),
        "keyed rate limit": lambda: recoup.rate_limit(rate=10**9, key=lambda x: x, max_keys=KEYS + 1, max_wait=0),
    }
    found = {}
    for name, make in makers.items():
        call = make()(works("sync"))
        call(0)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for key in range(1, KEYS + 1):
            call(key)
        gc.collect()
        found[name] = (tracemalloc.get_traced_memory()[0] - before) / KEYS
        tracemalloc.stop()
    return found


def importing(libraries: Sequence[Library], rounds: int) -> dict[str, float]:
    """Give the milliseconds that an import adds to the start of an interpreter, in turns."""
    modules = {each.name: each.module for each in libraries if each.module is not None}
    sources = {"": "pass", "asyncio": "import asyncio", "dataclasses": "import dataclasses"}
    sources |= {name: f"import {module}" for name, module in modules.items()}
    taken: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, source in sources.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", source], check=True)  # noqa: S603 - our own interpreter and text
            taken[name].append(time.perf_counter() - began)
    bare = taken.pop("")
    return {
        name: statistics.median((one - other) * 1e3 for one, other in zip(each, bare, strict=True))
        for name, each in taken.items()
    }


def decorating(rounds: int) -> tuple[float, float]:
    """Give microseconds to decorate with recoup: the first function of a shape, and another one of it.

    A shape is the number of parameters of each kind; names are none.
    """
    first: list[float] = []
    later: list[float] = []
    for number in range(1, rounds + 1):
        for names, taken in (("a", first), ("b", later)):
            parameters = ", ".join(f"{names}{each}" for each in range(number))
            work = compiled(f"def work({parameters}): pass", "work")
            began = time.perf_counter()
            recoup.retry(work)
            taken.append((time.perf_counter() - began) * 1e6)
    return statistics.median(first), statistics.median(later)
