"""What a call asks for: its weight and its key, read from its arguments."""

from __future__ import annotations

from typing import Any

from recoup._core import checks
from recoup._core.arguments import Parameters
from recoup._core.conditions import plainly
from recoup.strategies.rate_limit.turns import Demand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.strategies.rate_limit.strategy import RateLimiter

__all__ = ["NO_KEY", "Scales", "asked", "checked_key", "checked_weight"]


class _NoKey:
    """Says that no key was given; `None` is a key."""

    def __repr__(self) -> str:
        return "no key"


NO_KEY: Any = _NoKey()
_PLAIN = frozenset((str, int, bytes, bool, float, type(None)))


class Scales:
    """Reads the demands of the calls of one function.

    Args:
        limiter: Whose limits hold.
        target: The function.
    """

    __slots__ = ("_limiter", "_parameters")

    def __init__(self, limiter: RateLimiter, target: object) -> None:
        self._limiter = limiter
        self._parameters = Parameters.of(target)

    def weigh(self, *args: Any, **kwargs: Any) -> Demand:
        """Tell what a call asks for; it is the same however the call is written."""
        config = self._limiter.config
        weight, key = config.weight, config.key
        if self._parameters is not None:
            args, kwargs = self._parameters.normal(args, kwargs)
        if callable(weight):
            weight = checked_weight("what weight() gave", plainly("weight", weight(*args, **kwargs)), config.most)
        if key is None:
            return Demand(weight)
        return Demand(weight, checked_key("what key() gave", plainly("key", key(*args, **kwargs))))


def checked_weight(argument: str, weight: Any, most: int) -> int:
    """Check how many permits are asked for."""
    checks.count(argument, weight)
    if weight > most:
        raise ValueError(
            f"{argument} must be at most {most}, not {checks.shown(weight)}: there are never more permits than that at "
            "once; allow a larger burst, or ask in parts"
        )
    return int(weight)


def checked_key(argument: str, key: Any) -> Any:
    """Check a key: to compare it must not run code of anybody's, because that would happen under the lock."""
    if not _is_plain(key):
        raise TypeError(
            f"{argument} must be text, a number, bytes, None or a tuple of these, not of type "
            f"{type(key).__qualname__}, and no nan, which equals nothing; str() of it may do"
        )
    return key


def _is_plain(key: Any) -> bool:
    if type(key) is tuple:
        return all(map(_is_plain, key))
    return type(key) in _PLAIN and key == key  # noqa: PLR0124 - a nan is another key each time, so no limit would hold


def asked(limiter: RateLimiter, weight: int | None, key: Any) -> Demand:
    """Check what is asked for without a call."""
    config = limiter.config
    if weight is None:
        weight = 1 if callable(config.weight) else config.weight
    weight = checked_weight("weight", weight, config.most)
    if config.key is None:
        if key is not NO_KEY:
            raise TypeError(f"rate limiter {limiter.name!r} has no keys: leave key out, or configure a key function")
        return Demand(weight)
    if key is NO_KEY:
        raise TypeError(
            f"rate limiter {limiter.name!r} has a limit for each key: say whose with acquire(key=...), "
            "acquire_async(key=...) or try_acquire(key=...), or decorate a function"
        )
    return Demand(weight, checked_key("key", key))
