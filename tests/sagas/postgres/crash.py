"""The trials of `tests.sagas.crash` on a real server: `python -m tests.sagas.postgres.crash points|pairs|random`.

Processes die before and after each exchange with the server that writes, and each effect.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg

from recoup.sagas.journal import State
from recoup.sagas.keeper import Journal
from recoup.sagas.postgres import PostgresBackend
from tests.sagas.crash import __main__ as command
from tests.sagas.crash import trial, world
from tests.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recoup.sagas.journal import Story


class Pointed(PostgresBackend):
    """A journal that may be killed before and after each exchange of a transaction that writes."""

    _counts = False

    def begin(self, *, writes: bool, alone: bool = False) -> None:
        super().begin(writes=writes, alone=alone)
        self._counts = writes

    def _run(self, *statements: tuple[str, Any]) -> list[Any]:
        if self._counts:
            world.point()
        replies = super()._run(*statements)
        if self._counts:
            world.point()
        return replies


class Trials:
    """Trials on one server, one after the other.

    Args:
        server: The server, for nobody else.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._forked = trial.forked

    def journal(self, folder: Path) -> Journal:
        """Open the journal in the process that runs or recovers the saga of a trial."""
        return Journal(Pointed(self._server.dsn, timeout=60, reconnect_grace=0), timeout=60, recover=False)

    def read(self, folder: Path) -> list[Story]:
        """Read what became of a trial, and forget it; without a thread of its own, for this process forks."""
        backend = PostgresBackend(self._server.dsn, timeout=60)
        backend.open()
        try:
            backend.begin(writes=False)
            found = [backend.load(head.id) for head in backend.listed(tuple(State), 100)]
            backend._run(("DELETE FROM recoup_saga", ()), ("DELETE FROM recoup_rec", ()))
            return [story for story in found if story is not None]
        finally:
            backend.close()

    def forked(self, work: Callable[[], None]) -> int:
        """Run something in a new process, and wait until the server has noticed its end."""
        code = self._forked(work)
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'recoup%'"
        with psycopg.connect(self._server.plain, autocommit=True) as connection:
            while connection.execute(asked).fetchone() != (0,):
                time.sleep(0.002)
        return code

    def take_over(self) -> None:
        """Have all trials of this process use the server."""
        trial.journal = self.journal
        trial._read = self.read
        trial.forked = self.forked


def main() -> int:
    with PostgresServer() as server:
        Trials(server).take_over()
        return command.main()


if __name__ == "__main__":
    sys.exit(main())
