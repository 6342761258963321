"""circuitbreaker."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import circuitbreaker

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0
numbers = count()


class Circuitbreaker(Library):
    name = package = "circuitbreaker"
    module = "circuitbreaker"

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return circuitbreaker.CircuitBreaker(
            failure_threshold=failures, recovery_timeout=HOUR, expected_exception=Exception, name=f"c{next(numbers)}"
        )(fn)


library = Circuitbreaker()
