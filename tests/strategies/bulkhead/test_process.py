"""Signals, finalisers and forks (G2, G7, G18)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, BulkheadTimeoutError
from tests.strategies.bulkhead.patience import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Alarm(BaseException):
    """What a signal handler raises, between any two steps."""


@contextlib.contextmanager
def alarms(handler: Callable[..., Any], every: float) -> Iterator[None]:
    """Have a handler called at real, irregular moments."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, every, every)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, **options}))


@pytest.mark.slow
@pytest.mark.parametrize("queue_timeout", [0, 30.0])
def test_an_interrupt_between_any_two_steps_loses_no_place(queue_timeout: float) -> None:
    """Thousands of exceptions out of nowhere: afterwards every place is free, and the bulkhead works (G2).

    In between, another thread takes and gives places, so that calls wait and are handed places as well.
    """
    guard = made(queue_timeout=queue_timeout)
    protected = guard(sum)
    stop = threading.Event()
    armed = False
    interrupts = 0

    def ring(*_: Any) -> None:
        nonlocal armed
        if armed:
            armed = False  # one for each call: an interrupt in the midst of clean-up after another is hopeless
            raise Alarm

    def call() -> None:
        nonlocal armed
        armed = True
        with contextlib.suppress(BulkheadTimeoutError):
            protected((1, 2))
        armed = False

    def others() -> None:
        while not stop.is_set():
            with contextlib.suppress(BulkheadTimeoutError):
                protected((1, 2))

    other = threading.Thread(target=others)
    other.start()
    try:
        with alarms(ring, 0.0002):
            while interrupts < 3000:
                try:
                    call()
                except Alarm:
                    interrupts += 1
    finally:
        stop.set()
        other.join(10)
    gc.collect()
    assert (guard.running, guard.waiting) == (0, 0)
    assert protected((1, 2)) == 3
    assert guard.metrics["peak"] == 1


def test_a_signal_handler_calls_while_the_bulkhead_decides() -> None:
    """A handler that interrupts any step of a call, and makes calls itself, gets an answer and blocks nothing (G7)."""
    guard = made(max_concurrent=2, queue_timeout=0)
    outcomes: list[str] = []

    def handle(*_: Any) -> None:
        try:
            outcomes.append(guard.execute_sync(str, "ran"))
        except BulkheadTimeoutError as error:
            outcomes.append(type(error).__name__)

    with alarms(handle, 0.0002):
        while len(outcomes) < 500:
            with contextlib.suppress(BulkheadTimeoutError), guard, guard:
                pass
    assert set(outcomes) <= {"ran", "BulkheadFullError", "BulkheadTimeoutError"}
    assert "ran" in outcomes
    assert (guard.running, guard.waiting) == (0, 0)


def test_a_signal_handler_gives_a_place_back_to_a_sleeping_loop() -> None:
    """A place that a handler gives back wakes a task whose loop sleeps (G7)."""
    guard = made()

    async def main() -> str:
        def leave(*_: Any) -> None:
            guard.__exit__(None, None, None)

        async def work() -> str:
            return "served"

        guard.__enter__()
        with alarms(leave, 0.05):
            task = asyncio.ensure_future(guard.execute(work))
            result = await asyncio.wait_for(task, 10)
            signal.setitimer(signal.ITIMER_REAL, 0)
        return result

    assert asyncio.run(main()) == "served"


def stream(guard: Bulkhead) -> Any:
    @guard
    def numbers() -> Any:
        while True:
            yield 1

    made = numbers()
    next(made)
    return made


def test_a_finaliser_that_runs_in_another_thread_wakes_a_thread() -> None:
    """A generator collected by whoever happens to run the collector hands its place to the one who waits (G7)."""
    guard = made()
    served = threading.Event()
    cycle: list[Any] = [stream(guard)]
    cycle.append(cycle)
    waiter = threading.Thread(target=guard.execute_sync, args=(served.set,))
    waiter.start()
    until(lambda: guard.waiting)
    del cycle
    assert not served.is_set()
    gc.collect()
    assert served.wait(10)
    waiter.join()


def test_a_finaliser_may_call() -> None:
    """A destructor that makes a call of its own, while the bulkhead is at work, gets a place or a refusal (G7)."""
    guard = made(queue_timeout=0)
    outcomes: list[str] = []

    class Calls:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                outcomes.append(guard.execute_sync(str, "ran"))
            except BulkheadTimeoutError as error:
                outcomes.append(type(error).__name__)

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Calls()
            with contextlib.suppress(BulkheadTimeoutError), guard, guard:
                pass
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(outcomes) == 300
    assert (guard.running, guard.waiting) == (0, 0)


def test_a_forked_child_begins_anew() -> None:
    """The child of a process whose bulkhead is full and has a queue runs at once, and ends what it inherited (G18)."""
    guard = made(queue_timeout=0)

    @guard
    def work() -> int:
        child = os.fork()
        if not child:
            return 1
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    parent = os.getpid()
    waiting = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with guard:
            waiting.set()
            release.wait(10)

    result = -1
    try:
        result = work()
        if os.getpid() != parent:
            result = guard.running  # the inherited call has ended
            result += 2 * (guard.execute_sync(lambda: guard.running) != 1)
            result += 4 * (guard.metrics != dict.fromkeys(guard.metrics, 0) | {"executed": 1, "peak": 1})
    finally:
        if os.getpid() != parent:
            os._exit(result)
    assert result == 0
    assert guard.running == 0
    holder = threading.Thread(target=hold)
    holder.start()
    waiting.wait(10)
    child = os.fork()
    if not child:
        os._exit(guard.execute_sync(len, "abc"))
    release.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_counters_are_exact_under_threads() -> None:
    """Sixteen threads that switch as often as they can: not one call is missing (G7, B6)."""
    guard = made(max_concurrent=4, max_queue_size=1000)
    protected = guard(len)

    def work() -> None:
        for _ in range(200):
            protected("")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    metrics = guard.metrics
    assert metrics["executed"] == 3200
    assert (metrics["running"], metrics["waiting"], metrics["timeout"], metrics["rejected"]) == (0, 0, 0, 0)
    assert metrics["peak"] <= 4
