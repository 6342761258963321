"""One limit over threads, tasks and loops; cancellation, forks, finalisers (L1, G2, G7, G18)."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from recoup import DeadlineExceeded, RateLimitConfig, RateLimiter, RateLimitExceeded, deadline
from recoup._core import clock as seam
from recoup._core import waiting
from recoup.strategies.rate_limit import desk as desk_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recoup.testing import VirtualClock


@pytest.fixture
def switching() -> Iterator[None]:
    """Have threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def made(**options: Any) -> RateLimiter:
    return RateLimiter(RateLimitConfig(**{"rate": 10, "burst": 1, **options}))


@pytest.mark.parametrize("gil", [True, False])
@pytest.mark.parametrize("mode", ["smooth", "window"])
@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.usefixtures("switching")
def test_threads_never_take_more_than_there_is(
    keyed: bool, mode: Any, gil: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 threads, exactly as many calls get through as there are permits, with the lock and without it (G7)."""
    monkeypatch.setattr(desk_module, "_GIL", gil)
    options: dict[str, Any] = {"key": lambda: "one"} if keyed else {}
    limiter = RateLimiter(RateLimitConfig(rate=500, per=86_400, max_wait=0, mode=mode, **options))
    through = []

    @limiter
    def work() -> None:
        through.append(1)

    def call() -> None:
        for _ in range(150):
            with suppress(RateLimitExceeded):
                work()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(through) == 500
    assert limiter.metrics["refused"] == 700


def test_threads_and_loops_share_one_limit() -> None:
    """Threads, asyncio loops and Trio runs together keep to the one rate (L1)."""
    import trio

    limiter = made(rate=200)
    begun: list[float] = []

    @limiter
    def work() -> None:
        begun.append(time.monotonic())

    @limiter
    async def work_later() -> None:
        begun.append(time.monotonic())

    async def several() -> None:
        await asyncio.gather(*(work_later() for _ in range(10)))

    async def several_in_trio() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(work_later)

    threads = [
        threading.Thread(target=lambda: [work() for _ in range(10)]),
        threading.Thread(target=lambda: asyncio.run(several())),
        threading.Thread(target=lambda: asyncio.run(several())),
        threading.Thread(target=lambda: trio.run(several_in_trio)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 40
    assert max(begun) - min(begun) >= 39 / 200 - 0.01


@pytest.mark.parametrize(("mode", "rate"), [("smooth", 1), ("smooth", 5), ("window", 1), ("window", 5), ("window", 20)])
async def test_first_come_first_served(clock: VirtualClock, mode: Any, rate: int) -> None:
    """Calls begin in the order in which they came, also those that wait for the same slice of a window (L1)."""
    limiter = made(burst=None if mode == "window" else 1, rate=rate, mode=mode, max_wait=1000)
    order: list[int] = []

    async def work(number: int) -> None:
        order.append(number)

    tasks = [asyncio.ensure_future(limiter.execute(work, number)) for number in range(50)]
    await asyncio.sleep(0.1)
    assert not limiter.try_acquire()
    await asyncio.gather(*tasks)
    assert order == list(range(50))
    took = 49 / rate if mode == "smooth" else -(-50 // rate) - 1
    assert clock.monotonic() - 1000 == pytest.approx(took, abs=0.01)


@pytest.mark.parametrize("mode", ["smooth", "window"])
@pytest.mark.parametrize("backwards", [False, True])
async def test_cancelled_calls_give_back(clock: VirtualClock, mode: Any, backwards: bool) -> None:
    """Calls that are cancelled while they wait leave nothing behind, and their functions never run (G2, L1)."""
    limiter = made(burst=None if mode == "window" else 1, rate=1, mode=mode, max_wait=1000)
    ran: list[int] = []
    tasks = [asyncio.ensure_future(limiter.execute(ran.append, number)) for number in range(100)]
    await asyncio.sleep(0.5)
    assert ran == [0]
    for task in reversed(tasks[1:]) if backwards else tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    began = clock.monotonic()
    await limiter.execute(ran.append, 100)
    assert clock.monotonic() - began == pytest.approx(0.5)
    assert ran == [0, 100]


async def test_cancelled_at_every_await(clock: VirtualClock) -> None:
    """Whichever error comes out of the wait, the permit goes back exactly once (G2)."""
    limiter = made(rate=1, max_wait=1000)
    assert limiter.try_acquire()
    for error in (asyncio.CancelledError, KeyboardInterrupt, ValueError):
        call = limiter.execute(len, "abc")
        call.send(None)
        assert limiter._desk.only.queued == 1
        with pytest.raises(error):
            call.throw(error)
        assert limiter._desk.only.queued == 0
        assert not limiter._desk._returned
    call = limiter.execute(len, "abc")
    call.send(None)
    call.close()
    assert limiter._desk.only.queued == 0
    assert limiter.available() == 0


def test_interrupted_in_plain_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the wait gives the permit back (G2)."""
    limiter = made(rate=1, max_wait=1000)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(seam, "rest", interrupted)
    limiter.acquire()
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            limiter.acquire()
        assert limiter._desk.only.queued == 0
    assert limiter.available() == 0


def test_dropped_coroutines_give_back() -> None:
    """A wait that the collector ends gives its permit back without the lock (G7)."""
    limiter = made(rate=1, max_wait=1000)

    async def main() -> None:
        limiter.try_acquire()
        call: Any = limiter.execute(len, "abc")
        call.send(None)
        with limiter._desk._lock:
            holder = threading.Thread(target=call.close)
            holder.start()
            holder.join(10)
            assert not holder.is_alive()
            assert len(limiter._desk._returned) == 1

    asyncio.run(main())
    gc.collect()
    limiter.available()
    assert limiter._desk.only.queued == 0


async def test_a_deadline_that_strikes_while_waiting() -> None:
    """If the timer of a deadline fires in the wait all the same, the function was never asked (G13)."""
    limiter = made(rate=1, per=0.1, max_wait=1000)
    await limiter.acquire_async()
    real = seam.rest_async

    @deadline(0.15)
    async def work() -> None:
        await limiter.execute(print, "never")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seam, "rest_async", lambda waiter, seconds: real(waiter, seconds + 10))
        with pytest.raises(DeadlineExceeded) as caught:
            await work()
    assert caught.value.started is False
    assert limiter.metrics["waited"] == 1


def test_a_signal_handler_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call from a signal handler or a finaliser inside a decision neither hangs nor counts wrongly (G7)."""
    limiter = RateLimiter(RateLimitConfig(rate=5, per=3600, max_wait=0, key=lambda: "a"))
    inside: list[bool] = []
    real = seam.monotonic

    def handler(*_: object) -> None:
        monkeypatch.setattr(seam, "monotonic", real)
        inside.append(limiter.try_acquire(key="a"))

    before = signal.signal(signal.SIGUSR1, handler)

    def interrupting() -> float:
        os.kill(os.getpid(), signal.SIGUSR1)
        return real()

    monkeypatch.setattr(seam, "monotonic", interrupting)
    try:
        assert limiter.try_acquire(key="a")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert inside == [True]
    assert limiter.available(key="a") == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("mode", ["smooth", "window"])
def test_forked_children(mode: Any) -> None:
    """A child has a lock of its own, what was taken stays taken, and nobody waits there (G18)."""
    limiter = made(rate=10, per=3600, burst=None, mode=mode, max_wait=7200)
    keyed = made(rate=10, per=3600, burst=None, mode=mode, max_wait=7200, key=str)
    assert limiter.try_acquire(10)
    assert keyed.try_acquire(4, key="a")
    for _ in range(3):
        assert limiter._desk.claim(desk_module.Demand(1), 7200, 9000, waiting.for_thread) is not None
    with limiter._desk._lock:
        child = os.fork()
        if not child:
            done = threading.Event()

            def work() -> None:
                first: Any = limiter._desk.claim(desk_module.Demand(1), 0, 9000, waiting.for_thread)
                as_new = 360 if mode == "smooth" else 3600
                if keyed.available(key="a") == 6 and as_new - 5 < first <= as_new:
                    done.set()

            threading.Thread(target=work, daemon=True).start()
            os._exit(0 if done.wait(10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    parents: Any = limiter._desk.claim(desk_module.Demand(1), 0, 9000, waiting.for_thread)
    assert parents > (1400 if mode == "smooth" else 3500)


@pytest.mark.parametrize("keyed", [False, True])
def test_what_a_child_does(keyed: bool) -> None:
    """The same in this process, step by step: a new lock, no claims, the permits as they were (G18)."""
    limiter = made(rate=4, per=3600, burst=None, max_wait=7200, **({"key": str} if keyed else {}))
    demand = desk_module.Demand(1, "a" if keyed else None)
    desk = limiter._desk
    turns: list[Any] = [desk.claim(demand, 7200, 9000, waiting.for_thread) for _ in range(6)]
    desk._returned.append(turns[-1])
    lock = desk._lock
    desk.after_fork()
    assert desk._lock is not lock
    assert not desk._returned
    assert desk.available(demand.key) == 0
    desk.give_back(turns[-2])
    assert desk.claim(demand, 0, 9000, waiting.for_thread) == pytest.approx(900, abs=5)


def test_a_copy_is_the_limiter_itself() -> None:
    """What makes a limiter is what it shares."""
    import copy

    limiter = made()
    assert copy.copy(limiter) is copy.deepcopy(limiter) is limiter


def test_no_cycles_after_a_refusal() -> None:
    """A refused call keeps nothing of its caller's alive (G11)."""
    import weakref

    class Thing:
        pass

    limiter = made(max_wait=0)

    @limiter
    def work(thing: Thing) -> None:
        del thing

    def caller() -> weakref.ref[Thing]:
        thing = Thing()
        work(thing)
        with suppress(RateLimitExceeded):
            work(thing)
        return weakref.ref(thing)

    gc.disable()
    try:
        assert caller()() is None
    finally:
        gc.enable()
