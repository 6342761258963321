"""Ambient deadlines: how much time the current call still has.

A deadline is a point in time in a context variable. Whoever limits a call opens one (`enter`) and closes it (`leave`);
every strategy asks `time_left()` before it waits for anything, and user code may ask `current_deadline()`.

Rules:
* Nested deadlines combine by minimum (D1). Each one remembers the tightest that was open when it began, so that the
  question costs one look, however deep the nesting.
* A deadline counts only while its scope is open (G16): a background task has a copy of the context and may outlive the
  scope, so closed ones are skipped, and dropped from the chain as soon as somebody walks over them (a task that spawns
  its successor for ever would otherwise keep every deadline since the first).
* A clock that goes backwards restarts the timer (G12): nobody has more time left than the deadline was long.
* Nothing here interrupts anything. For asynchronous calls `scopes.py` puts a timer on top; for plain functions a
  deadline is cooperative (D3): a call is refused when no time is left before it starts, and a result that comes late
  is returned all the same.

No locks: a deadline is opened and closed by one call, and its few shared attributes are replaced whole.
"""

from __future__ import annotations

from contextvars import ContextVar

from recoup._core import clock, emit, mode
from recoup.errors import DeadlineExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from typing import Any

    from recoup._core.strategy import Strategy

__all__ = ["Deadline", "current_deadline", "enter", "exceeded", "leave", "limiting", "struck_in", "time_left"]


class Deadline:
    """A point in time by which a call has to end; `current_deadline()` gives the one that counts.

    Attributes:
        at: When it strikes, in seconds of the monotonic clock.
        seconds: How long it was when it began.
        owner: The strategy object that set it; `None` if none did.
        struck: Whether its own timer has fired and cancelled the call. Always `False` for plain functions, which
            cannot be interrupted.

    Reading is safe from any thread.
    """

    __slots__ = ("_name", "_open", "_outer", "_struck", "_tightest", "_token", "at", "owner", "seconds")

    def __init__(self, owner: Strategy | None, seconds: float, name: str | None, outer: Deadline | None) -> None:
        self.at = clock.monotonic() + seconds
        self.seconds = seconds
        self.owner = owner
        self._name = name
        self._struck = False
        self._open = True
        self._outer = outer
        self._token: Token[Deadline | None] | None = None
        self._tightest = self
        if outer is not None:
            tightest = _tightest(outer)
            if tightest is not None and tightest.at <= self.at:  # at the same moment the outer one strikes
                self._tightest = tightest

    @property
    def name(self) -> str:
        """What set it: a decorated function, "attempt_timeout", "global_timeout" ..."""
        if self._name is not None:
            return self._name
        return "deadline" if self.owner is None else self.owner.name

    @property
    def struck(self) -> bool:
        """Whether its own timer has fired and cancelled the call."""
        return self._struck

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0

    def remaining(self) -> float:
        """Tell how many seconds are left; 0.0 when it is over, never negative.

        >>> from recoup._core import timing
        >>> deadline = timing.Deadline(None, 60.0, "report", None)
        >>> 59 < deadline.remaining() <= 60
        True
        """
        left = self.at - clock.monotonic()
        if left > self.seconds:  # the clock went backwards
            self.at -= left - self.seconds
            left = self.seconds
        return max(left, 0.0)

    def check(self) -> None:
        """Raise if no time is left: for loops in plain functions, which nobody can interrupt.

        Raises:
            DeadlineExceeded: With `started=True`, if it is over.
        """
        if self.expired:
            raise exceeded(self, started=True)

    def __repr__(self) -> str:
        state = "struck" if self.struck else f"{self.remaining():.3g} s left"
        return f"<Deadline {self.name!r}: {state} of {self.seconds:.3g} s>"


_innermost: ContextVar[Deadline | None] = ContextVar("recoup_deadline", default=None)


def current_deadline() -> Deadline | None:
    """Give the deadline that the code running now has to meet; of several nested ones, the tightest.

    Returns:
        The deadline, or `None` if none is set here. It does not change by itself: ask again after leaving a
        decorated function.

    >>> from recoup import current_deadline
    >>> current_deadline() is None
    True
    """
    innermost = _innermost.get()
    return None if innermost is None else _tightest(innermost)


def time_left() -> float | None:
    """Tell how many seconds are left in the current context.

    Returns:
        Seconds, 0.0 at the least; `None` if there is no deadline.
    """
    deadline = current_deadline()
    return None if deadline is None else deadline.remaining()


def struck_in(outer: tuple[Strategy, ...]) -> bool:
    """Tell whether a timer that one of these layers set for the current call has fired.

    For what sees a cancellation and must know whose it is (G2): one by a timer of the same stack is the failure of a call
    that hangs, one by the caller or by an inherited deadline says nothing.

    Args:
        outer: The layers outside the one that asks, in the same stack.
    """
    seen: set[tuple[int, str | None]] = set()
    deadline = _innermost.get()
    while deadline is not None:
        if deadline._open and deadline.owner in outer:
            # A layer limits a call at most once under one name; further out it is the same object round another
            # function, that is another stack.
            key = (id(deadline.owner), deadline._name)
            if key not in seen and deadline.struck:
                return True
            seen.add(key)
        deadline = deadline._outer
    return False


def enter(owner: Strategy | None, seconds: float, name: str | None = None, *, inherit: bool = True) -> Deadline | None:
    """Open a deadline in the current context.

    Args:
        owner: The strategy object that sets it.
        seconds: How long it is, more than 0.
        name: What errors call it; `None` for the owner's name when it is needed.
        inherit: `False` for work that has to be done although the time is up (undoing, for one): outer deadlines do not count in it.

    Returns:
        What `leave` has to be given, in the same context; `None` if recovery is switched off here (G16).

    Raises:
        DeadlineExceeded: With `started=False`, if an outer deadline has left no time.
    """
    if mode.active and mode.off():
        return None
    outer = _innermost.get()
    if outer is not None:
        outer = _first_open(outer) if inherit else None
    deadline = Deadline(owner, seconds, name, outer)
    tightest = deadline._tightest
    if tightest is not deadline and tightest.expired:
        raise exceeded(tightest, started=False)
    deadline._token = _innermost.set(deadline)
    return deadline


def leave(deadline: Deadline | None) -> None:
    """Close a deadline: from now on it counts nowhere."""
    if deadline is None:
        return
    deadline._open = False
    token = deadline._token
    if token is not None:
        try:
            _innermost.reset(token)
        except ValueError:  # a coroutine that is closed by the collector runs its last lines in a foreign context
            pass


def exceeded(deadline: Deadline, *, started: bool) -> DeadlineExceeded:
    """Make the error of a deadline, and tell listeners about it."""
    if emit.listeners:
        from recoup.events import DeadlineStruck  # noqa: PLC0415 - paid for only when somebody listens

        emit.tell(DeadlineStruck(name=deadline.name, seconds=deadline.seconds, started=started))
    return DeadlineExceeded(seconds=deadline.seconds, started=started, name=deadline.name)


def _first_open(deadline: Deadline | None) -> Deadline | None:
    while deadline is not None and not deadline._open:
        deadline = deadline._outer
    if deadline is not None and deadline._outer is not None and not deadline._outer._open:
        deadline._outer = _first_open(deadline._outer)  # drop what is closed
    return deadline


def _tightest(innermost: Deadline) -> Deadline | None:
    """Give the open deadline that strikes first, from this one outwards."""
    found = innermost._tightest
    if found._open:  # it was the minimum when `innermost` began, and closing others does not change that
        return found
    best = None
    deadline = _first_open(innermost)
    while deadline is not None:
        if best is None or deadline.at <= best.at:
            best = deadline
        deadline = _first_open(deadline._outer)
    return best


def limiting(fn: Callable[..., Any], owner: Strategy | None, seconds: float, name: str | None) -> Callable[..., Any]:
    """Limit the time of a plain function: ambient only, nothing interrupts it."""

    def limiting(*args: Any, **kwargs: Any) -> Any:
        deadline = enter(owner, seconds, name)
        try:
            return fn(*args, **kwargs)
        finally:
            leave(deadline)

    return limiting
