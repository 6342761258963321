"""What the pumps and blocks of a circuit breaker ask: may this call pass, and what does its outcome mean?

Here the circuit meets the clock, the user's conditions, the callbacks and the listeners; all of them outside its lock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recoup._core import clock, emit, mode, shielding, timing
from recoup._core.colour import described
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.judge import Judge
from recoup.strategies.circuit_breaker.permits import UNCOUNTED, Timed, Uncounted
from recoup.strategies.circuit_breaker.phases import GRAIN, Open
from recoup.strategies.circuit_breaker.state import Circuit
from recoup.strategies.circuit_breaker.telling import report
from recoup.strategies.circuit_breaker.window import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup._core.colour import Colour
    from recoup._core.strategy import Strategy
    from recoup.strategies.circuit_breaker.cause import Cause
    from recoup.strategies.circuit_breaker.closed import Closed
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
    from recoup.strategies.circuit_breaker.news import Notice
    from recoup.strategies.circuit_breaker.permits import Lease, Permit

__all__ = ["Calls"]

# Control flow that no timer of ours sends: never a failure. The first may come from a finaliser, which must not lock.
_NOT_OURS = (GeneratorExit, KeyboardInterrupt, SystemExit)


_PATIENCE = 5.0  # seconds for a callback in a call that is cancelled: enough to write to a log or send a message


class Bench:
    """Where the judge of a breaker sits, whatever the key.

    Attributes:
        owner: The strategy object, for its name.
        judge: What the configuration of now makes of outcomes.
        refused: How many calls were refused.
    """

    __slots__ = ("judge", "owner", "refused")

    def __init__(self, owner: Strategy, judge: Judge) -> None:
        self.owner = owner
        self.judge = judge
        self.refused = Tally()


class Calls:
    """One circuit breaker as its calls see it.

    Args:
        owner: The strategy object, for its name.
        config: What counts.

    Attributes:
        bench: What all circuits of one breaker share (C9).
        circuit: The state.
        used: Whether it was used lately, for who wants to know (C9).
        left: Told about an outcome, where nobody remembers this any more (C9).
    """

    __slots__ = ("__weakref__", "bench", "circuit", "left", "used")

    def __init__(self, owner: Strategy, config: CircuitBreakerConfig) -> None:
        self.bench = Bench(owner, Judge(config))
        self.circuit = Circuit(self.bench.judge.rules)
        self.used = True
        self.left: Callable[[Calls], None] | None = None

    def accept(self, colour: Colour, target: object) -> None:
        """Raise TypeError for a function whose outcome cannot be judged as configured."""
        if colour.is_stream and self.bench.judge.judges_results:
            raise TypeError(
                f"failure_on_result cannot judge {described(target)}, a generator: it has no result; "
                "let the generator raise instead"
            )

    def catch_up(self) -> None:
        """Have the circuit go by what the judge of now says, and be held as its siblings are.

        This may run the user's code: never under a lock.
        """
        while not self.circuit.goes_by(rules := self.bench.judge.rules):  # another judge may have come meanwhile
            self.circuit.adopt(rules, clock.monotonic())
        self.circuit.follow(clock.monotonic())

    def metrics(self) -> dict[str, int]:
        """Count up what happened."""
        counts = self.circuit.counts
        return {
            "opened": counts.opened,
            "refused": self.bench.refused.value(),
            "late": counts.late,
            "would_open": counts.would_open,
        }

    def after_fork(self) -> None:
        """Begin anew in the child of a fork (G18)."""
        self.circuit.renew()
        self.bench.refused.renew()

    def beside(self, circuit: Circuit) -> Calls:
        """Make the same for another circuit, cheaply (C9)."""
        one = Calls.__new__(Calls)
        one.bench, one.circuit, one.used, one.left = self.bench, circuit, True, None
        return one

    def ask(self) -> Permit | None:
        """Let a call pass or raise; None while there is news to tell first: then tell, and call `admit`."""
        if mode.active and mode.off():
            return UNCOUNTED
        now = clock.monotonic()
        circuit = self.circuit
        phase = circuit.phase
        # The many refusals of an open circuit take no lock, and no call that could be spared: here callers wait. Where
        # the clock went backwards, `advance` looks closer.
        if type(phase) is not Open or not GRAIN < (wait := phase.until - now) <= phase.seconds:
            if circuit.passing is None:
                circuit.advance(now)
            return None if circuit.news else self._entered(now)
        if circuit.news:
            return None
        bench = self.bench
        bench.refused.add()
        if emit.listeners:
            self._tell_refused(wait)
        raise _new(CircuitBreakerError, _facts, bench.owner, wait, circuit.cause, now)

    def admit(self) -> Permit:
        """Let a call pass or raise, whatever there is to tell; for who has asked, and was told to tell first."""
        now = clock.monotonic()
        self.circuit.advance(now)
        return self._entered(now)

    def failed(
        self, permit: Permit, error: BaseException, outer: tuple[Strategy, ...], *, theirs: bool = False
    ) -> bool:
        """Judge what a call ended with instead of a result; tell whether there is news.

        Args:
            permit: Of the call.
            error: A failure, or neutral: the condition decides for an `Exception`, and for those in a group that holds
                control flow too; control flow is neutral unless a timer of the same stack cut the call off (G2).
            outer: The layers outside this one in the same stack.
            theirs: The consumer of a stream threw it in.
        """
        began = math.inf
        if isinstance(permit, Timed):
            began = permit.began
            permit = permit.permit
        if isinstance(permit, Uncounted):
            return False
        judge = self.bench.judge
        if isinstance(error, Exception):
            counts = not theirs and self._judged(permit, judge.counts, error)
        elif isinstance(error, BaseExceptionGroup) and not theirs and self._judged(permit, judge.counts_in, error):
            counts = True
        else:
            counts = bool(outer) and not isinstance(error, _NOT_OURS) and timing.struck_in(outer)
        now = clock.monotonic()
        if counts:
            return self._recorded(self.circuit.failed(permit, now, error, slow=now - began >= judge.slow))
        permit.give_back(now)
        return False

    def returned(self, permit: Permit, result: object) -> bool:
        """Record a success that `tick` did not count; tell whether there is news."""
        judge = self.bench.judge
        seconds = 0.0
        if isinstance(permit, Timed):
            seconds = max(0.0, clock.monotonic() - permit.began)
            permit = permit.permit
        slow = seconds >= judge.slow
        if judge.judges_results and self._judged(permit, judge.turns_down, result, seconds):
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
                callback = self.bench.judge.callbacks[notice.state]
                if callback is not None:
                    emit.call(callback)
            finally:
                news.told()

    async def tell_async(self) -> None:
        """Do what `tell` does, awaiting the callbacks; also in a call that a time limit cut off (G2)."""
        news = self.circuit.news
        while (notice := news.hear()) is not None:
            try:
                self._report(notice)
                callback = self.bench.judge.callbacks[notice.state]
                if callback is not None:
                    with shielding.spared(_PATIENCE):
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

    def _entered(self, now: float) -> Permit:
        """Give a permit or raise."""
        circuit, timed = self.circuit, self.bench.judge.timed
        permit = circuit.passing or circuit.enter(now)
        if permit is None:
            raise self._refusal(now, circuit.view(now)[1])
        return Timed(permit, now) if timed and not isinstance(permit, Uncounted) else permit

    def _recorded(self, counted: bool) -> bool:  # noqa: FBT001 - private, and the only argument
        if self.left is not None:
            self.left(self)
        if not counted and emit.listeners:
            from recoup.events import LateResultIgnored  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(LateResultIgnored(self.bench.owner.name))
        return bool(self.circuit.news)

    def _refusal(self, now: float, wait: float) -> CircuitBreakerError:
        """Make the error of one refused call."""
        self.bench.refused.add()
        if emit.listeners:
            self._tell_refused(wait)
        return _new(CircuitBreakerError, _facts, self.bench.owner, wait, self.circuit.cause, now)

    def _tell_refused(self, wait: float) -> None:
        from recoup.events import CallRefused  # noqa: PLC0415 - as above

        owner = self.bench.owner
        emit.tell(CallRefused(owner.name, owner.kind, wait))

    def _report(self, notice: Notice) -> None:
        replan = self.bench.judge.replan
        if replan is not None:
            emit.call(replan, notice.source)
        if emit.listeners:
            report(self.bench.owner.name, notice)


_new = CircuitBreakerError.__new__


def _facts(owner: Strategy, wait: float, cause: Cause | None, now: float) -> dict[str, object]:
    """Tell the facts of a refusal (C7)."""
    return {
        "name": owner.name,
        "retry_after": wait,
        "wait_time": wait,
        "last_error_type": None if cause is None else cause.error_type,
        "last_error_text": None if cause is None else cause.text,
        "last_error_age": None if cause is None else max(0.0, now - cause.at),
    }
