"""cachetools."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cachetools

from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Cachetools(Library):
    name = package = "cachetools"
    module = "cachetools"

    def cache(self, fn: Function, colour: Colour) -> Function:
        if colour == "async":
            raise Missing
        return cachetools.cached(cachetools.TTLCache(1000, HOUR), lock=threading.Lock())(fn)


library = Cachetools()
