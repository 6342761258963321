"""What is said to PostgreSQL. Beside the tables that all journals share there is a sequence, which numbers the owners.

An owner is called "<number>-<host>-<process>". It lives as long as its session holds the advisory lock
(oid of the table `recoup_saga`, number): by the table, because locks belong to a whole database, and journals to a
schema of it. Whoever asks whether an owner lives tries the same lock, shared, for the length of one transaction: those
who ask do not take one another for the owner.
"""
# ruff: noqa: S608 - what is put into these texts are the constants of this file and of the tables

from __future__ import annotations

from recoup.sagas.journal import SCHEMA
from recoup.sagas.tables import HEAD

__all__ = [
    "APPEND",
    "CLAIM",
    "DOUBTFUL",
    "ENTER",
    "GHOST",
    "LISTED",
    "LOAD",
    "LOOK",
    "MIGRATED",
    "MIGRATING",
    "MIGRATION_OVER",
    "NUMBERS",
    "SETTINGS",
    "START",
    "TAKE",
    "WATCH",
]

_SPACE = "'recoup_saga'::regclass::oid::int4"
_NUMBER = "split_part(owner, '-', 1)::int4"
_ABSENT = f"pg_try_advisory_xact_lock_shared({_SPACE}, {_NUMBER})"
_OPEN = "state IN ('running', 'compensating')"
_MINE = ", ".join(f"s.{column}" for column in HEAD.split(", "))

MIGRATING = "SELECT pg_advisory_lock(1919247215, hashtext(current_schema()))"
MIGRATION_OVER = "SELECT pg_advisory_unlock(1919247215, hashtext(current_schema()))"
"""Held while tables are made; the number is "reco" in ASCII."""

MIGRATED = f"INSERT INTO recoup_schema VALUES ({SCHEMA})"

NUMBERS = "CREATE SEQUENCE IF NOT EXISTS recoup_owner AS integer CYCLE"

SETTINGS = """
    SELECT set_config('default_transaction_isolation', 'read committed', false),
           set_config('lock_timeout', $1, false),
           set_config('idle_in_transaction_session_timeout', $2, false),
           set_config('synchronous_commit',
                      CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                           ELSE current_setting('synchronous_commit') END, false)
"""
"""A commit is on disk when it returns, whatever is usual on this server. Who stops in the middle lets go in the end."""

ENTER = f"SELECT pg_advisory_lock({_SPACE}, $1::int4)"

GHOST = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int4 AND backend_start = $2::timestamptz"
)
"""End the session that was ours before the link was lost: it may hold the lock for as long as nobody tells it."""

START = f"""
    WITH added AS (
        INSERT INTO recoup_saga ({HEAD})
        VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, 1, $8::float8, $8::float8, '')
        ON CONFLICT DO NOTHING RETURNING {HEAD})
    SELECT {HEAD}, 0 FROM added
    UNION ALL SELECT {HEAD}, 1 FROM recoup_saga WHERE id = $1
    UNION ALL SELECT {HEAD}, 2 FROM recoup_saga WHERE name = $2 AND key = $6 AND state <> 'compensated'
    ORDER BY 13 LIMIT 1
"""

_RECORDS = """
    records AS (
        SELECT * FROM unnest($4::int8[], $5::text[], $6::int8[], $7::text[]) AS r (seq, kind, n, body)),
"""

APPEND = f"""
    WITH {_RECORDS}
    held AS MATERIALIZED (
        SELECT id FROM recoup_saga WHERE id = $1 AND owner = $2 AND fence = $3::int8 FOR NO KEY UPDATE),
    changed AS (
        UPDATE recoup_saga AS s
        SET state = coalesce($8::text, s.state), changed = $9::float8, reason = $10,
            owner = CASE WHEN $11::bool THEN NULL ELSE s.owner END
        FROM held WHERE s.id = held.id AND ($8::text IS NOT NULL OR $11::bool)),
    added AS (
        INSERT INTO recoup_rec (saga, seq, kind, n, body)
        SELECT held.id, r.seq, r.kind, r.n, r.body FROM held, records AS r
        ON CONFLICT DO NOTHING)
    SELECT EXISTS (SELECT 1 FROM held) OR (
        EXISTS (SELECT 1 FROM recoup_saga WHERE id = $1 AND owner IS NULL AND fence = $3::int8)
        AND EXISTS (SELECT 1 FROM records)
        AND NOT EXISTS (
            SELECT 1 FROM records AS r LEFT JOIN recoup_rec AS o ON o.saga = $1 AND o.seq = r.seq
            WHERE (o.kind, o.n, o.body) IS DISTINCT FROM (r.kind, r.n, r.body)))
"""
"""One statement, so that owner and fence are tested where the records are added.

It is true, too, when nobody owns the saga any more and all the records are there: this very append gave the saga up,
its answer was lost, and now it comes again.
"""

LOAD = f"""
    SELECT {HEAD}, (
        SELECT json_agg(json_build_array(seq, kind, n, body) ORDER BY seq) FROM recoup_rec WHERE saga = $1)
    FROM recoup_saga WHERE id = $1
"""
"""One statement, so that the saga and its records are of the same moment."""

LISTED = f"""
    SELECT {HEAD} FROM recoup_saga
    WHERE state = ANY ($1::text[]) AND ($2::text IS NULL OR name = $2) ORDER BY created, id LIMIT $3::int8
"""

CLAIM = f"""
    WITH owners AS MATERIALIZED (
        SELECT DISTINCT owner FROM recoup_saga WHERE {_OPEN} AND owner <> $1
        AND pg_postmaster_start_time() < clock_timestamp() - $3::float8 * interval '1 second'),
    absent AS MATERIALIZED (SELECT owner FROM owners WHERE {_ABSENT}),
    orphans AS MATERIALIZED (
        SELECT id FROM recoup_saga WHERE {_OPEN} AND (owner IS NULL OR owner IN (SELECT owner FROM absent))
        ORDER BY created, id LIMIT $2::int8 FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE recoup_saga AS s SET owner = $1, fence = s.fence + 1
    FROM orphans WHERE s.id = orphans.id AND s.{_OPEN} RETURNING {_MINE}
"""
"""Locking reads a row again as it is now, so that nobody takes what has ended or was taken since (rule 7)."""

DOUBTFUL = f"SELECT {HEAD} FROM recoup_saga WHERE id = ANY ($1::text[]) AND owner = $2 AND {_OPEN}"

TAKE = f"""
    UPDATE recoup_saga AS s SET owner = $2, fence = s.fence + 1
    WHERE id = $1 AND state = ANY ($3::text[]) AND state NOT IN ('done', 'compensated')
    AND (owner IS NULL OR owner = $2 OR state = 'stuck' OR $4::bool OR {_ABSENT}) RETURNING {_MINE}
"""

LOOK = f"""
    WITH owners AS MATERIALIZED (SELECT DISTINCT owner FROM recoup_saga WHERE {_OPEN} AND owner IS DISTINCT FROM $1),
    living AS MATERIALIZED (
        SELECT objid::int8 AS number FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND mode = 'ExclusiveLock'
        AND classid = 'recoup_saga'::regclass::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    SELECT
        EXISTS (SELECT 1 FROM owners WHERE owner IS NULL OR {_ABSENT}),
        (SELECT number FROM living WHERE number <> $2::int8 ORDER BY number < $2::int8, number LIMIT 1)
"""
"""Is there anything to claim, and who is the next living owner behind us?"""

WATCH = f"SELECT pg_advisory_xact_lock_shared({_SPACE}, $1::int4)"
