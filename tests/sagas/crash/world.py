"""The world outside: what really happened, in a file that survives whatever happens to the processes that write it."""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_file = -1
_count = 0
_deadly = 0
_points = count(1)


class Deed(NamedTuple):
    """One thing that happened: "do" or "undo" of a step with a key, or "end" as the caller saw it."""

    what: str
    name: str
    key: str
    result: str


def enter(path: Path, deadly: int) -> None:
    """Begin in a new process, which dies at its `deadly`-th point; 0 for never."""
    global _file, _count, _deadly, _points  # noqa: PLW0603 - one world a process
    _file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    _count, _deadly, _points = 0, deadly, count(1)


def point() -> None:
    """A moment at which the process may die."""
    global _count  # noqa: PLW0603 - as above
    _count = next(_points)  # whole, whichever thread comes
    if _count == _deadly:
        os.kill(os.getpid(), signal.SIGKILL)


def points() -> int:
    """Count the points passed so far."""
    return _count


def happen(what: str, name: str, key: str = "", result: object = "") -> None:
    """Have something happen, between two points."""
    point()
    os.write(_file, f"{what} {name} {key} {result}\n".encode())
    point()


def deeds(path: Path) -> list[Deed]:
    """Read what happened."""
    return [Deed(*line.split(" ", 3)) for line in path.read_text().splitlines()] if path.exists() else []
