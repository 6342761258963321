"""What a new connection to PostgreSQL is told first, and the tables that it finds or makes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from recoup.errors import JournalError
from recoup.sagas import postgres_sql as sql
from recoup.sagas.journal import SCHEMA
from recoup.sagas.tables import META, MIGRATIONS

if TYPE_CHECKING:
    from recoup.ext.postgres import Link

__all__ = ["migrate", "settle"]


def settle(link: Link, timeout: float, host_timeout: float) -> None:
    """Have the server let go of whoever stops in the middle, and of hosts that are gone without a word.

    Args:
        link: The connection.
        timeout: Seconds after which it is given up here.
        host_timeout: Seconds after which the server gives up a silent host, as far as its system can.
    """
    limit = int(timeout * 500)  # before the link is given up, so that it need not be
    link.run((sql.SETTINGS, (f"{limit}ms", f"{int(timeout * 2000)}ms")))
    seconds = int(host_timeout)
    for name, value in (
        ("tcp_user_timeout", seconds * 1000),
        ("tcp_keepalives_idle", max(1, seconds // 2)),
        ("tcp_keepalives_interval", max(1, seconds // 6)),
        ("tcp_keepalives_count", 3),
    ):
        with suppress(link.refused):  # not every system can do it
            link.run((f"SET {name} = {value}", ()))


def migrate(link: Link, journal: str) -> None:
    """Make or bring up to date the tables; nothing is written, and no right needed, if they are as they should.

    Args:
        link: The connection.
        journal: What errors call it.

    Raises:
        JournalError: If they are newer than this program.
    """
    if _version(link, journal) == SCHEMA:
        return
    # A lock of the session: the transaction has to begin after it, or it does not see the tables of who was faster.
    link.run((sql.MIGRATING, ()))
    link.run(("BEGIN", ()))
    for step in MIGRATIONS[_version(link, journal) :]:
        for statement in step:
            link.run((statement, ()))
    for statement in (sql.NUMBERS, META, "DELETE FROM recoup_schema", sql.MIGRATED):
        link.run((statement, ()))
    link.run(("COMMIT", ()), (sql.MIGRATION_OVER, ()))


def _version(link: Link, journal: str) -> int:
    """Read which version the tables are; 0 for none."""
    if link.run(("SELECT to_regclass('recoup_schema')", ()))[0].rows[0][0] is None:
        return 0
    rows = link.run(("SELECT version FROM recoup_schema", ()))[0].rows
    version = int(rows[0][0] or 0) if rows else 0
    if version > SCHEMA:
        raise JournalError(
            journal=journal,
            reason=f"its schema is version {version}, and this recoup knows {SCHEMA} at the most: update recoup",
        )
    return version
