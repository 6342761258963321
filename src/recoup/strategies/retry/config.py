"""What a retry can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from inspect import isgeneratorfunction, signature
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from recoup._core import checks, conditions
from recoup.strategies.retry.budget import RetryBudget

if TYPE_CHECKING:
    from recoup.typing import Callback, ConditionSpec, Predicate, Seconds

__all__ = ["OWN_RANGES", "BackoffStrategy", "RetryAfter", "RetryConfig"]

_INITIAL_DELAY = checks.DefaultFloat(1.0)
_MAX_DELAY = checks.DefaultFloat(60.0)


class BackoffStrategy(Enum):
    """How the wait grows from one retry to the next.

    With d the initial delay, m the multiplier and n the number of the retry (from 1), capped at the maximum delay:

    * `FIXED`: d
    * `LINEAR`: d * n
    * `EXPONENTIAL`: d * m ** (n - 1)
    * `JITTER`: exponential, spread evenly over its `jitter_range` (by default half of it either way)
    * `DECORRELATED`: evenly between d and three times the previous wait
    * `FULL_JITTER`: evenly between 0 and the exponential wait
    * `EQUAL_JITTER`: evenly between half of the exponential wait and the whole
    * `SMOOTH_JITTER`: medians near d, d, 2 d, 4 d, 8 d ..., spread over all moments without gaps or peaks; where that
      is longer than the maximum delay, evenly between half of the maximum and the whole

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (decorrelated, full and equal
    jitter); Polly v8, `RetryHelper.DecorrelatedJitterBackoffV2`, after a formula of G. Dixon (smooth jitter).
    """

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    JITTER = "jitter"
    DECORRELATED = "decorrelated"
    FULL_JITTER = "full_jitter"
    EQUAL_JITTER = "equal_jitter"
    SMOOTH_JITTER = "smooth_jitter"


class RetryAfter(Enum):
    """What is done when the service says how long to wait (`Retry-After`).

    * `OBEY`: it is waited for that long, in place of the own delay; a wait that is longer than `max_delay`, or does not
      fit the deadline, gives up at once
    * `CLAMP`: the same, but a wait that is longer than `max_delay` is cut to it
    * `IGNORE`: only the own delays count
    """

    OBEY = "obey"
    CLAMP = "clamp"
    IGNORE = "ignore"


OWN_RANGES = (
    BackoffStrategy.DECORRELATED,
    BackoffStrategy.FULL_JITTER,
    BackoffStrategy.EQUAL_JITTER,
    BackoffStrategy.SMOOTH_JITTER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """Say what is retried, how often, and how long to wait in between.

    Args:
        max_attempts: Calls in all, the first one included; at least 1. Default 3.
        initial_delay: Seconds (or a timedelta) before the first retry; 0 or more. Default 1.0.
        max_delay: No wait is longer than this many seconds, unless a refusal of ours that `on` names asks for it.
            Default 60.0; a larger `initial_delay` raises the default.
        backoff_strategy: How waits grow: a `BackoffStrategy` or its value as a string, or your own: a list of seconds
            (the last one repeats), another iterable or a generator function (each call goes through it anew, so it may
            be endless), or a function that gets the number of the retry (from 1) and gives seconds.
            Default JITTER, because a fleet of clients must not retry in step.
        backoff_multiplier: Factor of EXPONENTIAL, JITTER, FULL_JITTER and EQUAL_JITTER; at least 1. Default 2.0.
        jitter_range: Spread of FIXED, LINEAR, EXPONENTIAL and JITTER as a share of the wait, 0 to 1: with 0.1 a wait
            is drawn evenly from 90 % to 110 % of its value, and never above `max_delay`. Default `None`: 0.5 for
            JITTER, none for the others.
        retry_on_exceptions: Which errors are retried: a type, a list of types, a predicate or a condition (`when`).
            Short name in decorators: `on`. Default `None`: every `Exception` but our own refusals.
        abort_on: Errors that are never retried, whatever `retry_on_exceptions` says. Default `None`: none.
        retry_on_result: Predicate of the result; true means that the result is not good enough and the call is made
            again. An error in it propagates at once. Default `None`: every result is good.
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
        on_retry: Called before each wait as `on_retry(n, error)`, n = 1 for the first retry; for a result that was
            turned down the error is an `UnacceptableResult`. May be async round async functions.
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

    max_attempts: int = 3
    initial_delay: Seconds = _INITIAL_DELAY
    max_delay: Seconds = _MAX_DELAY
    backoff_strategy: BackoffStrategy | str | Iterable[Seconds] | Callable[[int], Seconds] = BackoffStrategy.JITTER
    backoff_multiplier: float = 2.0
    jitter_range: float | None = None
    retry_on_exceptions: ConditionSpec | None = None
    abort_on: ConditionSpec | None = None
    retry_on_result: Predicate | None = None
    raise_on_result: bool = False
    attempt_timeout: Seconds | None = None
    max_elapsed: Seconds | None = None
    retry_after: RetryAfter | str = RetryAfter.OBEY
    budget: RetryBudget | None = None
    on_retry: Callback | None = None
    on_failure: Callback | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        checks.count("max_attempts", self.max_attempts)
        _check_delays(self, put)
        checks.number("backoff_multiplier", self.backoff_multiplier, low=1)
        put(self, "backoff_strategy", _backoff(self.backoff_strategy))
        _check_spread(self)
        for argument in ("retry_on_exceptions", "abort_on"):
            if getattr(self, argument) is not None:
                conditions.compiled(argument, getattr(self, argument))
        checks.boolean("raise_on_result", self.raise_on_result)
        put(self, "retry_after", checks.member("retry_after", self.retry_after, RetryAfter))
        if self.budget is not None:
            checks.instance("budget", self.budget, RetryBudget)
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


def _check_delays(config: RetryConfig, put: Callable[[object, str, object], None]) -> None:
    """Check both delays against each other; a default yields to the one that was given."""
    initial = checks.duration("initial_delay", config.initial_delay)
    longest = checks.duration("max_delay", config.max_delay)
    if initial > longest:  # what yields stays a default, which yields again when somebody replaces the other
        if isinstance(config.max_delay, checks.DefaultFloat):
            longest = checks.DefaultFloat(initial)
        elif isinstance(config.initial_delay, checks.DefaultFloat):
            initial = checks.DefaultFloat(longest)
        else:
            raise ValueError(f"initial_delay ({initial:g} s) must not be longer than max_delay ({longest:g} s)")
    for argument, given, value in (
        ("initial_delay", config.initial_delay, initial),
        ("max_delay", config.max_delay, longest),
    ):
        if given != value or not isinstance(given, checks.DefaultFloat):
            put(config, argument, value)


def _check_spread(config: RetryConfig) -> None:
    """Refuse what would have no effect beside the chosen backoff."""
    own = not isinstance(config.backoff_strategy, BackoffStrategy)
    if own and not isinstance(config.initial_delay, checks.DefaultFloat):
        raise ValueError("initial_delay has no meaning beside delays of your own, which begin with their first")
    if config.jitter_range is None:
        return
    checks.fraction("jitter_range", config.jitter_range)
    if own:
        raise ValueError("jitter_range has no meaning beside delays of your own: put the jitter into them")
    kind: Any = config.backoff_strategy
    if kind in OWN_RANGES:
        raise ValueError(f"jitter_range has no meaning with {kind.name}, which draws from its own range")


def _check_callables(config: RetryConfig) -> None:
    checks.callback("retry_on_result", config.retry_on_result)
    if checks.awaitable_callback(config.retry_on_result):
        raise TypeError("retry_on_result must be a plain function: decisions are made without waiting")
    checks.callback("on_retry", config.on_retry)
    checks.callback("on_failure", config.on_failure)


def _backoff(value: Any) -> Any:
    """Check what says how waits grow."""
    if isinstance(value, (BackoffStrategy, str)):
        return checks.member("backoff_strategy", value, BackoffStrategy)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        delays = tuple(checks.duration("backoff_strategy", each) for each in value)
        if not delays:
            raise ValueError("backoff_strategy must list at least one delay")
        return delays
    if callable(value) and not isinstance(value, type):
        _check_delays_function(value)
        return value
    if isinstance(value, Iterator):
        raise TypeError(
            "backoff_strategy must not be a one-shot iterator, which all calls would use up together: "
            "give a list, a generator function, or a function of the number of the retry"
        )
    if not isinstance(value, Iterable) or isinstance(value, (type, bytes, bytearray, AbstractSet, Mapping)):
        known = ", ".join(repr(each.value) for each in BackoffStrategy)
        raise TypeError(
            f"backoff_strategy must be a BackoffStrategy, one of {known}, a list or another iterable of seconds in "
            f"order, or a function of the number of the retry, not {checks.shown(value)}"
        )
    _check_first(iter(value))
    return value


def _check_delays_function(function: Any) -> None:
    """Check a function of the number of the retry, or a generator function."""
    if checks.awaitable_callback(function):
        raise TypeError("backoff_strategy must be a plain function of the number of the retry, not an async one")
    given = () if isgeneratorfunction(function) else (1,)
    with suppress(ValueError):  # some builtins do not tell their parameters
        try:
            signature(function).bind(*given)
        except TypeError:
            raise TypeError(
                "backoff_strategy must be a function of one argument, the number of the retry (from 1), or a generator "
                f"function without arguments, not {checks.shown(function)}"
            ) from None


def _check_first(delays: Iterator[Any]) -> None:
    """Check the first delay of an iterable that each call begins anew: it may be endless, or different each time."""
    for given in delays:
        checks.duration("backoff_strategy", given)
        return
    raise ValueError("backoff_strategy must list at least one delay")


if TYPE_CHECKING:

    class RetryOptions(TypedDict, total=False):
        """Keywords of `@retry`: the fields of `RetryConfig`, `on` for `retry_on_exceptions`, and `name`."""

        name: str | None
        on: ConditionSpec | None
        max_attempts: int
        initial_delay: Seconds
        max_delay: Seconds
        backoff_strategy: BackoffStrategy | str | Iterable[Seconds] | Callable[[int], Seconds]
        backoff_multiplier: float
        jitter_range: float | None
        retry_on_exceptions: ConditionSpec | None
        abort_on: ConditionSpec | None
        retry_on_result: Predicate | None
        raise_on_result: bool
        attempt_timeout: Seconds | None
        max_elapsed: Seconds | None
        retry_after: RetryAfter | str
        budget: RetryBudget | None
        on_retry: Callback | None
        on_failure: Callback | None
