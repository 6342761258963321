"""Run seeds by hand: `python -m tests.simulation 17`, `python -m tests.simulation 0-20000 --jobs 2`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

from tests.simulation.running import failures, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 250


def found(seeds: range, only: tuple[str, ...] | None, jobs: int) -> Iterator[str]:
    """Run seeds in some processes, and tell what they find as it comes."""
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    if jobs == 1 or len(batches) == 1:
        quiet()
        for batch in batches:
            yield from failures(batch, only)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=quiet) as pool:
        for some in pool.map(failures, batches, [only] * len(batches)):
            yield from some


def main() -> int:
    """Run the seeds that the command line names; 1 if a rule was broken in any of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="one seed, or FIRST-LAST (the last not included)")
    parser.add_argument("--only", help="kinds of strategies to choose from, with commas in between")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 0 for one per processor")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    only = tuple(given.only.split(",")) if given.only else None
    began = time.monotonic()
    broken = 0
    for text in found(seeds, only, given.jobs or os.cpu_count() or 1):
        broken += 1
        sys.stdout.write(f"{text}\n\n")
        sys.stdout.flush()
    seconds = time.monotonic() - began
    sys.stdout.write(f"{len(seeds)} seeds in {seconds:.1f} s, {broken} of them broke a rule\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
