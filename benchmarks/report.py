"""Write what was measured into a page of the docs: tables, and a plot without a plotting library."""

from __future__ import annotations

import math
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from benchmarks.calls import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.libraries.base import Colour, Library
    from benchmarks.load import Crowd, Shared
    from benchmarks.timing import Figure

    Found = Mapping[tuple[str, Colour], Sequence[Figure]]

__all__ = ["heading", "of_calls", "of_crowds", "of_threads", "simple", "table"]

_TEXTS = {each.name: each.text for each in SCENARIOS}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Give a Markdown table whose columns but the first are numbers."""
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    lines += ["| " + " | ".join(str(each) for each in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def heading(libraries: Sequence[Library], command: str) -> str:
    """Say what was measured with what, and when."""
    named = [f"{each.package} {_version(each.package)}" for each in libraries if each.package is not None]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    where = f"{python}, {platform.system()} on {platform.machine()}"
    return f"`{command}` on {time.strftime('%Y-%m-%d')}: {where}; {', '.join(named)}.\n"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(from its sources)"


def of_calls(found: Found) -> str:
    """Give one table for each scenario: both colours beside each other."""
    parts = []
    for name in dict.fromkeys(name for name, _ in found):
        colours = {colour: {each.name: each for each in found.get((name, colour), ())} for colour in ("sync", "async")}
        names = sorted(
            {each for figures in colours.values() for each in figures}, key=lambda each: _rank(each, colours)
        )
        rows = [(each, *_cells(colours["sync"].get(each)), *_cells(colours["async"].get(each))) for each in names]
        columns = ("", "sync, ns", "quartiles", "CPU", "x limit", "async, ns", "quartiles", "CPU", "x limit")
        parts.append(f"### {_TEXTS[name][0].upper()}{_TEXTS[name][1:]}\n\n{table(columns, rows)}")
    return "\n".join(parts)


def _rank(name: str, colours: Mapping[str, Mapping[str, Figure]]) -> tuple[bool, bool, float]:
    fastest = min(figures[name].wall for figures in colours.values() if name in figures)
    return name != "limit", name != "recoup", fastest


def _cells(figure: Figure | None) -> tuple[str, ...]:
    if figure is None:
        return "", "", "", ""
    return (
        f"{figure.wall:,.0f}",
        f"{figure.low:,.0f}-{figure.high:,.0f}",
        f"{figure.cpu:,.0f}",
        "" if math.isnan(figure.ratio) else f"{figure.ratio:.2f}",
    )


def of_threads(found: Sequence[Shared]) -> str:
    """Give the table of one thread and eight."""
    said = {True: "yes", False: "**no**", None: ""}
    rows = [(f"{each.pattern}: {each.name}", f"{each.kept:.2f}", said[each.exact]) for each in found]
    return table(("", "rate of eight threads, of one thread's", "limit exact"), rows)


def of_crowds(found: Sequence[Crowd]) -> str:
    """Give the table of ten thousand tasks."""
    rows = [
        (each.name, f"{each.microseconds:.1f}", each.peak, "yes" if each.moved == 0 else f"{each.moved} moved")
        for each in found
    ]
    return table(("", "us a task", "most at once", "first come, first served"), rows)


def simple(title: str, found: Mapping[str, float], digits: int = 1) -> str:
    """Give a table of one number for each name, the smallest first."""
    rows = [(name, f"{value:,.{digits}f}") for name, value in sorted(found.items(), key=lambda item: item[1])]
    return table(("", title), rows)


def warn_if_busy(load: float) -> None:
    """Say on standard error that figures mean little while the machine does other things."""
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): ratios will spread", file=sys.stderr)
