"""The embedded journal: one SQLite file, for any number of processes on one host.

WAL with synchronous=FULL: a commit is one write and one sync. Every transaction is made under a lock of our own (a
`flock` on `<journal>-turn`), for two reasons. SQLite before 3.51.3 (but for 3.50.7 and 3.44.6) can lose a commit when
one connection checkpoints while another one writes (https://sqlite.org/wal.html#walresetbug), and Pythons ship older
ones; and whoever waits for a lock of the system is woken, whereas SQLite's own waiting is sleeping and asking.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from recoup.errors import JournalError
from recoup.sagas import tables
from recoup.sagas.journal import SCHEMA, Head, Kind, Record, State, Story
from recoup.sagas.owners import Owners, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from typing import Any

    from recoup.sagas.journal import Append, Start

__all__ = ["SqliteBackend"]

_inherited: list[object] = []
"""What forked children have inherited: closing a connection of the parent would do things to its files."""


class SqliteBackend:
    """Keep sagas in a file; the methods are those of `Backend`.

    Args:
        path: The file; its folder must exist. Beside it stand `-wal` and `-shm` (SQLite's), `-turn` and `-owners`.
    """

    def __init__(self, path: Path) -> None:
        if sys.platform == "win32":
            raise JournalError(
                journal=f"sqlite:{path}",
                reason="this journal needs flock(), which Windows does not have: use a PostgreSQL journal there",
            )
        self.path = path.absolute()
        self.journal = f"sqlite:///{self.path}"
        self._owners = Owners(self.path.with_name(f"{self.path.name}-owners"))
        self._connection: Any = None
        self._turn = -1
        self._buried: list[str] = []

    @property
    def owner(self) -> str:
        """Who this is."""
        return self._owners.name

    def open(self) -> None:
        """Connect, migrate, and become an owner."""
        self.close()
        try:
            self._turn = os.open(self.path.with_name(f"{self.path.name}-turn"), os.O_RDWR | os.O_CREAT, 0o600)
            self._take_turn()
            self._connection = self._connect()
            self._migrate()
            self._owners.enter()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(journal=self.journal, reason=f"cannot be opened: {error}") from error
        finally:
            self._give_turn()

    def _connect(self) -> Any:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=30.0)
        with suppress(sqlite3.Error):  # of no use but on macOS
            connection.execute("PRAGMA fullfsync = 1")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            connection.close()
            raise JournalError(journal=self.journal, reason=f"SQLite cannot keep it in WAL mode (it says {mode!r})")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _migrate(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(tables.META)
        found = self._connection.execute("SELECT version FROM recoup_schema").fetchone()
        version = 0 if found is None else int(found[0])
        if version > SCHEMA:
            raise JournalError(
                journal=self.journal,
                reason=f"its schema is version {version}, and this recoup knows {SCHEMA} at the most: update recoup",
            )
        for step in tables.MIGRATIONS[version:]:
            for statement in step:
                self._connection.execute(statement)
        self._connection.execute("DELETE FROM recoup_schema")
        self._connection.execute("INSERT INTO recoup_schema VALUES (?)", (SCHEMA,))
        self._connection.execute("COMMIT")

    def begin(self, *, writes: bool, alone: bool = False) -> None:  # noqa: ARG002 - of no use here
        """Begin a transaction, when it is our turn."""
        self._take_turn()
        self._done("BEGIN IMMEDIATE" if writes else "BEGIN")

    def commit(self) -> None:
        """Make it durable."""
        self._done("COMMIT")
        self._give_turn()
        while self._buried:
            self._owners.bury(self._buried.pop())

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        self._buried.clear()
        with suppress(sqlite3.Error):
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._give_turn()

    def start(self, start: Start) -> Head:
        """Add a saga, or give the one that is there."""
        self._done(
            "INSERT INTO recoup_saga (id, name, version, fn, args, key, state, owner, fence, created, changed, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, 'running', ?, 1, ?, ?, '') ON CONFLICT DO NOTHING",
            (*start[:6], self.owner, start.created, start.created),
        )
        found = self._heads("WHERE id = ?", (start.id,))
        return (found or self._heads("WHERE name = ? AND key = ? AND state <> 'compensated'", (start.name, start.key)))[
            0
        ]

    def appends(self, wanted: Sequence[tuple[Append, Start | None]]) -> list[bool]:
        """Add records to several sagas."""
        return [self.append(append, start) for append, start in wanted]

    def append(self, append: Append, start: Start | None = None) -> bool:
        """Add records, if owner and fence are still what they were."""
        if start is not None:
            self.start(start)
        if append.state is None and not append.release:
            held = self._done(
                "SELECT 1 FROM recoup_saga WHERE id = ? AND owner = ? AND fence = ?",
                (append.id, self.owner, append.fence),
            ).fetchone()
        else:
            held = self._done(
                "UPDATE recoup_saga SET state = coalesce(?, state), changed = ?, reason = ?, "
                "owner = CASE WHEN ? THEN NULL ELSE owner END WHERE id = ? AND owner = ? AND fence = ?",
                (append.state, append.now, append.reason, append.release, append.id, self.owner, append.fence),
            ).rowcount
        if not held:
            return self._was_appended(append)
        for each in append.records:
            self._done("INSERT OR IGNORE INTO recoup_rec VALUES (?, ?, ?, ?, ?)", (append.id, *each))
        return True

    def _was_appended(self, append: Append) -> bool:
        """Tell whether this very append was made before, and only its answer was lost."""
        if not append.records:
            return False
        story = self.load(append.id)
        return story is not None and story.head.fence == append.fence and set(append.records) <= set(story.records)

    def load(self, id: str) -> Story | None:  # noqa: A002 - what everybody calls it
        """Read a saga."""
        found = self._heads("WHERE id = ?", (id,))
        if not found:
            return None
        rows = self._done("SELECT seq, kind, n, body FROM recoup_rec WHERE saga = ? ORDER BY seq", (id,))
        return Story(found[0], [Record(seq, Kind(kind), n, body) for seq, kind, n, body in rows])

    def listed(self, states: Collection[State], limit: int, name: str | None = None) -> list[Head]:
        """Read what there is."""
        chosen = list(states) or list(State)
        named = "" if name is None else "AND name = ? "
        return self._heads(
            f"WHERE state IN ({_marks(chosen)}) {named}ORDER BY created, id LIMIT ?",
            (*chosen, *([] if name is None else [name]), limit),
        )

    def claim(self, limit: int) -> list[Head]:
        """Take over orphans."""
        there = self._done(
            "SELECT DISTINCT owner FROM recoup_saga WHERE state IN ('running', 'compensating') AND owner IS NOT ?",
            (self.owner,),
        ).fetchall()
        claimed: list[Head] = []
        for (owner,) in there:
            if owner is not None and not self._owners.dead(owner):
                continue
            left = limit - len(claimed)
            rows = self._heads(
                "WHERE state IN ('running', 'compensating') AND owner IS ? ORDER BY created LIMIT ?", (owner, left)
            )
            claimed += [head for each in rows if (head := self._taken(each)) is not None]
            if owner is not None and len(rows) < left:
                self._buried.append(owner)
        return claimed

    def take(self, id: str, states: Collection[State], *, force: bool = False) -> Head | None:  # noqa: A002 - as above
        """Take one saga over."""
        found = self._heads("WHERE id = ?", (id,))
        if not found or found[0].state not in states:
            return None
        head = found[0]
        free = head.state is State.STUCK or head.owner in {None, self.owner} or self._owners.dead(str(head.owner))
        return self._taken(head) if free or force else None

    def _taken(self, head: Head) -> Head | None:
        """Make a saga ours, if it still is as it was read."""
        made = self._done(
            "UPDATE recoup_saga SET owner = ?, fence = fence + 1 "
            "WHERE id = ? AND owner IS ? AND fence = ? AND state = ? AND state NOT IN ('done', 'compensated')",
            (self.owner, head.id, head.owner, head.fence, head.state),
        )
        return head._replace(owner=self.owner, fence=head.fence + 1) if made.rowcount else None

    def watch(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Have a function called soon after an owner dies."""
        return Watch(self._owners, notify).end

    def close(self) -> None:
        """Disconnect, and give the lock of the owner back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._take_turn()
            with suppress(sqlite3.Error):
                connection.close()
        turn, self._turn = self._turn, -1
        if turn >= 0:
            os.close(turn)
        with suppress(OSError):
            self._owners.leave()

    def abandon(self) -> None:
        """Forget what a forked child has inherited."""
        _inherited.append(self._connection)
        self._connection = None
        turn, self._turn = self._turn, -1
        if turn >= 0:
            os.close(turn)
        self._owners.drop()

    def _take_turn(self) -> None:
        self._owners._fcntl.flock(self._turn, self._owners._fcntl.LOCK_EX)

    def _give_turn(self) -> None:
        if self._turn >= 0:
            self._owners._fcntl.flock(self._turn, self._owners._fcntl.LOCK_UN)

    def _heads(self, condition: str, values: tuple[Any, ...]) -> list[Head]:
        rows = self._done(f"SELECT {tables.HEAD} FROM recoup_saga {condition}", values)  # noqa: S608 - constants of ours
        return [head._replace(state=State(head.state)) for head in map(Head._make, rows)]

    def _done(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """Execute one statement.

        Raises:
            JournalError: For whatever SQLite has against it.
        """
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(journal=self.journal, reason=str(error)) from error


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))
