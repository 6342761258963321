"""What a retry does, in words and in its worst case, for `explain`."""

from __future__ import annotations

import math

from recoup._core.conditions import when
from recoup._core.strategy import Worst
from recoup.strategies.retry import nesting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.colour import Colour
    from recoup.strategies.retry.plan import RetryPlan

__all__ = ["GivenUp", "says", "worst"]


class GivenUp(Worst):
    """The worst case of a retry all of whose failures bear its mark: one round it with `nested="once"` repeats none.

    Layers in between that know of other times or calls know of other failures too, and make a plain `Worst` of it.
    """

    __slots__ = ()


def says(plan: RetryPlan) -> list[str]:
    """Say what a plan does, with which errors."""
    config = plan.config
    most = "any number of times" if config.max_attempts is None else f"up to {config.max_attempts} times"
    says = [f"calls {most}, waiting {plan.backoff} in between"]
    which = "every Exception" if config.retry_on_exceptions is None else str(when(config.retry_on_exceptions))
    spared = "" if config.abort_on is None else f", never {when(config.abort_on)}"
    says.append(f"retries {which}{spared}; not our own refusals unless they are named")
    if config.retry_on_result is not None:
        says.append("retries results that retry_on_result turns down")
    if config.replay is not None:
        says.append(f"starts generators anew also after their first item ({config.replay})")
    if _once(plan):
        says.append("passes on what a retry further in has given up on")
    if config.idempotent is False:
        says.append("retries no timeout, and no crash of a worker process: the function is not idempotent")
    if config.budget is not None:
        says.append(f"shares {config.budget.name!r} with whoever has it too: no token, no retry")
    if config.attempt_timeout is not None:
        says.append(f"limits each attempt to {config.attempt_timeout:g} s")
    if config.max_elapsed is not None:
        says.append(f"limits all attempts together to {config.max_elapsed:g} s")
    return says


def worst(plan: RetryPlan, inner: Worst, colour: Colour) -> Worst:
    """Work out the worst case from that of what is inside."""
    config = plan.config
    every = config.retry_on_exceptions is None and config.abort_on is None
    judges = config.retry_on_result is not None
    passes = _once(plan) and isinstance(inner, GivenUp) and not judges and config.idempotent is None
    if passes and every:
        return inner
    attempt: Any = inner.seconds
    if config.attempt_timeout is not None and colour.is_async:
        attempt = min(attempt, config.attempt_timeout)
    seconds: Any = math.inf
    if config.max_attempts is not None:
        seconds = config.max_attempts * attempt + plan.backoff.longest(config.max_attempts - 1)
    if config.max_elapsed is not None and colour.is_async:
        seconds = min(seconds, config.max_elapsed)
    kind = GivenUp if passes or (every and not judges and config.idempotent is not False) else Worst
    return kind(inner.calls if passes else inner.calls * plan.most, seconds)


def _once(plan: RetryPlan) -> bool:
    """Tell whether a plan passes on what a retry further in has given up on."""
    return plan.config.nested == "once" or (plan.follows and nesting.once)
