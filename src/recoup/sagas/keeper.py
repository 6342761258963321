"""A journal: what sagas write to and read from, in any thread and any event loop."""

from __future__ import annotations

import atexit
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

from recoup._core import checks
from recoup._core.waiting import at_fork, for_task, for_thread
from recoup.errors import JournalError
from recoup.sagas.journal import Append
from recoup.sagas.writer import Adding, Ticket, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType
    from typing import Any, Self

    from recoup.sagas.journal import Backend, Start, State
    from recoup.typing import Seconds

__all__ = ["Journal"]

_open: WeakSet[Journal] = WeakSet()


class Journal:
    """Keep sagas durably.

    It is opened when it is first used, by whichever thread; `open()` does it now. Threads and tasks of any number of
    loops may use one journal at once. After a fork the child has to open its own, which happens when it uses it.

    Args:
        backend: What keeps them.
        timeout: Seconds (or a timedelta) that a caller waits for the store at the most, more than 0. Default 10.0.
        recover: Whether a thread looks after sagas that processes have left. Default True; with False nothing is done
            about them here until `recoup.sagas.people.recover` is called.
        patience: How long it tries before a person is asked; default `Patience()`.

    Each operation comes as a `Ticket`, for `wait` or `wait_async`.
    """

    def __init__(
        self, backend: Backend, *, timeout: Seconds = 10.0, recover: bool = True, patience: Any = None
    ) -> None:
        self._backend = backend
        self.timeout: float = checks.duration("timeout", timeout, zero=False)
        self._recover = recover
        self._patience_of_recovery = patience
        self._recoverer: Any = None
        self._writer: Writer | None = None
        self._lock = Lock()
        self._closed = False
        at_fork(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not open" if self._writer is None else "open"
        return f"<Journal {self.name} {state}>"

    @property
    def name(self) -> str:
        """Its address, without a password."""
        return self._backend.journal

    @property
    def owner(self) -> str:
        """What this process is called in it; empty before it is open."""
        return self._backend.owner

    @property
    def closed(self) -> bool:
        """Whether it was closed, for good."""
        return self._closed

    def open(self) -> Self:
        """Open it now, and wait until that is done.

        Raises:
            JournalError: If it cannot be opened.
        """
        self.wait(self._started().opening)
        return self

    async def open_async(self) -> Self:
        """Open it now, and await that."""
        await self.wait_async(self._started().opening)
        return self

    def close(self) -> None:
        """Write what is waiting and close it, for good; sagas that are still open then belong to whoever finds them."""
        with self._lock:
            writer, self._writer, self._closed = self._writer, None, True
            recoverer, self._recoverer = self._recoverer, None
        _open.discard(self)
        if recoverer is not None:
            recoverer.stop()
        if writer is not None:
            writer.stop(self.timeout)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, start: Start, *, lazy: bool = False) -> Ticket:
        """Begin a saga; the answer is a `Head`."""
        return self._submit(lambda backend: backend.start(start), lazy=lazy)

    def append(self, append: Append, *, start: Start | None = None, name: str = "", lazy: bool = False) -> Ticket:
        """Add records.

        Args:
            append: What to add.
            start: The saga itself, if it may not be in the journal yet.
            name: What the saga is called, for `Fenced`.
            lazy: Whether it may wait for the next commit.

        The ticket raises:
            Fenced: If the saga belongs to somebody else by now.
        """
        return self._sent(Adding(append, start, name, lazy=lazy))

    def load(self, id: str) -> Ticket:  # noqa: A002 - what everybody calls it
        """Read a saga; the answer is a `Story`, or `None`."""
        return self._submit(lambda backend: backend.load(id), writes=False)

    def listed(self, states: Collection[State], limit: int, name: str | None = None) -> Ticket:
        """Read what there is; the answer is a list of `Head`."""
        return self._submit(lambda backend: backend.listed(states, limit, name), writes=False)

    def claim(self, limit: int) -> Ticket:
        """Take over orphans; the answer is a list of `Head`."""
        return self._submit(lambda backend: backend.claim(limit))

    def take(self, id: str, states: Collection[State], *, force: bool = False) -> Ticket:  # noqa: A002 - as above
        """Take one saga over; the answer is a `Head`, or `None`."""
        return self._submit(lambda backend: backend.take(id, states, force=force))

    def hand_over(self, id: str, fence: int) -> None:  # noqa: A002 - as above
        """Leave a saga of this process to whoever looks after sagas; never blocks."""
        with suppress(JournalError):  # closed: whoever comes next finds it
            self._started()
            if self._recoverer is None:
                self.append(Append(id, fence, (), now(), release=True), lazy=True)
            else:
                self._recoverer.adopt(id)

    def watch(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Have a function called soon after an owner dies; gives a function that ends it."""
        return self._backend.watch(notify)

    def wait(self, ticket: Ticket, seconds: float | None = None) -> Any:
        """Block until a request is carried out; `seconds` as for `wait_async`.

        Raises:
            JournalError: If it cannot be carried out, or takes longer than `timeout` or `seconds`.
        """
        waiter = for_thread()
        if ticket.awaited_by(waiter):
            try:
                waiter.wait(self._patience(seconds))
            finally:
                ticket.abandoned = not ticket.done
        return self._answer(ticket, seconds)

    async def wait_async(self, ticket: Ticket, seconds: float | None = None) -> Any:
        """Await that a request is carried out.

        Args:
            ticket: Of this journal.
            seconds: 0 or more; what the caller has left if that is less than `timeout`; `None` for no such limit.
        """
        waiter = for_task()
        if ticket.awaited_by(waiter):
            try:
                await waiter.wait_async(self._patience(seconds))
            finally:
                ticket.abandoned = not ticket.done
        return self._answer(ticket, seconds)

    def after_fork(self) -> None:
        """Let go of what the child inherited: its lock file would keep the parent's sagas owned (rule G18)."""
        self._lock = Lock()
        if self._writer is not None:
            self._writer = None
            self._recoverer = None
            self._backend.abandon()

    def _patience(self, seconds: float | None) -> float:
        return self.timeout if seconds is None else min(self.timeout, seconds)

    def _answer(self, ticket: Ticket, seconds: float | None) -> Any:
        if not ticket.done:
            patience = self._patience(seconds)
            raise JournalError(journal=self.name, reason=f"no answer within {patience:.3g} s", timeout=True)
        return ticket.result()

    def _submit(self, request: Callable[[Backend], Any], *, lazy: bool = False, writes: bool = True) -> Ticket:
        return self._sent(Ticket(request, lazy=lazy, writes=writes))

    def _sent(self, ticket: Ticket) -> Ticket:
        writer = self._writer
        if writer is None or writer.failure is not None:
            writer = self._started()
        return writer.submit(ticket)

    def _started(self) -> Writer:
        """Give the writer; start it if there is none, or if the last one could not open the store."""
        with self._lock:
            if self._closed:
                raise JournalError(journal=self.name, reason="it is closed")
            if self._writer is None or self._writer.failure is not None:
                self._writer = Writer(self._backend, self.timeout)
                _open.add(self)
                self._writer.start()
                if self._recover:
                    from recoup.sagas.recoverer import Patience, Recoverer  # noqa: PLC0415 - it stands on this file

                    self._recoverer = Recoverer(self, self._patience_of_recovery or Patience())
                    self._recoverer.start()
            return self._writer


def now() -> float:
    """Give seconds since the epoch, for people: nothing is decided by it."""
    return time.time()


def _close_all() -> None:
    for journal in list(_open):
        journal.close()


atexit.register(_close_all)
