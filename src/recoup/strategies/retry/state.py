"""One call's retrying: what to do after each failure.

    (no failure yet: no state) --failed--> WAIT (delay is a number) --failed--> ... --failed--> STOP (delay is None)

A `RetryRun` belongs to one call, so nobody locks. It is made at the first failure: a healthy call pays nothing. While
the call lasts it keeps the last error, for whoever cuts the next attempt off (rule R3). The frame that holds the run is
in the traceback of that error: it has to drop the run at its end, or the two would keep each other and all of the
caller's locals alive until the collector runs (rule G11).
"""

from __future__ import annotations

import math

from recoup._core import conditions
from recoup._core.notes import blame, note
from recoup.errors import DeadlineExceeded, Refusal, RetryExhausted
from recoup.strategies.retry import nesting
from recoup.strategies.retry.hints import may_ask
from recoup.strategies.retry.plan import AT_ONCE, RetryPlan, is_timeout, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from recoup.strategies.retry.budget import RetryBudget

    class Dice(Protocol):
        """What decisions take from the world besides the time: `recoup._core.clock`, or dice of a test."""

        def uniform(self, low: float, high: float, /) -> float:
            """Draw evenly between two numbers."""
            raise NotImplementedError

        def wall(self) -> float:
            """Tell the seconds since 1970."""
            raise NotImplementedError


__all__ = ["TURN", "RetryPlan", "RetryRun"]

TURN = 10  # attempts without a wait, after which other tasks get their turn; a turn costs more than an attempt


class RetryRun:
    """The memory of one call.

    Attributes:
        plan: What it goes by, from its first failure to its end.
        attempts: Calls made so far; all of them failed.
        delay: Seconds to wait before the next one; `None` when retrying is over.
        elapsed: Seconds since the first failure.
        reason: Why retrying is over, in words; empty if there was only one attempt and nothing to retry.
        gave_up: Whether a limit ended it, and not an error that is not retried.
        waits: Whether there is a wait before the next attempt: for time, or to give others their turn.
        tells: Whether somebody has to be told of the failure.
        open: Whether the decision has to be awaited.
        verdict: Whether the error is one to retry, once that has been awaited.
        failure: What the predicate of results raised.
    """

    __slots__ = (
        "_cost",
        "_error",
        "_memory",
        "_over",
        "_since",
        "_step",
        "attempts",
        "delay",
        "elapsed",
        "failure",
        "gave_up",
        "held",
        "open",
        "plan",
        "reason",
        "tells",
        "verdict",
        "waits",
    )

    def __init__(self, plan: RetryPlan, now: float, spent: int = 0) -> None:
        self.plan = plan
        self._since = now
        self._error: BaseException | None = None
        self._step = spent  # of the backoff; a wait that the service asked for is none (rule R5)
        self._memory: Any = None  # what the backoff remembers; a longer wait that a refusal asked for is not in it
        self._cost = 0.0  # of the last retry
        self._over = False  # not by a success
        self.attempts = spent
        self.gave_up = False
        self.delay: float | None = None
        self.elapsed = 0.0
        self.reason = ""
        self.waits = self.tells = self.open = False
        self.failure: BaseException | None = None
        self.verdict: bool | None = None
        self.held: object = None  # a result that was turned down: to be closed unless it comes again (rule R4)

    def failed(
        self,
        error: BaseException,
        now: float,
        left: float | None,
        dice: Dice,
        limit: str = "the deadline",
    ) -> None:
        """Take note of a failed attempt and decide.

        Args:
            error: The error, or the `UnacceptableResult`.
            now: Seconds on a monotonic clock.
            left: Seconds until the ambient deadline; `None` if there is none.
            dice: Gives randomness, and the wall clock for dates.
            limit: What the deadline is called.
        """
        self.attempts += 1
        self._error = error
        elapsed = now - self._since
        self.elapsed = elapsed if elapsed > 0 else 0.0
        self.delay = None
        plan = self.plan
        quick = isinstance(error, plan.quick) and not isinstance(error, plan.slow) and not nesting.once
        if not quick and not self._worth(error, now):
            return
        if self.attempts >= plan.most:
            self._give_up(error, plan.reason)
            return
        if quick and not (plan.obeys and may_ask(error)):
            self._step += 1
            delay, self._memory = plan.backoff.delay(self._step, self._memory, dice.uniform, error)
        else:
            asked = self._wait(error, left, dice)
            if asked is None:
                return
            delay = asked
        if left is not None and delay >= left:
            self._late(error, delay, left, limit)
            return
        if plan.budget is not None and not self._paid(error, now, plan.budget):
            return
        self.delay = delay
        self.waits = delay > 0 or plan.changes or not self.attempts % TURN

    def goes_on(self, error: BaseException, dice: Dice) -> None:
        """Decide on another attempt after an error with nothing unusual about it, and how long to wait before."""
        self._step += 1
        self.delay, self._memory = self.plan.backoff.delay(self._step, self._memory, dice.uniform, error)
        self.waits = self.delay > 0 or not self.attempts % TURN

    def used_up(self, error: BaseException, now: float, name: str) -> None:
        """Give up, because there are no attempts left, and mark the error; it is as for `goes_on`."""
        plan = self.plan
        self.delay, self.gave_up = None, True
        elapsed = now - self._since
        if elapsed < AT_ONCE and self.attempts == plan.most:
            self.reason, text = plan.at_once()
            nesting.mark_first(error, plan.key, name, self.attempts, text)
            return
        self.elapsed = max(0.0, elapsed)
        self._stop(error, plan.reason)
        nesting.mark(error, plan.key, name, self.attempts)

    def _worth(self, error: BaseException, now: float) -> bool:
        """Tell whether an error is to be retried at all; stop if it is not."""
        plan = self.plan
        verdict, self.verdict = self.verdict, None
        retryable = (plan.judges and plan.turned_down(error)) or (plan.retries(error) if verdict is None else verdict)
        if plan.budget is not None and not isinstance(error, Refusal):
            plan.budget._failed(now, to_retry=retryable)
        if not retryable:
            self._stop(error, f"{type(error).__qualname__} is not retried" if self.attempts > 1 else "")
            return False
        careful = plan.careful or nesting.once or isinstance(error, DeadlineExceeded)
        if careful and (objection := plan.objection(error)):
            self._stop(error, objection)
            return False
        return True

    def recheck(self, left: float, limit: str) -> None:
        """Give up after all if callbacks took so long that the wait does not fit the deadline any more (rule R3)."""
        if self.delay is not None and self._error is not None and self.delay >= left:
            self.held = None  # it is the last result now, and the caller's
            self._late(self._error, self.delay, left, limit)

    def turned_down(self, error: object) -> bool:
        """Tell whether this is no error, but a result that our own plan turned down."""
        return self.plan.turned_down(error)

    def unjudged(self, error: BaseException) -> bool:
        """Tell whether a result came to nothing because its predicate raised; that error comes out (rule R4)."""
        if self.turned_down(error):
            self.failure = error.__dict__["_failure"]
        if self.failure is not None:
            self.delay = None
        return self.failure is not None

    def ask(self) -> None:
        """Put the decision off until it has been awaited."""
        self.delay = None
        self.open = self.tells = True

    def accept(self) -> None:
        """Take note that the last result is good after all."""
        self.open, self.held = False, None

    def off(self) -> None:
        """Give up because recovery is switched off here."""
        self.attempts += 1
        self.delay = None

    def forget(self) -> None:
        """Drop the last error, where no time limit can cut the next attempt off."""
        self._error = None

    def succeeded(self) -> None:
        """Take note of a success after failures: the last retry may get back what it cost."""
        if self.plan.budget is not None and not self._over:
            self.plan.budget._repay(self._cost)

    def ended(self, end: BaseException) -> None:
        """Tell a cancellation which failure came before it, so that a time limit that sent it can name the cause."""
        self._over = True
        if isinstance(end, Exception):
            return
        spent = getattr(end, "spent", None)
        if isinstance(spent, dict):  # a coroutine came instead of an answer: the asynchronous pass goes on counting
            spent[self.plan.key] = self.attempts
        if self._error is not None:
            blame(end, self._error)

    def _wait(self, error: BaseException, left: float | None, dice: Dice) -> float | None:
        """Give the seconds until the next attempt; `None` if they are too many, and it gave up."""
        backoff = self.plan.backoff
        hint = self.plan.hint(error, dice.wall)
        if hint is None:
            self._step += 1
            delay, self._memory = backoff.delay(self._step, self._memory, dice.uniform, error)
        elif hint > backoff.longest_delay and not self.plan.clamps:
            longest = f"max_delay is {backoff.longest_delay:g} s"
            self._give_up(error, f"the service asks for a wait of {hint:g} s, and {longest}")
            return None
        else:
            delay = backoff.hinted(hint, left, dice.uniform)
        if isinstance(error, (Refusal, BaseExceptionGroup)):
            for leaf in conditions.leaves(error):
                if isinstance(leaf, Refusal) and leaf.retry_after is not None:
                    delay = max(delay, leaf.retry_after)
            if delay == math.inf:
                self._give_up(error, "the refusal does not end by itself")
                return None
        return delay

    def _paid(self, error: BaseException, now: float, budget: RetryBudget) -> bool:
        """Pay for the next attempt; give up if there is not enough."""
        cost = budget._spend(now, timeout=is_timeout(error))
        if cost is None:
            self._give_up(error, f"{budget.name} is used up")
            return False
        self._cost = cost
        return True

    def _late(self, error: BaseException, delay: float, left: float, limit: str) -> None:
        self.delay = None
        self._give_up(error, f"the next wait of {delay:.3g} s does not fit {limit} ({max(0.0, left):.3g} s left)")

    def _give_up(self, error: BaseException, reason: str) -> None:
        self.gave_up = True
        self._stop(error, reason)

    def _stop(self, error: BaseException, reason: str) -> None:
        self.reason = reason
        if reason:
            note(error, words(self.attempts, self.elapsed, reason))

    def last(self, result: object) -> object:
        """Give the last result that was turned down to the caller, or raise, as configured."""
        if self.failure is not None:
            raise self.failure
        if not self.plan.config.raise_on_result or not self.reason:
            return result
        exhausted = RetryExhausted(attempts=self.attempts, elapsed=self.elapsed, reason=self.reason, last_result=result)
        nesting.hand_on(self._error, exhausted)
        raise exhausted
