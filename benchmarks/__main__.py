"""Measure recoup beside its peers: `make bench`, or `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import warnings
from pathlib import Path

from benchmarks import calls, footprint, load, report
from benchmarks.libraries import load as libraries_of
from benchmarks.plot import plot

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
PLOT = DOCS / "diagrams" / "benchmarks.svg"
PARTS = ("calls", "threads", "tasks", "memory", "imports")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def options() -> argparse.ArgumentParser:
    """Say what the command takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--only", default="", metavar="A,B", help="libraries beside limit and recoup (default: all)")
    parser.add_argument("--scenarios", default="", metavar="A,B", help="scenarios of calls (default: all)")
    parser.add_argument("--rounds", type=int, default=61, metavar="N", help="rounds of calls (default 61)")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md, with the plot")
    return parser


async def measured(parts: list[str], only: list[str], scenarios: list[str], rounds: int) -> tuple[str, str | None]:
    """Measure; give the page's text and the plot."""
    libraries = libraries_of(only)
    few = max(3, rounds // 12)
    text = [report.heading(libraries, "make bench")]
    drawn = None
    if "calls" in parts:
        found = await calls.run(libraries, scenarios, rounds)
        drawn = plot(found)
        text.append("## One call\n\n" + report.of_calls(found))
    if "threads" in parts:
        text.append("## Eight threads, one object\n\n" + report.of_threads(await load.shared(libraries, few)))
    if "tasks" in parts:
        crowds = await load.crowds(libraries, few)
        text.append("## Ten thousand tasks before a hundred places\n\n" + report.of_crowds(crowds))
        found_deadlines = await load.deadlines(libraries, few)
        text.append("## A thousand tasks with deadlines\n\n" + report.simple("us of CPU a task", found_deadlines))
    if "memory" in parts:
        found_memory = footprint.memory(libraries)
        text.append("## Memory\n\n" + report.simple("bytes a function behind a breaker", found_memory, 0))
        text.append(report.simple("bytes a key, with recoup", footprint.keyed(), 0))
    if "imports" in parts:
        found_imports = footprint.importing(libraries, few * 3)
        text.append("## Import\n\n" + report.simple("ms added to a bare interpreter", found_imports))
        new, known = footprint.decorating(25)
        text.append(f"`@retry` takes {new:.0f} us for the first function of a shape, {known:.0f} us for others.\n")
    return "\n".join(text), drawn


def write(text: str, drawn: str | None) -> None:
    """Put the figures between their marks in the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
    if drawn is not None:
        PLOT.write_text(drawn, encoding="utf-8")


def main() -> None:
    """Measure and print, and write if asked."""
    parser = options()
    given = parser.parse_args()
    if unknown := sorted({*given.parts} - {*PARTS}):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    logging.disable(logging.CRITICAL)  # some peers log every retry
    warnings.simplefilter("ignore")
    report.warn_if_busy(os.getloadavg()[0])
    only, scenarios = (each.split(",") if each else [] for each in (given.only, given.scenarios))
    text, drawn = asyncio.run(measured(given.parts or list(PARTS), only, scenarios, given.rounds))
    print(text)
    if given.write:
        write(text, drawn)
    sys.stdout.flush()
    os._exit(0)  # some peers keep threads, and calls that fill a bulkhead never end


if __name__ == "__main__":
    main()
