"""The source of recoup, as the laws see it: text and syntax trees, nothing imported."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"


class Module(NamedTuple):
    """One source file.

    Attributes:
        name: Dotted name: "recoup._core.shape"; a package goes by its own name.
        text: Its source.
    """

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


def modules() -> Iterator[Module]:
    """Read all of `src/recoup`."""
    for path in sorted(SRC.glob("recoup/**/*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        yield Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text(encoding="utf-8"))


def under(name: str, *packages: str) -> bool:
    """Tell whether a dotted name is one of these packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
