"""What a type checker says of names that are not there: that they are mistakes, though names are loaded late (G6)."""

from __future__ import annotations

import recoup
import recoup.testing
from recoup import CircuitBraker  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
from recoup.testing import VirtualClok  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

recoup.circuit_braker  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018
recoup.testing.virtual_clok  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018

__all__ = ["CircuitBraker", "VirtualClok"]
