"""Deadline: a point in time by which one call has to end.

How they nest, and which one counts where, is the matter of `timing.py`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from recoup._core import clock, emit
from recoup.errors import DeadlineExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.strategy import Strategy

__all__ = ["Deadline", "Limit", "Scope", "Term", "exceeded", "tightest"]


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


class Limit(NamedTuple):
    """How long the calls of one function may take, and who says so.

    Attributes:
        owner: The strategy object that limits them; `None` if none does.
        seconds: How long, more than 0.
        name: What errors call the limit; `None` for the owner's name at that time.
    """

    owner: Strategy | None
    seconds: float
    name: str | None = None


class Deadline:
    """A point in time by which a call has to end; `current_deadline()` gives the one that counts.

    Reading it is safe from any thread.

    Attributes:
        at: When it strikes, in seconds of the monotonic clock.
    """

    __slots__ = ("_limit", "at")

    def __init__(self, limit: Limit, at: float) -> None:
        self._limit = limit
        self.at = at

    @property
    def seconds(self) -> float:
        """How long it was when it began, in seconds."""
        return self._limit.seconds

    @property
    def owner(self) -> Strategy | None:
        """The strategy object that set it; `None` if none did."""
        return self._limit.owner

    @property
    def name(self) -> str:
        """What set it: a decorated function, "attempt_timeout", "global_timeout", ..."""
        owner, _, name = self._limit
        if name is not None:
            return name
        return "deadline" if owner is None else owner.name

    @property
    def struck(self) -> bool:
        """Whether its own timer has cancelled the call, or the caller has left the thread that runs it.

        Always `False` for a plain function that runs in its caller's thread: nothing can interrupt it.
        """
        return False

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0

    def remaining(self) -> float:
        """Tell how many seconds are left; 0.0 when it is over, never negative.

        >>> from recoup import current_deadline, deadline
        >>> @deadline(60, mode="cooperative")
        ... def report():
        ...     return current_deadline().remaining()
        >>> 59 < report() <= 60
        True
        """
        left = self.at - clock.monotonic()
        if left > self._limit.seconds:  # the clock went backwards
            self.at -= left - self._limit.seconds
            left = self._limit.seconds
        return max(left, 0.0)

    def check(self) -> None:
        """Raise if no time is left: for the loops of plain functions, which nobody can interrupt.

        Raises:
            DeadlineExceeded: With `started=True`, if it is over.
        """
        if self.expired:
            raise exceeded(self)

    def __repr__(self) -> str:
        state = "struck" if self.struck else f"{self.remaining():.3g} s left"
        return f"<Deadline {self.name!r}: {state} of {self.seconds:.3g} s>"


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

    def remaining(self) -> float:
        """Tell how many seconds are left; 0.0 when it is over, never negative."""
        left = super().remaining()
        return left if self.scope is None else max(0.0, min(left, self.scope.left()))


def exceeded(deadline: Deadline, *, started: bool = True, abandoned: bool = False) -> DeadlineExceeded:
    """Make the error of a deadline, and tell listeners about it."""
    if isinstance(deadline, Term):
        abandoned = getattr(deadline, "abandoned", abandoned)
        if deadline.unasked:
            started = False
    if emit.listeners:
        from recoup.events import DeadlineStruck  # noqa: PLC0415 - paid for only when somebody listens

        emit.tell(DeadlineStruck(name=deadline.name, seconds=deadline.seconds, started=started))
    return DeadlineExceeded(seconds=deadline.seconds, started=started, name=deadline.name, abandoned=abandoned)


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
