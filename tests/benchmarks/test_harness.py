"""The harness that compares recoup with its peers: what it times, how it sums up, what it draws."""

from __future__ import annotations

import ast
import asyncio
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import calls, proofs, report
from benchmarks.libraries.base import PATTERNS, Colour, Function, Library
from benchmarks.libraries.limit import library as limit
from benchmarks.libraries.recoup_ import library as ours
from benchmarks.plot import plot
from benchmarks.timing import Contestant, Figure, figures, measure

FOLDER = Path(calls.__file__).parent / "libraries"
QUICK = ("retry", "breaker", "rate_limit", "fallback", "cache", "stack")


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("pattern", QUICK)
@pytest.mark.parametrize("library", [limit, ours], ids=["limit", "recoup"])
def test_who_is_timed_does_the_job(library: Library, pattern: str, colour: Colour) -> None:
    """The limit and recoup are what they claim to be."""
    assert asyncio.run(proofs.proved(library, pattern, colour)) == ""


class Idle(Library):
    """Does nothing at all, and does that fast."""

    name = "idle"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return fn

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return fn

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        return fn

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return fn

    def cache(self, fn: Function, colour: Colour) -> Function:
        return fn

    def stack(self, fn: Function, colour: Colour) -> Function:
        return fn


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("pattern", QUICK)
def test_who_does_nothing_is_found_out(pattern: str, colour: Colour) -> None:
    """A wrapper that only looks like the pattern is not timed, and the reason is said."""
    assert asyncio.run(proofs.proved(Idle(), pattern, colour))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_library_does_not_have_is_no_fault(pattern: str) -> None:
    """It is left out of the scenario."""

    class Nothing(Library):
        name = "nothing"

    assert asyncio.run(proofs.proved(Nothing(), pattern, "sync")) is None


def test_every_library_overrides_what_is_asked_for() -> None:
    """A method with another name would silently never be measured."""
    known = {name for name in vars(Library) if not name.startswith("_")}
    for path in FOLDER.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and path.stem != "base":
                names = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
                assert {each for each in names if not each.startswith("_")} <= known, path.name


def test_contestants_take_turns() -> None:
    """A B C A B C, and each round begins with the next one."""
    order: list[str] = []

    async def run() -> list[Contestant]:
        entered = [Contestant(name, lambda _, name=name: order.append(name), "sync") for name in ("limit", "b")]
        await measure(entered, 2, 0.001)
        return entered

    entered = asyncio.run(run())
    firsts = [name for name, before in zip(order, ["", *order], strict=False) if name != before]
    assert firsts == ["limit", "b", "limit", "b", "limit"]  # sizing, then two rounds
    assert [len(each.wall) for each in entered] == [2, 2]


def test_ratios_are_those_within_a_round() -> None:
    """A machine that is twice as slow in one round changes no ratio."""
    base, other = Contestant("limit", len, "sync"), Contestant("b", len, "sync")
    base.wall, other.wall = [10.0, 20.0, 10.0], [15.0, 30.0, 15.0]
    base.cpu = other.cpu = [1.0, 1.0, 1.0]
    assert [each.ratio for each in figures([base, other])] == [1.0, 1.5]
    assert all(math.isnan(each.ratio) for each in figures([other]))


def test_the_page_and_the_plot() -> None:
    """Every library in its row, the limit first and recoup next; the drawing is well-formed."""
    row = [Figure("limit", 10, 10, 9, 11, 1.0), Figure("a<b", 9, 9, 8, 10, 0.9), Figure("recoup", 12, 12, 11, 13, 1.2)]
    found: dict[tuple[str, Colour], list[Figure]] = {("retry", "sync"): row, ("deadline", "async"): row[1:]}
    lines = report.of_calls(found).splitlines()
    assert [line.split(" | ")[0] for line in lines[4:7]] == ["| limit", "| recoup", "| a<b"]
    assert lines[5] == "| recoup | 12 | 11-13 | 12 | 1.20 |  |  |  |  |"
    drawn = ET.fromstring(plot(found))  # noqa: S314 - our own drawing
    titles = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["a<b: 0.90", "recoup: 1.20"]
