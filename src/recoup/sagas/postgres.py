"""The journal for many hosts: PostgreSQL, one connection a process, which is also what tells that the process lives.

* Every append is one statement that names owner and fence, so it is right whatever has become of us meanwhile. Alone
  in its transaction, as it is when nobody else is waiting, it takes one round trip.
* The owner's lock belongs to the connection. When that is lost the lock is lost too, and taken again under the same
  name: sagas that somebody claimed in between are fenced, the others go on. For a while after a start of the server
  nobody claims from owners that are absent: they are all absent then, and most of them are just coming back.
* It needs a session of its own: through a pooler that gives each transaction another one, no lock is held.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from typing import TYPE_CHECKING

from recoup._core import checks
from recoup.errors import JournalError
from recoup.sagas import postgres_sql as sql
from recoup.sagas import postgres_tables as tables
from recoup.sagas.journal import Head, Kind, Record, State, Story, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from recoup.ext.postgres import Link, LinkError, Reply
    from recoup.sagas.journal import Append, Start
    from recoup.sagas.postgres_watch import Watch
    from recoup.typing import Seconds

__all__ = ["PostgresBackend"]

# By SQLSTATE: lost or closing connections, no resources, conflicts of transactions, time limits, a standby server.
_PASSING = ("08", "53", "40", "57", "55P03", "25006", "25P03")


class PostgresBackend:
    """Keep sagas in a PostgreSQL database; the methods are those of `Backend`.

    Args:
        address: A URL or "key=value ..." as libpq takes it. The tables are made in the first schema of its
            `search_path`, by whoever comes first and may.
        timeout: Seconds (or a timedelta) that connecting or one exchange may take, more than 0. Default 5.0: then the
            connection is given up, whatever the server is doing.
        host_timeout: Seconds (or a timedelta) after which the server gives up a host that is gone without a word, at
            least 1. Default 10.0. A process that dies on a host that lives is noticed at once.
        reconnect_grace: Seconds (or a timedelta), 0 or more, after a start of the server in which sagas of absent
            owners are left to them. Default 5.0.

    Raises:
        JournalError: If psycopg is not installed, or `address` is no address.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: Seconds = 5.0,
        host_timeout: Seconds = 10.0,
        reconnect_grace: Seconds = 5.0,
    ) -> None:
        try:
            from recoup.ext import postgres as ext  # noqa: PLC0415 - psycopg is an extra
        except ImportError as error:
            raise JournalError(
                journal="postgresql:", reason=f"psycopg cannot be imported ({error}): pip install 'recoup[postgres]'"
            ) from error
        self._ext = ext
        self._address = address
        try:
            self.journal = ext.public(address)
        except ext.LinkError as error:
            raise JournalError(journal="postgresql:", reason=str(error)) from None
        self.timeout: float = checks.duration("timeout", timeout, zero=False)
        self._host_timeout = checks.number("host_timeout", checks.duration("host_timeout", host_timeout), low=1)
        self._grace = checks.duration("reconnect_grace", reconnect_grace)
        self.owner = ""
        self._link: Link | None = None
        self._ghost = ("", "")  # process and beginning of the session that we had
        self._watches: list[Watch] = []
        self._alone = self._begun = False
        self._claimed: dict[str, int] = {}  # with their fences, in this transaction
        self._doubtful: dict[str, int] = {}  # claimed by transactions whose commit was not answered

    def open(self) -> None:
        """Connect, make the tables, and take the owner's lock."""
        if self._link is not None and self._link.open:
            self.rollback()
            return
        try:
            self._link = link = self.connect(f"recoup {self.owner}")
            tables.settle(link, self.timeout, self._host_timeout)
            tables.migrate(link, self.journal)
            self._enter(link)
        except self._ext.LinkError as error:
            self._drop()
            raise self._failed(error) from error
        except BaseException:
            self._drop()
            raise

    def connect(self, name: str) -> Link:
        """Open one more connection."""
        return self._ext.Link(self._address, timeout=self.timeout, name=name)

    def _enter(self, link: Link) -> None:
        if not self.owner:
            number = link.run(("SELECT nextval('recoup_owner')", ()))[0].rows[0][0]
            self.owner = f"{number}-{platform.node()}-{os.getpid()}"
        if self._ghost[0]:
            link.run((sql.GHOST, self._ghost))
        link.run((sql.ENTER, (self.number,)))
        born = link.run(("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()", ()))[0].rows
        self._ghost = (str(link.pid), str(born[0][0]))

    @property
    def number(self) -> int:
        """The owner's number; 0 before it has one."""
        return int(self.owner.partition("-")[0] or 0)

    def begin(self, *, writes: bool, alone: bool = False) -> None:
        """Begin a transaction; nothing is sent before its first statement."""
        self._alone = alone or not writes
        self._begun = False
        self._claimed = {}

    def commit(self) -> None:
        """Make it durable."""
        claimed, self._claimed = self._claimed, {}
        if self._begun:
            self._begun = False
            try:
                self._run(("COMMIT", ()))
            except Unavailable:
                self._doubtful |= claimed
                raise
        for id_ in claimed:
            self._doubtful.pop(id_, None)

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        self._claimed = {}
        if self._begun:
            self._begun = False
            with suppress(JournalError):
                self._run(("ROLLBACK", ()))

    def start(self, start: Start) -> Head:
        """Add a saga."""
        while True:  # again if another one was committed while ours was being tried: it is seen now
            if rows := self._said(self._starting(start))[0].rows:
                return _head(rows[0])

    def _starting(self, start: Start) -> tuple[str, Any]:
        return sql.START, (*start[:6], self.owner, start.created)

    def append(self, append: Append, start: Start | None = None) -> bool:
        """Add records and change the state, if owner and fence are still what they were.

        Args:
            append: What to add.
            start: The saga itself, if it may not be there yet: in the same exchange, so in the same transaction.
        """
        return self.appends([(append, start)])[0]

    def appends(self, wanted: Sequence[tuple[Append, Start | None]]) -> list[bool]:
        """Do what `append` does, for several sagas, in one exchange."""
        statements: list[tuple[str, Any]] = []
        answers: list[int] = []
        for append, start in wanted:
            if start is not None:
                statements.append(self._starting(start))
            answers.append(len(statements))
            statements.append(self._appending(append))
        replies = self._said(*statements)
        return [replies[each].rows[0][0] == "t" for each in answers]

    def _appending(self, append: Append) -> tuple[str, Any]:
        columns = zip(*append.records, strict=True) if append.records else ((), (), (), ())
        seqs, kinds, numbers, bodies = map(tuple, columns)
        return sql.APPEND, (append.id, self.owner, append.fence, seqs, kinds, numbers, bodies,
                            append.state, append.now, append.reason, append.release)  # fmt: skip

    def load(self, id: str) -> Story | None:  # noqa: A002 - what everybody calls it
        """Read a saga."""
        rows = self._said((sql.LOAD, (id,)))[0].rows
        if not rows:
            return None
        return Story(
            _head(rows[0]), [Record(seq, Kind(kind), n, body) for seq, kind, n, body in json.loads(rows[0][12] or "[]")]
        )

    def listed(self, states: Collection[State], limit: int, name: str | None = None) -> list[Head]:
        """Read what there is in these states."""
        return [_head(row) for row in self._said((sql.LISTED, (tuple(states or State), name, limit)))[0].rows]

    def claim(self, limit: int) -> list[Head]:
        """Take over orphans, and give again what was claimed without an answer."""
        self._alone = False  # an answer that is lost must not be a commit that is done: see `commit`
        found: list[Head] = []
        if self._doubtful:
            rows = self._said((sql.DOUBTFUL, (tuple(self._doubtful), self.owner)))[0].rows
            ours = [head for head in map(_head, rows) if self._doubtful[head.id] == head.fence]
            self._doubtful = {head.id: head.fence for head in ours}
            found = ours[:limit]
        claiming = sql.CLAIM, (self.owner, limit - len(found), self._grace)
        found += [_head(row) for row in self._said(claiming)[0].rows]
        self._claimed |= {head.id: head.fence for head in found}
        return sorted(found, key=lambda head: (head.created, head.id))

    def take(self, id: str, states: Collection[State], *, force: bool = False) -> Head | None:  # noqa: A002 - as above
        """Take one saga over."""
        rows = self._said((sql.TAKE, (id, self.owner, tuple(states), force)))[0].rows
        return _head(rows[0]) if rows else None

    def watch(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Have a function called soon after an owner dies."""
        from recoup.sagas.postgres_watch import Watch  # noqa: PLC0415 - most processes only write

        watch = Watch(self, notify)
        self._watches.append(watch)
        watch.start()
        return watch.end

    def close(self) -> None:
        """Give the owner's lock back and disconnect."""
        if self._link is not None and self._link.open:
            with suppress(self._ext.LinkError):
                self._link.run_within(min(1.0, self.timeout), ("SELECT pg_advisory_unlock_all()", ()))
        self._drop()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def abandon(self) -> None:
        """Let go of what a forked child has inherited; it will be another owner."""
        link, self._link = self._link, None
        if link is not None:
            link.leave()
        for watch in self._watches:
            watch.leave()
        self._watches = []
        self.owner, self._ghost = "", ("", "")
        self._claimed, self._doubtful = {}, {}

    def _said(self, *statements: tuple[str, Any]) -> list[Reply]:
        """Run statements of a transaction in one exchange, the first ones together with its beginning."""
        if self._alone or self._begun:
            return self._run(*statements)
        self._begun = True
        return self._run(("BEGIN", ()), *statements)[1:]

    def _run(self, *statements: tuple[str, Any]) -> list[Reply]:
        if self._link is None:
            raise Unavailable(journal=self.journal, reason="it is not open")
        try:
            return self._link.run(*statements)
        except self._ext.LinkError as error:
            raise self._failed(error) from error

    def _failed(self, error: LinkError) -> JournalError:
        passing = not error.code or error.code.startswith(_PASSING)
        return (Unavailable if passing else JournalError)(journal=self.journal, reason=str(error))


def _head(row: Any) -> Head:
    head = Head._make(row[:12])
    return head._replace(
        state=State(head.state), fence=int(head.fence), created=float(head.created), changed=float(head.changed)
    )
