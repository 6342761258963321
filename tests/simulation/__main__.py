"""Run seeds by hand: `python -m tests.simulation 17`, `python -m tests.simulation 0-20000 --jobs 2`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.world import failures

BATCH = 250


def main() -> int:
    """Run the seeds that the command line names; 1 if a rule was broken in any of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="one seed, or FIRST-LAST (the last not included)")
    parser.add_argument("--only", help="kinds of strategies to choose from, with commas in between")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    logging.getLogger("recoup").addHandler(logging.NullHandler())
    first, _, last = given.seeds.partition("-")
    seeds = range(int(first), int(last) if last else int(first) + 1)
    only = tuple(given.only.split(",")) if given.only else None
    began = time.monotonic()
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    broken: list[str] = []
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        results = (
            pool.map(failures, batches, [only] * len(batches))
            if given.jobs > 1
            else map(failures, batches, [only] * len(batches))
        )
        for found in results:
            broken += found
            for text in found:
                sys.stdout.write(f"{text}\n\n")
                sys.stdout.flush()
    seconds = time.monotonic() - began
    sys.stdout.write(f"{len(seeds)} seeds in {seconds:.1f} s, {len(broken)} of them broke a rule\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
