"""Ambient deadlines: how much time the current call still has.

A deadline is a point in time in a context variable. Whoever limits a call opens one (`enter`) and closes it (`leave`);
every strategy asks `time_left()` before it waits for anything, and user code may ask `current_deadline()`.

Rules:
* Nested deadlines combine by minimum (D1). Each one remembers the tighter one that was open round it when it began, so
  the question costs a look or two, however deep the nesting.
* A deadline counts only while its scope is open (G16). So closing is one flag, and the variable is not set back: what
  is closed is skipped by everybody. That also serves a coroutine which the collector closes in a foreign context,
  blocks left in the wrong order, and background tasks, which keep their copy of the context and outlive the scope. The
  next `enter` drops closed ones from the chain (a task that spawns its successor for ever would keep them all).
* A clock that goes backwards restarts the timer (G12): nobody has more time left than the deadline was long.
* Nothing here interrupts anything. For asynchronous calls `scopes.py` puts a timer on top; for plain functions a
  deadline is cooperative (D3): a call is refused when no time is left before it starts, and a result that comes late
  is returned all the same.

No locks: a deadline is opened and closed by one call, and its few shared attributes are replaced whole. No reference
cycles either: deadlines are made on every call, and the collector should never have to know.
"""

from __future__ import annotations

from contextvars import ContextVar

from recoup._core import clock, mode
from recoup._core.deadlines import Deadline, Limit, Live, exceeded
from recoup._core.terms import Term, tightest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from recoup._core.colour import Colour
    from recoup._core.strategy import Pump, Strategy

__all__ = [
    "Deadline",
    "Limit",
    "Live",
    "Term",
    "asked",
    "current_deadline",
    "departed",
    "enter",
    "exceeded",
    "innermost",
    "leave",
    "limit",
    "queueing",
    "struck_in",
    "time_left",
]

_innermost: ContextVar[Term | None] = ContextVar("recoup_deadline", default=None)

innermost = _innermost.get
"""Give the deadline that was opened last in this context, perhaps closed by now; a quick "None" for most calls."""


def current_deadline() -> Deadline | None:
    """Give the deadline that the code running now has to meet; of several nested ones, the tightest.

    Returns:
        The deadline, or `None` if none is set here. Ask again after entering or leaving a decorated function.

    >>> from recoup import current_deadline
    >>> current_deadline() is None
    True
    """
    deadline = _innermost.get()
    if deadline is not None and not deadline.open:
        deadline = _first_open(deadline)
    return None if deadline is None else tightest(deadline)


def time_left() -> float | None:
    """Tell how many seconds are left in the current context.

    Returns:
        Seconds, 0.0 at the least; `None` if there is no deadline.
    """
    deadline = None if _innermost.get() is None else current_deadline()
    return None if deadline is None else deadline.remaining()


def struck_in(outer: tuple[Strategy, ...]) -> bool:
    """Tell whether a timer that one of these layers set for the current call has fired.

    For what sees a cancellation and must know whose it is (G2): one by a timer of the same stack is the failure of a
    call that hangs, one by the caller or by an inherited deadline says nothing.

    Args:
        outer: The layers outside the one that asks, in the same stack.
    """
    seen: set[tuple[int, str | None]] = set()
    for deadline in _chain():
        owner, name = deadline.limit.owner, deadline.limit.name
        # A layer limits a call at most once under one name. Further out it is the same strategy object round another
        # function, and that is another stack.
        if owner in outer and (id(owner), name) not in seen:
            if deadline.struck:
                return True
            seen.add((id(owner), name))
    return False


def enter(limit: Limit, *, inherit: bool = True, at: float | None = None) -> Term | None:
    """Open a deadline in the current context.

    Args:
        limit: What it is made from.
        inherit: `False` for work that has to be done although the time may be up (undoing, for one): outer deadlines do
            not count inside it.
        at: When it strikes, for one that is opened again; it is not refused. `None` for `limit.seconds` from now.

    Returns:
        What `leave` has to be given; `None` if recovery is switched off here (G16).

    Raises:
        DeadlineExceeded: With `started=False`, if an outer deadline has left no time.
    """
    if mode.active and mode.off():
        return None
    outer = _innermost.get()
    while outer is not None and not outer.open:
        outer = outer.outer
    deadline = Term(limit, clock.monotonic() + limit.seconds if at is None else at, outer)
    if outer is not None:
        _nest(deadline, outer, inherit=inherit)
        tighter = deadline.tighter
        if at is None and tighter is not None and tighter.expired:
            raise exceeded(tighter, started=False)
        if limit.reserve and at is None and inherit:
            _reserve(deadline, tightest(outer))
    _innermost.set(deadline)
    return deadline


def leave(deadline: Term | None) -> None:
    """Close a deadline: from now on it counts nowhere."""
    if deadline is not None:
        deadline.open = False
        deadline.tighter = None  # or each would keep the one before alive


def _nest(deadline: Term, outer: Term, *, inherit: bool) -> None:
    """Have an open deadline count inside a new one."""
    outer.outer = _first_open(outer.outer)  # a step a time, the whole chain gets rid of what is closed
    if not inherit:
        deadline.alone = True
        return
    strictest = tightest(outer)
    if strictest.at <= deadline.at:  # at the same moment, the outer one strikes
        deadline.tighter = strictest


def _reserve(deadline: Term, outer: Term) -> None:
    """Have a new deadline strike early enough to leave a part of an outer one's time to those outside (rule D1)."""
    limit = deadline.limit
    if outer.at - limit.reserve >= deadline.at:
        return
    left = outer.remaining() - limit.reserve
    if left <= 0:
        raise exceeded(outer, started=False)
    deadline.cut(outer.at - limit.reserve, left)


class queueing:  # noqa: N801 - used as a `with` statement, like a function
    """Say that the call only waits in a queue of ours, for as long as the block lasts.

    If its deadline strikes meanwhile, the function was never asked, and that is a refusal (G13): `started` is False.
    Only deadlines that were set in the running task count: of a parent's other children nothing is known.
    """

    __slots__ = ("_waiting",)

    def __enter__(self) -> None:
        from recoup._core.scopes import running_task  # noqa: PLC0415 - it stands on this file

        task = running_task()
        mine = [] if task is None else [each for each in _chain() if each.task is task]
        self._waiting = [each for each in mine if each.unasked is None]
        for deadline in self._waiting:
            deadline.unasked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for deadline in self._waiting:
            if error is None or not deadline.struck:
                deadline.unasked = None


def asked() -> None:
    """Say that the function has been called: whatever strikes from now on finds the call started."""
    for deadline in _chain():
        deadline.unasked = False


def departed(*, begun: bool) -> None:
    """Say that a task leaves a call of a plain function to the thread it was given to.

    Args:
        begun: Whether the thread has begun it; if not, it never will.
    """
    for deadline in _chain():
        if deadline.struck:
            if begun:
                deadline.abandoned = True
            elif deadline.unasked is None:
                deadline.unasked = True


def _chain() -> Iterator[Term]:
    """Give the open deadlines of this context, from the innermost outwards."""
    deadline = _innermost.get()
    while deadline is not None:
        if deadline.open:
            yield deadline
        deadline = deadline.outer


def _first_open(deadline: Term | None) -> Term | None:
    while deadline is not None and not deadline.open:
        deadline = deadline.outer
    return deadline


def limit(colour: Colour, live: Live) -> Pump:
    """Make the pump that limits the time of every call (of every whole iteration, for generators).

    Args:
        colour: Colour of the function. Asynchronous calls are cancelled when the time is up; plain functions and
            generators cannot be, and get the ambient deadline only.
        live: How long a call may take, looked up when it begins; shorter if an outer deadline strikes earlier.
    """
    from recoup._core import limiting  # noqa: PLC0415 - the pumps stand on this file

    return limiting.pump(colour, live)
