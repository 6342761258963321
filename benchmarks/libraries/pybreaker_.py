"""pybreaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pybreaker

from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Pybreaker(Library):
    name = package = "pybreaker"
    module = "pybreaker"

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        if colour == "async":
            raise Missing
        return pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=HOUR, throw_new_error_on_trip=False)(fn)


library = Pybreaker()
