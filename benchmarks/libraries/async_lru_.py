"""async-lru."""

from __future__ import annotations

from typing import TYPE_CHECKING

import async_lru

from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class AsyncLru(Library):
    name = package = "async-lru"
    module = "async_lru"

    def cache(self, fn: Function, colour: Colour) -> Function:
        if colour == "sync":
            raise Missing
        return async_lru.alru_cache(maxsize=1000, ttl=HOUR)(fn)


library = AsyncLru()
