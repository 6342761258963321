"""The decorator `@circuit_breaker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from recoup._core.options import decorating
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker

if TYPE_CHECKING:
    from typing import Unpack

    from recoup.strategies.circuit_breaker.config import CircuitBreakerOptions
    from recoup.typing import Decorated

__all__ = ["circuit_breaker"]


@overload
def circuit_breaker(target: Decorated, /) -> Decorated: ...
@overload
def circuit_breaker(target: CircuitBreakerConfig | CircuitBreaker, /, *, name: str | None = None) -> CircuitBreaker: ...
@overload
def circuit_breaker(**options: Unpack[CircuitBreakerOptions]) -> CircuitBreaker: ...
def circuit_breaker(target: Any = None, /, **options: Any) -> Any:
    """Stop calling a function that keeps failing; refuse at once until a few probes say that it works again.

    Write `@circuit_breaker`, `@circuit_breaker(failure_threshold=3, on=ConnectionError)`, `@circuit_breaker(config)` or
    `@circuit_breaker(breaker)`. Without configuration: 5 failures in the last 10 calls and 60 seconds open the circuit
    for 60 seconds, then 2 successful probes close it.

    Args:
        target: The function (`@circuit_breaker` alone), a `CircuitBreakerConfig`, or a `CircuitBreaker` to share.
        options: The fields of `CircuitBreakerConfig`; `on` is short for `failure_on`; `name` is what errors and events
            call it.

    Returns:
        The decorated function, or a `CircuitBreaker` that decorates.

    Raises:
        TypeError: For an unknown keyword or a function that cannot be protected.
        ValueError: For a value out of range.

    The decorated function raises `CircuitBreakerError` while the circuit refuses, and its own errors as ever. The
    circuit is shared by all threads and event loops that call it, not by processes.

    >>> @circuit_breaker(failure_threshold=3, on=ConnectionError)
    ... def fetch(path: str) -> str:
    ...     return "contents of " + path
    >>> fetch("/etc/motd")
    'contents of /etc/motd'
    """
    return decorating(CircuitBreaker, CircuitBreakerConfig, target, options)
