"""The databases in which effects happen once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sagas.idempotent.banks import PostgresBank, SqliteBank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.sagas.idempotent.banks import Bank


@pytest.fixture(params=["sqlite", "postgres"])
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bank]:
    """One empty database."""
    made = (
        SqliteBank(tmp_path / "bank.db")
        if request.param == "sqlite"
        else PostgresBank(request.getfixturevalue("database"))
    )
    yield made
    made.close()
