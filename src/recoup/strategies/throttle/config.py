"""What an adaptive throttle can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypedDict

from recoup._core import checks, conditions
from recoup.typing import ConditionSpec, Predicate, Seconds  # noqa: TC001 - typing.get_type_hints looks for it here

__all__ = ["AdaptiveThrottleConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveThrottleConfig:
    """Say what the service accepts, and from when on calls are held back.

    Args:
        multiplier: Calls per accepted one that are let through before any is held back; at least 1. With 2, a service
            that accepts less than half of the calls gets about twice as many as it accepts. Default 2.0.
        window_duration: Only calls of the last `window_duration` seconds (or a timedelta) count; more than 0. They are
            forgotten in 24 steps, so a call counts for 23 to 24 of them. Default 120.0.
        failure_on: Which errors say that the service did not accept a call: a type, a list of types, a predicate or a
            condition (`when`). All others are neutral, as if the call had not been made. Short name in decorators:
            `on`. Default `None`: every `Exception` but our own refusals. In an exception group one such error is
            enough.
        ignore_on: Errors that are neutral, whatever `failure_on` says. Default `None`: none.
        failure_on_result: Predicate of the result; true says that the service did not accept the call, and the caller
            gets the result all the same. An error in it propagates. Default `None`: every result was accepted.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Configs are immutable and may be shared between threads and event loops.

    Source: B. Beyer et al., "Site Reliability Engineering", 2016, chapter 21, "Handling Overload", which gives the
    formula, the multiplier of 2 and the two minutes.

    >>> AdaptiveThrottleConfig(multiplier=1.5).window_duration
    120.0
    """

    ON: ClassVar[str] = "failure_on"

    multiplier: float = 2.0
    window_duration: Seconds = 120.0
    failure_on: ConditionSpec | None = None
    ignore_on: ConditionSpec | None = None
    failure_on_result: Predicate | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "multiplier", checks.number("multiplier", self.multiplier, low=1))
        put(self, "window_duration", checks.duration("window_duration", self.window_duration, zero=False))
        for argument in ("failure_on", "ignore_on"):
            if getattr(self, argument) is not None:
                conditions.compiled(argument, getattr(self, argument))
        checks.callback("failure_on_result", self.failure_on_result)
        if checks.awaitable_callback(self.failure_on_result):
            raise TypeError("failure_on_result must be a plain function: decisions are made without waiting")


if TYPE_CHECKING:

    class AdaptiveThrottleOptions(TypedDict, total=False):
        """Keywords of `@adaptive_throttle`: the config's fields, `on` for `failure_on`, and `name`."""

        name: str | None
        on: ConditionSpec | None
        multiplier: float
        window_duration: Seconds
        failure_on: ConditionSpec | None
        ignore_on: ConditionSpec | None
        failure_on_result: Predicate | None
