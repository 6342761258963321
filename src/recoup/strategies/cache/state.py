"""The results of a cache, and the calls under way.

A call that looks for its key is told one of these:

    a hit ... the answer: nothing is left to do
    a run ... call the function, wait for somebody who does, refresh an old result, or raise an error that was kept
    None .... call past the cache: it is called by the very call it would have to wait for

A hit takes no lock. Everything else takes the lock of the store once (see `_core/store.py`).
"""

from __future__ import annotations

import math

from recoup._core import checks
from recoup._core.store import Store
from recoup.strategies.cache.run import Hit, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from recoup._core.waiting import Waiter
    from recoup.strategies.cache.config import CacheConfig

__all__ = ["Shelf"]


class Shelf:
    """What all calls through one cache share.

    Attributes:
        ttl: Seconds for which a result is fresh.
        revalidate: Seconds after that for which it is answered while a new one is got.
        if_error: Seconds after `ttl` for which it is answered when the call fails.
        negative: Seconds for which an error is fresh; 0.0 for errors not to be kept.
        store: The results.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.store = Store(config.max_size, None)
        self.reconfigure(lambda: config)

    def reconfigure(self, config: Callable[[], CacheConfig]) -> None:
        """Count anew from now on; results that are kept are judged by the new times.

        Args:
            config: Gives the config that holds when it is called.
        """
        self.store.resize(lambda: self._adopted(config()))

    def _adopted(self, config: CacheConfig) -> tuple[int, float | None]:
        """Take over the times of a config; give the bounds of the store."""
        seconds = checks.optional_duration
        self.ttl = seconds("ttl", config.ttl) or math.inf
        self.revalidate = seconds("stale_while_revalidate", config.stale_while_revalidate) or 0.0
        self.if_error = seconds("stale_if_error", config.stale_if_error) or 0.0
        self.negative = seconds("negative_ttl", config.negative_ttl) or 0.0
        lifetime = max(self.ttl + max(self.revalidate, self.if_error), self.negative)
        return config.max_size, None if lifetime == math.inf else lifetime

    def look(self, key: Hashable, now: float, waiter: Callable[[], Waiter]) -> Hit | Run | None:
        """Find out what to do about a call.

        Args:
            key: The key of the call.
            now: Seconds on a monotonic clock.
            waiter: Makes what to wait with, if that is needed.
        """
        slot = self.store.find(key)
        if slot is not None:
            entry = slot.entry
            if isinstance(entry, Hit) and 0 <= now - entry.stored < self.ttl:
                entry.used = True
                return entry
        run = Run(self, waiter)
        self.store.change(key, now, lambda slot: run.arrive(slot, now))
        return run.ready()

    def fresh(self, key: Hashable, now: float) -> Hit | None:
        """Give a fresh result if there is one, and begin nothing."""
        slot = self.store.find(key)
        entry = None if slot is None else slot.entry
        return entry if isinstance(entry, Hit) and entry.age(now) < self.ttl else None
