"""What a circuit breaker can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator  # noqa: TC003 - typing.get_type_hints looks for it here
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from recoup._core import checks, conditions
from recoup.strategies.circuit_breaker import open_time
from recoup.typing import Callback, ConditionSpec, Seconds  # noqa: TC001 - as above

__all__ = ["CircuitBreakerConfig"]

_FAILURE_THRESHOLD = checks.DefaultInt(5)
_WINDOW_SIZE = checks.DefaultInt(10)
_MINIMUM_CALLS = checks.DefaultInt(10)
_RULES = ("failure_threshold", "consecutive_failures", "failure_rate", "slow_call_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerConfig:
    """Say what counts as a failure, how many open the circuit, and what it takes to close it again.

    Args:
        failure_threshold: This many failures in the window open the circuit; at least 1. `None`: no such rule.
            Default 5, or none if another rule is given.
        success_threshold: This many successful probes close it again; at least 1. Default 2.
        timeout: Seconds (or a timedelta) that the circuit stays open before it lets probes through; more than 0. Or, to
            wait longer each time it opens again without having closed: a list or another iterable of seconds, of which
            the last one stays, a generator function, or a function of the number of the opening, from 1. Default 60.0.
        window_size: Only the last `window_size` calls count; at least `failure_threshold` and `minimum_calls`. `None`:
            any number of them. Default 10; a larger `failure_threshold` or `minimum_calls` raises the default.
        window_duration: Only the last `window_duration` seconds count; more than 0. `None`: any number of them; not
            together with `window_size=None`. Default 60.0.
        consecutive_failures: This many failures in a row, however far apart in time, open the circuit; at least 1.
            Default `None`: no such rule.
        failure_rate: This share of failures in the window, or more, opens the circuit; above 0, at most 1. Default
            `None`: no such rule.
        slow_call_rate: This share of slow calls in the window, or more, opens the circuit; above 0, at most 1. A slow
            probe is a failure. Goes with `slow_call_duration`. Default `None`: no such rule.
        slow_call_duration: A call that takes this many seconds, or more, is slow, whether it fails or not; more than 0.
            Goes with `slow_call_rate`. Default `None`.
        minimum_calls: A share is known, and can open the circuit, from this many calls in the window; at least 1.
            Default 10, or `window_size` if that is less.
        open_when: "any": each rule opens the circuit by itself. "all": it opens only when every rule that was given
            holds at the same time; there have to be two of them at least. Default "any".
        failure_on: Which errors are failures: a type, a list of types, a predicate or a condition (`when`). All others
            are neutral, as if the call had not been made. Short name in decorators: `on`. Default `None`: every
            `Exception` but our own refusals. In an exception group one such error is enough.
        ignore_on: Errors that are neutral, whatever `failure_on` says. Default `None`: none.
        failure_on_result: Predicate of the result; true counts the call as a failure, and the caller gets the result
            all the same. With a second required parameter it also gets the seconds that the call took; then every call
            takes the lock. An error in it propagates. Default `None`: every result is a success.
        half_open_max: At most this many probes at once; at least 1. Default `None`: `success_threshold`. No more than
            the larger of the two are let through in one half-open state, neutral ones apart.
        half_open_timeout: Seconds after which a probe that has not returned is given up and the circuit opens again;
            more than 0. Default `None`: as long as it was open.
        ramp_up: Seconds after closing during which only a part of the calls is let through, growing from a tenth to all
            of them; more than 0. Default `None`: all at once.
        on_open: Called without arguments when the circuit opens. May be async round async functions.
        on_close: Called without arguments when it closes. May be async round async functions.
        on_half_open: Called without arguments when it begins to let probes through. May be async round async functions.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or two given values contradict each other.

    Configs are immutable and may be shared between threads and event loops.

    Source: failure and success thresholds as in M. Nygard, "Release It!", 2007; the specification fixes the defaults.

    >>> CircuitBreakerConfig(failure_threshold=20).window_size
    20
    """

    ON: ClassVar[str] = "failure_on"

    failure_threshold: int | None = _FAILURE_THRESHOLD
    success_threshold: int = 2
    timeout: Seconds | Iterable[Seconds] | Callable[[int], Seconds] | Callable[[], Iterator[Seconds]] = 60.0
    window_size: int | None = _WINDOW_SIZE
    window_duration: Seconds | None = 60.0
    consecutive_failures: int | None = None
    failure_rate: float | None = None
    slow_call_rate: float | None = None
    slow_call_duration: Seconds | None = None
    minimum_calls: int = _MINIMUM_CALLS
    open_when: Literal["any", "all"] = "any"
    failure_on: ConditionSpec | None = None
    ignore_on: ConditionSpec | None = None
    failure_on_result: Callable[..., bool] | None = None
    half_open_max: int | None = None
    half_open_timeout: Seconds | None = None
    ramp_up: Seconds | None = None
    on_open: Callback | None = None
    on_close: Callback | None = None
    on_half_open: Callback | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "timeout", open_time.checked("timeout", self.timeout))
        for argument in ("window_duration", "slow_call_duration", "half_open_timeout", "ramp_up"):
            put(self, argument, checks.optional_duration(argument, getattr(self, argument), zero=False))
        _check_numbers(self)
        _check_rules(self, put)
        _check_window(self, put)
        for argument in ("failure_on", "ignore_on"):
            if getattr(self, argument) is not None:
                conditions.compiled(argument, getattr(self, argument))
        for argument in ("failure_on_result", "on_open", "on_close", "on_half_open"):
            checks.callback(argument, getattr(self, argument))
        if checks.awaitable_callback(self.failure_on_result):
            raise TypeError("failure_on_result must be a plain function: decisions are made without waiting")


def _check_numbers(config: CircuitBreakerConfig) -> None:
    """Check each number by itself."""
    for argument in ("success_threshold", "minimum_calls"):
        checks.size(argument, getattr(config, argument))
    for argument in ("failure_threshold", "window_size", "consecutive_failures", "half_open_max"):
        checks.optional_size(argument, getattr(config, argument))
    for argument in ("failure_rate", "slow_call_rate"):
        if getattr(config, argument) is not None:
            checks.number(argument, getattr(config, argument), low=0, high=1, low_ok=False)


def _check_rules(config: CircuitBreakerConfig, put: Callable[[object, str, object], None]) -> None:
    """Check that something opens the circuit; the default rule yields to those that were given."""
    rates = config.failure_rate is not None or config.slow_call_rate is not None
    if (config.slow_call_rate is None) is not (config.slow_call_duration is None):
        raise ValueError(
            "slow_call_rate and slow_call_duration go together: the one says how many calls may be slow, the other "
            "which are; give both or neither"
        )
    if not rates and not isinstance(config.minimum_calls, checks.DefaultInt):
        raise ValueError("minimum_calls has a meaning only with failure_rate or slow_call_rate: give one of them")
    if rates or config.consecutive_failures is not None:
        if isinstance(config.failure_threshold, checks.DefaultInt):
            put(config, "failure_threshold", None)
    elif config.failure_threshold is None:
        raise ValueError(
            "failure_threshold=None leaves no rule that opens the circuit: give consecutive_failures, failure_rate or "
            "slow_call_rate"
        )
    _check_together(config)


def _check_together(config: CircuitBreakerConfig) -> None:
    """Check how rules go together, and that there are some where they have to."""
    if config.open_when not in ("any", "all"):
        kind = ValueError if isinstance(config.open_when, str) else TypeError
        raise kind(f"open_when must be 'any' or 'all', not {checks.shown(config.open_when)}")
    rules = [name for name in _RULES if getattr(config, name) is not None]
    if config.open_when == "all" and len(rules) < 2:
        raise ValueError(
            f"open_when='all' needs two rules at least, and there is only {rules[0]}: give another one (the default "
            "failure_threshold yields to other rules, so name it to have it), or leave open_when out"
        )


def _check_window(config: CircuitBreakerConfig, put: Callable[[object, str, object], None]) -> None:
    """Check the window against what is counted in it; defaults yield to what was given."""
    size, minimum = config.window_size, config.minimum_calls
    least = {"failure_threshold": config.failure_threshold or 1}
    if not isinstance(minimum, checks.DefaultInt):
        least["minimum_calls"] = minimum
    if size is None:
        if config.window_duration is None:
            raise ValueError("window_size and window_duration must not both be None: a window has an end")
    elif isinstance(size, checks.DefaultInt):
        put(config, "window_size", checks.DefaultInt(max(_WINDOW_SIZE, *least.values())))
    else:
        for argument, value in least.items():
            if size < value:
                raise ValueError(
                    f"window_size ({size}) must be at least {argument} ({value}): "
                    "a window that holds fewer calls than that never opens the circuit"
                )
        if isinstance(minimum, checks.DefaultInt):
            put(config, "minimum_calls", checks.DefaultInt(min(_MINIMUM_CALLS, size)))


if TYPE_CHECKING:

    class CircuitBreakerOptions(TypedDict, total=False):
        """Keywords of `@circuit_breaker`: the fields of `CircuitBreakerConfig`, `on` for `failure_on`, and `name`."""

        name: str | None
        on: ConditionSpec | None
        failure_threshold: int | None
        success_threshold: int
        timeout: Seconds | Iterable[Seconds] | Callable[[int], Seconds] | Callable[[], Iterator[Seconds]]
        window_size: int | None
        window_duration: Seconds | None
        consecutive_failures: int | None
        failure_rate: float | None
        slow_call_rate: float | None
        slow_call_duration: Seconds | None
        minimum_calls: int
        open_when: Literal["any", "all"]
        failure_on: ConditionSpec | None
        ignore_on: ConditionSpec | None
        failure_on_result: Callable[..., bool] | None
        half_open_max: int | None
        half_open_timeout: Seconds | None
        ramp_up: Seconds | None
        on_open: Callback | None
        on_close: Callback | None
        on_half_open: Callback | None
