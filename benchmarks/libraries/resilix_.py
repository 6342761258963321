"""resilix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilix import protect

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Resilix(Library):
    name = package = "resilix"
    module = "resilix"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return protect.when(Exception, retry=attempts)(fn)

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return protect.circuit(failures=failures, reset_timeout=HOUR)(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return protect.bulkhead(limit, wait=False)(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return protect.bulkhead(limit, wait=True)(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return protect.when(Exception, return_=value)(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        return protect.timeout(seconds, allow_sync=True)(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        fn = protect.circuit(failures=5, reset_timeout=HOUR)(protect.bulkhead(10, wait=False)(fn))
        return protect.when(Exception, retry=3, return_=42)(fn)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return self.stack(protect.timeout(30.0, allow_sync=True)(fn), colour)


library = Resilix()
