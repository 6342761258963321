"""Deadlines under Trio: Trio's own cancel scopes do the work; this only says when, and asks how it ended."""

from __future__ import annotations

from math import inf

import trio

from recoup._core import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.terms import Term

__all__ = ["watch_over"]


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
