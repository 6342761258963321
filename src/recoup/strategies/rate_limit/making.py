"""Which pump a limiter gives for a place in a stack, and what its cells are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup._core import clock, conditions, mode
from recoup._core.strategy import Pump
from recoup.strategies.rate_limit import pumps
from recoup.strategies.rate_limit.rates import asks_for_less
from recoup.strategies.rate_limit.weighing import Scales

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup._core.chain import Pending
    from recoup._core.strategy import Place
    from recoup.strategies.rate_limit.config import RateLimitConfig
    from recoup.strategies.rate_limit.strategy import RateLimiter
    from recoup.strategies.rate_limit.turns import Demand

__all__ = ["asking", "pump"]


def pump(limiter: RateLimiter, place: Place) -> Pump:
    """Give the pump of a limiter for a place."""
    colour, desk = place.colour, limiter._desk
    wait: Callable[..., Any] = limiter._wait_async if colour.is_async else limiter._wait
    weigh = Scales(limiter, place.target).weigh
    if limiter.config.adaptive is not None:
        return _adaptive(limiter, place, weigh, wait)
    factory: Callable[..., Any]
    if colour.is_stream:
        factory = pumps.limiting_stream_async if colour.is_async else pumps.limiting_stream
        return Pump(factory, (clock, weigh, desk.admit, wait))
    handed, hand_over = id(limiter) in place.spent, _handing_over(limiter)
    if limiter.config.key is None and not callable(limiter.config.weight):
        factory = pumps.limiting_async if colour.is_async else pumps.limiting
        return Pump(factory, (clock, _after_one(desk.admit_one, handed=handed), wait, hand_over))
    factory = pumps.limiting_each_async if colour.is_async else pumps.limiting_each
    return Pump(factory, (clock, weigh, _after_one(desk.admit, handed=handed), wait, hand_over))


def _adaptive(limiter: RateLimiter, place: Place, weigh: Callable[..., Demand], wait: Callable[..., Any]) -> Pump:
    """Give the pump that learns from calls."""
    from recoup.strategies.rate_limit import adaptive_pumps  # noqa: PLC0415 - paid for by those who adapt

    desk, later = limiter._desk, place.colour.is_async

    def admit(demand: Demand) -> bool:
        return desk.admit(demand, clock.monotonic())

    def follow(demand: Demand) -> Callable[[Exception | None], None]:
        began = clock.monotonic()

        def learn(error: Exception | None) -> None:
            less = error is not None and limiter._asks(error)
            if (less or error is None) and not (mode.active and mode.off()):  # other failures teach nothing
                desk.learn(demand.key, began, less=less)

        return learn

    factory: Callable[..., Any]
    if place.colour.is_stream:
        factory = adaptive_pumps.adapting_stream_async if later else adaptive_pumps.adapting_stream
        return Pump(factory, (weigh, admit, wait, follow))
    factory = adaptive_pumps.adapting_async if later else adaptive_pumps.adapting
    admit_once = _after_one(admit, handed=id(limiter) in place.spent)
    return Pump(factory, (weigh, admit_once, wait, _handing_over(limiter), follow))


def asking(config: RateLimitConfig) -> Callable[[BaseException], bool]:
    """Give what tells whether an error means that the service asks for less."""
    asked = None if config.adaptive is None else config.adaptive.slow_down_on
    return conditions.some("slow_down_on", asked, asks_for_less)


def _handing_over(limiter: RateLimiter) -> Callable[[Pending], None]:
    def hand_over(pending: Pending) -> None:
        """Have the asynchronous pass begin with the permits that the synchronous one took (rule G5)."""
        pending.spent[id(limiter)] = 1

    return hand_over


def _after_one(admit: Callable[..., bool], *, handed: bool) -> Callable[..., bool]:
    """Let one call pass that has its permits already, if there is one."""
    if not handed:
        return admit
    passes = [True]

    def admitting(*demand: Any) -> bool:
        return passes.pop() if passes else admit(*demand)

    return admitting
