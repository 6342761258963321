"""The decorator `@rate_limit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup._core import checks
from recoup._core.options import decorating
from recoup.strategies.rate_limit.config import RateLimitConfig
from recoup.strategies.rate_limit.strategy import RateLimiter

if TYPE_CHECKING:
    from typing import Unpack

    from recoup.strategies.rate_limit.config import RateLimitOptions

__all__ = ["rate_limit"]


def rate_limit(
    target: RateLimitConfig | RateLimiter | None = None, /, **options: Unpack[RateLimitOptions]
) -> RateLimiter:
    """Let only so many calls of a function begin in a time; let others wait a while, and refuse the rest at once.

    Write `@rate_limit(rate=100, per=60)`, `@rate_limit(config)` or `@rate_limit(shared)`.

    Args:
        target: A `RateLimitConfig`, or a `RateLimiter` to share.
        options: The fields of `RateLimitConfig`; `name` is what errors and events call it.

    Returns:
        A `RateLimiter` that decorates.

    Raises:
        TypeError: For a bare `@rate_limit`, an unknown keyword, or a function that cannot be decorated.
        ValueError: For a value out of range.

    The decorated function raises `RateLimitExceeded` when its permits would not be there within `max_wait` or before
    its deadline; it was not called then. A generator function takes its permits when its first item is asked for.

    >>> @rate_limit(rate=100, per=60)
    ... def send(text: str) -> str:
    ...     return "sent " + text
    >>> send("hello")
    'sent hello'
    """
    if target is None and "rate" not in options:
        raise TypeError("@rate_limit needs a rate: write @rate_limit(rate=100, per=60) for 100 calls a minute")
    if not isinstance(target, (RateLimitConfig, RateLimiter)) and target is not None:
        raise TypeError(
            f"@rate_limit does not say how many calls are allowed round {checks.shown(target)}: write "
            "@rate_limit(rate=100, per=60) for 100 calls a minute"
        )
    made: RateLimiter = decorating(RateLimiter, RateLimitConfig, target, dict(options), bare=False)
    return made
