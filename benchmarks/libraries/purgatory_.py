"""purgatory."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import purgatory

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0
numbers = count()


class Purgatory(Library):
    name = package = "purgatory"
    module = "purgatory"

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        kind = purgatory.SyncCircuitBreakerFactory if colour == "sync" else purgatory.AsyncCircuitBreakerFactory
        return kind(default_threshold=failures, default_ttl=HOUR)(f"c{next(numbers)}")(fn)


library = Purgatory()
