"""Trio: its own cancel scopes do the work of deadlines, and its nurseries hold the attempts of a hedge."""

from __future__ import annotations

from math import inf

import trio

from recoup._core import clock, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Any, Self

    from recoup._core.terms import Term
    from recoup._core.waiting import TaskWaiter

__all__ = ["TrioCrew", "watch_over"]


class TrioScope:
    """A cancel scope of Trio round one call.

    It strikes by the clock of its own run. In a test that may be another one than ours (`trio.testing.MockClock`), and
    every run begins at a random time: what one run's clock says means nothing in another run or thread.
    """

    __slots__ = ("_at", "_cut", "_run", "_scope", "moment")

    moment: float

    def __init__(self, at: float, seconds: float, cut: Term | None) -> None:
        self._run = trio.lowlevel.current_trio_token()
        if cut is not None and isinstance(cut.scope, TrioScope) and cut.scope.here():
            # The very same moment, so that both are cancelled in one go and Trio gives it to the outer one.
            moment = cut.scope.moment
        else:
            moment = trio.current_time() + seconds
        self._at = at
        self._cut = cut
        self.moment = moment
        self._scope = trio.CancelScope(deadline=moment)
        self._scope.__enter__()

    def here(self) -> bool:
        """Tell whether the running code belongs to the same run."""
        try:
            return trio.lowlevel.current_trio_token() is self._run
        except RuntimeError:  # no run in this thread
            return False

    def struck(self) -> bool:
        """Tell whether the call was cancelled for its own deadline; from outside its run, whether it should be."""
        if self._cut is not None:
            return False
        return self._scope.cancel_called if self.here() else clock.monotonic() >= self._at

    def left(self) -> float:
        """Tell how many seconds are left by Trio's clock, or by ours if it is out of sight."""
        return self.moment - trio.current_time() if self.here() else inf

    def settle(self) -> None:
        """Do nothing: Trio takes its timers back itself."""

    def close(self, error: BaseException | None) -> bool:
        """Leave the scope; tell whether it was its own cancellation that ended the call."""
        if isinstance(error, GeneratorExit) and not clock.in_trio():  # closed by the collector after the run
            return False
        if error is None:
            self._scope.__exit__(None, None, None)
            return False
        return bool(self._scope.__exit__(type(error), error, error.__traceback__))


def watch_over(deadline: Term) -> None:
    """Have Trio cancel what runs in the current task from here on when a deadline strikes."""
    cut = deadline.tighter
    left = (deadline if cut is None else cut).remaining()
    deadline.task = trio.lowlevel.current_task()
    deadline.scope = TrioScope(deadline.at, left, cut)
    deadline.verdict = _verdict


def _verdict(deadline: Term, task: Any, error: BaseException | None) -> Term | None:  # noqa: ARG001 - protocol
    """Say which deadline is to blame; None if none is."""
    scope = deadline.scope
    if not isinstance(scope, TrioScope) or not scope.close(error):
        return None
    return deadline if deadline.tighter is None else deadline.tighter


class TrioCrew:
    """The tasks of one hedged call, in a nursery (see `recoup.strategies.hedge.crew`).

    Args:
        grace: Seconds that a value may take to be closed. Tasks are waited for until they end: a nursery leaves nobody
            behind.
        close: Closes a value.
    """

    def __init__(self, grace: float, close: Callable[[object], Awaitable[None]]) -> None:
        self._close = close
        self._grace = grace
        self._manager = trio.open_nursery()
        self._waiter: TaskWaiter | None = None

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nursery.cancel_scope.cancel()
        await self._manager.__aexit__(kind, error, trace)

    def start(self, work: Callable[[], Awaitable[None]], lost: Callable[[BaseException], None]) -> None:  # noqa: ARG002
        """Run an async function in a task of its own; Trio's tasks always begin."""
        self._nursery.start_soon(work)

    def passes(self, error: BaseException) -> bool:
        """Tell whether a task must let an error pass: Trio's cancellation has to reach its scope."""
        return isinstance(error, trio.Cancelled)

    def wake(self) -> None:
        """End the waiting of the one who waits."""
        if self._waiter is not None:
            self._waiter.wake()

    async def wait(self, seconds: float | None) -> bool:
        """Wait to be woken; False when `seconds` are over."""
        self._waiter = waiting.for_task()
        try:
            return await self._waiter.wait_async(seconds)
        finally:
            self._waiter = None

    async def dispose(self, value: object) -> None:
        """Close a value that nobody takes, although all that waits here is cancelled."""
        with trio.CancelScope(deadline=trio.current_time() + self._grace, shield=True):
            await self._close(value)

    leave_behind = dispose
