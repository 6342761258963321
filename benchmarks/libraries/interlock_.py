"""interlock-cb; its retries are those of tenacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import interlock
import tenacity

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Interlock(Library):
    name = package = "interlock-cb"
    module = "interlock"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return self._retry(interlock.Pipeline.builder(), attempts).build()(fn)

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return self._circuit(failures)(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return interlock.Pipeline.builder().bulkhead(limit, max_wait=0.0).build()(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return interlock.Pipeline.builder().bulkhead(limit, max_wait=60.0).build()(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return interlock.Pipeline.builder().fallback(lambda _: value).build()(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        if colour == "sync":
            return interlock.sync_timeout(seconds)(fn)
        return interlock.Pipeline.builder().timeout(seconds).build()(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        return self._stack().build()(fn)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return self._stack().timeout(30.0).build()(fn)

    def _stack(self) -> Any:
        outer = self._retry(interlock.Pipeline.builder().fallback(lambda _: 42), 3)
        return outer.circuit_breaker(self._circuit(5)).bulkhead(10)

    def _retry(self, builder: Any, attempts: int) -> Any:
        return builder.retry(attempts=attempts, wait=tenacity.wait_none())

    def _circuit(self, failures: int) -> Any:
        config = interlock.Config(
            window_size=100, minimum_number_of_calls=failures, failure_rate_threshold=0.5, wait_duration_in_open=HOUR
        )
        return interlock.CircuitBreaker(name="c", config=config)


library = Interlock()
