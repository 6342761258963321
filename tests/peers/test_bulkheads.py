"""Faults of bulkheads that were seen in published libraries (peers.md)."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from recoup import Bulkhead, BulkheadConfig, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerState
from recoup.testing import VirtualClock, run
from tests.peers import naive
from tests.peers.judge import only_ours


def bulkhead(limit: int) -> Bulkhead:
    return Bulkhead(BulkheadConfig(max_concurrent=limit))


def test_a_cancelled_waiter_leaks_no_place(clock: VirtualClock) -> None:
    """B3: whoever is cancelled as the place is handed over gives it back (aioresilience: 0 of 2 left)."""

    def promise(gate: Any) -> None:
        async def main() -> int:
            async def work() -> None:
                await asyncio.sleep(1)

            running = asyncio.ensure_future(gate.execute(work))
            waiting = asyncio.ensure_future(gate.execute(work))
            await asyncio.sleep(0)
            await asyncio.sleep(1)
            waiting.cancel()  # it was handed the place in this very round of the loop, and has not run since
            await asyncio.wait([running, waiting])
            try:
                await asyncio.wait_for(gate.execute(work), 3)
            except TimeoutError:
                return 0
            return 1

        assert run(main(), clock=clock) == 1

    only_ours(promise, bulkhead(1), naive.Bulkhead(1))


def test_it_serves_one_loop_after_the_other() -> None:
    """B1: an object made at import serves every loop (interlock, grelmicro, aioresilience are bound to the first)."""

    def promise(gate: Any) -> None:
        began, ended = threading.Event(), threading.Event()
        answers: list[object] = []

        async def work() -> str:
            began.set()
            while not ended.is_set():  # noqa: ASYNC110 - it is set by a thread
                await asyncio.sleep(0.001)
            return "served"

        def serve() -> None:
            try:
                answers.append(asyncio.run(asyncio.wait_for(gate.execute(work), 3)))
            except Exception as error:  # noqa: BLE001 - shown below
                answers.append(error)

        first, second = threading.Thread(target=serve), threading.Thread(target=serve)
        first.start()
        assert began.wait(5)
        second.start()
        while not (getattr(gate, "waiting", 0) or getattr(gate, "queue", ())):
            time.sleep(0.001)
        time.sleep(0.05)  # the second loop is asleep by now
        handed = time.monotonic()
        ended.set()
        first.join()
        second.join()
        assert answers == ["served", "served"]
        assert time.monotonic() - handed < 1.5

    only_ours(promise, bulkhead(1), naive.Bulkhead(1))


def test_one_limit_holds_over_all_loops() -> None:
    """B1: six loops in six threads, one place, one at a time (nopanic, resilix, pyresilience: 6 of 1 ran)."""

    def promise(gate: Any) -> None:
        running, peak, lock = 0, 0, threading.Lock()

        async def work() -> None:
            nonlocal running, peak
            with lock:
                running += 1
                peak = max(peak, running)
            await asyncio.sleep(0.02)
            with lock:
                running -= 1

        threads = [threading.Thread(target=lambda: asyncio.run(gate.execute(work))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert peak == 1

    only_ours(promise, bulkhead(1), naive.LoopBulkhead(1))


def test_a_full_bulkhead_opens_no_circuit(clock: VirtualClock) -> None:
    """G13: our own refusals say nothing about a healthy service (nopanic, interlock open the circuit)."""

    def promise(gate: Any) -> None:
        breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=3))

        @breaker
        @gate
        async def work() -> str:
            await asyncio.sleep(1)
            return "served"

        async def main() -> None:
            await asyncio.gather(*(work() for _ in range(9)), return_exceptions=True)

        run(main(), clock=clock)
        assert breaker.state is CircuitBreakerState.CLOSED

    only_ours(promise, Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0)), naive.RefusingBulkhead(1))
