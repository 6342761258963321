"""The rows behind `@idempotent`: what becomes of a key, and what is said to the database about it.

    recoup_key(scope, key, fn, state, result, at)          primary key (scope, key)

    no row --do--> DOING --it returned--> DONE --undo--> UNDONE
    no row --undo--> UNDONE, the tombstone: a do that comes later is refused

DOING is in the same transaction as DONE, so nobody else ever sees it: who comes meanwhile waits for the end of that
transaction. It is seen only if the function ended the transaction itself, half-way.

The conversations are generators: each yields a statement and is sent what the database answered. Those who have them,
sync and async, only pass on. No code of the user's runs in them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from recoup.errors import AlreadyUndone, RecoveryError
from recoup.sagas import values
from recoup.sagas.steps import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    Statement = tuple[str, tuple[Any, ...]]
    Talk = Generator[Statement, "Answer", "Found"]

__all__ = ["TABLE", "Answer", "Entry", "Found"]

TABLE = """CREATE TABLE IF NOT EXISTS recoup_key (
    scope TEXT NOT NULL, key TEXT NOT NULL, fn TEXT NOT NULL, state TEXT NOT NULL, result TEXT,
    at DOUBLE PRECISION NOT NULL, PRIMARY KEY (scope, key))"""
"""In words that SQLite and PostgreSQL both understand, as all that follow; a value stands in them as `?`."""

_ADD = "INSERT INTO recoup_key (scope, key, fn, state, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_READ = "SELECT fn, state, result FROM recoup_key WHERE scope = ? AND key = ?"
_CHANGE = "UPDATE recoup_key SET state = ?, result = ?, at = ? WHERE scope = ? AND key = ?"


class Answer(NamedTuple):
    """What the database says to a statement.

    Attributes:
        changed: How many rows it has changed.
        row: Its first row.
    """

    changed: int
    row: Any


class Found(NamedTuple):
    """What is to be done about a call.

    Attributes:
        runs: Whether the function has to run.
        result: What the call gives if not; for undoing, the result of what is undone.
    """

    runs: bool
    result: Any = None


class Entry(NamedTuple):
    """One key.

    Attributes:
        scope: Whose key: the same key in another scope is another one.
        key: The key.
        fn: The function that is called.
    """

    scope: str
    key: str
    fn: str

    def doing(self, locks: str) -> Talk:
        """Take the key for an effect, or find what became of it.

        Args:
            locks: What the database wants to hear from those who read a row in order to decide by it.

        Raises:
            AlreadyUndone: If the effect is undone, or was not to happen any more.
            RecoveryError: If the key belongs to another function, or the effect was left half-way.
        """
        if (yield self._add("doing")).changed:
            return Found(runs=True)
        fn, state, result = (yield _READ + locks, (self.scope, self.key)).row
        if state == "undone":
            raise AlreadyUndone(name=self.fn, key=self.key)
        if fn != self.fn:
            raise RecoveryError(
                f"{self.fn} was not called: key {self.key!r} belongs to a call of {fn}; give each effect of a step a "
                "scope of its own, as in @idempotent(store, scope='stock')"
            )
        if state == "doing":
            raise RecoveryError(
                f"{self.fn} was not called: a call with key {self.key!r} is running further out, or ended its "
                "transaction half-way (leave commit and rollback to @idempotent): see what it has done"
            )
        return Found(runs=False, result=values.loads(result))

    def done(self, result: object) -> Statement:
        """Keep what the effect gave.

        Raises:
            UnserializableError: If it would not come back the same.
        """
        text = values.dumps(result, f"the result of {self.fn}")
        return _CHANGE, ("done", text, time.time(), self.scope, self.key)

    def undoing(self, locks: str) -> Talk:
        """Put a tombstone, or find what is to be undone."""
        if (yield self._add("undone")).changed:
            return Found(runs=False)
        _, state, result = (yield _READ + locks, (self.scope, self.key)).row
        if state == "undone":
            return Found(runs=False)
        return Found(runs=True, result=UNKNOWN if result is None else values.loads(result))

    def undone(self) -> Statement:
        """Keep that the effect is gone; its result is of no use any more."""
        return _CHANGE, ("undone", None, time.time(), self.scope, self.key)

    def _add(self, state: str) -> Statement:
        return _ADD, (self.scope, self.key, self.fn, state, time.time())
