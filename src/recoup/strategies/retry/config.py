"""What a retry can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

from recoup._core import checks, conditions
from recoup.strategies.retry import checking, nesting
from recoup.strategies.retry.budget import RetryBudget
from recoup.strategies.retry.kinds import BackoffStrategy, Delays, RetryAfter
from recoup.typing import AsyncPredicate, Callback, ConditionSpec, Seconds  # noqa: TC001 - typing.get_type_hints looks for it here

__all__ = ["BackoffStrategy", "RetryAfter", "RetryConfig"]

_INITIAL_DELAY = checks.DefaultFloat(1.0)
_MAX_DELAY = checks.DefaultFloat(60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """Say what is retried, how often, and how long to wait in between.

    Args:
        max_attempts: Calls in all, the first one included; at least 1. `None`: no limit; then let something else end
            it, `max_elapsed` or a deadline, or cancel it. Default 3.
        initial_delay: Seconds (or a timedelta) before the first retry; 0 or more. Default 1.0.
        max_delay: No wait is longer than this many seconds, unless a refusal of ours that `on` names asks for it.
            Default 60.0; a larger `initial_delay` raises the default.
        backoff_strategy: How waits grow: a `BackoffStrategy` or its value as a string, or your own: a list of seconds
            (the last one repeats), another iterable or a generator function (each call goes through it anew, so it may
            be endless), or a function that gets the number of the retry (from 1), and the error if it has a second
            required parameter, and gives seconds. For a result that was turned down the error is an
            `UnacceptableResult`. Default JITTER, because a fleet of clients must not retry in step.
        backoff_multiplier: Factor of EXPONENTIAL, JITTER, FULL_JITTER and EQUAL_JITTER; at least 1. Default 2.0.
        jitter_range: Spread of FIXED, LINEAR, EXPONENTIAL and JITTER as a share of the wait, 0 to 1: with 0.1 a wait
            is drawn evenly from 90 % to 110 % of its value, and never above `max_delay`. Default `None`: 0.5 for
            JITTER, none for the others.
        retry_on_exceptions: Which errors are retried: a type, a list of types, a predicate or a condition (`when`).
            Short name in decorators: `on`. Round async functions, predicates may be coroutine functions. Default
            `None`: every `Exception` but our own refusals.
        abort_on: Errors that are never retried, whatever `retry_on_exceptions` says; predicates as there. Default
            `None`: none.
        retry_on_result: Predicate of the result; true means that the result is not good enough and the call is made
            again. An error in it propagates at once. May be async round async functions. Default `None`: every result
            is good.
        raise_on_result: When the attempts are used up and the last result is still turned down: raise
            `RetryExhausted` (True) or return that result (False). Default False.
        attempt_timeout: Seconds for one attempt. An async attempt is cancelled and counts as a `DeadlineExceeded`; a
            synchronous one cannot be interrupted: it sees the limit as `current_deadline()`. Default `None`: no limit.
        max_elapsed: Seconds for all attempts and waits together; a wait that would cross it is not begun.
            Default `None`: no limit.
        retry_after: What is done when an error, its `response` or a result that was turned down carries a
            `Retry-After`: a `RetryAfter` or its value as a string. Default OBEY: it is waited for that long (where
            waits have jitter, up to half longer), or given up at once if that is longer than `max_delay`.
        budget: A `RetryBudget`, shared by any number of functions: without a token left the error comes out at once.
            Calls cost a little more then, also those that succeed. Default `None`: no budget.
        nested: What is done with an error that a retry further in has given up on: "allow" (retry it, so that attempts
            multiply; an event says so) or "once" (pass it on with a note). Default `None`: what `set_nested_retries`
            has said for the process, which is "allow" unless it was called: what is written is done.
        idempotent: False forbids retrying timeouts, and worker processes that ended in the middle of the call
            (`WorkerCrashed`): such calls may have had their effect. True says that the function may be repeated, even
            while an earlier call of it, which its caller no longer waits for, goes on in a thread
            (`DeadlineExceeded.abandoned`). Default `None`: that alone is not retried.
        replay: What is done with a generator that fails after its first item: "repeat" (start it anew, its items come
            again from the first) or "resume" (start it anew and leave out as many items as were handed out, for a
            generator that gives the same ones each time). Default `None`: the error propagates.
        on_retry: Called before each wait as `on_retry(n, error)`, n = 1 for the first retry; for a result that was
            turned down the error is an `UnacceptableResult`. May be async round async functions.
        before_retry: Called after each wait as `before_retry(n, error, args, kwargs)`, to change the arguments of the
            next attempt, for another endpoint say: it returns a pair `(args, kwargs)`, or `None` to leave them. The
            arguments come by position where they can, defaults filled in. Its errors propagate at once. May be async
            round async functions.
        on_failure: Called once as `on_failure(error)` when retrying is given up. Not called for an error that is not
            retried at all. May be async round async functions.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or two given values contradict each other.

    Configs are immutable and may be shared between threads and event loops.

    >>> RetryConfig(max_attempts=5, backoff_strategy="fixed").backoff_strategy
    <BackoffStrategy.FIXED: 'fixed'>
    """

    ON: ClassVar[str] = "retry_on_exceptions"

    max_attempts: int | None = 3
    initial_delay: Seconds = _INITIAL_DELAY
    max_delay: Seconds = _MAX_DELAY
    backoff_strategy: Delays = BackoffStrategy.JITTER
    backoff_multiplier: float = 2.0
    jitter_range: float | None = None
    retry_on_exceptions: ConditionSpec | AsyncPredicate | None = None
    abort_on: ConditionSpec | AsyncPredicate | None = None
    retry_on_result: AsyncPredicate | None = None
    raise_on_result: bool = False
    attempt_timeout: Seconds | None = None
    max_elapsed: Seconds | None = None
    retry_after: RetryAfter | str = RetryAfter.OBEY
    budget: RetryBudget | None = None
    nested: Literal["allow", "once"] | None = None
    idempotent: bool | None = None
    replay: Literal["repeat", "resume"] | None = None
    on_retry: Callback | None = None
    before_retry: Callback | None = None
    on_failure: Callback | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        checks.optional_size("max_attempts", self.max_attempts)
        checking.check_delays(self, put)
        checks.number("backoff_multiplier", self.backoff_multiplier, low=1)
        put(self, "backoff_strategy", checking.backoff(self.backoff_strategy))
        checking.check_spread(self)
        for argument in ("retry_on_exceptions", "abort_on"):
            if getattr(self, argument) is not None:
                conditions.compiled(argument, getattr(self, argument), asynchronous=True)
        checks.boolean("raise_on_result", self.raise_on_result)
        put(self, "retry_after", checks.member("retry_after", self.retry_after, RetryAfter))
        if self.budget is not None:
            checks.instance("budget", self.budget, RetryBudget)
        if self.nested is not None:
            nesting.checked("nested", self.nested)
        if self.replay not in (None, "repeat", "resume"):
            raise ValueError(f"replay must be 'repeat', 'resume' or None, not {checks.shown(self.replay)}")
        if self.idempotent is not None:
            checks.boolean("idempotent", self.idempotent)
        _check_callables(self)
        if self.raise_on_result and self.retry_on_result is None:
            raise ValueError("raise_on_result=True needs retry_on_result: without it no result is turned down")
        for argument in ("attempt_timeout", "max_elapsed"):
            put(self, argument, checks.optional_duration(argument, getattr(self, argument), zero=False))
        attempt: Any = self.attempt_timeout
        if attempt is not None and self.max_elapsed is not None and attempt > self.max_elapsed:
            raise ValueError(
                f"attempt_timeout ({attempt:g} s) must not be longer than max_elapsed ({self.max_elapsed:g} s)"
            )


def _check_callables(config: RetryConfig) -> None:
    checks.callback("retry_on_result", config.retry_on_result)
    checks.callback("on_retry", config.on_retry)
    checks.callback("before_retry", config.before_retry)
    checks.callback("on_failure", config.on_failure)


if TYPE_CHECKING:

    class RetryOptions(TypedDict, total=False):
        """Keywords of `@retry`: the fields of `RetryConfig`, `on` for `retry_on_exceptions`, and `name`."""

        name: str | None
        on: ConditionSpec | AsyncPredicate | None
        max_attempts: int | None
        initial_delay: Seconds
        max_delay: Seconds
        backoff_strategy: Delays
        backoff_multiplier: float
        jitter_range: float | None
        retry_on_exceptions: ConditionSpec | AsyncPredicate | None
        abort_on: ConditionSpec | AsyncPredicate | None
        retry_on_result: AsyncPredicate | None
        raise_on_result: bool
        attempt_timeout: Seconds | None
        max_elapsed: Seconds | None
        retry_after: RetryAfter | str
        budget: RetryBudget | None
        nested: Literal["allow", "once"] | None
        idempotent: bool | None
        replay: Literal["repeat", "resume"] | None
        on_retry: Callback | None
        before_retry: Callback | None
        on_failure: Callback | None
