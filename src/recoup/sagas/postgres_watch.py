"""See owners die without looking again and again: wait for their locks.

Each watcher waits, in a session of its own, for the lock of the living owner whose number comes next after its own: so
all owners are watched, each by one. A lock is given the moment its owner's session ends. Once a second it looks round:
who is next may have changed, and sagas may have been set free by hand.
"""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from recoup.sagas import postgres_sql as sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.ext.postgres import Link
    from recoup.sagas.postgres import PostgresBackend

__all__ = ["Watch"]

ROUND = 1.0
"""Seconds between two looks round."""

_BUSY = "55P03"  # lock_not_available: the owner lives


class Watch:
    """Call a function, in a thread of its own, soon after an owner dies.

    Args:
        backend: Whose journal.
        notify: What to call; it must not raise.
    """

    def __init__(self, backend: PostgresBackend, notify: Callable[[], None]) -> None:
        self._backend = backend
        self._notify = notify
        self._link: Link | None = None
        self._lock = Lock()  # round opening and closing the link, which another thread may interrupt
        self._ended = Event()

    def start(self) -> None:
        """Begin."""
        Thread(target=self._run, name="recoup-watch", daemon=True).start()

    def end(self) -> None:
        """Call nobody any more."""
        self._ended.set()
        with self._lock:
            if self._link is not None:
                self._link.interrupt()

    def leave(self) -> None:
        """Let go of the link in a forked child, which has no such thread (and where locks may be held for ever)."""
        link, self._link = self._link, None
        if link is not None:
            link.leave()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._watch()
            except self._backend._ext.LinkError:
                self._close()
                self._ended.wait(ROUND / 4)
        self._close()

    def _watch(self) -> None:
        link = self._link
        if link is None or not link.open:
            link = self._opened()
        orphans, following = link.run((sql.LOOK, (self._backend.owner, self._backend.number)))[0].rows[0]
        if orphans == "t":
            self._tell()
        if following is None:
            self._ended.wait(ROUND)
        elif self._died(link, int(following)):
            self._tell()

    def _opened(self) -> Link:
        link = self._backend.connect(f"recoup watch {self._backend.owner}")
        with self._lock:
            self._link = link
        link.run(("SELECT set_config('lock_timeout', $1, false)", (f"{ROUND * 1000:.0f}ms",)))
        return link

    def _died(self, link: Link, number: int) -> bool:
        """Wait for an owner's end; False if it is still there after a while."""
        try:
            link.run_within(ROUND + self._backend.timeout, (sql.WATCH, (number,)))
        except self._backend._ext.LinkError as error:
            if error.code == _BUSY:
                return False
            raise
        return True

    def _tell(self) -> None:
        if not self._ended.is_set():
            self._notify()

    def _close(self) -> None:
        with self._lock:
            link, self._link = self._link, None
            if link is not None:
                link.close()
