"""Fixtures of the core's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shaping_on() -> Iterator[None]:
    """Shape pumps even when the whole suite runs with RECOUP_SHAPE=off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RECOUP_SHAPE", raising=False)
        yield
