"""fluxgate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fluxgate
import fluxgate.permits
import fluxgate.retries
import fluxgate.trippers
import fluxgate.windows

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Fluxgate(Library):
    name = package = "fluxgate"
    module = "fluxgate"

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        kind = fluxgate.CircuitBreaker if colour == "sync" else fluxgate.AsyncCircuitBreaker
        tripper = fluxgate.trippers.MinRequests(failures) & fluxgate.trippers.FailureRate(0.5)
        window, retry = fluxgate.windows.CountWindow(100), fluxgate.retries.Cooldown(HOUR)
        return kind(window=window, tripper=tripper, retry=retry, permit=fluxgate.permits.All())(fn)


library = Fluxgate()
