"""Who begins anew in the child of a fork (G18)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from typing import Any

__all__ = ["keep", "renew_all"]


class Renewed(Protocol):
    """Something whose locks may be held by threads that the child does not have."""

    def renew(self) -> None:
        """Begin anew in the child."""


_kept: WeakSet[Any] = WeakSet()


def keep(one: Renewed) -> None:
    """Have something begin anew in every child, as long as it lives."""
    _kept.add(one)


def renew_all() -> None:
    """Begin anew: what a fork does in the child."""
    for one in list(_kept):
        one.renew()


os.register_at_fork(after_in_child=renew_all)
