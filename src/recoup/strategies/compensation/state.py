"""What one compensation decides: which action runs next, which is tried again, and which error comes out.

    next() --> an action --succeeded()--> next() --> ...
                         --failed()-----> the same action after `wait` seconds, while it has tries and time left;
                                          else it is listed in `failures`, and the next one runs
    next() --> None: all have run, or `saga_timeout` is over and what was left is listed in `failures`

A `Ledger` belongs to one failed call (or one failed saga) and to one task at a time, so nobody locks. It takes the time
as a value. It keeps the errors of actions, and the frames in the traceback of such an error lead (by `f_back`) to
frames that hold the ledger. So whoever ends a compensation calls `forget`, or the two keep each other alive (rule G11).
"""

from __future__ import annotations

from threading import RLock
from typing import NamedTuple

from recoup._core.notes import note
from recoup._core.waiting import at_fork
from recoup.errors import CompensationError, DeadlineExceeded
from recoup.strategies.compensation import actions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["Ledger", "Notice", "Tally", "Task", "Undo", "noticed"]

GRACE = 1.0
"""Seconds that an async `on_compensation_complete` has at the least, when the actions have used up `saga_timeout`."""


class Tally:
    """Counts exactly, in any number of threads.

    The lock is reentrant: the collector may run inside it, and in the collector a `__del__` with a call that fails.
    """

    def __init__(self) -> None:
        self.total = 0
        self.after_fork()
        at_fork(self)

    def begin_anew(self) -> None:
        """Count from 0 again."""
        with self._lock:
            self.total = 0

    def after_fork(self) -> None:
        """Take a new lock: the old one may be held by a thread that a forked child does not have (rule G18)."""
        self._lock = RLock()

    def count(self) -> None:
        """Count one more."""
        with self._lock:
            self.total += 1


class Undo(NamedTuple):
    """An action to run.

    Attributes:
        action: The user's callable.
        state: What it is given, if it asks for it.
        attempts: How often it may be tried.
        delay: Seconds between two tries.
    """

    action: Callable[..., object]
    state: dict[str, Any]
    attempts: int
    delay: float


class Notice(NamedTuple):
    """A callback to run between actions; its errors are logged and count nowhere (rule G9)."""

    callback: Callable[..., object]


Task = Undo | Notice


def noticed(
    tasks: Sequence[Task], start: Callable[..., object] | None, complete: Callable[..., object] | None
) -> list[Task]:
    """Put the callbacks round tasks, if there is anything to do."""
    if not tasks:
        return []
    before = [] if start is None else [Notice(start)]
    return [*before, *tasks, *([] if complete is None else [Notice(complete)])]


class Ledger:
    """One compensation under way.

    Args:
        tasks: What to run, in this order.
        seconds: How long all of it may take, more than 0.
        now: Seconds on a monotonic clock.

    Attributes:
        wait: Seconds to wait before running what `next` gave.
        undone: How many actions succeeded.
        failures: The errors of the others.
        interrupt: Control flow that came meanwhile (Ctrl-C, a cancellation of the caller) and goes on afterwards.
    """

    __slots__ = ("_attempt", "_began", "_index", "_seconds", "_tasks", "failures", "interrupt", "undone", "wait")

    def __init__(self, tasks: Sequence[Task], seconds: float, now: float) -> None:
        self._tasks = tasks
        self._seconds = seconds
        self._began = now
        self._index = 0
        self._attempt = 1
        self.wait = 0.0
        self.undone = 0
        self.failures: list[BaseException] = []
        self.interrupt: BaseException | None = None

    @property
    def total(self) -> int:
        """How many actions there are."""
        return sum(isinstance(task, Undo) for task in self._tasks)

    def left(self, now: float) -> float:
        """Tell how many seconds are left, 0.0 at the least; a clock that went backwards starts anew (rule G12)."""
        self._began = min(self._began, now)
        return max(0.0, self._began + self._seconds - now)

    def limit(self, task: Task, now: float) -> float:
        """Tell how many seconds a task may take from now on."""
        left = self.left(now)
        return left if isinstance(task, Undo) else max(left, GRACE)

    def next(self, now: float) -> Task | None:
        """Give what to run now; None when the compensation is over."""
        while self._index < len(self._tasks):
            task = self._tasks[self._index]
            if isinstance(task, Notice) or self.left(now) > 0:
                return task
            self._give_up(DeadlineExceeded(seconds=self._seconds, started=False, name="saga_timeout"), task)
        return None

    def succeeded(self) -> None:
        """Take note that the current task is done."""
        if isinstance(self._tasks[self._index], Undo):
            self.undone += 1
        self._go_on()

    def failed(self, error: BaseException, now: float) -> None:
        """Take note that the current task raised, and decide whether it is tried again.

        Control flow (not an `Exception`) is never tried again (rule G2) and is kept for afterwards.
        """
        task = self._tasks[self._index]
        if not isinstance(error, Exception):
            self.interrupted(error)
        elif isinstance(task, Undo) and self._attempt < task.attempts and task.delay < self.left(now):
            self._attempt += 1
            self.wait = task.delay
            return
        self._give_up(error, task)

    def interrupted(self, error: BaseException) -> None:
        """Keep control flow for afterwards; the end of the process goes before anything else, then the first one."""
        if self.interrupt is None or (_ends_process(error) and not _ends_process(self.interrupt)):
            self.interrupt = error

    def outcome(self, original: BaseException, *, raise_original: bool) -> BaseException | None:
        """Decide which error comes out of the compensation; None for the operation's own.

        What was interrupted goes first, control flow of the operation itself is never replaced (rule G2), then
        failures are reported (rule S2).
        """
        if self.interrupt is not None and (isinstance(original, Exception) or _ends_process(self.interrupt)):
            note(self.interrupt, self.summary())
            return self.interrupt
        if not self.failures or raise_original or not isinstance(original, Exception):
            note(original, self.summary())
            return None
        return self._report(original)

    def forget(self) -> None:
        """Let go of every error: see the top of this file."""
        self.failures = []
        self.interrupt = None

    def summary(self) -> str:
        """Say in words how it went."""
        if not self.failures:
            return f"compensated: {self.undone} of {self.total} actions succeeded"
        listed = "; ".join(f"{type(failure).__qualname__}: {failure}" for failure in self.failures)
        return f"compensated in part: {len(self.failures)} of {self.total} actions failed ({listed})"

    def _report(self, original: BaseException) -> CompensationError:
        """Put everything into one error, what a step inside has reported too."""
        failures, undone = tuple(self.failures), self.undone
        if isinstance(original, CompensationError):
            failures, undone = original.failures + failures, original.undone + undone
            original = original.original
        made = CompensationError(original=original, failures=failures, undone=undone)
        made.__cause__ = original
        return made

    def _give_up(self, error: BaseException, task: Task) -> None:
        if isinstance(task, Undo):
            tries = "" if task.attempts == 1 else f", try {self._attempt} of {task.attempts}"
            note(error, f"in compensation action {actions.named(task.action)}{tries}")
            self.failures.append(error)
        self._go_on()

    def _go_on(self) -> None:
        self._index += 1
        self._attempt = 1
        self.wait = 0.0


def _ends_process(error: BaseException) -> bool:
    return isinstance(error, (KeyboardInterrupt, SystemExit))
