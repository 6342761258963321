"""A signal handler or a destructor that calls the breaker which its own thread is deciding about (G7)."""

from __future__ import annotations

import threading

import pytest

from recoup import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerState


def fail() -> None:
    raise ConnectionError


def test_a_call_from_within_a_decision_does_not_wait_for_itself() -> None:
    """It would wait for ever, and the program with it; what it records counts."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, success_threshold=1, timeout=0.001))
    ended: list[CircuitBreakerState] = []

    def decide() -> None:
        with breaker._calls.circuit._lock:  # as in the few lines that a signal may interrupt
            for _ in range(3):
                with pytest.raises(ConnectionError):
                    breaker.call_sync(fail)
                breaker.reset()
            ended.append(breaker.state)

    thread = threading.Thread(target=decide, daemon=True)
    thread.start()
    thread.join(5)
    assert ended == [CircuitBreakerState.CLOSED]
