"""Journals for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recoup.sagas.keeper import Journal
from recoup.sagas.settings import configure
from recoup.sagas.sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that nobody looks after by himself, in use for the test."""
    with Journal(SqliteBackend(tmp_path / "sagas.db"), recover=False) as made, configure(journal=made):
        yield made
