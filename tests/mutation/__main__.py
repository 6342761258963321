"""Mutation testing: `python -m tests.mutation` for all files that decide, `... retry/backoff` for one of them."""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.mutation.accepted import accepted
from tests.mutation.mutants import Mutant
from tests.mutation.running import run

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "src/recoup/strategies"
NAMES = ("state.py", "backoff.py", "window.py")
LEAST = 0.95  # of the mutants of a file are found
MODELS = {"circuit_breaker": "breaker", "fault_injection": "fault"}  # rooms whose models have a shorter name
OUT = os.dup(1)  # standard output itself belongs to pytest


def files() -> list[str]:
    """List the files that decide."""
    return sorted(f"{path.parent.name}/{path.stem}" for name in NAMES for path in ROOMS.glob(f"*/{name}"))


def path_of(name: str) -> Path:
    """Give the path of a file."""
    return ROOMS / f"{name}.py"


def suite_of(name: str) -> list[str]:
    """List what holds the room of a file to its promises."""
    room = name.split("/", maxsplit=1)[0]
    tests = ROOT / "tests"
    return [
        str(tests / "strategies" / room),
        *sorted(map(str, tests.glob(f"models/test_{MODELS.get(room, room)}*.py"))),
    ]


def examine(name: str, given: argparse.Namespace) -> bool:
    """Run the mutants of one file and tell about those that survive; True if all is well."""
    room, stem = name.split("/")
    known, began = accepted(name), time.monotonic()
    found: list[Mutant] = []
    survived: list[Mutant] = []

    def tell(mutant: Mutant, caught: bool) -> None:
        (found if caught else survived).append(mutant)
        if not caught:
            reason = known.get(mutant.key, "NEW")
            say(f"  survived, line {mutant.line}: {mutant.key}\n      {reason}")
        if len(found) % 50 == 0:
            say(f"  ... {len(found) + len(survived)} tried, {time.monotonic() - began:.0f} s")
        if caught and mutant.key in known:
            say(f"  found, though the list says that it is not: {mutant.key}")

    module, only = f"recoup.strategies.{room}.{stem}", re.compile(given.only)
    failing = run(path_of(name), module, suite_of(name), tell, given.jobs, given.step, only, given.slowest)
    for test in failing:
        say(f"  left out, because it fails without any mutant: {test}")
    total = len(found) + len(survived)
    share = len(found) / total if total else 1.0
    new = [mutant for mutant in survived if mutant.key not in known]
    say(
        f"{name}: {len(found)} of {total} found, {share:.1%}; {len(survived) - len(new)} survivors are explained, "
        f"{len(new)} are new; {time.monotonic() - began:.0f} s"
    )
    return share >= LEAST and not new and not failing


def say(text: str) -> None:
    os.write(OUT, f"{text}\n".encode())


def main() -> int:
    """Examine the files that the command line names; each in a process that has imported nothing of recoup."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("files", nargs="*", help=f"ROOM/FILE; all by default: {', '.join(files())}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--step", type=int, default=1, help="take every so manieth mutant only, for a first look")
    parser.add_argument(
        "--only", default="", help="take mutants whose names match this regular expression, to see again"
    )
    parser.add_argument(
        "--slowest", type=float, default=math.inf, help="leave out tests that take more seconds than this"
    )
    given = parser.parse_args()
    names = given.files or files()
    if unknown := set(names) - set(files()):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(files())}")
    os.environ["CI"] = "1"  # the same examples for every mutant
    os.environ["RECOUP_SHAPE"] = "off"  # shapes are copies of code, which could not be exchanged
    if len(names) == 1:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        return not examine(names[0], given)
    options = [
        "--jobs",
        str(given.jobs),
        "--step",
        str(given.step),
        f"--only={given.only}",
        f"--slowest={given.slowest}",
    ]
    return max(
        subprocess.run([sys.executable, "-m", "tests.mutation", name, *options], check=False).returncode
        for name in names
    )


if __name__ == "__main__":
    sys.exit(main())
