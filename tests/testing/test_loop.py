"""What the virtual event loop promises."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from recoup._core import clock as seam
from recoup.testing import VirtualClock, VirtualEventLoop, loop, run

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_timers_cost_nothing_and_agree_with_the_clock(clock: VirtualClock) -> None:
    """`asyncio.sleep`, `call_later` and `asyncio.timeout` follow the virtual clock, in the right order."""
    real, began, seen = time.monotonic(), clock.monotonic(), list[str]()
    running = asyncio.get_running_loop()
    assert running.time() == clock.monotonic()
    running.call_later(2, seen.append, "two")
    running.call_later(1, seen.append, "one")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
    assert clock.monotonic() - began == 3600
    await asyncio.sleep(86400 * 3)
    assert clock.monotonic() - began == 3600 + 86400 * 3
    assert seen == ["one", "two"]
    assert time.monotonic() - real < 5


async def test_wait_for_follows_the_clock(clock: VirtualClock) -> None:
    """`asyncio.wait_for` costs nothing either."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 3600)
    assert clock.monotonic() == 4600


async def test_parallel_sleeps_overlap(clock: VirtualClock) -> None:
    """A hundred tasks that sleep a second take a second together."""
    began = clock.monotonic()
    await asyncio.gather(*(asyncio.sleep(1) for _ in range(100)))
    assert clock.monotonic() - began == 1


async def test_advance_fires_due_timers(clock: VirtualClock) -> None:
    """Moving the clock by hand makes timers due."""
    seen: list[float] = []
    asyncio.get_running_loop().call_later(10, lambda: seen.append(clock.monotonic()))
    clock.advance(25)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == [1025]


async def test_threads_wake_the_loop_that_has_no_timer(clock: VirtualClock) -> None:
    """With nothing scheduled the loop really blocks until a thread calls."""
    began = clock.monotonic()

    def work() -> str:
        time.sleep(0.05)
        return "from the thread"

    assert await asyncio.to_thread(work) == "from the thread"
    assert clock.monotonic() == began


async def test_a_thread_that_is_done_beats_a_distant_timer(clock: VirtualClock) -> None:
    """Work in a thread that ends at once is not overtaken by a timer far away."""
    began = clock.monotonic()
    for number in range(50):
        async with asyncio.timeout(3600):
            assert await asyncio.to_thread(abs, -number) == number
    assert clock.monotonic() == began


async def test_a_thread_that_hangs_does_not_hold_the_clock(clock: VirtualClock) -> None:
    """A timer still fires while a thread works on for longer than the grace."""
    began, stop = clock.monotonic(), threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await asyncio.to_thread(stop.wait, 30)
    stop.set()
    assert clock.monotonic() - began == 60


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave threads that other tests left behind out of the count."""
    count = threading.active_count
    strangers = count() - 1
    monkeypatch.setattr(threading, "active_count", lambda: count() - strangers)


@pytest.mark.usefixtures("alone")
async def test_patience_ends_with_the_work(clock: VirtualClock) -> None:
    """The loop waits longest while a worker owes it an answer, and not at all when it is alone."""
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualEventLoop)
    assert running._patience() == 0
    stop = threading.Event()
    work = running.run_in_executor(None, stop.wait, 30)
    assert running._patience() == 0.2
    stop.set()
    await work
    assert running._patience() == 0.02  # the idle worker is a thread like any other


async def test_io_comes_before_timers(clock: VirtualClock) -> None:
    """Bytes that are there are read before the clock moves."""
    began = clock.monotonic()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.send(b"here")
        async with asyncio.timeout(1):
            assert await asyncio.get_running_loop().sock_recv(left, 10) == b"here"
    assert clock.monotonic() == began


def test_shutdown_waits_for_workers_in_real_time(clock: VirtualClock) -> None:
    """The end of a run joins worker threads without moving the clock, so its own time limit never strikes."""

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.2)

    began = clock.monotonic()
    run(main())
    assert clock.monotonic() == began


def test_several_loops_share_a_clock(clock: VirtualClock) -> None:
    """Loops in different threads agree on the time and all come to an end."""

    def work(seconds: float) -> float:
        run(asyncio.sleep(seconds))
        return clock.monotonic()

    began = clock.monotonic()
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(work, [1, 5, 10]))
    assert all(end >= began + seconds for end, seconds in zip(ends, [1, 5, 10], strict=True))
    assert clock.monotonic() <= began + 16


@pytest.fixture
def impatient(alone: None, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the loop see a deadlock nearly at once."""
    monkeypatch.setattr(loop, "_HOPELESS", 0.01)


@pytest.mark.usefixtures("impatient")
def test_deadlock_is_reported() -> None:
    """A loop that nothing can wake any more says so instead of hanging the test run."""
    with pytest.raises(RuntimeError, match="deadlock: every task waits"):
        run(asyncio.Event().wait())


def test_without_a_virtual_clock_it_is_a_common_loop() -> None:
    """Outside a `VirtualClock` the loop runs in real time."""
    real = time.monotonic()
    run(asyncio.sleep(0.05))
    assert time.monotonic() - real >= 0.045


def test_own_clock_needs_not_be_active() -> None:
    """A clock given to the loop drives it without replacing recoup's."""
    clock = VirtualClock(start=0)
    run(asyncio.sleep(7), clock=clock)
    assert clock.monotonic() == 7


def test_selector_is_complete() -> None:
    """Readers and writers can be added, changed and removed as on any loop."""
    left, right = socket.socketpair()
    seen: list[str] = []

    def write(running: asyncio.AbstractEventLoop) -> None:
        seen.append("writable")
        running.remove_writer(left)

    def read(running: asyncio.AbstractEventLoop) -> None:
        seen.append(left.recv(9).decode())
        running.remove_reader(left)

    async def main() -> None:
        running = asyncio.get_running_loop()
        running.add_writer(left, write, running)
        running.add_reader(left, read, running)
        await asyncio.sleep(1)
        right.send(b"bytes")
        await asyncio.sleep(1)

    with left, right, VirtualClock() as clock:
        run(main())
        assert clock.monotonic() == 1002
    assert seen == ["writable", "bytes"]


def test_loops_can_be_told_apart_by_clock() -> None:
    """A loop tells which clock drives it."""
    clock = VirtualClock()
    running = VirtualEventLoop(clock)
    assert running.clock is clock
    running.close()


async def test_parallel_pauses_of_recoup_overlap(clock: VirtualClock) -> None:
    """A hundred tasks that recoup lets wait a second wait a second together, each of them on the record."""
    began = clock.monotonic()
    await asyncio.gather(*(seam.pause_async(1) for _ in range(100)))
    assert clock.monotonic() - began == 1
    assert clock.sleeps == [1] * 100


def _run_until_woken(prepare: Callable[[asyncio.AbstractEventLoop, asyncio.Event], object]) -> None:
    async def main() -> None:
        woken = asyncio.Event()
        prepare(asyncio.get_running_loop(), woken)
        await woken.wait()

    run(main())


def _in_another_process(act: str, *files: int) -> subprocess.Popen[bytes]:
    """Act in a moment, without a second thread in this process."""
    return subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.2); {act}"], pass_fds=files)


@pytest.mark.usefixtures("impatient")
def test_a_watched_socket_is_no_deadlock() -> None:
    """While the loop watches a socket, bytes may still come, so it waits on."""
    left, right = socket.socketpair()
    with left, right, _in_another_process(f"os.write({right.fileno()}, b'x')", right.fileno()):
        _run_until_woken(lambda running, woken: running.add_reader(left, woken.set))


@pytest.mark.usefixtures("impatient")
def test_a_signal_handler_is_no_deadlock() -> None:
    """While the loop handles a signal, it may still come, so it waits on."""
    with _in_another_process(f"os.kill({os.getpid()}, {signal.SIGUSR1:d})"):
        _run_until_woken(lambda running, woken: running.add_signal_handler(signal.SIGUSR1, woken.set))


@pytest.mark.usefixtures("impatient")
def test_another_thread_is_no_deadlock() -> None:
    """While another thread lives, it may still call, so the loop waits on."""
    _run_until_woken(lambda running, woken: threading.Timer(0.2, running.call_soon_threadsafe, [woken.set]).start())
