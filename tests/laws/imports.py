"""Who imports whom (house.md, "Who may import whom"). Each checker gives complaints, one text each."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, NamedTuple

from tests.laws.source import under

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.laws.source import Module


class Import(NamedTuple):
    """One imported module.

    Attributes:
        module: Who imports.
        target: What; for `from a import b` it is "a.b" if a is recoup or a package of it, where b may be a module.
        lazy: Inside a function.
        typing: Under `if TYPE_CHECKING:`, so never at run time.
        line: Where.
    """

    module: str
    target: str
    lazy: bool
    typing: bool
    line: int

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}, imports {self.target}"


def imports(module: Module) -> Iterator[Import]:
    """Find all imports in a module."""
    yield from _imports(module.name, module.tree, lazy=False, typing=False)


def _imports(name: str, parent: ast.AST, *, lazy: bool, typing: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(parent):
        match node:
            case ast.Import():
                targets = [each.name for each in node.names]
            case ast.ImportFrom(module=source):
                targets = (
                    [f"{source}.{each.name}" for each in node.names] if under(str(source), "recoup") else [str(source)]
                )
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                yield from _imports(name, node, lazy=lazy, typing=True)
                continue
            case _:
                inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                yield from _imports(name, node, lazy=inside, typing=typing)
                continue
        for target in targets:
            yield Import(name, target, lazy, typing, node.lineno)


# Ranks: a module may import what has a lower rank, and its own room. Longest prefix wins.
RANKS = {
    "recoup.errors": 0,
    "recoup.typing": 1,
    "recoup.events": 2,
    "recoup._core": 3,
    "recoup.testing": 4,
    "recoup.ext": 4,
    "recoup.strategies": 4,
    "recoup.workflow": 5,
    "recoup.sagas": 5,
    "recoup": 6,
    "recoup.demo": 7,
    "recoup.cli": 8,
    "recoup.__main__": 9,
}

THIRD_PARTIES = {  # package that may import them: which ones; None stands for all
    "recoup.ext": None,
    "recoup._core.rim": {"wrapt"},
    "recoup.demo": {"aiohttp", "rich"},
    "recoup.testing.plugin": {"pytest"},
}
# Time, sleep, loops and randomness come through one seam that tests replace (G12): who may import which.
SEAM: Mapping[str, set[str]] = {
    "recoup._core.clock": {"time", "random", "asyncio"},
    "recoup._core.waiting": {"asyncio"},
    "recoup._core.scopes": {"asyncio"},
}
OUTSIDE_SEAM = ("recoup.ext", "recoup.testing", "recoup.sagas", "recoup.demo")


def room(name: str) -> str:
    """Give the room that a module belongs to; the rooms of strategies are one each."""
    parts = name.split(".")
    if parts[:2] == ["recoup", "strategies"]:
        return ".".join(parts[:3])
    return ".".join(parts[:2]) if ".".join(parts[:2]) in RANKS else "recoup"


def rank(name: str) -> int:
    """Tell how far up a module stands."""
    return RANKS[".".join(name.split(".")[:2])] if room(name) != "recoup" else RANKS["recoup"]


def directions(found: Iterable[Import]) -> Iterator[str]:
    """Imports point downwards, rooms of strategies never to one another; `ext` is reached lazily from anywhere."""
    for each in found:
        if not under(each.target, "recoup") or room(each.target) == room(each.module):
            continue
        asked_for = each.lazy and under(each.target, "recoup.ext")
        alias = each.typing and each.module == "recoup.typing"  # an alias names what it stands for
        if rank(each.target) >= rank(each.module) and not asked_for and not alias:
            yield f"{each}: imports point the other way"


def third_parties(found: Iterable[Import]) -> Iterator[str]:
    """Third parties stand in `ext`, wrapt in `rim.py` and what the demo needs in `demo`."""
    for each in found:
        package = each.target.partition(".")[0]
        if package == "recoup" or package in sys.stdlib_module_names:
            continue
        allowed = [names for place, names in THIRD_PARTIES.items() if under(each.module, place)]
        if not any(names is None or package in names for names in allowed):
            yield f"{each}: third parties only in ext/"
        elif package == "wrapt" and not each.lazy:
            yield f"{each}: only inside a function, when it is needed"


def seam(found: Iterable[Import]) -> Iterator[str]:
    """Nobody reads a clock, sleeps or draws a number but through the seam; asyncio is imported when it is needed."""
    for each in found:
        package = each.target.partition(".")[0]
        if package not in {"time", "random", "asyncio"} or each.typing or under(each.module, *OUTSIDE_SEAM):
            continue
        if package not in SEAM.get(each.module, ()):
            yield f"{each}: it comes through recoup._core.clock (G12)"
        elif package == "asyncio" and not each.lazy:
            yield f"{each}: only inside a function, it costs 45 ms"
