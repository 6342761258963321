"""Callbacks and events: once a transition, in order, outside the lock, harmless (G9)."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, DeadlineConfig, TimeLimiter, events, subscribe
from recoup._core import chain, emit
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup._core.strategy import Strategy

NAMES = ("on_open", "on_half_open", "on_close")


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was logged in other tests."""
    monkeypatch.setattr(emit, "_logged", set())


def recording(seen: list[str]) -> dict[str, Callable[[], None]]:
    """Make callbacks that write their names down."""
    return {name: functools.partial(seen.append, name) for name in NAMES}


def test_each_transition_is_told_once_and_in_order(both: Both, clock: VirtualClock) -> None:
    """Whatever happens beside them (contract)."""
    seen: list[str] = []
    made = Guarded(both, failure_threshold=2, success_threshold=2, **recording(seen))
    made.call()
    made.fail()
    assert seen == []
    made.fail()
    assert seen == ["on_open"]
    with pytest.raises(CircuitBreakerError):
        made.call()
    clock.advance(60)
    assert made.state == "half_open"
    assert seen == ["on_open"]
    made.fail()
    assert seen == ["on_open", "on_half_open", "on_open"]
    clock.advance(60)
    made.call()
    assert seen[3:] == ["on_half_open"]
    made.call()
    made.call()
    assert seen[4:] == ["on_close"]


def test_on_half_open_runs_before_the_probe(both: Both, clock: VirtualClock) -> None:
    """And the failing call has told its opening before its error comes out (G9)."""
    seen: list[str] = []
    made = Guarded(both, **recording(seen))
    made.fail()
    clock.advance(60)

    def probe() -> None:
        seen.append("probe")

    both.call(made.breaker(both.wrap(probe)))
    assert seen == ["on_open", "on_half_open", "probe", "on_close"]


def test_a_lost_probe_is_told_by_the_call_that_notices(both: Both, clock: VirtualClock) -> None:
    """Also if that call is refused (C5, G9)."""
    seen: list[str] = []
    made = Guarded(both, half_open_timeout=10, **recording(seen))
    made.fail()
    clock.advance(60)
    permit = made.breaker._calls.admit()
    clock.advance(11)
    with pytest.raises(CircuitBreakerError):
        made.call()
    assert seen == ["on_open", "on_half_open", "on_open"]
    del permit


def test_a_callback_that_raises_changes_nothing(
    both: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the state nor what the caller gets; it is logged once (G9, contract)."""

    def broken() -> None:
        raise ZeroDivisionError

    made = Guarded(both, on_open=broken, on_half_open=broken, on_close=broken)
    with caplog.at_level(logging.WARNING, logger="recoup"):
        for _ in range(2):
            error = OSError("down")
            made.fail(error)
            assert error.__context__ is None
            assert made.state == "open"
            clock.advance(60)
            assert made.call("up") == "up"
            assert made.state == "closed"
    assert len(caplog.records) == 1


def test_control_flow_from_a_callback_propagates_and_leaves_nothing_behind(both: Both, clock: VirtualClock) -> None:
    """The transition stands, no probe is lost, and what is untold is told by the next call (G9, G2)."""
    seen: list[str] = []

    def interrupted() -> None:
        seen.append("on_half_open")
        raise GeneratorExit

    made = Guarded(both, half_open_max=1, on_half_open=interrupted, on_close=lambda: seen.append("on_close"))
    made.fail()
    clock.advance(60)
    with pytest.raises(GeneratorExit):
        made.fn().send(None) if both.is_async else made.fn()
    assert made.state == "half_open"
    made.call()
    assert seen == ["on_half_open", "on_close"]


def test_callbacks_run_outside_the_lock(both: Both, clock: VirtualClock) -> None:
    """They may ask and steer the breaker; what that changes is told after them, not within (G9, G7)."""
    seen: list[str] = []
    made: Guarded

    def on_open() -> None:
        seen.append(f"opened, {made.state}")
        made.breaker.reset()
        seen.append("left on_open")

    made = Guarded(both, on_open=on_open, on_close=lambda: seen.append(f"closed, {made.state}"))
    made.fail()
    assert seen == ["opened, open", "left on_open", "closed, closed"]
    assert made.call("through") == "through"


def test_a_callback_may_call_through_the_breaker_while_news_is_pending(both: Both, clock: VirtualClock) -> None:
    """Functions and streams of either colour: nobody else will tell first (G9)."""
    seen: list[Any] = []
    breaker: CircuitBreaker

    def items() -> Any:
        yield "item"

    def on_open() -> None:
        breaker.reset()
        seen.append(breaker(lambda: "function")())
        seen.append(list(breaker(items)()))

    async def on_open_async() -> None:
        breaker.reset()
        seen.append(await breaker(both.wrap(lambda: "function"))())
        seen.append([item async for item in breaker(both.wrap(items))()])

    breaker = CircuitBreaker(
        CircuitBreakerConfig(
            failure_threshold=1,
            on_open=on_open_async if both.is_async else on_open,
            on_close=lambda: seen.append("closed"),
        )
    )
    with pytest.raises(OSError, match="down"):
        both.call(breaker(both.wrap(Service(OSError("down")).__call__)))
    assert seen == ["function", ["item"], "closed"]


@pytest.mark.asyncio_only
@pytest.mark.parametrize(
    "outer",
    [
        pytest.param(lambda: Bulkhead(BulkheadConfig(use_thread_pool=True)), id="bulkhead"),
        pytest.param(lambda: TimeLimiter(DeadlineConfig(seconds=5, mode="thread")), id="deadline"),
    ],
)
def test_an_async_callback_is_refused_where_an_awaited_call_goes_to_a_thread(outer: Callable[[], Strategy]) -> None:
    """A layer outside runs what is in it in a thread, and nothing can be awaited there; never silently (G9)."""
    ran: list[str] = []

    async def on_open() -> None:
        ran.append("on_open")

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, on_open=on_open))
    with pytest.raises(TypeError, match="on_open of circuit_breaker is an async function"):
        chain.composed_async((outer(), breaker), Service())

    async def inside() -> None:
        await chain.composed_async((breaker, outer()), Service(OSError("down")))()

    with pytest.raises(OSError, match="down"):
        asyncio.run(inside())
    assert ran == ["on_open"]


def test_news_of_several_threads_is_told_in_order() -> None:
    """A thread that finds somebody telling leaves its news to it and goes on (G9)."""
    inside, go = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow() -> None:
        inside.set()
        go.wait()
        seen.append("open")

    breaker = CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=1, on_open=slow, on_close=lambda: seen.append("close"))
    )

    def down() -> None:
        raise OSError("down")

    def run() -> None:
        with pytest.raises(OSError, match="down"):
            breaker.call_sync(down)

    thread = threading.Thread(target=run)
    thread.start()
    inside.wait()
    breaker.reset()  # does not wait for the slow callback
    assert seen == []
    assert breaker.call_sync(lambda: "through") == "through"
    go.set()
    thread.join()
    assert seen == ["open", "close"]


async def test_async_callbacks_are_awaited_in_order(clock: VirtualClock) -> None:
    """Before the caller goes on (G9)."""
    seen: list[str] = []

    def slow(name: str) -> Callable[[], Any]:
        async def callback() -> None:
            await asyncio.sleep(1)
            seen.append(name)

        return callback

    answers: list[Any] = [OSError("down"), "up"]

    @circuit_breaker(
        failure_threshold=1,
        success_threshold=1,
        on_open=slow("on_open"),
        on_half_open=slow("on_half_open"),
        on_close=slow("on_close"),
    )
    async def fetch() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(OSError, match="down"):
        await fetch()
    assert seen == ["on_open"]
    clock.advance(60)
    assert await fetch() == "up"
    assert seen == ["on_open", "on_half_open", "on_close"]


async def test_a_task_cancelled_in_a_callback_leaves_telling_to_the_next_call(clock: VirtualClock) -> None:
    """Its own callback is cut off, the ones after it are not lost, and nobody waits for ever (G9, G2)."""
    seen: list[str] = []

    async def on_open() -> None:
        await asyncio.sleep(100)
        seen.append("never")

    breaker = CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=1, on_open=on_open, on_close=lambda: seen.append("closed"))
    )

    async def down() -> None:
        raise OSError("down")

    task = asyncio.create_task(breaker(down)())
    await asyncio.sleep(1)
    breaker.reset()
    await breaker.call(asyncio.sleep, 0)
    assert seen == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await breaker.call(asyncio.sleep, 0)
    assert seen == ["closed"]


def test_async_callbacks_refuse_synchronous_functions() -> None:
    """At decoration, saying what to do instead; blocks at entry (G9)."""

    async def notify() -> None:
        pass

    for name in NAMES:
        breaker = CircuitBreaker(CircuitBreakerConfig(**{name: notify}))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=rf"{name} of circuit_breaker is an async function.*cannot await"):
            breaker(lambda: None)
        with pytest.raises(TypeError, match=f"{name} of circuit_breaker is an async function"):
            breaker.call_sync(lambda: None)
        with pytest.raises(TypeError, match=f"{name} is an async function: use `async with`"), breaker:
            pass


async def test_what_was_done_by_hand_is_told_by_the_next_call_if_callbacks_are_async() -> None:
    """`reset()` cannot await; nothing is lost, and nothing is left un-awaited (G9)."""
    seen: list[str] = []

    async def on_open() -> None:
        await asyncio.sleep(0)
        seen.append("open")

    async def on_close() -> None:
        await asyncio.sleep(0)
        seen.append("close")

    breaker = CircuitBreaker(CircuitBreakerConfig(on_open=on_open, on_close=on_close))
    with breaker.force_open():
        pass
    assert seen == []
    assert await breaker.call(lambda: "through") == "through"
    assert seen == ["open", "close"]


def test_events_tell_what_happened(both: Both, clock: VirtualClock) -> None:
    """Names, times and types; before the callback of the same transition."""
    seen: list[Any] = []
    made = Guarded(both, on_open=lambda: seen.append("on_open"))
    late = made.breaker._calls.admit()
    assert late is not None
    with subscribe(seen.append):
        made.fail(KeyError("secret"))
        made.breaker._calls.circuit.succeeded(late, clock.monotonic())
        clock.advance(60)
        made.call()
        hold = made.breaker.force_open()
        hold.release()
    assert seen == [
        events.CircuitOpened("service", 60.0, "KeyError"),
        "on_open",
        events.CircuitHalfOpened("service"),
        events.CircuitClosed("service"),
        events.CircuitOpened("service", float("inf"), None),
        "on_open",
        events.CircuitClosed("service"),
    ]


def test_what_counts_is_no_news(both: Both, clock: VirtualClock) -> None:
    """Successes and failures that change nothing are told to nobody, recorded under the lock or not (C4)."""
    seen: list[Any] = []
    for judge in (None, lambda result: result == "bad"):
        made = Guarded(both, failure_threshold=4, failure_on_result=judge)
        with subscribe(seen.append):
            made.call()
            made.fail()
            made.call("bad")
            made.call()
    assert seen == []


def test_late_results_are_told(both: Both, clock: VirtualClock) -> None:
    """Success or failure, they decide nothing and are not a secret (C4)."""
    made = Guarded(both)
    seen: list[Any] = []

    def steered(error: Exception | None) -> None:
        made.breaker.reset()
        if error is not None:
            raise error

    fn = made.breaker(both.wrap(steered))
    with subscribe(seen.append):
        both.call(fn, None)
        with pytest.raises(OSError, match="down"):
            both.call(fn, OSError("down"))
    assert seen == [events.LateResultIgnored("service")] * 2
    assert made.breaker.metrics["late"] == 2
    both.call(fn, None)
    assert made.state == CircuitBreakerState.CLOSED.value
