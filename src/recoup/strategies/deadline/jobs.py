"""Job: one call that runs in a thread while its caller waits, but no longer than it has to.

The caller may leave at any moment, and the work goes on. Whether the function has begun, and who gets its outcome, are
each decided by one atomic `pop`. The deadline is opened in the context that the work runs in, and stays open until the
work ends: code that was given up still sees that its time is over, and a retry inside it stops.
"""

from __future__ import annotations

from contextvars import copy_context
from inspect import iscoroutine

from recoup._core import emit, timing, waiting
from recoup._core.chain import Pending
from recoup._core.deadlines import exceeded
from recoup._core.terms import tightest
from recoup._core.timing import enter, leave
from recoup.errors import WorkersBusyError
from recoup.strategies.deadline.workers import shutting_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.deadlines import Live
    from recoup._core.terms import Term
    from recoup._core.waiting import TaskWaiter, ThreadWaiter
    from recoup.strategies.deadline.workers import Workers

__all__ = ["TaskJob", "ThreadJob"]


class Job:
    """One call in a thread.

    Args:
        workers: Where the threads are.
        live: How long it may take.
        fn: The function.
    """

    def __init__(self, workers: Workers, live: Live, fn: Callable[..., Any]) -> None:
        self._workers = workers
        self._limit = live.limit
        self._fn = fn
        self._unbegun = [True]  # whoever pops it decides: the thread begins, or the caller calls it off
        self._outcome: list[tuple[Any, BaseException | None]] = []
        self._left = False

    def _start(self, waiter: ThreadWaiter | TaskWaiter, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Term | None:
        """Send the call to a thread; None if it was done here and now."""
        context = copy_context()
        term = context.run(enter, self._limit)
        if term is None:  # recovery is switched off
            self._outcome.append((self._fn(*args, **kwargs), None))
            return None

        def work(rest: Callable[[], None]) -> None:
            value = failure = None
            try:
                if self._began():
                    value = context.run(self._fn, *args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
                failure = error
            leave(term)
            rest()
            self._outcome.append((value, failure))
            value = failure = None
            if self._left or not waiter.wake():
                self._drop()

        if shutting_down():
            work(_nothing)
        elif not self._workers.submit(work, f"recoup-{self._name()}"):
            leave(term)
            raise self._refusal()
        return term

    def _refusal(self) -> WorkersBusyError:
        name = self._name()
        if emit.listeners:
            from recoup.events import CallRefused  # noqa: PLC0415 - paid for only when somebody listens

            emit.tell(CallRefused(name, "deadline", None))
        return WorkersBusyError(name=name, thread_workers=self._workers.size)

    def _name(self) -> str:
        owner = self._limit.owner
        return "deadline" if owner is None else owner.name

    def _began(self) -> bool:
        """Begin, or call it off: True for the first who asks."""
        try:
            return self._unbegun.pop()
        except IndexError:
            return False

    def _leave(self, term: Term) -> None:
        """Go away and let the thread finish alone."""
        term.fired = True
        self._left = True  # both sides write before they read, so at least one of them sees both

    def _taken(self) -> tuple[Any, BaseException | None] | None:
        """Take the outcome, if it is there and the other side has not thrown it away."""
        try:
            return self._outcome.pop()
        except IndexError:
            return None

    def _drop(self) -> None:
        """Throw away an outcome that nobody takes."""
        taken = self._taken()
        if taken is None:
            return
        value, failure = taken
        if isinstance(failure, Pending):  # the function returned a coroutine for its caller to await
            value = failure.coroutine
        if iscoroutine(value):
            value.close()

    def _late(self, term: Term, blamed: Term) -> Any:
        """Answer a caller whose time is up; an outcome that came in the last moment still counts."""
        self._leave(term)
        called_off = self._began()
        taken = None if called_off else self._taken()
        if taken is None:
            raise exceeded(blamed, started=not called_off, abandoned=not called_off)
        return _told(*taken)

    def _abandon(self, term: Term) -> bool:
        """Go away for good; tell whether the function had begun."""
        self._leave(term)
        begun = not self._began()
        self._drop()
        return begun


def _told(value: Any, failure: BaseException | None) -> Any:
    """Return what the function returned, or raise what it raised."""
    if failure is None:
        return value
    try:
        raise failure
    finally:
        failure = None  # its traceback holds this frame


def _nothing() -> None:
    """Give back the place of a call that took none."""


class ThreadJob(Job):
    """A job whose caller is a thread, and comes back on time."""

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function in a thread.

        Returns:
            What it returns, if it does so in time.

        Raises:
            DeadlineExceeded: If the time is up; `started=False` if the function was not called and never will be.
            WorkersBusyError: If no thread is free.
        """
        waiter = waiting.for_thread()
        term = self._start(waiter, args, kwargs)
        if term is not None:
            blamed = tightest(term)  # known while all are open: the work may end, and close its own, at any moment
            try:
                woken = waiter.wait(blamed.remaining())
            except BaseException:  # Ctrl-C, or whatever a signal handler raised
                self._abandon(term)
                raise
            if not woken:
                return self._late(term, blamed)
        return _told(*self._outcome.pop())


class TaskJob(Job):
    """A job whose caller is a task; a cancel scope round it brings the caller back on time."""

    async def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function in a thread; await what it returns if that is awaitable.

        Raises:
            WorkersBusyError: If no thread is free.
        """
        waiter = waiting.for_task()
        term = self._start(waiter, args, kwargs)
        if term is not None:
            try:
                await waiter.wait_async()
            except BaseException:
                timing.departed(begun=self._abandon(term))
                raise
        result = _told(*self._outcome.pop())
        return await result if hasattr(type(result), "__await__") else result
