"""What a retry does, in words and in its worst case, for `explain`."""

from __future__ import annotations

from recoup._core.conditions import when
from recoup._core.strategy import Worst
from recoup.strategies.retry import nesting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.colour import Colour
    from recoup.strategies.retry.plan import RetryPlan

__all__ = ["says", "worst"]


def says(plan: RetryPlan) -> list[str]:
    """Say what a plan does, with which errors."""
    config = plan.config
    says = [f"calls up to {config.max_attempts} times, waiting {plan.backoff} in between"]
    which = "every Exception" if config.retry_on_exceptions is None else str(when(config.retry_on_exceptions))
    spared = "" if config.abort_on is None else f", never {when(config.abort_on)}"
    says.append(f"retries {which}{spared}; not our own refusals unless they are named")
    if config.retry_on_result is not None:
        says.append("retries results that retry_on_result turns down")
    if config.replay is not None:
        says.append(f"starts generators anew also after their first item ({config.replay})")
    if config.nested == "once" or (plan.follows and nesting.once):
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
    attempt: Any = inner.seconds
    if config.attempt_timeout is not None and colour.is_async:
        attempt = min(attempt, config.attempt_timeout)
    seconds: Any = config.max_attempts * attempt + plan.backoff.longest(config.max_attempts - 1)
    if config.max_elapsed is not None and colour.is_async:
        seconds = min(seconds, config.max_elapsed)
    return Worst(inner.calls * config.max_attempts, seconds)
