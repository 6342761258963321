"""What a bulkhead promises, in both colours (B1, B2, B6, D1, G2, G3, G5, G11, G13, G16)."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFullError,
    BulkheadTimeoutError,
    DeadlineExceeded,
    bulkhead,
    circuit_breaker,
    deadline,
    retry,
    subscribe,
)
from recoup.events import CallQueued, CallRefused, DeadlineStruck
from recoup.testing import VirtualClock, disabled

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Both

SOON = 0.02  # real seconds: a thread that waits for a lock does so in real time


def returning(function: Callable[[], Any]) -> Any:
    """Look like a plain function."""
    return function()


def never() -> None:
    pytest.fail("it must not be called")


def test_it_passes_arguments_and_results(both: Both) -> None:
    """A call that finds a place is the plain call."""

    @bulkhead
    @both.wrap
    def add(a: int, /, b: int = 2, *rest: int, c: int = 0, **more: int) -> tuple[Any, ...]:
        return a, b, rest, c, more

    assert both.call(add, 1) == (1, 2, (), 0, {})
    assert both.call(add, 1, 3, 4, c=5, d=6) == (1, 3, (4,), 5, {"d": 6})


def test_an_error_comes_out_itself(both: Both) -> None:
    """It is the same object, without context or note of ours, and its place comes back (G3, B3)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))
    error = ValueError("mine")

    def fail() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(ValueError, match="mine") as found:
            both.execute(guard, both.wrap(fail))
        assert found.value is error
    assert (error.__context__, error.__cause__, getattr(error, "__notes__", [])) == (None, None, [])
    assert guard.metrics == {"executed": 3, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


@pytest.mark.parametrize("control", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_gives_the_place_back(both: Both, control: type[BaseException]) -> None:
    """Whatever ends the call, its place comes back once (G2)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))

    def leave() -> None:
        raise control

    protected = guard(both.wrap(leave))
    with pytest.raises(control):
        protected().send(None) if both.is_async else protected()  # no event loop survives these
    assert guard.running == 0


def test_a_full_bulkhead_refuses_at_once(both: Both) -> None:
    """With no room in the queue the error comes at once and says all; the function is not called (B2)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=0), name="db")
    with guard, guard, pytest.raises(BulkheadFullError) as found:
        both.execute(guard, both.wrap(never))
    error = found.value
    assert (error.name, error.max_concurrent, error.max_queue_size, error.waited) == ("db", 2, 0, 0.0)
    assert error.retry_after is None
    assert str(error).startswith("bulkhead 'db' is full: 2 calls run and 0 wait; raise max_concurrent or")
    assert isinstance(error, BulkheadTimeoutError)
    assert pickle.loads(pickle.dumps(error)).__dict__ == copy.deepcopy(error).__dict__ == error.__dict__  # noqa: S301
    assert guard.metrics["rejected"] == 1


def test_out_of_time(both: Both, clock: VirtualClock) -> None:
    """A call that got no place within `queue_timeout` is never made (B2)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, queue_timeout=SOON), name="db")
    with guard, pytest.raises(BulkheadTimeoutError) as found:
        both.execute(guard, both.wrap(never))
    error = found.value
    assert type(error) is BulkheadTimeoutError
    assert isinstance(error, TimeoutError)
    assert (error.name, error.max_concurrent, error.waited, error.retry_after) == ("db", 1, SOON, None)
    assert str(error).startswith("bulkhead 'db' had no place within 0.02 s: 1 calls run at once")
    assert guard.metrics == {"executed": 1, "rejected": 0, "timeout": 1, "running": 0, "waiting": 0, "peak": 1}


def test_no_patience_at_all(both: Both) -> None:
    """`queue_timeout=0` waits for nothing, but takes a place that is free (B2)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, queue_timeout=0))
    assert both.execute(guard, both.wrap(lambda: "in")) == "in"
    with guard, pytest.raises(BulkheadTimeoutError, match="within 0 s"):
        both.execute(guard, both.wrap(never))


def limited(both: Both, seconds: float, function: Any) -> Any:
    """Put a deadline round a function of either colour."""
    return (deadline(seconds) if both.is_async else deadline(seconds, mode="cooperative"))(function)


def test_a_deadline_that_strikes_in_the_queue(both: Both, clock: VirtualClock) -> None:
    """The nearer of `queue_timeout` and deadline ends the wait; the deadline's error says it did not start (D1, B2)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, queue_timeout=60), name="db")
    seen: list[Any] = []

    @both.wrap
    def work() -> None:
        never()

    call = limited(both, SOON, guard(work))
    with guard, subscribe(seen.append), pytest.raises(DeadlineExceeded) as found:
        both.call(call)
    assert found.value.started is False
    assert found.value.seconds == SOON
    assert [type(event) for event in seen] == [CallQueued, DeadlineStruck]
    assert guard.metrics == {"executed": 1, "rejected": 0, "timeout": 1, "running": 0, "waiting": 0, "peak": 1}


def test_a_deadline_further_away_than_the_queue_timeout(both: Both, clock: VirtualClock) -> None:
    """Then it is the queue that was too slow (D1)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, queue_timeout=SOON))

    @both.wrap
    def work() -> None:
        never()

    with guard, pytest.raises(BulkheadTimeoutError):
        both.call(limited(both, 60, guard(work)))


def test_a_deadline_that_is_over_already(both: Both, clock: VirtualClock) -> None:
    """With no time left nobody waits; `started` is False (D1)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1), name="db")

    @both.wrap
    def work() -> None:
        never()

    @both.wrap
    def slow() -> Any:
        clock.advance(5)
        return guard.execute(work) if both.is_async else guard.execute_sync(work)

    with guard, pytest.raises(DeadlineExceeded) as found:
        both.call(limited(both, 1, slow))
    assert found.value.started is False


async def test_time_in_the_queue_counts(clock: VirtualClock) -> None:
    """A call that waited has only the rest of its deadline to run (D1)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1))

    @deadline(3)
    @guard
    async def work(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    first = asyncio.create_task(work(2))
    second = asyncio.create_task(work(2))
    assert await first == "done"
    with pytest.raises(DeadlineExceeded) as found:
        await second
    assert found.value.started is True
    assert clock.monotonic() == 1003
    assert guard.running == 0


async def test_first_come_first_served(clock: VirtualClock) -> None:
    """Whoever came first is served first (B1)."""
    order: list[int] = []

    @bulkhead(max_concurrent=1)
    async def work(number: int) -> None:
        order.append(number)
        await asyncio.sleep(1)

    await asyncio.gather(*(work(number) for number in range(20)))
    assert order == list(range(20))


def test_switched_off(both: Both) -> None:
    """With recovery off a full bulkhead lets run without a place; elsewhere the limit stays (G16)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))

    @guard
    @both.wrap
    def work() -> str:
        return "ran"

    with guard:
        with disabled():
            assert both.call(work) == "ran"
            with guard:
                assert guard.running == 1
        assert guard.running == 1
        with pytest.raises(BulkheadFullError):
            both.call(work)
    assert guard.metrics == {"executed": 1, "rejected": 1, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}
    assert both.call(work) == "ran"


def test_events(both: Both, clock: VirtualClock) -> None:
    """Waiting and refusing are told, outside the lock (G9)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=1, queue_timeout=SOON), name="db")
    seen: list[Any] = []

    def listen(event: Any) -> None:
        seen.append((event, guard.running))  # would deadlock under the lock

    with guard, subscribe(listen):
        with pytest.raises(BulkheadTimeoutError):
            both.execute(guard, both.wrap(never))
        assert seen == [(CallQueued("db", 1), 1), (CallRefused("db", "bulkhead", None), 1)]


def test_a_full_queue_is_told(both: Both) -> None:
    """A refusal at once is one event (G9)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0), name="db")
    seen: list[Any] = []
    with guard, subscribe(seen.append), pytest.raises(BulkheadFullError):
        both.execute(guard, both.wrap(never))
    assert seen == [CallRefused("db", "bulkhead", None)]


def test_a_listener_that_leaves(both: Both) -> None:
    """Control flow from a listener takes the call out of the queue again (G9, G2)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1))

    class Exit(BaseException):
        pass

    def leave(event: Any) -> None:
        raise Exit

    with guard, subscribe(leave), pytest.raises(Exit):
        both.execute(guard, both.wrap(never))
    assert guard.metrics == {"executed": 1, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


def test_a_refusal_says_nothing_about_the_dependency(both: Both, clock: VirtualClock) -> None:
    """A breaker outside does not count it, and a retry outside does not repeat it unless told to (G13)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))
    calls = 0

    @both.wrap
    def work() -> str:
        nonlocal calls
        calls += 1
        return "ran"

    broken = circuit_breaker(failure_threshold=1)(guard(work))
    repeated = retry(on=Exception, initial_delay=0)(guard(work))
    stubborn = retry(on=BulkheadFullError, max_attempts=3, initial_delay=0)(guard(work))
    with guard:
        for _ in range(3):
            with pytest.raises(BulkheadFullError):
                both.call(broken)
        with pytest.raises(BulkheadFullError):
            both.call(repeated)
        assert guard.metrics["rejected"] == 4
        with pytest.raises(BulkheadFullError):
            both.call(stubborn)
        assert guard.metrics["rejected"] == 7
    assert both.call(broken) == "ran"
    assert calls == 1


def test_metrics_off() -> None:
    """`track_metrics=False` empties the mapping; the properties still tell (B6)."""
    guard = Bulkhead(BulkheadConfig(track_metrics=False))
    with guard:
        assert (guard.metrics, guard.running, guard.waiting) == ({}, 1, 0)


def test_metrics_are_a_snapshot() -> None:
    """What was read does not change, and changing it changes nothing."""
    guard = Bulkhead()
    before: Any = guard.metrics
    with guard:
        assert before["running"] == 0
        before["executed"] = 99
        assert guard.metrics["executed"] == 1


def test_name_and_repr() -> None:
    """The name is given, or that of the first function; `repr` shows the state."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=3, max_queue_size=7))
    assert guard.name == "bulkhead"

    @guard
    def work() -> str:
        return repr(guard)

    assert work().endswith(".work' running=1/3 waiting=0/7>")
    assert repr(Bulkhead(name="db")) == "<Bulkhead 'db' running=0/10 waiting=0/100>"


def test_ways_to_write_it() -> None:
    """Bare, with keywords, with a config, with a shared object (house rule)."""
    config = BulkheadConfig(max_concurrent=2)
    shared = bulkhead(config, name="shared")
    assert (shared.name, shared.config) == ("shared", config)
    assert bulkhead(shared) is shared
    assert bulkhead(max_concurrent=4).config.max_concurrent == 4
    assert bulkhead()(len)("abc") == 3
    assert bulkhead(len)("abc") == 3


def test_every_kind_of_callable(both: Both) -> None:
    """Methods, classmethods, staticmethods, partials and callable objects share the limit of their bulkhead (G5)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))

    class Service:
        @guard
        @both.wrap
        def method(self, x: int) -> tuple[str, int]:
            return type(self).__name__, guard.running

        @guard
        @classmethod
        @both.wrap
        def of_class(cls, x: int) -> tuple[str, int]:
            return cls.__name__, guard.running

        @staticmethod
        @guard
        @both.wrap
        def static(x: int) -> tuple[str, int]:
            return "static", guard.running

    service = Service()
    assert both.call(service.method, 1) == ("Service", 1)
    assert both.call(Service.of_class, 1) == ("Service", 1)
    assert both.call(service.static, 1) == ("static", 1)
    part = guard(functools.partial(both.wrap(lambda a, b: (a, b, guard.running)), 1))
    assert both.call(part, 2) == (1, 2, 1)
    assert guard.running == 0


async def test_a_plain_function_that_returns_a_coroutine() -> None:
    """The place is held until that coroutine has ended (G5, B3)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))

    async def work() -> int:
        await asyncio.sleep(0)
        return guard.running

    hidden: Callable[[], Any] = guard(functools.partial(returning, work))
    assert await hidden() == 1
    assert await guard.execute(returning, work) == 1
    assert guard.running == 0


def test_a_function_that_calls_itself_needs_a_place_for_each_level(both: Both) -> None:
    """Nested calls count each (documented)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=0))
    inner: Any

    @both.wrap
    def work(depth: int) -> Any:
        return guard.running if depth == 0 else inner(depth - 1)

    inner = guard(work)
    assert both.call(inner, 1) == 2
    with pytest.raises(BulkheadFullError):
        both.call(inner, 2)
    assert guard.running == 0


@pytest.mark.parametrize("how", ["fails", "is refused", "is late"])
def test_a_failed_call_keeps_nothing_alive(both: Both, how: str) -> None:
    """No reference cycle of ours holds the caller's locals (G11)."""
    config = BulkheadConfig(max_concurrent=1, max_queue_size=int(how == "is late"), queue_timeout=0)
    guard = Bulkhead(config)

    class Local:
        pass

    def fail(local: Local) -> None:
        raise ValueError

    protected = guard(both.wrap(fail))

    def attempt() -> Any:
        local = Local()
        with contextlib.suppress(ValueError, BulkheadTimeoutError):
            protected(local)
        return weakref.ref(local)

    async def attempt_async() -> Any:
        local = Local()
        with contextlib.suppress(ValueError, BulkheadTimeoutError):
            await protected(local)
        return weakref.ref(local)

    gc.disable()
    try:
        with guard if how != "fails" else contextlib.nullcontext():
            assert both.call(attempt_async if both.is_async else attempt)() is None
    finally:
        gc.enable()
    assert guard.metrics["executed"] == 1


def test_one_limit_over_threads_and_loops() -> None:
    """Threads, two asyncio loops and the same thread's blocks share one limit (B1; peers ran 6 of 1)."""
    guard = Bulkhead(BulkheadConfig(max_concurrent=3, max_queue_size=1000))
    lock = threading.Lock()
    inside = most = 0

    def enter() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def leave() -> None:
        nonlocal inside
        with lock:
            inside -= 1

    @guard
    def plain() -> None:
        enter()
        leave()

    @guard
    async def coloured() -> None:
        enter()
        await asyncio.sleep(0)
        leave()

    async def loop() -> None:
        await asyncio.gather(*(coloured() for _ in range(100)))

    def threadful() -> None:
        for _ in range(100):
            plain()

    work: list[Callable[[], Any]] = [threadful, threadful, lambda: asyncio.run(loop()), lambda: asyncio.run(loop())]
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 3
    assert {**guard.metrics, "peak": 0} == {
        "executed": 400,
        "rejected": 0,
        "timeout": 0,
        "running": 0,
        "waiting": 0,
        "peak": 0,
    }
