"""Waiters for threads, asyncio tasks and Trio tasks: who wakes whom, and what a wait tells (B1, B2, G7, G18)."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from freezegun import freeze_time

from recoup._core import mode, waiting
from recoup._core.waiting import AsyncioWaiter, ThreadWaiter, TrioWaiter, at_fork, for_task, for_thread
from recoup.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_thread_waits_until_it_is_woken() -> None:
    """A wake-up ends the wait of a thread, whether it comes during the wait or before it."""
    waiter = for_thread()
    thread = in_thread(waiter.wake)
    assert waiter.wait() is True
    thread.join()
    early = for_thread()
    assert early.wake() is True
    assert early.wait(10) is True


def test_waking_twice_is_waking_once() -> None:
    """A second wake-up changes nothing, so a waker who was interrupted may simply wake again."""
    waiter = for_thread()
    assert (waiter.wake(), waiter.wake()) == (True, True)
    assert waiter.wait(0) is True


@pytest.mark.parametrize("seconds", [0, 0.001])
def test_a_thread_stops_waiting_when_the_time_is_over(seconds: float) -> None:
    """A timed wait tells that nobody came (B2)."""
    assert for_thread().wait(seconds) is False


def test_a_frozen_clock_does_not_keep_a_thread_waiting() -> None:
    """The lock's own timer ends the wait; the clock is not read (B2, G12)."""
    with freeze_time("2024-01-01"):
        assert for_thread().wait(0.001) is False


def test_a_wait_longer_than_any_lock_can_wait() -> None:
    """A time limit beyond what the system's locks take is as good as none, and no error."""
    waiter = for_thread()
    waiter.wake()
    assert waiter.wait(1e300) is True


def test_ctrl_c_ends_the_wait_of_a_thread() -> None:
    """A signal handler that raises ends the wait in the main thread."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        waiter = for_thread()
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may come at any moment from then on
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            waiter.wait(30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


async def test_a_task_is_woken_by_another_task() -> None:
    """A task of the same loop wakes without the detour of a callback from another thread."""
    waiter = for_task()
    assert type(waiter) is AsyncioWaiter

    async def wake() -> None:
        assert waiter.wake() is True
        assert waiter._future.done()

    task = asyncio.create_task(wake())
    assert await waiter.wait_async() is True
    await task


async def test_a_task_is_woken_from_a_thread() -> None:
    """Another thread wakes a task, timed or not, although its loop sleeps."""
    for seconds in (None, 30):
        waiter = for_task()
        thread = in_thread(waiter.wake)
        assert await waiter.wait_async(seconds) is True
        thread.join()


async def test_a_task_is_woken_by_a_signal_handler_while_its_loop_sleeps() -> None:
    """What is scheduled in the loop's own thread, but outside its tasks, reaches a loop in its selector (G7)."""
    waiter = for_task()
    before = signal.signal(signal.SIGUSR1, lambda *_: waiter.wake())
    try:
        thread = in_thread(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        assert await waiter.wait_async(30) is True
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_a_callback_wakes_a_task() -> None:
    """A plain callback of the loop, which is no task, wakes as well."""
    waiter = for_task()
    asyncio.get_running_loop().call_soon(waiter.wake)
    assert await waiter.wait_async(30) is True


async def test_a_task_of_one_loop_wakes_a_task_of_another() -> None:
    """A loop's future is never touched from another loop's thread."""
    waiter = for_task()

    async def wake() -> None:
        waiter.wake()

    thread = in_thread(lambda: asyncio.run(wake()))
    assert await waiter.wait_async(30) is True
    thread.join()


async def test_a_task_stops_waiting_when_the_time_is_over(clock: VirtualClock) -> None:
    """A timed wait tells that nobody came, exactly when the time is over (B2)."""
    began = clock.monotonic()
    assert await for_task().wait_async(5) is False
    assert clock.monotonic() - began == 5


async def test_a_wait_that_ended_early_leaves_no_timer() -> None:
    """The timer of a wait is taken back when the task is woken or cancelled."""
    loop: Any = asyncio.get_running_loop()
    woken, cancelled = for_task(), for_task()
    woken.wake()
    assert await woken.wait_async(1000) is True
    task = asyncio.create_task(cancelled.wait_async(1000))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []


async def test_waking_a_cancelled_task_does_nothing() -> None:
    """A wake-up after the cancellation is no error: the one who hands over cannot know."""
    waiter = for_task()
    task = asyncio.create_task(waiter.wait_async())
    await asyncio.sleep(0)
    task.cancel()
    assert waiter.wake() is True
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiter.wake() is True


def test_a_closed_loop_wakes_nobody() -> None:
    """Waking somebody whose loop is closed tells so, and so does asking (G7)."""

    async def make() -> waiting.TaskWaiter:
        waiter = for_task()
        assert not waiter.gone()
        return waiter

    waiter = asyncio.run(make())
    assert waiter.gone()
    assert waiter.wake() is False


def test_a_thread_is_never_certain_to_be_gone() -> None:
    """Only a closed loop proves that nobody waits."""
    assert ThreadWaiter().gone() is False


def test_under_trio() -> None:
    """A Trio task is woken by a task and by a thread, runs out of time, and is cancelled (G15)."""

    async def main() -> None:
        waiter = for_task()
        assert type(waiter) is TrioWaiter
        assert waiter.gone() is False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, waiter.wake)
            assert await waiter.wait_async() is True
            assert await waiter.wait_async(5) is True
        assert await for_task().wait_async(5) is False
        with trio.move_on_after(1) as scope:
            await for_task().wait_async(5)
        assert scope.cancelled_caught

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_a_finished_trio_run_wakes_nobody() -> None:
    """Waking somebody whose run is over tells so (G7)."""

    async def make() -> waiting.TaskWaiter:
        return for_task()

    assert trio.run(make).wake() is False


def test_a_task_waiter_needs_a_loop() -> None:
    """Outside any loop there is no task to wait in."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        for_task()


class Holder:
    """Counts the forks it is told of."""

    def __init__(self) -> None:
        self.forks = 0

    def after_fork(self) -> None:
        self.forks += 1


def test_objects_are_told_of_a_fork_in_the_child() -> None:
    """Every registered object that still lives is told, in the child only (G18)."""
    holder = Holder()
    at_fork(holder)
    child = os.fork()
    if not child:
        os._exit(holder.forks)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert holder.forks == 0


def test_all_that_are_registered_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook goes through all of them."""
    monkeypatch.setattr(waiting, "_forkable", weakref.WeakSet())
    holders = [Holder(), Holder()]
    for holder in holders:
        at_fork(holder)
    waiting._after_fork()
    assert [holder.forks for holder in holders] == [1, 1]


def test_functions_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules have locks too, and functions that renew them (G18)."""
    monkeypatch.setattr(waiting, "_forkable", weakref.WeakSet())
    forks: list[int] = []

    def renew() -> None:
        forks.append(1)

    at_fork(renew)
    at_fork(renew)
    waiting._after_fork()
    assert forks == [1]


@pytest.mark.parametrize("module", ["_core.emit", "_core.functions", "strategies.retry.telling"])
def test_locks_of_modules_are_renewed(module: str) -> None:
    """Each has said so, or `waiting` has for the one that it stands on (G18)."""
    assert importlib.import_module(f"recoup.{module}")._after_fork in waiting._forkable
    assert mode.after_fork in waiting._forkable


def test_registering_keeps_nothing_alive() -> None:
    """An object that waits for forks is collected as if it did not."""
    holder = Holder()
    at_fork(holder)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None
