"""What the pumps and blocks of a circuit breaker ask: may this call pass, and what does its outcome mean?

Here the circuit meets the clock, the user's conditions, the callbacks and the listeners; all of them outside its lock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from recoup._core import clock, conditions, emit, mode, timing
from recoup._core.colour import described
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.permits import UNCOUNTED, Timed, Uncounted
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.state import Circuit
from recoup.strategies.circuit_breaker.telling import planner, report, wants_seconds
from recoup.strategies.circuit_breaker.window import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup._core.colour import Colour
    from recoup._core.strategy import Strategy
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
    from recoup.strategies.circuit_breaker.news import Notice
    from recoup.strategies.circuit_breaker.permits import Lease, Permit
    from recoup.strategies.circuit_breaker.phases import Closed

__all__ = ["Calls"]

# Control flow that no timer of ours sends: never a failure. The first may come from a finaliser, which must not lock.
_NOT_OURS = (GeneratorExit, KeyboardInterrupt, SystemExit)


class Calls:
    """One circuit breaker as its calls see it.

    Args:
        owner: The strategy object, for its name.
        config: What counts.

    Attributes:
        circuit: The state.
        refused: How many calls were refused.
        used: Whether it was used lately, for who wants to know (C9).
        left: Told about an outcome, where nobody remembers this any more (C9).
    """

    __slots__ = (
        "__weakref__",
        "_bad",
        "_callbacks",
        "_counts",
        "_judges_seconds",
        "_owner",
        "_replan",
        "_slow",
        "_timed",
        "circuit",
        "left",
        "refused",
        "used",
    )

    def __init__(self, owner: Strategy, config: CircuitBreakerConfig) -> None:
        self._owner = owner
        self._bad = config.failure_on_result
        self._slow = math.inf if config.slow_call_duration is None else cast("float", config.slow_call_duration)
        self._judges_seconds = wants_seconds(self._bad)
        self._timed = self._judges_seconds or self._slow < math.inf
        self.circuit = Circuit(config, timed=self._timed)
        self.refused = Tally()
        self._replan = planner(config)
        counts = conditions.compiled("failure_on", Exception if config.failure_on is None else config.failure_on)
        if config.ignore_on is not None:
            counts &= ~conditions.compiled("ignore_on", config.ignore_on)
        self._counts = conditions.some("failure_on", counts)
        self.used = True
        self.left: Callable[[Calls], None] | None = None
        self._callbacks = {
            CircuitBreakerState.OPEN: config.on_open,
            CircuitBreakerState.CLOSED: config.on_close,
            CircuitBreakerState.HALF_OPEN: config.on_half_open,
            CircuitBreakerState.METRICS_ONLY: None,
        }

    def accept(self, colour: Colour, target: object) -> None:
        """Raise TypeError for a function whose outcome cannot be judged as configured."""
        if colour.is_stream and self._bad is not None:
            raise TypeError(
                f"failure_on_result cannot judge {described(target)}, a generator: it has no result; "
                "let the generator raise instead"
            )

    def metrics(self) -> dict[str, int]:
        """Count up what happened."""
        counts = self.circuit.counts
        return {
            "opened": counts.opened,
            "refused": self.refused.value(),
            "late": counts.late,
            "would_open": counts.would_open,
        }

    def after_fork(self) -> None:
        """Begin anew in the child of a fork (G18)."""
        self.circuit.renew()
        self.refused.renew()

    def beside(self, circuit: Circuit) -> Calls:
        """Make the same for another circuit, cheaply (C9)."""
        one = Calls.__new__(Calls)
        for slot in _SHARED:
            setattr(one, slot, getattr(self, slot))
        one.circuit, one.used, one.left = circuit, True, None
        return one

    def admit(self, *, told: bool) -> Permit | None:
        """Let a call pass or raise; None while there is news to tell first, unless that was tried."""
        if mode.active and mode.off():
            return UNCOUNTED
        now = clock.monotonic()
        circuit = self.circuit
        passing = circuit.passing
        if passing is not None:
            return Timed(passing, now) if self._timed else passing
        wait = circuit.shut(now)
        if not wait:
            circuit.advance(now)
        if circuit.news and not told:
            return None
        if wait:
            raise self._refusal(now, wait)
        permit = circuit.enter(now)
        if permit is None:
            raise self._refusal(now, circuit.view(now)[1])
        return Timed(permit, now) if self._timed and not isinstance(permit, Uncounted) else permit

    def failed(
        self, permit: Permit, error: BaseException, outer: tuple[Strategy, ...], *, theirs: bool = False
    ) -> bool:
        """Judge what a call ended with instead of a result; tell whether there is news.

        Args:
            permit: Of the call.
            error: A failure, or neutral: the condition decides for an `Exception`; control flow is neutral unless a
                timer of the same stack cut the call off (G2).
            outer: The layers outside this one in the same stack.
            theirs: The consumer of a stream threw it in.
        """
        began = math.inf
        if isinstance(permit, Timed):
            began = permit.began
            permit = permit.permit
        if isinstance(permit, Uncounted):
            return False
        if isinstance(error, Exception):
            counts = not theirs and self._judged(permit, self._counts, error)
        else:
            counts = bool(outer) and not isinstance(error, _NOT_OURS) and timing.struck_in(outer)
        now = clock.monotonic()
        if counts:
            return self._recorded(self.circuit.failed(permit, now, error, slow=now - began >= self._slow))
        permit.give_back(now)
        return False

    def returned(self, permit: Permit, result: object) -> bool:
        """Record a success that `tick` did not count; tell whether there is news."""
        seconds = 0.0
        if isinstance(permit, Timed):
            seconds = max(0.0, clock.monotonic() - permit.began)
            permit = permit.permit
        slow = seconds >= self._slow
        judged = (result, seconds) if self._judges_seconds else (result,)
        if self._bad is not None and self._judged(permit, self._turned_down, *judged):
            return self._recorded(self.circuit.failed(permit, clock.monotonic(), None, slow=slow))
        return self._recorded(self.circuit.succeeded(permit, clock.monotonic(), slow=slow))

    def leave(self, permit: Closed | Lease | Uncounted, thrown: BaseException) -> Closed | Lease | Uncounted:
        """Give the permit of a stream back when its consumer closes it, before the generator's own clean-up runs.

        The clean-up of a generator that nobody holds any more runs in a finaliser: what it raises must not lock.
        """
        if not isinstance(thrown, GeneratorExit):
            return permit
        permit.give_back(clock.monotonic())
        return UNCOUNTED

    def tell(self) -> None:
        """Tell what happened, unless somebody else is telling already."""
        news = self.circuit.news
        while (notice := news.hear()) is not None:
            try:
                self._report(notice)
                callback = self._callbacks[notice.state]
                if callback is not None:
                    emit.call(callback)
            finally:
                news.told()

    async def tell_async(self) -> None:
        """Do what `tell` does, awaiting the callbacks."""
        news = self.circuit.news
        while (notice := news.hear()) is not None:
            try:
                self._report(notice)
                callback = self._callbacks[notice.state]
                if callback is not None:
                    await emit.call_async(callback)
            finally:
                news.told()

    def _judged(self, permit: Closed | Lease | Uncounted, judge: Callable[..., bool], *subject: object) -> bool:
        """Ask the user's condition, giving the permit back if that raises; with recovery off nothing is a failure."""
        if mode.active and mode.off():
            return False
        try:
            return judge(*subject)
        except BaseException:
            permit.give_back(clock.monotonic())
            raise

    def _turned_down(self, *judged: object) -> bool:
        assert self._bad is not None  # noqa: S101 - asked only then
        return bool(conditions.plainly("failure_on_result", self._bad(*judged)))

    def _recorded(self, counted: bool) -> bool:  # noqa: FBT001 - private, and the only argument
        if self.left is not None:
            self.left(self)
        if not counted and emit.listeners:
            from recoup.events import LateResultIgnored  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(LateResultIgnored(self._owner.name))
        return bool(self.circuit.news)

    def _refusal(self, now: float, wait: float) -> CircuitBreakerError:
        """Make the error of one refused call. While a service is down this is all that callers wait for."""
        self.refused.add()
        name, cause = self._owner.name, self.circuit.cause
        if emit.listeners:
            from recoup.events import CallRefused  # noqa: PLC0415 - as above

            emit.tell(CallRefused(name, self._owner.kind, wait))
        # Not by its constructor: keywords through three levels of __init__ cost more than all the rest together.
        error = CircuitBreakerError.__new__(CircuitBreakerError)
        if cause is None:
            kind = text = age = None
        else:
            kind, text, age = cause.error_type, cause.text, now - cause.at
        error.__dict__ = {
            "name": name,
            "retry_after": wait,
            "wait_time": wait,
            "last_error_type": kind,
            "last_error_text": text,
            "last_error_age": age if age is None or age > 0 else 0.0,
        }
        return error

    def _report(self, notice: Notice) -> None:
        if self._replan is not None:
            emit.call(self._replan, notice.source)
        if emit.listeners:
            report(self._owner.name, notice)


_SHARED = tuple(slot for slot in Calls.__slots__ if slot not in ("__weakref__", "circuit", "left", "used"))
