"""nopanic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nopanic

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Nopanic(Library):
    name = package = "nopanic"
    module = "nopanic"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return nopanic.retry(attempts=attempts, backoff=0)(fn)

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return self._circuit(failures)(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return nopanic.bulkhead(limit, max_wait=0)(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return nopanic.bulkhead(limit, max_wait=None)(fn)

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        return nopanic.rate_limit(rate, per, burst=None, max_wait=0)(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return nopanic.fallback(value)(fn)

    def cache(self, fn: Function, colour: Colour) -> Function:
        return nopanic.cache(ttl=HOUR)(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        return nopanic.timeout(seconds)(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        return nopanic.compose(*self._layers())(fn)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return nopanic.compose(*self._layers(), nopanic.timeout(30.0))(fn)

    def _layers(self) -> list[Any]:
        retry = nopanic.retry(attempts=3, backoff=0, honor_retry_after=False)
        return [nopanic.fallback(42), retry, self._circuit(5), nopanic.bulkhead(10, max_wait=0)]

    def _circuit(self, failures: int) -> Any:
        return nopanic.circuit_breaker(failure_threshold=0.5, min_calls=failures, window=HOUR, reset_timeout=HOUR)


library = Nopanic()
