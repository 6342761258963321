"""grit-toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grit

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Grit(Library):
    name = package = "grit-toolkit"
    module = "grit"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return grit.retry(tries=attempts, wait=grit.constant(0))(fn)

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return grit.breaker(fails=failures, reset_after=HOUR)(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return grit.bulkhead(size=limit, timeout=None if colour == "sync" else 0.001)(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return grit.bulkhead(size=limit, timeout=60.0 if colour == "sync" else None)(fn)

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        return grit.limiter(rate=rate, per=per)(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return grit.fallback(value=value)(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        return grit.timeout(seconds)(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        return grit.policy(*self._layers())(fn)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return grit.policy(*self._layers(), grit.timeout(30.0))(fn)

    def _layers(self) -> list[Any]:
        retry = grit.retry(tries=3, wait=grit.constant(0))
        return [grit.fallback(value=42), retry, grit.breaker(fails=5, reset_after=HOUR), grit.bulkhead(size=10)]


library = Grit()
