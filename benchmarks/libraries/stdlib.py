"""The standard library, as far as it has the patterns."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.libraries.base import Library, Missing
from benchmarks.libraries.limit import Limit

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function


class StandardLibrary(Library):
    name = "standard library"

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return Limit().waiting_bulkhead(fn, colour, limit)

    def cache(self, fn: Function, colour: Colour) -> Function:
        if colour == "async":
            raise Missing
        return functools.lru_cache(maxsize=1000)(fn)  # which has no time to live

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        if colour == "async":
            return Limit().deadline(fn, colour, seconds)
        pool = ThreadPoolExecutor(4)

        @functools.wraps(fn)
        def limiting(*args: Any, **kwargs: Any) -> Any:
            return pool.submit(fn, *args, **kwargs).result(seconds)

        return limiting


library = StandardLibrary()
