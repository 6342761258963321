"""What a fault injection can be told."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from recoup._core import checks
from recoup.typing import Seconds

__all__ = ["FaultInjectionConfig"]

ErrorSource = type[Exception] | Callable[[], Exception]
Delay = Seconds | Callable[[], Seconds]
Schedule = Container[int] | Callable[[int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjectionConfig:
    """Say what is done to a call, and to which calls.

    What is done, in this order: `run`, `delay`, `error`; a call that gets no error is made, and `change_result` changes
    what it returns. At least one of them is needed.

    Which calls: those that `predicate` accepts are numbered, from 1; of these, those that are in `schedule`; of these,
    a share of `rate`. Numbers begin anew whenever the injection is armed.

    Args:
        error: What a call raises: an exception type, which is called without arguments, or a function that makes an
            exception. Default `None`: no error.
        after_call: Whether the error comes after the function has run (the answer is lost) instead of before
            (the service is not reached). Default False.
        after_items: For generators: how many items come before the error; it comes at the end if there are fewer.
            Default `None`: the error comes before the generator has begun (or at its end, with `after_call`).
        delay: Seconds (or a timedelta) that a call takes longer, or a function that gives them. Default `None`: none.
        run: Called without arguments; what it raises comes out of the call. May be async round async functions.
        change_result: Gets the result of the call, gives another; of a generator, for each item. May be async round
            async functions.
        rate: Share of the calls, 0 to 1. Default 1.0: every call.
        seed: Makes the choice of a `rate` the same each time: the same numbers are hit. Default `None`: chance.
        schedule: Numbers of the calls, from 1: a list, a set, a range (`range(1, 4)` for the first three,
            `range(10, 10**9, 10)` for every tenth), or a function of the number. Default `None`: every number.
        predicate: Gets the call's arguments and tells whether it is one to hit. Default `None`: every call.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, if nothing is to be done, or if values contradict each other.

    Configs are immutable and may be shared between threads and event loops.

    >>> FaultInjectionConfig(error=ConnectionError, rate=0.1, seed=7).after_call
    False
    """

    error: ErrorSource | None = None
    after_call: bool = False
    after_items: int | None = None
    delay: Delay | None = None
    run: Callable[[], object] | None = None
    change_result: Callable[[Any], object] | None = None
    rate: float = 1.0
    seed: int | None = None
    schedule: Schedule | None = None
    predicate: Callable[..., bool] | None = None

    def __post_init__(self) -> None:
        if self.error is None and self.delay is None and self.run is None and self.change_result is None:
            raise ValueError("nothing is to be done: give error, delay, run or change_result")
        _check_error(self)
        if self.delay is not None and not callable(self.delay):
            object.__setattr__(self, "delay", checks.duration("delay", self.delay, zero=False))
        for argument in ("run", "change_result", "predicate"):
            checks.callback(argument, getattr(self, argument))
        for argument in ("error", "delay", "schedule", "predicate"):
            given: Any = getattr(self, argument)
            if callable(given) and checks.awaitable_callback(given):
                raise TypeError(f"{argument} must be a plain function, not the async function {checks.shown(given)}")
        object.__setattr__(self, "rate", checks.fraction("rate", self.rate))
        _check_choice(self)


def _check_error(config: FaultInjectionConfig) -> None:
    error: Any = config.error
    checks.boolean("after_call", config.after_call)
    if config.after_items is not None:
        checks.count("after_items", config.after_items)
    if error is None:
        for argument, given in (("after_call", config.after_call), ("after_items", config.after_items)):
            if given:
                raise ValueError(f"{argument} has no meaning without error: it says when the error comes")
        return
    if config.after_call and config.after_items is not None:
        raise ValueError("after_call and after_items both say when the error comes: give one")
    if config.change_result is not None and not config.after_call and config.after_items is None:
        raise ValueError("change_result has no meaning beside an error that comes instead of the call: there is none")
    if isinstance(error, type):
        _check_type(error)
    elif not callable(error):
        raise TypeError(
            f"error must be an exception type or a function that makes an exception, not {checks.shown(error)}"
        )


def _check_type(kind: type) -> None:
    """Check an exception type: that it is one to inject, and that it can be made without arguments."""
    checks.exceptions("error", kind)
    try:
        kind()
    except TypeError as problem:
        raise TypeError(
            f"error cannot make a {kind.__qualname__} without arguments ({problem}): give a function that makes one, "
            f"as in lambda: {kind.__qualname__}(...)"
        ) from None


def _check_choice(config: FaultInjectionConfig) -> None:
    """Check what chooses the calls."""
    seed, schedule = config.seed, config.schedule
    if seed is not None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be a whole number, not {checks.shown(seed)} ({type(seed).__qualname__})")
        if config.rate in (0, 1):
            raise ValueError(f"seed has no meaning with a rate of {config.rate:g}: it leaves nothing to chance")
    if schedule is None or callable(schedule):
        return
    if isinstance(schedule, (str, bytes)) or not isinstance(schedule, Container):
        raise TypeError(
            "schedule must hold the numbers of calls (a list, a set, a range) or be a function of the number, not "
            f"{checks.shown(schedule)}"
        )


if TYPE_CHECKING:

    class FaultInjectionOptions(TypedDict, total=False):
        """Keywords of `@inject_faults`: the fields of `FaultInjectionConfig`, and `name`."""

        name: str | None
        error: ErrorSource | None
        after_call: bool
        after_items: int | None
        delay: Delay | None
        run: Callable[[], object] | None
        change_result: Callable[[Any], object] | None
        rate: float
        seed: int | None
        schedule: Schedule | None
        predicate: Callable[..., bool] | None
