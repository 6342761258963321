"""hyx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyx.bulkhead import bulkhead
from hyx.circuitbreaker import consecutive_breaker
from hyx.fallback import fallback
from hyx.ratelimit import tokenbucket
from hyx.retry import retry
from hyx.timeout import timeout

from benchmarks.libraries.base import Library, Missing

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Hyx(Library):
    name = package = "hyx"
    module = "hyx"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        self._only(colour)
        return retry(on=Exception, attempts=attempts - 1, backoff=0)(fn)  # it counts the retries

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        self._only(colour)
        return consecutive_breaker(
            Exception, failure_threshold=failures, recovery_time_secs=HOUR, recovery_threshold=1
        )(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        self._only(colour)
        return bulkhead(limit, limit)(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        self._only(colour)
        return bulkhead(limit, 100_000)(fn)

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        self._only(colour)
        return tokenbucket(rate, per, None)(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        self._only(colour)

        async def answer(*_: object, **__: object) -> object:
            return value

        return fallback(answer, on=Exception)(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        self._only(colour)
        return timeout(seconds)(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        fn = self.breaker(self.bulkhead(fn, colour, 10), colour, 5)
        return self.fallback(self.retry(fn, colour, 3), colour, 42)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return self.stack(self.deadline(fn, colour, 30.0), colour)

    def _only(self, colour: Colour) -> None:
        if colour == "sync":
            raise Missing


library = Hyx()
