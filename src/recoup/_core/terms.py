"""Term: a deadline as it is at work.

`timing.py` opens and closes them; `scopes.py` and `ext/trio.py` put a timer on top.
"""

from __future__ import annotations

from typing import Protocol

from recoup._core.deadlines import Deadline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.deadlines import Limit

__all__ = ["Scope", "Term", "tightest"]


class Scope(Protocol):
    """What cancels a call."""

    def struck(self) -> bool:
        """Tell whether the call was cancelled for its own deadline, as far as the deadline does not know."""
        ...

    def left(self) -> float:
        """Tell how many seconds are left by the clock of the event loop; `inf` where that is not another clock."""
        ...

    def settle(self) -> None:
        """Take back timers that nobody waits for."""
        ...


class Term(Deadline):
    """A deadline as it is at work: what the one that opened it and its neighbours need to know besides.

    Attributes:
        open: Whether it counts.
        outer: The next one outwards that was open when this one began.
        tighter: The tightest of those outside, if it strikes before this one or together with it.
        abandoned: The call was left to a thread, where it goes on. Set only then.
        alone: Deadlines outside do not count inside this one.
        unasked: True while the call only waits in a queue of ours; False once the function was called for certain.
        task: The task that will be cancelled. This and what follows belong to scopes.py and ext/trio.py.
        cancelling: How often somebody had asked that task to cancel before.
        when: When that happens, by the clock of its loop.
        fired: Whether it has happened, for this deadline's own sake.
        scope: What does it.
        verdict: Says which deadline is to blame for how the call ended; `None` while none can be.
    """

    __slots__ = (
        "abandoned",
        "alone",
        "cancelling",
        "fired",
        "open",
        "outer",
        "scope",
        "task",
        "tighter",
        "unasked",
        "verdict",
        "when",
    )

    abandoned: bool
    cancelling: int
    when: float

    def __init__(self, limit: Limit, at: float, outer: Term | None) -> None:
        self._limit = limit
        self.at = at
        self.open = True
        self.outer = outer
        self.tighter: Term | None = None
        self.alone = False
        self.unasked: bool | None = None
        self.task: Any = None
        self.fired = False
        self.scope: Scope | None = None
        self.verdict: Callable[..., Term | None] | None = None

    @property
    def limit(self) -> Limit:
        """What it was made from."""
        return self._limit

    @property
    def struck(self) -> bool:
        """Whether its own timer has cancelled the call, or the caller has left the thread that runs it."""
        return self.fired or (self.scope is not None and self.scope.struck())

    def cut(self, at: float, seconds: float) -> None:
        """Make it strike earlier than all that is open round it, before it is opened itself."""
        self.at = at
        self._limit = self._limit._replace(seconds=seconds)
        self.tighter = None

    def remaining(self) -> float:
        """Tell how many seconds are left; 0.0 when it is over, never negative."""
        left = super().remaining()
        return left if self.scope is None else max(0.0, min(left, self.scope.left()))


def tightest(deadline: Term) -> Term:
    """Give the one that strikes first of an open deadline and those round it."""
    tighter = deadline.tighter
    if tighter is None:
        return deadline
    if tighter.open:  # it was the minimum when `deadline` began, and closing others does not change that
        return tighter
    best, outer = deadline, deadline.outer
    while outer is not None:
        if outer.open and outer.at <= best.at:
            best = outer
        outer = None if outer.alone and outer.open else outer.outer
    return best
