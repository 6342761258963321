"""aiolimiter, which lets calls wait and refuses none."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import aiolimiter

from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function


class Aiolimiter(Library):
    name = package = "aiolimiter"
    module = "aiolimiter"

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        if colour == "sync":
            raise Missing
        limiter = aiolimiter.AsyncLimiter(rate, per)

        @functools.wraps(fn)
        async def limiting(*args: Any, **kwargs: Any) -> Any:
            async with limiter:
                return await fn(*args, **kwargs)

        return limiting


library = Aiolimiter()
