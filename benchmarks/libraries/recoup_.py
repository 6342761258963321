"""recoup: its public decorators with their defaults, but for waits, which all have zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import recoup
from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Recoup(Library):
    name = package = module = "recoup"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return recoup.retry(max_attempts=attempts, initial_delay=0)(fn)

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return recoup.circuit_breaker(failure_threshold=failures, timeout=HOUR)(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return recoup.bulkhead(max_concurrent=limit, max_queue_size=0)(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return recoup.bulkhead(max_concurrent=limit, max_queue_size=100_000, queue_timeout=HOUR)(fn)

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        return recoup.rate_limit(rate=rate, per=per, max_wait=0)(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return recoup.fallback(fallback_value=value)(fn)

    def cache(self, fn: Function, colour: Colour) -> Function:
        return recoup.cached(ttl=HOUR, max_size=1000)(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        return recoup.deadline(seconds, mode="thread" if colour == "sync" else None)(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        fn = recoup.bulkhead(max_concurrent=10, max_queue_size=0)(fn)
        fn = recoup.circuit_breaker(failure_threshold=5, timeout=HOUR)(fn)
        fn = recoup.retry(max_attempts=3, initial_delay=0)(fn)
        return recoup.fallback(fallback_value=42)(fn)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        if colour == "sync":
            raise Missing  # nothing interrupts a plain function: it would be a thread a call
        return self.stack(self.deadline(fn, colour, 30.0), colour)


library = Recoup()
