"""The tables, in words that SQLite and PostgreSQL both understand, and how older ones become newer ones."""

from __future__ import annotations

__all__ = ["HEAD", "META", "MIGRATIONS"]

HEAD = "id, name, version, fn, args, key, state, owner, fence, created, changed, reason"
"""The columns of a `Head`, in its order."""

META = "CREATE TABLE IF NOT EXISTS recoup_schema (version INTEGER NOT NULL)"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # to version 1
        """CREATE TABLE recoup_saga (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            fn TEXT NOT NULL,
            args TEXT NOT NULL,
            key TEXT,
            state TEXT NOT NULL,
            owner TEXT,
            fence BIGINT NOT NULL,
            created DOUBLE PRECISION NOT NULL,
            changed DOUBLE PRECISION NOT NULL,
            reason TEXT NOT NULL
        )""",
        (
            "CREATE UNIQUE INDEX recoup_saga_key ON recoup_saga (name, key) "
            "WHERE key IS NOT NULL AND state <> 'compensated'"
        ),
        "CREATE INDEX recoup_saga_open ON recoup_saga (state, owner) WHERE state IN ('running', 'compensating')",
        """CREATE TABLE recoup_rec (
            saga TEXT NOT NULL,
            seq BIGINT NOT NULL,
            kind TEXT NOT NULL,
            n BIGINT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (saga, seq)
        )""",
    ),
)
"""What makes each version out of the one before."""
