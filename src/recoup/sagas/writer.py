"""One writer thread for a journal: what has gathered is written in one transaction (group commit).

    caller --submit--> queue --writer--> begin, each request, commit --> each caller is woken

Callers are threads and tasks of any event loop. Each waits for its own ticket, as long as its own limits let it: a hung
store holds the writer's thread, never a caller. A lazy request does not ask for a commit: it goes with the next one,
or by itself after `LINGER` seconds.

When the store cannot be reached, the transaction is repeated until it can, or nobody is waiting for it any more. That
is harmless: rows have identities that callers have chosen.
"""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from recoup.errors import Fenced, JournalError
from recoup.sagas.journal import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.waiting import Waiter
    from recoup.sagas.journal import Append, Backend, Start

    Request = Callable[[Backend], Any]

__all__ = ["Ticket", "Writer"]

LINGER = 0.1
"""Seconds after which lazy requests are written although nobody asked for a commit."""

MOST = 1000
"""Most requests of one transaction: beyond that waiting for more gains nothing."""

SHORTEST, LONGEST = 0.02, 1.0
"""Seconds between two tries to reach the store; doubled from one to the other."""


class Ticket:
    """What one caller waits for: the answer to its request, once that is durable."""

    __slots__ = ("_answer", "_error", "_waiter", "abandoned", "done", "lazy", "request", "writes")

    def __init__(self, request: Request, *, lazy: bool = False, writes: bool = True) -> None:
        self.request = request
        self.lazy = lazy
        self.writes = writes
        self.done = False
        self.abandoned = False
        self._answer: Any = None
        self._error: BaseException | None = None
        self._waiter: Waiter | None = None

    def settle(self, answer: Any, error: BaseException | None = None) -> None:
        """Give the answer; the first one counts."""
        if self.done:
            return
        self._answer, self._error = answer, error
        self.done = True
        # The waiter is put before `done` is read, and read after `done` is set: one of the two sees the other.
        if self._waiter is not None:
            self._waiter.wake()

    def awaited_by(self, waiter: Waiter) -> bool:
        """Have somebody woken when the answer is there; False if it is there already."""
        self._waiter = waiter
        return not self.done

    def written(self) -> bool:
        """Tell whether it is known to be carried out."""
        return self.done and self._error is None

    def failed(self) -> bool:
        """Tell whether it is known not to be carried out, and never will be."""
        return self.done and self._error is not None

    def result(self) -> Any:
        """Give the answer, or raise it.

        Raises:
            JournalError: Each time anew, for every caller its own.
        """
        if self._error is None:
            return self._answer
        if isinstance(self._error, JournalError):
            raise JournalError(journal=self._error.journal, reason=self._error.reason) from self._error
        raise self._error


class Adding(Ticket):
    """A request for records in one saga; several of them are carried out together.

    Args:
        append: What to add.
        start: The saga itself, if it may not be in the journal yet.
        name: What the saga is called, for `Fenced`.
        lazy: Whether it may wait for the next commit.
    """

    __slots__ = ("append", "name", "start")

    def __init__(self, append: Append, start: Start | None, name: str, *, lazy: bool) -> None:
        super().__init__(self._added, lazy=lazy)
        self.append = append
        self.start = start
        self.name = name

    def _added(self, backend: Backend) -> None:
        if not backend.append(self.append, self.start):
            raise self.refusal()

    def refusal(self) -> Fenced:
        """Say that the saga belongs to somebody else by now."""
        return Fenced(id=self.append.id, name=self.name)


class Writer:
    """The thread, and the queue before it.

    Args:
        backend: What it writes to; from here on only its thread uses it.
        patience: Seconds in which it tries to open a store that cannot be reached.

    Attributes:
        opening: Settled when the store is open, or cannot be opened.
        failure: Why it could not be opened; then the writer is of no use any more.

    States: made, running from `start` on, stopped by `stop`. After a fork the child's writer is dead: make a new one.
    """

    def __init__(self, backend: Backend, patience: float = 10.0) -> None:
        self._backend = backend
        self._patience = patience
        self._queue: SimpleQueue[Ticket | None] = SimpleQueue()
        self.opening = Ticket(lambda _: None)
        self.failure: JournalError | None = None
        self._stopping = False
        self._thread = Thread(target=self._run, name="recoup journal", daemon=True)

    def start(self) -> Ticket:
        """Start the thread; the ticket is settled when the store is open."""
        self._thread.start()
        return self.opening

    def submit(self, ticket: Ticket) -> Ticket:
        """Hand a request over; never blocks."""
        self._queue.put(ticket)
        if self.failure is not None:  # found after it was put: one of the two ends of the queue sees the other
            self._refuse(self.failure)
        return ticket

    def stop(self, seconds: float) -> None:
        """Write what is there, close the store and end the thread; wait for it some seconds at most."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._open()
        except BaseException as error:  # noqa: BLE001 - handed to whoever opens it
            self._backend.close()
            self.failure = _as_journal_error(self._backend, error)
            self._refuse(self.failure)
            self.opening.settle(None, self.failure)
            return
        self.opening.settle(None)
        try:
            while self._turn():
                pass
        finally:
            self._backend.close()

    def _open(self) -> None:
        """Open the store; try again for some time if that may help."""
        began, pause = time.monotonic(), SHORTEST
        while True:
            try:
                self._backend.open()
            except Unavailable:
                if self._stopping or self.opening.abandoned or time.monotonic() - began + pause > self._patience:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST)
            else:
                return

    def _refuse(self, error: JournalError) -> None:
        """Answer everybody who is in the queue of a writer that could not open its store."""
        with suppress(Empty):
            while True:
                ticket = self._queue.get_nowait()
                if ticket is not None:
                    ticket.settle(None, error)

    def _turn(self) -> bool:
        """Write what has gathered; tell whether to go on."""
        batch: list[Ticket] = []
        lingers = 0.0
        while len(batch) < MOST:
            try:
                ticket = self._queue.get(timeout=None if not batch else max(0.0, lingers - time.monotonic()))
            except Empty:
                break
            if ticket is None:
                self._write(batch)
                return False
            batch.append(ticket)
            if not ticket.lazy:
                lingers = 0.0  # take along what is there, and wait for nothing more
            elif len(batch) == 1:
                lingers = time.monotonic() + LINGER
        self._write(batch)
        return True

    def _write(self, batch: list[Ticket]) -> None:
        """Write a batch in one transaction, again and again while the store cannot be reached and somebody waits."""
        pause = SHORTEST
        broken = False
        while batch:
            try:
                if broken:
                    self._backend.open()
                    broken = False
                self._transact(batch)
            except Unavailable as error:
                broken = True
                batch = [each for each in batch if not self._given_up(each, error)]
            except BaseException as error:  # noqa: BLE001 - handed to the callers: the thread must live on
                if len(batch) == 1:
                    batch[0].settle(None, _as_journal_error(self._backend, error))
                    return
                for each in batch:  # it may be the fault of one of them
                    self._write([each])
                return
            else:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)

    def _given_up(self, ticket: Ticket, error: Unavailable) -> bool:
        """Tell whether nobody waits for a request any more, so that it fails."""
        if ticket.abandoned or self._stopping:
            ticket.settle(None, error)
        return ticket.done

    def _transact(self, batch: list[Ticket]) -> None:
        """Write a batch in one transaction, and wake the callers when it is durable."""
        try:
            adding = [each for each in batch if isinstance(each, Adding)]
            together = len(adding) == len(batch)
            self._backend.begin(writes=any(each.writes for each in batch), alone=together or len(batch) == 1)
            answers = _added(adding, self._backend) if together else [_answered(each, self._backend) for each in batch]
            self._backend.commit()
        except BaseException:
            self._backend.rollback()
            raise
        for each, (answer, error) in zip(batch, answers, strict=True):
            each.settle(answer, error)


def _added(batch: list[Adding], backend: Backend) -> list[tuple[Any, BaseException | None]]:
    """Carry out requests for records in one go."""
    held = backend.appends([(each.append, each.start) for each in batch])
    return [(None, None if owned else each.refusal()) for each, owned in zip(batch, held, strict=True)]


def _answered(ticket: Ticket, backend: Backend) -> tuple[Any, BaseException | None]:
    """Carry out one request; what is wrong with it alone does not concern the others."""
    try:
        return ticket.request(backend), None
    except JournalError:
        raise
    except BaseException as error:  # noqa: BLE001 - handed to the caller
        return None, error


def _as_journal_error(backend: Backend, error: BaseException) -> JournalError:
    if isinstance(error, JournalError):
        return error
    made = JournalError(journal=backend.journal, reason=f"{type(error).__qualname__}: {error}")
    made.__cause__ = error
    return made
