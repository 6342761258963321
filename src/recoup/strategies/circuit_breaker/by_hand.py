"""The methods by which somebody takes a breaker, plain or keyed, into their own hands (C1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup.strategies.circuit_breaker import control

if TYPE_CHECKING:
    from recoup.strategies.circuit_breaker.control import Breaker, Hold

__all__ = ["disable", "force_open", "metrics_only"]


def force_open(self: Breaker) -> Hold:
    """Refuse every call, whatever its key, until the hold that this returns is released.

    Callbacks and events tell it once, not key by key.

    >>> from recoup import CircuitBreaker, KeyedCircuitBreaker
    >>> breaker, per_host = CircuitBreaker(name="payments"), KeyedCircuitBreaker(key="host", name="hosts")
    >>> with breaker.force_open(), per_host.force_open():
    ...     breaker, per_host
    (<CircuitBreaker 'payments' forced_open>, <KeyedCircuitBreaker 'hosts' 0 keys forced_open>)
    """
    return control.force_open(self)


def disable(self: Breaker) -> Hold:
    """Let every call through and count nothing until the hold that this returns is released."""
    return control.disable(self)


def metrics_only(self: Breaker) -> Hold:
    """Let every call through and only say when the circuit would have opened, until the hold is released."""
    return control.metrics_only(self)
