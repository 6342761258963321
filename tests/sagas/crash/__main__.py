"""Kill sagas: `python -m tests.sagas.crash points|pairs|random [COUNT] [--story NAME] [--mutant NAME]`."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.sagas.crash import trial
from tests.sagas.crash.mutants import MUTANTS
from tests.sagas.crash.story import STORIES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sagas.crash")
    parser.add_argument("what", choices=["points", "pairs", "random"])
    parser.add_argument("count", type=int, nargs="?", default=100)
    parser.add_argument("--story", action="append", choices=sorted(STORIES))
    parser.add_argument("--mutant", default="", choices=["", *MUTANTS])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    trials, wrong = 0, []
    stories = options.story or list(STORIES)
    if options.what == "random":
        dice = random.Random(options.seed)
        for _ in range(options.count):
            deaths = [dice.randint(1, 24) for _ in range(dice.randint(1, 4))]
            wrong += trial.trial(dice.choice(stories), deaths, options.mutant)[0]
            trials += 1
    for name in stories if options.what != "random" else ():
        if options.what == "points":
            made, found = trial.every_point(name, options.mutant)
        else:
            made, found = trial.every_pair(name, 1)
        trials, wrong = trials + made, wrong + found
    print("\n".join(wrong))  # noqa: T201 - a command
    print(  # noqa: T201 - as above
        f"{trials} trials, {len(wrong)} broken promises, {time.monotonic() - began:.1f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
