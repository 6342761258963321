"""Deadline: a point in time by which one call has to end.

What makes one count, and how they nest, is the matter of `terms.py` and `timing.py`.
"""

from __future__ import annotations

from math import inf
from typing import Literal, NamedTuple

from recoup._core import checks, clock, emit
from recoup.errors import DeadlineExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from recoup._core.strategy import Strategy
    from recoup.typing import Seconds

__all__ = ["Deadline", "Limit", "Live", "exceeded"]

_SAME = 0.05  # seconds: two clocks of one machine read one after the other, with a thread switch in between


class Limit(NamedTuple):
    """How long the calls of one function may take, and who says so.

    Attributes:
        owner: The strategy object that limits them; `None` if none does.
        seconds: How long, more than 0.
        name: What errors call the limit; `None` for the owner's name at that time.
        reserve: Seconds before an outer deadline at which it strikes at the latest.
    """

    owner: Strategy | None
    seconds: float
    name: str | None = None
    reserve: float = 0.0


class Live:
    """A place for the limit of a strategy, which may be replaced while calls are made.

    Attributes:
        limit: What calls get that begin now; those that run keep what they began with.
    """

    __slots__ = ("limit",)

    def __init__(self, limit: Limit) -> None:
        self.limit = limit


class Deadline:
    """A point in time by which a call has to end; `current_deadline()` gives the one that counts.

    It is a value. Where context variables do not reach it can be handed over: to a thread as it is, to another process
    by pickling (what is left counts, time spent in a queue on the same machine included), to another machine as a
    header (`to_header`, `from_header`). There, make it count with a block:

    * `with deadline:` is cooperative: code inside may ask, waits of recoup keep to it, nothing is interrupted.
    * `async with deadline:` cancels what the block awaits when it strikes.

    Either raises `DeadlineExceeded` with `started=False` at once if no time is left. Reading it is safe from any
    thread, and any number of blocks may be open at once.

    Attributes:
        at: When it strikes, in seconds of the monotonic clock; `math.inf` for never.
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
        owner, name = self._limit.owner, self._limit.name
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

    def to_header(self, form: Literal["seconds", "milliseconds", "grpc"] = "seconds") -> str:
        """Write what is left as the value of a header, for a service that is called inside this deadline.

        A duration travels, not a time of day, so the clocks of the two machines need not agree; what has elapsed here
        is deducted. It is rounded down.

        Args:
            form: "seconds" ("1.25"), "milliseconds" ("1250") or "grpc" ("1250000u", for the header grpc-timeout).
                Default "seconds".

        Raises:
            DeadlineExceeded: With `started=False`, if nothing is left that could be written: do not make the call.
            ValueError: If the form is unknown, or this deadline never strikes.

        Source:
            https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md for "grpc".

        >>> from recoup import Deadline
        >>> Deadline.from_header("1500m", "grpc").to_header() <= "1.5"
        True
        """
        from recoup._core import headers  # noqa: PLC0415 - it takes `re`, and few send deadlines anywhere

        if self.at == inf:
            raise ValueError("this deadline never strikes, so there is nothing to tell: send no header")
        text = headers.written(self.remaining(), form)
        if text is None:
            raise exceeded(self, started=False)
        return text

    @staticmethod
    def from_header(
        value: str | None,
        form: Literal["seconds", "milliseconds", "grpc"] = "seconds",
        *,
        elapsed: Seconds = 0.0,
        longest: Seconds | None = None,
        name: str = "caller's deadline",
    ) -> Deadline:
        """Read the deadline of whoever called this service.

        Use it as a block round the work: `async with Deadline.from_header(request.headers.get("Request-Timeout")):`.

        Args:
            value: The header's value; `None` if it was not sent.
            form: As for `to_header`. Default "seconds".
            elapsed: Seconds (or a timedelta) since the request arrived, if it has waited here. Default 0.
            longest: What is granted at most, in seconds (or a timedelta), more than 0, whatever the caller says or if
                it says nothing. Default `None`: as much as it says; if it says nothing, a deadline that never strikes.
            name: What errors and events call it.

        Returns:
            The deadline; it may be over already.

        Raises:
            TypeError: If a value has the wrong type.
            ValueError: If the header has not the form (answer 400, it is the caller's fault), or an option is out of
                range.

        >>> from recoup import Deadline
        >>> Deadline.from_header("2.5", elapsed=3)
        <Deadline "caller's deadline": 0 s left of 2.5 s>
        """
        from recoup._core import headers  # noqa: PLC0415 - as above

        most = inf if longest is None else checks.duration("longest", longest, zero=False)
        spent = checks.duration("elapsed", elapsed)
        form = headers.known(form)
        seconds = min(inf if value is None else headers.read(value, form), most)
        return Deadline(Limit(None, seconds, name), clock.monotonic() + seconds - spent)

    def __enter__(self) -> Self:
        from recoup._core import blocks  # noqa: PLC0415 - it stands on this file

        blocks.reopen(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from recoup._core import blocks  # noqa: PLC0415 - as above

        blocks.end(self)

    async def __aenter__(self) -> Self:
        from recoup._core import blocks  # noqa: PLC0415 - as above

        await blocks.reopen_async(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from recoup._core import blocks  # noqa: PLC0415 - as above

        await blocks.end_async(self, error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.remaining(), self.seconds, self.name, clock.monotonic(), clock.wall())


def _arrived(left: float, seconds: float, name: str, monotonic: float, wall: float) -> Deadline:
    """Make a deadline of what was pickled, deducting the time since then if that can be known.

    On one machine both clocks say the same time has passed, and it has. Elsewhere, and if the time of day was set
    meanwhile, they do not agree: then nothing is deducted, as with a header.
    """
    passed = clock.monotonic() - monotonic
    if abs(clock.wall() - wall - passed) <= _SAME:
        left -= max(passed, 0.0)
    return Deadline(Limit(None, seconds, name), clock.monotonic() + left)


def exceeded(deadline: Deadline, *, started: bool = True, abandoned: bool = False) -> DeadlineExceeded:
    """Make the error of a deadline, and tell listeners about it."""
    # A term (terms.py) knows more about the call.
    started = started and not getattr(deadline, "unasked", None)
    abandoned = getattr(deadline, "abandoned", abandoned)
    if emit.listeners:
        from recoup.events import DeadlineStruck  # noqa: PLC0415 - paid for only when somebody listens

        emit.tell(DeadlineStruck(name=deadline.name, seconds=deadline.seconds, started=started))
    return DeadlineExceeded(seconds=deadline.seconds, started=started, name=deadline.name, abandoned=abandoned)
