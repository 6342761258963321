"""The libraries that are compared, one file each."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from benchmarks.libraries.base import Library

__all__ = ["load"]


def load(only: Collection[str] = ()) -> list[Library]:
    """Give the libraries that are installed: the limit first, recoup next, then the others by name.

    Args:
        only: Names of the libraries wanted beside the limit and recoup; default: all.
    """
    found = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        if module.name == "base":
            continue
        try:
            library: Library = importlib.import_module(f"{__name__}.{module.name}").library
        except ImportError as missing:
            print(f"{module.name}: left out, {missing}", file=sys.stderr)
            continue
        if not only or library.name in {*only, "limit", "recoup"}:
            found.append(library)
    return sorted(found, key=lambda each: (each.name != "limit", each.name != "recoup", each.name))
