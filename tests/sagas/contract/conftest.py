"""The journals that the contract is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sagas.contract import stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recoup.sagas.journal import Backend
    from tests.sagas.contract.stores import Store


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """One empty journal, which any number of owners may open."""
    if request.param == "sqlite":
        made = stores.sqlite(tmp_path)
    else:
        made = stores.postgres(request.getfixturevalue("database"))
    yield made
    made.close()


@pytest.fixture
def backend(store: Store) -> Backend:
    """Open it as the first owner."""
    return store.open()
