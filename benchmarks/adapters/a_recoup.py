"""recoup in the yardstick: its public decorators with their defaults.

The yardstick calls `make_*` for each pattern and measures what comes back. Delays are zero and open times long, as for
all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.base import Adapter, Unsupported  # the yardstick's own package; BENCH_ADAPTERS points here

import recoup

if TYPE_CHECKING:
    from collections.abc import Callable


class A(Adapter):
    """recoup."""

    name = dist = module = "recoup"
    breaker_kind = "count-window"
    OPEN = (recoup.CircuitBreakerError,)
    FULL = (recoup.BulkheadFullError,)
    LIMITED = (recoup.RateLimitExceeded,)
    TIMEOUT = (recoup.DeadlineExceeded,)

    def make_retry(self, fn: Callable[..., Any], mode: str, attempts: int = 3) -> Any:
        return recoup.retry(max_attempts=attempts, initial_delay=0)(fn)

    def make_breaker(self, fn: Callable[..., Any], mode: str, threshold: int = 5, reset: float = 3600.0) -> Any:
        return recoup.circuit_breaker(failure_threshold=threshold, timeout=reset)(fn)

    def make_window_breaker(
        self,
        fn: Callable[..., Any],
        mode: str,
        size: int = 100,
        threshold: int = 5,
        reset: float = 3600.0,
    ) -> Any:
        return recoup.circuit_breaker(failure_threshold=threshold, window_size=size, timeout=reset)(fn)

    def make_timeout(self, fn: Callable[..., Any], mode: str, seconds: float = 30.0) -> Any:
        return recoup.deadline(seconds)(fn) if mode == "async" else recoup.deadline(seconds, mode="thread")(fn)

    def make_bulkhead(self, fn: Callable[..., Any], mode: str, limit: int = 10, wait: bool = False) -> Any:  # noqa: FBT001, FBT002
        if wait:
            return recoup.bulkhead(max_concurrent=limit, max_queue_size=100_000, queue_timeout=3600.0)(fn)
        return recoup.bulkhead(max_concurrent=limit, max_queue_size=0)(fn)

    def make_ratelimit(
        self, fn: Callable[..., Any], mode: str, rate: int = 10**9, per: float = 1.0, burst: int | None = None
    ) -> Any:
        return recoup.rate_limit(rate=rate, per=per, burst=burst, max_wait=0)(fn)

    def make_keyed_limiter(self, fn: Callable[..., Any], mode: str, n: int) -> Any:
        return recoup.rate_limit(rate=10**9, key=lambda key: key, max_keys=n + 1, max_wait=0)(fn)

    def make_fallback(self, fn: Callable[..., Any], mode: str, value: Any = 42) -> Any:
        return recoup.fallback(fallback_value=value)(fn)

    def make_cache(self, fn: Callable[..., Any], mode: str) -> Any:
        return recoup.cached(3600.0)(fn)

    def make_stack(self, fn: Callable[..., Any], mode: str, timeout: bool = True) -> Any:  # noqa: FBT001, FBT002
        if timeout and mode == "sync":
            raise Unsupported
        if timeout:
            fn = recoup.deadline(30.0)(fn)
        fn = recoup.bulkhead(max_concurrent=10, max_queue_size=0)(fn)
        fn = recoup.circuit_breaker(failure_threshold=5, timeout=3600.0)(fn)
        fn = recoup.retry(max_attempts=3, initial_delay=0)(fn)
        return recoup.fallback(fallback_value=42)(fn), "FRBK" + ("T" if timeout else "")
