"""One promise, held against ours and against the naive version: ours keeps it, and the test can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def only_ours(promise: Callable[[Any], None], ours: Any, naive: Any) -> None:
    """Run a promise against both; the naive version must break it.

    Args:
        promise: Asserts what must hold of what it is given.
        ours: What keeps it.
        naive: What does not.
    """
    promise(ours)
    with pytest.raises(AssertionError):
        promise(naive)
