"""What a breaker says to another configuration while it is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup._core import options
from recoup.strategies.circuit_breaker.open_time import OpenTimes, equal
from recoup.strategies.circuit_breaker.telling import asynchronous

if TYPE_CHECKING:
    from recoup._core.strategy import Strategy
    from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig

__all__ = ["settled"]


def settled(breaker: Strategy, old: CircuitBreakerConfig, new: CircuitBreakerConfig) -> None:
    """Refuse what the functions that a breaker decorates were not accepted for.

    Raises:
        ValueError: If results were not judged and would be, or the other way round; if a callback became asynchronous
            where none was, since plain functions may use the breaker.
        Exception: What the user's own code for open times raises at its first question.
    """
    judged = old.failure_on_result is not None, new.failure_on_result is not None
    turned = {} if breaker._async_callbacks else dict.fromkeys(asynchronous(new), (False, True))
    options.same(breaker, failure_on_result=judged, **turned)
    if not equal(new.timeout, old.timeout):
        OpenTimes(new.timeout)
