"""What a compensation can be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence  # noqa: TC003 - typing.get_type_hints looks for them here
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from recoup._core import checks
from recoup.strategies.compensation import actions
from recoup.typing import Callback, Seconds  # noqa: TC001 - as Callable and Sequence

__all__ = ["CompensationConfig"]

_DELAY = checks.DefaultFloat(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationConfig:
    """Say what undoes an operation that failed.

    Args:
        compensation_actions: What to call, as a list. It is your own list: it may grow until the failure happens and
            is read then (rule S3). An action that has a required positional parameter is called with the saved state,
            one that has none is called without; async actions are for async functions. Default: an empty list.
        save_state: Whether the state holds the call's arguments (and the result of a completed step). With False
            nothing of the call is kept, and the state holds `error` alone. Default True.
        use_sagas: Whether the actions run in reverse, last one first, instead of as listed. Default False.
        saga_timeout: Seconds (or a timedelta) for all actions together, more than 0; what has not run by then has
            failed. Default 300.0.
        on_compensation_start: Called without arguments before the first action. May be async round async functions.
        on_compensation_complete: Called without arguments after the last action, also when some failed. May be async
            round async functions.
        compensation_attempts: How often one action is tried, the first time included; at least 1. Default 1: an action
            that may be repeated safely is a promise that only you can make.
        compensation_delay: Seconds (or a timedelta) between two tries of an action, 0 or more. Default 1.0, or a
            tenth of a `saga_timeout` below ten seconds.
        raise_original: When an action failed: raise the operation's own error with a note and log what failed (True),
            or raise `CompensationError` (False). Default False.

    Raises:
        TypeError: If a value has the wrong type, or an action cannot be called with a state or without arguments.
        ValueError: If a value is out of range, or two given values contradict each other.

    Configs are immutable (the list of actions is yours) and may be shared between threads and event loops.

    >>> CompensationConfig(compensation_actions=[lambda state: print(state["order"])]).saga_timeout
    300.0
    """

    compensation_actions: Sequence[Callable[..., object]] = field(default_factory=list)
    save_state: bool = True
    use_sagas: bool = False
    saga_timeout: Seconds = 300.0
    on_compensation_start: Callback | None = None
    on_compensation_complete: Callback | None = None
    compensation_attempts: int = 1
    compensation_delay: Seconds = _DELAY
    raise_original: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__
        actions.check(self.compensation_actions)
        checks.boolean("save_state", self.save_state)
        checks.boolean("use_sagas", self.use_sagas)
        put(self, "saga_timeout", checks.duration("saga_timeout", self.saga_timeout, zero=False))
        checks.callback("on_compensation_start", self.on_compensation_start)
        checks.callback("on_compensation_complete", self.on_compensation_complete)
        checks.count("compensation_attempts", self.compensation_attempts)
        put(self, "compensation_delay", _delay(self))
        checks.boolean("raise_original", self.raise_original)


def _delay(config: Any) -> float:
    """Check the pause between tries against what it belongs to; a default yields."""
    delay = checks.duration("compensation_delay", config.compensation_delay)
    if isinstance(config.compensation_delay, checks.DefaultFloat):
        return checks.DefaultFloat(min(delay, config.saga_timeout / 10))
    if config.compensation_attempts == 1:
        raise ValueError(
            f"compensation_delay ({delay:g} s) is the pause between two tries of an action, but compensation_attempts "
            "is 1: give compensation_attempts=2 or more"
        )
    if delay >= config.saga_timeout:
        raise ValueError(
            f"compensation_delay ({delay:g} s) must be shorter than saga_timeout ({config.saga_timeout:g} s), "
            "or no action is ever tried again"
        )
    return delay


if TYPE_CHECKING:

    class CompensateOptions(TypedDict, total=False):
        """Keywords of `@compensate`: the fields of `CompensationConfig`, and `name`."""

        name: str | None
        compensation_actions: Sequence[Callable[..., object]]
        save_state: bool
        use_sagas: bool
        saga_timeout: Seconds
        on_compensation_start: Callback | None
        on_compensation_complete: Callback | None
        compensation_attempts: int
        compensation_delay: Seconds
        raise_original: bool
