"""Stacks of any layers, under any number of callers that come and leave at any time, keep what every layer promises."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoup import (
    Bulkhead,
    BulkheadConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    RecoveryError,
    StackWarning,
    Strategy,
    compensate,
    deadline,
    explain,
    fallback,
    retry,
)
from recoup.testing import VirtualClock, run

pytestmark = [pytest.mark.asyncio_only]


class Ours(Exception):
    """What the user's function raises."""


@dataclass
class Service:
    """A function that does what a script says, attempt by attempt, and watches how it is called."""

    script: list[tuple[str, float]]
    calls: int = 0
    running: int = 0
    peak: int = 0
    by_caller: dict[int, int] = field(default_factory=dict)

    async def __call__(self, caller: int) -> str:
        does, seconds = self.script[self.calls % len(self.script)]
        self.calls += 1
        self.by_caller[caller] = self.by_caller.get(caller, 0) + 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            if seconds:
                await asyncio.sleep(seconds)
            if does == "hang":
                await asyncio.get_running_loop().create_future()
            if does == "fail":
                raise Ours
            return "served"
        finally:
            self.running -= 1


def _retry(options: tuple[int, float, float | None]) -> Strategy:
    attempts, delay, limit = options
    return retry(max_attempts=attempts, initial_delay=delay, attempt_timeout=limit, backoff_strategy="linear")


def _breaker(options: tuple[int, int, float]) -> Strategy:
    threshold, probes, timeout = options
    return CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=threshold, success_threshold=probes, timeout=timeout, failure_on=Ours)
    )


def _bulkhead(options: tuple[int, int, float]) -> Strategy:
    running, waiting, patience = options
    return Bulkhead(BulkheadConfig(max_concurrent=running, max_queue_size=waiting, queue_timeout=patience))


def _made(make: Callable[..., Strategy], *options: st.SearchStrategy[Any]) -> st.SearchStrategy[Callable[[], Strategy]]:
    return st.tuples(*options).map(lambda drawn: lambda: make(drawn))


SECONDS = st.sampled_from([0.5, 1.0, 2.5])
LAYERS = st.lists(
    st.one_of(
        _made(_retry, st.integers(1, 3), st.sampled_from([0.0, 1.0]), st.none() | SECONDS),
        _made(_breaker, st.integers(1, 3), st.integers(1, 2), SECONDS),
        _made(_bulkhead, st.integers(1, 2), st.integers(0, 2), SECONDS),
        _made(lambda drawn: deadline(drawn[0]), st.sampled_from([1.0, 3.0, 7.0])),
        _made(lambda drawn: fallback(fallback_value=drawn[0]), st.just("instead")),
        _made(lambda drawn: compensate(lambda: None, raise_original=drawn[0]), st.booleans()),
    ),
    min_size=1,
    max_size=5,
)
SCRIPTS = st.lists(
    st.tuples(st.sampled_from(["serve", "serve", "fail", "hang"]), st.sampled_from([0.0, 0.25, 2.0])),
    min_size=1,
    max_size=6,
)
# When each caller comes, and after how many seconds it leaves (None: when it has its answer).
CALLERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.5, 2.0, 5.0]), st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])),
    min_size=1,
    max_size=6,
)
PATIENCE = 1000.0  # by then every caller whose function hangs without a limit has been told to leave


@settings(max_examples=150)
@given(makers=LAYERS, script=SCRIPTS, callers=CALLERS)
def test_no_storm_breaks_a_stack(
    makers: list[Callable[[], Strategy]], script: list[tuple[str, float]], callers: list[tuple[float, float | None]]
) -> None:
    """G2, G3, G13, B1, B3, C5, D2: answers are honest, limits hold, nothing leaks, no circuit stays stuck."""
    with warnings.catch_warnings(), VirtualClock() as clock:
        warnings.simplefilter("ignore", StackWarning)  # any order at all, also those that cannot be meant
        service = Service(script)
        protected: Any = service.__call__
        layers = [make() for make in makers]
        for layer in layers:
            protected = layer(protected)
        run(_storm(protected, service, callers, clock), clock=clock)
        gates = [layer for layer in layers if isinstance(layer, Bulkhead)]
        assert [(gate.running, gate.waiting) for gate in gates] == [(0, 0)] * len(gates)
        assert service.running == 0
        assert service.peak <= min((gate.config.max_concurrent for gate in gates), default=service.peak)
        for breaker in (layer for layer in layers if isinstance(layer, CircuitBreaker)):
            run(_heals(breaker), clock=clock)


async def _storm(
    protected: Callable[[int], Any], service: Service, callers: list[tuple[float, float | None]], clock: VirtualClock
) -> None:
    """Have every caller come and go; hold each answer against what may come out, and against `explain`."""
    promised = explain(protected)
    causes: list[BaseException | None] = []

    async def called(caller: int, arrives: float) -> None:
        await asyncio.sleep(arrives)
        began = clock.monotonic()
        try:
            answer = await protected(caller)
        except Ours:
            pass  # the user's error itself
        except RecoveryError as error:
            causes.append(error.__cause__)
        else:
            assert answer in ("served", "instead")
        finally:
            assert service.by_caller.get(caller, 0) <= promised.worst_calls
            assert clock.monotonic() - began <= promised.worst_seconds + 1e-6

    tasks = [asyncio.ensure_future(called(number, arrives)) for number, (arrives, _) in enumerate(callers)]
    leaving = [
        asyncio.get_running_loop().call_later(arrives + (PATIENCE if leaves is None else leaves), task.cancel)
        for task, (arrives, leaves) in zip(tasks, callers, strict=True)
    ]
    for task, (_, leaves) in zip(tasks, callers, strict=True):
        try:
            await task
        except asyncio.CancelledError:
            assert leaves is not None or service.calls, "cancelled by nobody"
            assert task.cancelling(), "a cancellation that nobody asked for"
    for timer in leaving:
        timer.cancel()
    assert all(cause is None or isinstance(cause, (Ours, RecoveryError, asyncio.CancelledError)) for cause in causes)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def _heals(breaker: CircuitBreaker) -> None:
    """Bring a breaker back with nothing but time and healthy calls (C5)."""

    async def healthy() -> str:
        return "served"

    for _ in range(5):
        await asyncio.sleep(5)  # longer than any open time here
        for _ in range(breaker.config.success_threshold):
            assert await breaker.call(healthy) == "served"
        if breaker.state is CircuitBreakerState.CLOSED:
            return
    raise AssertionError(f"{breaker!r} does not close")
