"""Signals, finalisers and forks (G2, G7, G18).

The wilder ones run in a process of their own, without a tracer: an exception or a destructor in the midst of a tracer's
own lock is the end of it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from recoup import Bulkhead, BulkheadConfig
from tests.strategies.bulkhead.patience import until
from tests.strategies.bulkhead.storms import alarms


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, **options}))


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


@pytest.mark.slow
@pytest.mark.parametrize("storm", ["interrupts_without_patience", "interrupts", "handlers", "finalisers"])
def test_storm(storm: str) -> None:
    """Thousands of interrupts, signal handlers and destructors between any two steps lose no place (G2, G7)."""
    untraced = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.strategies.bulkhead.storms", storm],
        env=untraced | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")


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
