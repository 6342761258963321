"""Cancel scopes: what cancels an asynchronous call when its deadline strikes (rule D2).

Under asyncio one loop timer serves all open deadlines of a loop. A timer a call costs two thirds of `asyncio.timeout`,
and nearly all of them are cancelled unused; so opening a deadline only appends it to a list, and sets the one timer if
it strikes before everything that is open. Closing is a flag, safe in a finaliser and in any thread. What has closed is
dropped when the list gets long or the timer rings; what is still open then goes into a heap.

(Tried and left: stepping the coroutine by hand to set a timer only when it really suspends. Catching its StopIteration
costs as much as the bookkeeping here, suspending costs a foreign frame on every resumption, and whether a cancellation
was already on its way when the call began has to be guessed from private attributes of the task.)

The timer stays set when the last deadline closes: it rings once, for nothing. Only while recoup's clock is virtual or
frozen it is taken back at once, or a virtual loop would move the clock to a moment that nobody waits for.

Whose cancellation is it? The timer calls `task.cancel()` once. If that is taken back (`uncancel`) and no other request
came since the call began, or was still on its way then, a CancelledError is ours and becomes DeadlineExceeded. If the
caller cancelled too, even in the same tick, the caller wins. Any other outcome (a value, the user's own error) is
passed on as it is.

A deadline inside a tighter one of the same task needs no timer: the outer one cancels both, and is the one to blame.
Inside a tighter one of somebody else (a task that was started inside it, a plain function that runs a loop) it is cut
to that.

Under Trio the cancel scopes of Trio do all this; see `recoup.ext.trio`. A coroutine that is stepped by hand, outside
any task, has no timer: its deadline is cooperative.
"""

from __future__ import annotations

import sys
from contextvars import Context
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from threading import get_ident, local
from weakref import ref

from recoup._core import clock
from recoup._core.terms import Term, tightest
from recoup._core.timing import Limit, enter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, TimerHandle
    from collections.abc import Callable
    from typing import Any

__all__ = ["enter_async", "leave_async", "running_task"]

_FEW = 64  # closed deadlines that a loop may keep; sweeping fewer at a time is slower, keeping more is waste

_real_clock = clock.monotonic
_modules = sys.modules


class Watch:
    """The open deadlines of one asyncio loop. Used in the thread of the loop only."""

    __slots__ = ("__weakref__", "_alarm", "_fresh", "_heap", "_most", "_number", "_plain", "_thread", "armed", "loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        from asyncio import BaseEventLoop  # noqa: PLC0415 - a loop runs, so it is imported already

        self.loop = loop
        self._thread = get_ident()
        self.armed = inf  # when the timer rings; never later than the first open deadline
        self._alarm: TimerHandle | None = None
        self._fresh: list[Term] = []  # opened since the last sweep, in any order
        self._heap: list[tuple[float, int, Term]] = []  # survived a sweep, so they probably wait for something
        self._most = _FEW
        self._number = count()
        self._plain = type(loop).time is BaseEventLoop.time  # then it is our clock as well

    def open(self, deadline: Term, at: float) -> None:
        """Cancel the deadline's task at a moment of our clock."""
        real = self._plain and clock.monotonic is _real_clock
        deadline.when = when = at if real else self.loop.time() + max(at - clock.monotonic(), 0.0)
        fresh = self._fresh
        fresh.append(deadline)
        if when < self.armed:
            self._arm(when)
        if len(fresh) > _FEW:
            self._sweep()

    def struck(self) -> bool:
        """Tell that the deadlines know it themselves."""
        return False

    def left(self) -> float:
        """Tell that the clock of an asyncio loop is our own."""
        return inf

    def settle(self) -> None:
        """Take the timer back if nobody waits for it any more."""
        if get_ident() != self._thread:  # the collector closes somebody's coroutine
            return
        self._sweep()
        heap = self._heap
        while heap and not heap[0][2].open:
            heappop(heap)
        self._arm(heap[0][0] if heap else inf)

    def _arm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self.armed = when
        # An empty context: the timer lives on, and must not keep a request's context variables alive.
        self._alarm = None if when == inf else self.loop.call_at(when, self._ring, context=Context())

    def _sweep(self) -> None:
        fresh, self._fresh = self._fresh, []  # a finaliser may run in the middle of this, and open something
        for deadline in fresh:
            if deadline.open:
                heappush(self._heap, (deadline.when, next(self._number), deadline))
        if len(self._heap) > self._most:
            self._heap = [entry for entry in self._heap if entry[2].open]
            heapify(self._heap)
            self._most = _FEW + 2 * len(self._heap)

    def _ring(self) -> None:
        # What the timer was set for is due, whatever the clock says now: it may be frozen.
        due = max(self.armed, self.loop.time())
        self._sweep()
        heap = self._heap
        struck = []
        while heap and (heap[0][0] <= due or not heap[0][2].open):
            deadline = heappop(heap)[2]
            if deadline.open:
                struck.append(deadline)
        self._arm(heap[0][0] if heap else inf)
        for deadline in struck:
            try:
                self._strike(deadline)
            except Exception as error:  # noqa: BLE001 - somebody's awaitable refuses; the others are due as well
                text = "a call could not be cancelled when its deadline struck"
                self.loop.call_exception_handler({"message": text, "exception": error, "task": deadline.task})

    def _strike(self, deadline: Term) -> None:
        inherited = deadline.tighter
        if inherited is None:
            deadline.fired = True
        elif not inherited.open:  # it was cut to a deadline that has closed since
            now = tightest(deadline)
            deadline.tighter = None if now is deadline else now
            self.open(deadline, now.at)
            return
        deadline.verdict = _verdict
        deadline.task.cancel()


def _verdict(deadline: Term, task: Task[Any], error: BaseException | None) -> Term | None:
    """Say which deadline is to blame after the timer has cancelled the task; None if none is."""
    if task.uncancel() > deadline.cancelling or not isinstance(error, sys.modules["asyncio"].CancelledError):
        return None
    return deadline if deadline.tighter is None else deadline.tighter


class _Here(local):
    """The watch used last in a thread; weak, so that a loop can go when its program drops it."""

    watch: Callable[[], Watch | None] = staticmethod(lambda: None)


_here = _Here()
_last: Callable[[], Watch | None] = _here.watch  # the same of the whole process: most have one loop, and it is quicker
_current_task: Callable[[], Task[Any] | None]


def _watch_for(loop: AbstractEventLoop) -> Watch:
    global _last  # noqa: PLW0603 - a cache; whoever reads it checks the loop
    watch = _here.watch()
    if watch is None or watch.loop is not loop:
        watch = Watch(loop)
    _here.watch = _last = ref(watch)
    return watch


def _first_task() -> Task[Any] | None:
    """Ask asyncio, if the program has imported it; from then on asyncio's own function answers."""
    global _current_task  # noqa: PLW0603 - set once
    current_task = getattr(_modules.get("asyncio"), "current_task", None)
    if current_task is None:  # so no loop of asyncio's can be running
        return None
    _current_task = current_task
    return _current_task()


_current_task = _first_task


def running_task() -> Any:
    """Give the running task, asyncio's or Trio's; `None` outside any."""
    if clock.in_trio():
        return _modules["trio"].lowlevel.current_task()
    try:
        return _current_task()
    except RuntimeError:
        return None


def enter_async(limit: Limit, *, inherit: bool = True, at: float | None = None) -> Term | None:
    """Open a deadline that cancels the running task when it strikes.

    Args:
        limit: As for `timing.enter`.
        inherit: As for `timing.enter`.
        at: As for `timing.enter`.

    Returns:
        What `leave_async` has to be given, in the same task; `None` if recovery is switched off here.

    Raises:
        DeadlineExceeded: With `started=False`, if an outer deadline has left no time.
    """
    deadline = enter(limit, inherit=inherit, at=at)
    if deadline is None:
        return None
    if "trio" in _modules and clock.in_trio():
        from recoup.ext.trio import watch_over  # noqa: PLC0415 - only if the running task is Trio's

        watch_over(deadline)
        return deadline
    try:
        task = _current_task()
    except RuntimeError:  # no loop runs here
        return deadline
    if task is None:
        return deadline
    deadline.task = task
    tighter = deadline.tighter
    if tighter is None:
        when = deadline.at
    elif tighter.task is task:
        return deadline
    else:
        when = tighter.at
    deadline.cancelling = requests = task.cancelling()
    if requests and getattr(task, "_must_cancel", False):  # not delivered yet, so it will end this call: the caller's
        deadline.cancelling = requests - 1
    loop = task.get_loop()
    watch = _last()
    if watch is None or watch.loop is not loop:
        watch = _watch_for(loop)
    deadline.scope = watch
    watch.open(deadline, when)
    return deadline


def leave_async(deadline: Term | None, error: BaseException | None = None) -> Term | None:
    """Close a deadline; say which one has to turn `error` into `DeadlineExceeded`.

    Args:
        deadline: What `enter_async` gave.
        error: What the call raised, if it did.

    Returns:
        The deadline to blame: its own, or the one it was cut to; `None` if the outcome stands as it is.
    """
    if deadline is None:
        return None
    deadline.open = False
    task, deadline.task = deadline.task, None
    if clock.monotonic is not _real_clock and deadline.scope is not None:
        deadline.scope.settle()
    verdict = deadline.verdict
    blamed = None if verdict is None else verdict(deadline, task, error)
    deadline.tighter = None  # as in `leave`
    return blamed
