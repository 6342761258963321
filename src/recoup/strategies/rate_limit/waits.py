"""How a call waits for its permits: what the line says, a rest, and another look, in each colour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recoup._core import clock, emit, mode, timing, waiting
from recoup.errors import RateLimitExceeded
from recoup.strategies.rate_limit.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.rate_limit.strategy import RateLimiter
    from recoup.strategies.rate_limit.turns import Demand

__all__ = ["wait", "wait_async"]


def wait(limiter: RateLimiter, demand: Demand) -> None:
    """Take permits in plain code, and wait for them if need be.

    Raises:
        RateLimitExceeded: If they would be there too late.
    """
    turn = _claimed(limiter, demand, waiting.for_thread)
    if turn is not None:
        try:
            woken = clock.rest(turn.waiter, _told(limiter, turn))
            while seconds := _look(limiter, turn, waiting.for_thread, woken):
                woken = clock.rest(turn.waiter, seconds)
        except BaseException:
            limiter._desk.give_back(turn)
            raise


async def wait_async(limiter: RateLimiter, demand: Demand) -> None:
    """Take permits in async code; the asynchronous twin of `wait`."""
    turn = _claimed(limiter, demand, waiting.for_task)
    if turn is not None:
        try:
            with timing.queueing():  # if the deadline's timer cancels us here, the function was never asked
                woken = await clock.rest_async(turn.waiter, _told(limiter, turn))
                while seconds := _look(limiter, turn, waiting.for_task, woken):
                    woken = await clock.rest_async(turn.waiter, seconds)
        except BaseException:
            limiter._desk.give_back(turn)
            raise


def _claimed(limiter: RateLimiter, demand: Demand, make: Callable[[], Any]) -> Turn | None:
    """Take permits, or stand in the line for them; `None` if there is nothing to wait for.

    Raises:
        RateLimitExceeded: If they would be there too late.
    """
    if mode.active and mode.off():
        return None
    desk, left = limiter._desk, timing.time_left()
    longest: Any = desk.config.max_wait
    claim = desk.claim(demand, longest, math.inf if left is None else left, make)
    if claim is None:
        return None
    if not isinstance(claim, Turn):
        raise _refusal(limiter, claim, longest if left is None else min(left, longest))
    if mode.active and mode.instant():
        desk.give_back(claim)
        return None
    return claim


def _told(limiter: RateLimiter, turn: Turn) -> float:
    """Tell listeners that a call waits, and give the seconds until it looks whether it may begin."""
    seconds = turn.due - turn.asked
    if emit.listeners:
        from recoup.events import CallDelayed  # noqa: PLC0415 - nobody pays for events who does not listen

        emit.tell(CallDelayed(limiter.name, seconds))
    return seconds


def _look(limiter: RateLimiter, turn: Turn, make: Callable[[], Any], woken: bool) -> float:  # noqa: FBT001 - from above
    """Begin, if that may be; else give the seconds until it is worth to look again.

    Raises:
        RateLimitExceeded: If those before it began so late that its deadline does not leave the time any more.
    """
    left = timing.time_left()
    seconds = limiter._desk.look(turn, math.inf if left is None else left, make, woken=woken)
    if left is not None and seconds and seconds >= left:
        raise _refusal(limiter, seconds, left)
    return seconds


def _refusal(limiter: RateLimiter, seconds: float, patience: float) -> RateLimitExceeded:
    """Make the error of a call that would wait too long, and tell listeners about it."""
    if emit.listeners:
        from recoup.events import CallRefused  # noqa: PLC0415 - nobody pays for events who does not listen

        emit.tell(CallRefused(limiter.name, "rate_limit", seconds))
    config = limiter._desk.config
    per: Any = config.per
    return RateLimitExceeded(name=limiter.name, retry_after=seconds, rate=config.rate, per=per, patience=patience)
