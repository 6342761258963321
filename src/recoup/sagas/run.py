"""One durable saga as this process carries it out: its ledger, and what is written of it."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING
from uuid import uuid4

from recoup._core import timing
from recoup._core.waiting import at_fork
from recoup.errors import JournalError
from recoup.sagas.journal import Append, Start, State
from recoup.sagas.keeper import now
from recoup.sagas.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.sagas.journal import Head, Record, Story
    from recoup.sagas.keeper import Journal
    from recoup.sagas.ledger import Entry
    from recoup.sagas.writer import Ticket

__all__ = ["Run"]


class Run:
    """A saga that this process owns.

    Args:
        journal: Where it is kept.
        start: What it is.
        fence: Which owner this is, counted.
        ledger: What it has done so far.
        new: Whether the journal may not know of it yet: it is written together with its first record.

    Attributes:
        live: The steps that run right now, in this process.
        closed: Whether the block or function is over.
        plans: What undoes each step of this process, by number: takes the error and what else is known.

    Records are made and handed to the writer under one lock, so that they are written in their order. The lock is
    reentrant: the collector may run inside it.
    """

    def __init__(
        self, journal: Journal, start: Start, *, fence: int = 1, ledger: Ledger | None = None, new: bool = False
    ) -> None:
        self.journal = journal
        self.start = start
        self.fence = fence
        self.ledger = Ledger() if ledger is None else ledger
        self.live: set[Entry] = set()
        self.plans: dict[int, Callable[..., list[Any]]] = {}
        self.lock = RLock()
        self.closed = False
        self._new = new
        self._first: Ticket | None = None
        self._last: Ticket | None = None
        at_fork(self)

    @classmethod
    def begun(
        cls, journal: Journal, name: str, *, key: str | None, version: str = "", fn: str = "", args: str = ""
    ) -> Run:
        """Make a saga that nobody knows of yet."""
        return cls(journal, Start(uuid4().hex, name, version, fn, args, key, now()), new=True)

    @classmethod
    def taken_over(cls, journal: Journal, story: Story) -> Run:
        """Go on with a saga that somebody has left."""
        head = story.head
        start = Start(head.id, head.name, head.version, head.fn, head.args, head.key, head.created)
        return cls(journal, start, fence=head.fence, ledger=Ledger.of(story.records))

    @property
    def id(self) -> str:
        """Its identity in the journal."""
        return self.start.id

    @property
    def name(self) -> str:
        """What it is called."""
        return self.start.name

    def key(self, entry: Entry) -> str:
        """Give the key of a step, for doing and undoing."""
        return f"{self.id}:{entry.n}"

    def after_fork(self) -> None:
        """Have a lock that nobody holds in the child (rule G18)."""
        self.lock = RLock()

    def known(self) -> bool:
        """Tell whether the journal may know of it."""
        return not self._new or (self._first is not None and not self._first.failed())

    def announce(self) -> Ticket:
        """Write the saga itself, before any step."""
        self._first = self.journal.start(self.start)
        return self._first

    def announced(self, head: Head) -> None:
        """Take note of what the journal knows about it now."""
        self._new = head.id != self.id

    def hand_over(self) -> None:
        """Leave what is not done to whoever looks after sagas; nothing if all is done, or others will do it."""
        with self.lock:
            left = self.known() and not self.ledger.ended and not self.ledger.stuck and not self.live
        if left or (self.closed and not self.live and self._doubt()):
            self.journal.hand_over(self.id, self.fence)

    def _doubt(self) -> bool:
        """Tell whether it is not certain that the last word is written."""
        return self._last is not None and not self._last.written()

    def write(self, *records: Record, state: State | None = None, reason: str = "", lazy: bool = False) -> Ticket:
        """Hand records to the writer; to be called under the lock, in which they were made."""
        append = Append(
            self.id,
            self.fence,
            records,
            now(),
            state,
            reason,
            release=state in {State.STUCK, State.DONE, State.COMPENSATED},
        )
        start = self.start if self._new else None
        ticket = self.journal.append(append, start=start, name=self.name, lazy=lazy)
        if not lazy:
            self._last = ticket
        if self._new:
            if self._first is not None and self._first.written():
                self._new = False
            else:
                self._first = ticket
        return ticket

    def wait(self, ticket: Ticket) -> Any:
        """Block until a request is carried out, no longer than the ambient deadline lets it.

        Raises:
            Fenced: If the saga belongs to somebody else by now.
            JournalError: If it cannot be carried out, or not in time.
            DeadlineExceeded: If it was the deadline that was too short.
        """
        try:
            return self.journal.wait(ticket, timing.time_left())
        except JournalError as error:
            _blame(error)
            raise

    async def wait_async(self, ticket: Ticket) -> Any:
        """Await what `wait` blocks for."""
        try:
            return await self.journal.wait_async(ticket, timing.time_left())
        except JournalError as error:
            _blame(error)
            raise

    def end(self, body: str = "{}") -> Ticket:
        """Write that nothing is left to do."""
        with self.lock:
            state = State.COMPENSATED if self.ledger.compensating else State.DONE
            return self.write(self.ledger.end(body), state=state)

    def compensate(self, body: str) -> Ticket:
        """Write that there is no way back."""
        with self.lock:
            return self.write(self.ledger.compensate(body), state=State.COMPENSATING)

    def halt(self, reason: str, n: int = 0) -> Ticket:
        """Write that a person has to decide."""
        with self.lock:
            return self.write(self.ledger.halt(n, reason), state=State.STUCK, reason=reason)


def _blame(error: JournalError) -> None:
    """Raise for the deadline, if that is why the journal had no time to answer."""
    if error.timeout and (deadline := timing.current_deadline()) is not None:
        deadline.check()
