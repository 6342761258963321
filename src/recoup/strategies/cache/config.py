"""What a cache can be told."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - typing.get_type_hints looks for it here
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from recoup._core import checks
from recoup.typing import Predicate, Seconds  # noqa: TC001 - as Callable

__all__ = ["CacheConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Say how long results are kept, how many, and what makes two calls the same.

    Args:
        ttl: Seconds (or a timedelta) for which a result answers; more than 0. `None`: until it is evicted or dropped by
            hand. Default 300.0.
        max_size: How many results are kept; at least 1. The oldest goes first, but one that has answered since it was
            last in danger is spared once. Default 1024.
        key: What identifies a call: a plain function that gets the call's arguments and returns something hashable, or
            lists, dicts and sets of such things. Needed where the result depends on more than the arguments (who is
            asking), or on less. Default `None`: all arguments, with their types.
        cache_if: Which results are kept: a plain function that gets the result. One for which it gives False goes to
            its caller, and to those who waited for the same call, and is not kept. An error in it propagates. Default
            `None`: all results are kept.
        stale_while_revalidate: Seconds after `ttl` for which an old result still answers at once, while one call in
            the background gets a new one. Default 0.0: never.
        stale_if_error: Seconds after `ttl` for which an old result answers if the call for a new one fails.
            Default 0.0: never.
        negative_ttl: Seconds for which an error answers as well: equal calls raise a copy of it, without calling.
            Local refusals (an open circuit, a full bulkhead) are never kept. Default `None`: errors are not kept.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range, or values contradict each other.

    Configs are immutable and may be shared between threads and event loops.

    >>> CacheConfig(ttl=60, stale_if_error=3600).max_size
    1024
    """

    ttl: Seconds | None = 300.0
    max_size: int = 1024
    key: Callable[..., object] | None = None
    cache_if: Predicate | None = None
    stale_while_revalidate: Seconds = 0.0
    stale_if_error: Seconds = 0.0
    negative_ttl: Seconds | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for argument in ("ttl", "negative_ttl"):
            put(self, argument, checks.optional_duration(argument, getattr(self, argument), zero=False))
        checks.count("max_size", self.max_size)
        checks.plain_callback("key", self.key, of="the call's arguments")
        checks.plain_callback("cache_if", self.cache_if)
        for argument in ("stale_while_revalidate", "stale_if_error"):
            put(self, argument, checks.duration(argument, getattr(self, argument)))
            if self.ttl is None and getattr(self, argument):
                raise ValueError(f"{argument} has no meaning with ttl=None: a result that never expires is never stale")


if TYPE_CHECKING:

    class CacheOptions(TypedDict, total=False):
        """Keywords of `@cached`: the fields of `CacheConfig`, and `name`."""

        name: str | None
        ttl: Seconds | None
        max_size: int
        key: Callable[..., object] | None
        cache_if: Predicate | None
        stale_while_revalidate: Seconds
        stale_if_error: Seconds
        negative_ttl: Seconds | None
