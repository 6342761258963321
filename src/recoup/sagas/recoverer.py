"""The thread of a journal that looks after sagas which their processes have left.

It claims orphans when an owner dies, when a person sets a saga free, and when its own process leaves one behind. What
it has claimed it tries at growing intervals until that is done, or a person has to decide.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING

from recoup.errors import Fenced, JournalError, SagaStuck
from recoup.sagas import recovery
from recoup.sagas.journal import State
from recoup.sagas.run import Run

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from recoup.sagas.journal import Head
    from recoup.sagas.keeper import Journal
    from recoup.sagas.writer import Ticket

__all__ = ["Patience", "Recoverer"]

MOST = 100
"""Most orphans claimed at a time: the others are left to other processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a saga that cannot go on is tried before a person is asked.

    Attributes:
        first_pause: Seconds after the first failed try; doubled after each.
        longest_pause: Seconds between two tries at the most.
        stuck_after: Seconds after the first try in this process.
        names_within: Seconds in which a function that is not found may still be defined: a program that starts
            recovers before all of its modules are loaded.
        saga_timeout: Seconds for one try.
    """

    first_pause: float = 1.0
    longest_pause: float = 60.0
    stuck_after: float = 86_400.0
    names_within: float = 10.0
    saga_timeout: float = 300.0


@dataclass(slots=True, eq=False)
class Case:
    """One saga that is looked after.

    Attributes:
        id: Which.
        began: When it was found, on the monotonic clock.
        tries: How often it was tried.
        due: When it is tried next.
        owned: Whether it is known to be ours.
    """

    id: str
    began: float
    tries: int = 0
    due: float = 0.0
    owned: bool = False


@dataclass(slots=True, eq=False)
class Recoverer:
    """Look after the sagas of a journal, in a thread of its own.

    Args:
        journal: The journal; it is open.
        patience: How long to try.
    """

    journal: Journal
    patience: Patience = field(default_factory=Patience)
    _cases: dict[str, Case] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)
    _wake: Event = field(default_factory=Event)
    _stopping: bool = False
    _look: bool = True
    _thread: Thread | None = None
    _claiming: Ticket | None = None
    _unwatch: Callable[[], None] | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = Thread(target=self._run, name="recoup recoverer", daemon=True)
        self._thread.start()
        self._unwatch = self.journal.watch(self.notify)

    def stop(self) -> None:
        """End the thread once it has done what it is at."""
        self._stopping = True
        self._wake.set()
        if self._unwatch is not None:
            self._unwatch()
        if self._thread is not None:
            self._thread.join(1.0)

    def notify(self) -> None:
        """Look for orphans soon; from any thread."""
        self._look = True
        self._wake.set()

    def adopt(self, id: str) -> None:  # noqa: A002 - what everybody calls it
        """Look after a saga that this process has left."""
        with self._lock:
            self._cases.setdefault(id, Case(id, time.monotonic()))
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if self._look:
                    self._look = False
                    self._claim()
                self._try_all()
            except JournalError as error:
                _logger().warning("sagas that were left cannot be looked after at the moment: %s", error)
                self._look = True
                self._wake.wait(self.patience.first_pause)
                continue
            if not self._wake.is_set():
                self._wake.wait(self._pause())

    def _pause(self) -> float | None:
        with self._lock:
            dues = [case.due for case in self._cases.values()]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def _claim(self) -> None:
        # A claim whose answer came too late is asked for again: what it took is ours, and nobody else looks after it.
        ticket = self._claiming or self.journal.claim(MOST)
        try:
            heads: list[Head] = self.journal.wait(ticket)
        finally:
            self._claiming = None if ticket.done else ticket
        for head in heads:
            _logger().info("saga %r (%s) was left by its process and is taken over", head.name, head.id)
            with self._lock:
                self._cases[head.id] = Case(head.id, time.monotonic(), owned=True)
        self._look = self._look or len(heads) == MOST

    def _try_all(self) -> None:
        with self._lock:
            due = [case for case in self._cases.values() if case.due <= time.monotonic()]
        for case in due:
            if self._stopping:
                return
            if self._tried(case):
                with self._lock:
                    self._cases.pop(case.id, None)

    def _tried(self, case: Case) -> bool:
        """Try one saga; tell whether it needs no more looking after."""
        if not case.owned:
            if self.journal.wait(self.journal.take(case.id, (State.RUNNING, State.COMPENSATING))) is None:
                return True
            case.owned = True
        story = self.journal.wait(self.journal.load(case.id))
        if story is None or story.head.state not in {State.RUNNING, State.COMPENSATING}:
            return True
        run = Run.taken_over(self.journal, story)
        case.tries += 1
        try:
            attempt(run, self.patience.saga_timeout)
        except Fenced:
            return True
        except SagaStuck as stuck:
            return self._halted(run, stuck.reason)
        except JournalError:
            raise
        except BaseException as error:  # noqa: BLE001 - the thread must live on, whatever the user's code raises
            return self._failed(case, run, error)
        return True

    def _failed(self, case: Case, run: Run, error: BaseException) -> bool:
        """Decide whether it is tried again."""
        age = time.monotonic() - case.began
        lost = isinstance(error, recovery.LostError)
        most = max((entry.body.get("attempts", 0) for entry in run.ledger.owed()[:1]), default=0)
        if (lost and age >= self.patience.names_within) or age >= self.patience.stuck_after or 0 < most <= case.tries:
            return self._halted(run, f"{type(error).__qualname__}: {error}")
        pause = min(self.patience.first_pause * 2 ** min(case.tries - 1, 30), self.patience.longest_pause)
        case.due = time.monotonic() + pause
        _logger().warning("saga %r (%s) is tried again in %.3g s: %s", run.name, run.id, pause, error)
        return False

    def _halted(self, run: Run, reason: str) -> bool:
        halt(run, reason)
        return True


def attempt(run: Run, seconds: float) -> None:
    """Try to bring one saga to its end, in this thread."""
    if run.start.fn and not run.ledger.compensating:
        from recoup.sagas import calls  # noqa: PLC0415 - only for those who have functions

        calls.again(run, seconds)
    elif recovery.needs_loop(run):
        import asyncio  # noqa: PLC0415 - only for those who have asynchronous actions

        asyncio.run(recovery.backward_async(run, seconds))
    else:
        recovery.backward(run, seconds)


def halt(run: Run, reason: str) -> None:
    """Write that a person has to decide, and say so."""
    if run.ledger.stuck:  # it has written that itself
        return
    owed = run.ledger.owed()
    run.wait(run.halt(reason, owed[0].n if owed and run.ledger.compensating else 0))
    _logger().error("saga %r (%s) is stuck: %s; see `recoup sagas show %s`", run.name, run.id, reason, run.id)


def failed(run: Run, error: BaseException) -> None:
    """Say that a try failed."""
    _logger().warning("saga %r (%s) could not be brought to its end: %s", run.name, run.id, error)


def _logger() -> logging.Logger:
    import logging  # noqa: PLC0415 - most programs never get here

    return logging.getLogger("recoup")
