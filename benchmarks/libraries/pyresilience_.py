"""pyresilience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyresilience as peer

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function

HOUR = 3600.0


class Pyresilience(Library):
    name = package = "pyresilience"
    module = "pyresilience"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return peer.resilient(retry=peer.RetryConfig(max_attempts=attempts, delay=0, jitter=False))(fn)

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        config = peer.CircuitBreakerConfig(failure_threshold=failures, recovery_timeout=HOUR, success_threshold=1)
        return peer.resilient(circuit_breaker=config)(fn)

    def bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return peer.resilient(bulkhead=peer.BulkheadConfig(max_concurrent=limit, max_wait=0.0))(fn)

    def waiting_bulkhead(self, fn: Function, colour: Colour, limit: int) -> Function:
        return peer.resilient(bulkhead=peer.BulkheadConfig(max_concurrent=limit, max_wait=60.0))(fn)

    def rate_limit(self, fn: Function, colour: Colour, rate: int, per: float) -> Function:
        return peer.resilient(rate_limiter=peer.RateLimiterConfig(max_calls=rate, period=per))(fn)

    def fallback(self, fn: Function, colour: Colour, value: object) -> Function:
        return peer.resilient(fallback=peer.FallbackConfig(handler=value))(fn)

    def cache(self, fn: Function, colour: Colour) -> Function:
        return peer.resilient(cache=peer.CacheConfig(ttl=HOUR))(fn)

    def deadline(self, fn: Function, colour: Colour, seconds: float) -> Function:
        return peer.resilient(timeout=peer.TimeoutConfig(seconds=seconds))(fn)

    def stack(self, fn: Function, colour: Colour) -> Function:
        return peer.resilient(**self._layers())(fn)

    def stack_deadline(self, fn: Function, colour: Colour) -> Function:
        return peer.resilient(**self._layers(), timeout=peer.TimeoutConfig(seconds=30.0))(fn)

    def _layers(self) -> dict[str, Any]:
        return {
            "fallback": peer.FallbackConfig(handler=42),
            "retry": peer.RetryConfig(max_attempts=3, delay=0, jitter=False),
            "circuit_breaker": peer.CircuitBreakerConfig(),
            "bulkhead": peer.BulkheadConfig(max_concurrent=10),
        }


library = Pyresilience()
