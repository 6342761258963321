"""Refreshing in the background: the caller has its answer already and does not wait.

Context variables are carried over, so that a refresh is traced and authorised as the call that caused it; deadlines
are not: the caller's time is not the refresh's.
"""

from __future__ import annotations

import sys
from collections import deque
from contextvars import copy_context

from recoup._core import clock, timing
from recoup._core.waiting import at_fork
from recoup.strategies.cache import leading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from typing import Any

    from recoup.strategies.cache.run import Run

__all__ = ["Background"]

_MOST_THREADS = 8  # a cache full of old results must not start a thread for each; later hits refresh the others


class Background:
    """What one cache has under way in the background."""

    def __init__(self) -> None:
        self.after_fork()
        at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked child: the threads are the parent's, and so are the loops of the tasks (G18)."""
        self._places = deque(range(_MOST_THREADS))
        self._tasks: dict[Any, Run] = {}  # a loop holds its tasks weakly: without this one could vanish half way

    def run(self, work: Callable[[], object]) -> bool:
        """Run a plain function in a daemon thread; tell whether there was room for it."""
        import threading  # noqa: PLC0415 - most programs never get here

        places = self._places  # a thread that lives on in a forked child gives nothing back there
        try:
            place = places.pop()
        except IndexError:
            return False

        def running() -> None:
            try:
                work()
            finally:
                places.append(place)

        thread = threading.Thread(target=_context().run, args=(running,), name="recoup-refresh", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is on its way out, or has no threads left
            places.append(place)
            return False
        return True

    def spawn(self, run: Run, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Run an async function in a task of the running loop, for a run that leads; False if no loop is running."""
        if clock.in_trio():
            sys.modules["trio"].lowlevel.spawn_system_task(work, name="recoup-refresh", context=_context())
            return True
        self.sweep()
        try:
            loop = sys.modules["asyncio"].get_running_loop()
        except (KeyError, RuntimeError):  # the caller is stepped by hand
            return False
        task = loop.create_task(work(), name="recoup-refresh", context=_context())
        # A loop that is closed without being asked to end its tasks complains about each: nobody waits for this one.
        task._log_destroy_pending = False
        self._tasks[task] = run
        task.add_done_callback(self._done)
        return True

    def sweep(self) -> None:
        """End what was under way in loops that are closed: nobody else will, and somebody may wait for it."""
        for task, run in tuple(self._tasks.items()):
            if task.get_loop().is_closed():
                self._done(task)
                run.abandoned()  # first: what comes of closing it is nobody's answer
                task.get_coro().close()

    def _done(self, task: Any) -> None:
        self._tasks.pop(task, None)
        if task.done() and not task.cancelled():
            task.exception()  # control flow, which has gone its way already: now nobody says that nobody looked


def _context() -> Context:
    context = copy_context()
    context.run(_detach)
    return context


def _detach() -> None:
    timing._innermost.set(None)
    leading.detach()
