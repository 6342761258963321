"""Threads of a bulkhead's own, and the jobs that run in them (rules B3, B4).

There is no queue of jobs: the gate lets no more pooled calls in than there are threads, and a thread is idle again
*before* its place comes back, so whoever has a place finds an idle thread or may start one. The threads are daemons:
work that nobody waits for any more does not keep the interpreter from ending. An idle thread holds nothing but its
inbox, and ends when the pool is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from inspect import iscoroutine
from queue import SimpleQueue

from recoup._core import waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from recoup._core.waiting import TaskWaiter, ThreadWaiter
    from recoup.strategies.bulkhead.state import Gate
    from recoup.strategies.bulkhead.tickets import Place

    Inbox: TypeAlias = SimpleQueue[Any]  # of jobs; None sends the thread home

__all__ = ["Job", "Pool", "TaskJob", "ThreadJob"]


class Pool:
    """Idle threads, and the way to get more.

    Args:
        size: How many threads are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: deque[Inbox] = deque()
        self._started = 0
        waiting.at_fork(self)

    def after_fork(self) -> None:
        """Forget the threads, which are not there in the child."""
        self._idle.clear()

    def resize(self, size: int) -> None:
        """Change how many threads are kept; idle ones that are too many go home, busy ones when they are done."""
        self._size = size
        while len(self._idle) > size:
            try:
                self._idle.pop().put(None)
            except IndexError:  # another thread was faster
                return

    def submit(self, job: Callable[[Inbox | None], None], name: str) -> None:
        """Have a job run by an idle thread, or by a new one.

        Args:
            job: Called with the inbox of its thread, which it gives to `rest` when the work is done; it must not raise.
            name: What a new thread is called; a number is added.

        Raises:
            RuntimeError: If a thread is needed and the system has no more. At the end of the interpreter, when no
                thread can be started, the job runs here and now.
        """
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            self._started += 1
            try:
                threading.Thread(target=_work, args=(inbox,), name=f"{name}-{self._started}", daemon=True).start()
            except RuntimeError:
                if threading.main_thread().is_alive():
                    raise
                job(None)
                return
        inbox.put(job)

    def rest(self, inbox: Inbox | None) -> None:
        """Take a thread back; one too many is sent home."""
        if inbox is None:
            return
        if len(self._idle) < self._size:
            self._idle.append(inbox)
        else:
            inbox.put(None)

    def __del__(self) -> None:
        while self._idle:
            self._idle.pop().put(None)


def _work(inbox: Inbox) -> None:
    """Do one job after another; hold on to nothing between two."""
    while (job := inbox.get()) is not None:
        job(inbox)
        del job


class Job:
    """One call that runs in a thread of the pool and holds its place until it ends.

    Args:
        pool: Where the threads are.
        gate: Where the place has to go back to.
        place: The place.
        fn: The function.
        name: What a new thread is called.
    """

    def __init__(self, pool: Pool, gate: Gate, place: Place, fn: Callable[..., Any], name: str) -> None:
        self._pool = pool
        self._gate = gate
        self._held = [place]
        self._fn = fn
        self._name = name
        self._outcome: list[tuple[Any, BaseException | None]] = []
        self._left = False

    def _start(self, waiter: ThreadWaiter | TaskWaiter, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        context = copy_context()
        order = [None]  # who takes it decides: the thread runs the function, or the caller has called it off

        def job(inbox: Inbox | None) -> None:
            try:
                order.pop()
            except IndexError:
                self._pool.rest(inbox)
                return
            value = failure = None
            try:
                value = context.run(self._fn, *args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
                failure = error
            self._pool.rest(inbox)
            if not self._unfinished(value):
                self._end()
            self._outcome.append((value, failure))
            value = failure = None
            if self._left or not waiter.wake():
                self._drop()

        try:
            self._pool.submit(job, self._name)
        except BaseException:  # no thread to be had, or an interrupt, perhaps after the job was handed over
            try:
                order.pop()
            except IndexError:
                self._leave()
            else:
                self._end()
            raise

    def _end(self) -> None:
        """Give the place back; a second time does nothing."""
        with suppress(IndexError):
            self._gate.end(self._held.pop())

    def _unfinished(self, value: object) -> bool:  # noqa: ARG002 - for the subclass
        """Tell whether the function only returned what its caller has still to await."""
        return False

    def _leave(self) -> None:
        """Go away and let the thread finish alone."""
        self._left = True
        self._drop()  # both sides write before they read, so at least one of them sees both

    def _drop(self) -> None:
        """Throw away an outcome that nobody takes."""
        try:
            value, _ = self._outcome.pop()
        except IndexError:  # not there yet, or thrown away by the other side
            return
        if iscoroutine(value):
            value.close()
        self._end()

    def _result(self) -> Any:
        value, failure = self._outcome.pop()
        if failure is None:
            return value
        try:
            raise failure
        finally:
            failure = None  # its traceback holds this frame


class ThreadJob(Job):
    """A job whose caller is a thread."""

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function in the pool and wait for what it returns or raises."""
        waiter = waiting.for_thread()
        self._start(waiter, args, kwargs)
        try:
            waiter.wait()
        except BaseException:  # Ctrl-C, or whatever a signal handler raised
            self._leave()
            raise
        return self._result()


class TaskJob(Job):
    """A job whose caller is a task."""

    def _unfinished(self, value: object) -> bool:
        return hasattr(type(value), "__await__")

    async def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the function in the pool and await what it returns or raises."""
        waiter = waiting.for_task()
        self._start(waiter, args, kwargs)
        try:
            await waiter.wait_async()
        except BaseException:  # cancellation
            self._leave()
            raise
        value = self._result()
        if not self._unfinished(value):
            return value
        try:
            return await value
        finally:
            self._end()
