"""What a type checker knows of strategy objects: their calls, blocks, figures and handles."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import assert_type

from recoup import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    CircuitBreakerState,
    Compensation,
    Condition,
    Deadline,
    Explanation,
    Fallback,
    FallbackConfig,
    KeyedCircuitBreaker,
    Registry,
    RetryExecutor,
    Saga,
    Strategy,
    Subscription,
    current_deadline,
    deadline,
    disable,
    explain,
    force_open,
    layers_of,
    metrics_only,
    registry,
    saga,
    set_nested_retries,
    subscribe,
    when,
)
from recoup.events import CircuitOpened, Event
from recoup.typing import Listener


def fetch(key: str) -> bytes:
    return key.encode()


async def fetch_later(key: str) -> bytes:
    return key.encode()


breaker = CircuitBreaker(name="prices")
gate = Bulkhead(name="reports")
executor = RetryExecutor()


async def calls() -> None:
    assert_type(await breaker.call(fetch, "a"), bytes)
    assert_type(await breaker.call(fetch_later, "a"), bytes)
    assert_type(breaker.call_sync(fetch, "a"), bytes)
    assert_type(await gate.execute(fetch_later, "a"), bytes)
    assert_type(gate.execute_sync(fetch, "a"), bytes)
    assert_type(await executor.execute(fetch, "a"), bytes)


async def blocks() -> None:
    with breaker as inside, gate:
        assert_type(inside, CircuitBreaker)
    async with breaker, gate as later, deadline(2):
        assert_type(later, Bulkhead)
    for attempt in executor.on(OSError):
        with attempt:
            fetch("a")
    async for attempt_later in executor.on([OSError]):
        async with attempt_later:
            await fetch_later("a")
    async with saga("order", saga_timeout=60) as order:
        assert_type(order, Saga)


def figures() -> None:
    assert_type(breaker.state, CircuitBreakerState)
    assert_type(breaker.metrics, dict[str, int])
    assert_type(gate.metrics, Mapping[str, int])
    assert_type(gate.running + gate.waiting, int)
    assert_type(Compensation().compensations, int)
    assert_type(len(Cache()), int)
    assert_type(Cache().invalidate("a"), bool)
    assert_type(Fallback(FallbackConfig(fallback_value=0)).name, str)
    assert_type(layers_of(fetch), tuple[Strategy, ...])
    assert_type(explain(fetch), Explanation)
    assert_type(explain(fetch).worst_seconds, float)
    assert_type(explain(fetch).layers, tuple[Strategy, ...])


def handles() -> None:
    forced: AbstractContextManager[object] = force_open(breaker)
    watched: AbstractContextManager[object] = metrics_only(breaker)
    off: AbstractContextManager[object] = disable(breaker, CircuitBreaker())
    with forced, off, watched, breaker.force_open():
        pass


def listed() -> None:
    assert_type(registry, Registry)
    assert_type(registry.find("bank"), Strategy)
    assert_type(registry.find("bank", CircuitBreaker), CircuitBreaker)
    assert_type(registry.all(), tuple[Strategy, ...])
    assert_type(registry.all(Bulkhead), tuple[Bulkhead, ...])


def limits() -> None:
    found = current_deadline()
    assert_type(found, Deadline | None)
    if found is not None:
        assert_type(found.remaining(), float)
        assert_type(found.owner, Strategy | None)
        assert_type(found.expired, bool)


def conditions() -> None:
    assert_type(when(OSError) & ~when(FileNotFoundError) | when(ValueError, KeyError), Condition)
    assert_type(when(OSError)(OSError()), bool)


def listening() -> None:
    def listener(event: Event) -> None:
        if isinstance(event, CircuitOpened):
            assert_type(event.open_time, float)
            assert_type(event.error_type, str | None)

    given: Listener = listener
    set_nested_retries("once")
    with subscribe(given) as subscription:
        assert_type(subscription, Subscription)
    assert_type(subscription.cancel(), None)


def keys() -> None:
    per_host = KeyedCircuitBreaker(key="host", max_keys=100)
    assert_type(per_host.call_sync(fetch, "x"), bytes)
    assert_type(per_host.state("x"), CircuitBreakerState)
    assert_type(per_host.metrics, dict[str, int])
    assert_type(per_host(fetch)("x"), bytes)
    with per_host.force_open(), force_open(per_host, CircuitBreaker()):
        per_host.trip("x", "y", seconds=30)
        per_host.half_open("x")
    CircuitBreaker().trip(timedelta(seconds=30))
