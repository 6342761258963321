"""What a circuit breaker can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypedDict

from recoup._core import checks, conditions

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.typing import Callback, ConditionSpec, Seconds

__all__ = ["CircuitBreakerConfig"]

_WINDOW_SIZE = checks.DefaultInt(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerConfig:
    """Say what counts as a failure, how many open the circuit, and what it takes to close it again.

    Args:
        failure_threshold: This many failures in the window open the circuit; at least 1. Default 5.
        success_threshold: This many successful probes close it again; at least 1. Default 2.
        timeout: Seconds (or a timedelta) that the circuit stays open before it lets probes through; more than 0.
            Default 60.0.
        window_size: Only failures among the last `window_size` calls count; at least `failure_threshold`. Default 10;
            a larger `failure_threshold` raises the default.
        window_duration: Only failures of the last `window_duration` seconds count; more than 0. Default 60.0.
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
            more than 0. Default `None`: `timeout`.
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

    failure_threshold: int = 5
    success_threshold: int = 2
    timeout: Seconds = 60.0
    window_size: int = _WINDOW_SIZE
    window_duration: Seconds = 60.0
    failure_on: ConditionSpec | None = None
    ignore_on: ConditionSpec | None = None
    failure_on_result: Callable[..., bool] | None = None
    half_open_max: int | None = None
    half_open_timeout: Seconds | None = None
    on_open: Callback | None = None
    on_close: Callback | None = None
    on_half_open: Callback | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        _check_counts(self, put)
        for argument in ("timeout", "window_duration"):
            put(self, argument, checks.duration(argument, getattr(self, argument), zero=False))
        put(
            self,
            "half_open_timeout",
            checks.optional_duration("half_open_timeout", self.half_open_timeout, zero=False),
        )
        for argument in ("failure_on", "ignore_on"):
            if getattr(self, argument) is not None:
                conditions.compiled(argument, getattr(self, argument))
        for argument in ("failure_on_result", "on_open", "on_close", "on_half_open"):
            checks.callback(argument, getattr(self, argument))
        if checks.awaitable_callback(self.failure_on_result):
            raise TypeError("failure_on_result must be a plain function: decisions are made without waiting")


def _check_counts(config: CircuitBreakerConfig, put: Callable[[object, str, object], None]) -> None:
    """Check the counts, and the window against the threshold; a default yields to the one that was given."""
    for argument in ("failure_threshold", "success_threshold", "window_size"):
        checks.count(argument, getattr(config, argument))
    if config.half_open_max is not None:
        checks.count("half_open_max", config.half_open_max)
    if isinstance(config.window_size, checks.DefaultInt):
        put(config, "window_size", checks.DefaultInt(max(_WINDOW_SIZE, config.failure_threshold)))
    elif config.window_size < config.failure_threshold:
        raise ValueError(
            f"window_size ({config.window_size}) must be at least failure_threshold ({config.failure_threshold}): "
            "a window that holds fewer calls than that never opens the circuit"
        )


if TYPE_CHECKING:

    class CircuitBreakerOptions(TypedDict, total=False):
        """Keywords of `@circuit_breaker`: the fields of `CircuitBreakerConfig`, `on` for `failure_on`, and `name`."""

        name: str | None
        on: ConditionSpec | None
        failure_threshold: int
        success_threshold: int
        timeout: Seconds
        window_size: int
        window_duration: Seconds
        failure_on: ConditionSpec | None
        ignore_on: ConditionSpec | None
        failure_on_result: Callable[..., bool] | None
        half_open_max: int | None
        half_open_timeout: Seconds | None
        on_open: Callback | None
        on_close: Callback | None
        on_half_open: Callback | None
