"""Wait until somebody wakes you: one kind of waiter each for threads, asyncio tasks and Trio tasks.

A waiter is made by the one who is going to wait, in its own thread or task, and given to the one who will wake it:

    waiter = for_thread()                        waiter = for_task()
    ...put it where the waker finds it...        ...
    waiter.wait(seconds)                         await waiter.wait_async(seconds)

A waiter knows nothing but "woken or not". What is handed over is decided elsewhere, under a lock, *before* the wake-up:
a wake-up and a cancellation (or a time limit) can meet in the same tick, and then only that decision counts. So
whoever comes back from a wait, by whatever way, asks it, and never the waiter.

* `wake()` may be called from any thread, from a finaliser and from a signal handler, at any time and several times. It
  takes no lock of ours and tells whether there is still somebody to be woken: a loop that is closed wakes nobody.
* A timed wait ends by the timer of the lock or loop itself; the clock is not read again, so a frozen clock does not
  keep a thread waiting for ever.

After a fork the child has no use for what the parent's threads hold and wait for: `at_fork` has whoever holds it told.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from threading import TIMEOUT_MAX, Lock
from typing import Protocol
from weakref import WeakSet

from recoup._core import clock, mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "AsyncioWaiter",
    "TaskWaiter",
    "ThreadWaiter",
    "TrioWaiter",
    "Waiter",
    "at_fork",
    "for_task",
    "for_thread",
    "loop_here",
]


class Waiter(Protocol):
    """What a waker sees of somebody who waits."""

    def wake(self) -> bool:
        """Wake the waiter; tell whether anybody is there to be woken."""
        ...

    def gone(self) -> bool:
        """Tell whether it is certain that nobody is there any more."""
        ...


class TaskWaiter(Waiter, Protocol):
    """Somebody who waits in a task, of whichever library."""

    async def wait_async(self, seconds: float | None = None) -> bool:
        """Wait in the task that made the waiter; True when woken, False when `seconds` are over."""
        ...


class ThreadWaiter:
    """Blocks a thread on a lock of its own, until somebody releases it."""

    __slots__ = ("_baton",)

    def __init__(self) -> None:
        self._baton = Lock()
        self._baton.acquire()

    def wake(self) -> bool:
        """Let the thread go on."""
        with suppress(RuntimeError):  # woken before
            self._baton.release()
        return True

    def gone(self) -> bool:
        """Tell whether it is certain that nobody is there any more: of a thread it never is."""
        return False

    def wait(self, seconds: float | None = None) -> bool:
        """Block the thread that made the waiter.

        Args:
            seconds: 0 or more; `None` for as long as it takes.

        Returns:
            True when woken, False when the time is over.

        Raises:
            KeyboardInterrupt: In the main thread, on Ctrl-C; likewise whatever another signal handler raises.
        """
        return self._baton.acquire(timeout=-1 if seconds is None else min(seconds, TIMEOUT_MAX))


class AsyncioWaiter:
    """Suspends an asyncio task on a future."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._future: Future[bool] = loop.create_future()

    def wake(self) -> bool:
        """Let the task go on; False if its loop is closed."""
        if _in_task_of(self._loop):
            _answer(self._future, True)
            return True
        try:
            self._loop.call_soon_threadsafe(_answer, self._future, True)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def gone(self) -> bool:
        """Tell whether it is certain that nobody is there any more."""
        return self._loop.is_closed()

    async def wait_async(self, seconds: float | None = None) -> bool:
        """Wait in the task that made the waiter; True when woken, False when `seconds` are over."""
        if seconds is None:
            return await self._future
        timer = self._loop.call_later(seconds, _answer, self._future, False)
        try:
            return await self._future
        finally:
            timer.cancel()


def _answer(future: Future[bool], woken: bool) -> None:  # noqa: FBT001 - loops call it with positional arguments
    if not future.done():
        future.set_result(woken)


def _in_task_of(loop: AbstractEventLoop) -> bool:
    """Tell whether this code runs in a task of a loop, so that a future of it may be set directly.

    The loop's thread is not enough: a finaliser or a signal handler may run while the loop is about to sleep, or
    sleeps, in its selector, and what is scheduled then without `call_soon_threadsafe` does not wake it.
    """
    try:
        task: Any = sys.modules["asyncio"].current_task()
    except RuntimeError:  # no loop runs in this thread
        return False
    return task is not None and task.get_loop() is loop


class TrioWaiter:
    """Suspends a Trio task on an event."""

    __slots__ = ("_event", "_token", "_trio")

    def __init__(self) -> None:
        self._trio = sys.modules["trio"]
        self._event = self._trio.Event()
        self._token = self._trio.lowlevel.current_trio_token()

    def wake(self) -> bool:
        """Let the task go on; False if its run is over."""
        try:
            self._token.run_sync_soon(self._event.set)
        except self._trio.RunFinishedError:
            return False
        return True

    def gone(self) -> bool:
        """Tell whether it is certain that nobody is there any more: Trio cancels its tasks before it ends."""
        return False

    async def wait_async(self, seconds: float | None = None) -> bool:
        """Wait in the task that made the waiter; True when woken, False when `seconds` are over."""
        if seconds is None:
            await self._event.wait()
        else:
            with self._trio.move_on_after(seconds):
                await self._event.wait()
        return bool(self._event.is_set())


def for_thread() -> ThreadWaiter:
    """Make a waiter for the running thread."""
    return ThreadWaiter()


def for_task() -> TaskWaiter:
    """Make a waiter for the running task, asyncio's or Trio's.

    Raises:
        RuntimeError: If no event loop is running.
    """
    if clock.in_trio():
        return TrioWaiter()
    import asyncio  # noqa: PLC0415 - 45 ms that a program without asyncio should not pay

    return AsyncioWaiter(asyncio.get_running_loop())


def loop_here() -> AbstractEventLoop | None:
    """Give the running event loop of asyncio; `None` if there is none."""
    asyncio = sys.modules.get("asyncio")
    loop: AbstractEventLoop | None = None if asyncio is None else asyncio._get_running_loop()
    return loop


class Forkable(Protocol):
    """What holds locks, waiters, leases or threads that do not live on in a forked child."""

    def after_fork(self) -> None:
        """Begin anew: called in the child, in its only thread."""
        ...


_forkable: WeakSet[Any] = WeakSet()


def at_fork(holder: Forkable | Callable[[], None]) -> None:
    """Have an object's `after_fork()`, or a function, called in every forked child, for as long as it lives.

    Either must be hashable and weakly referable. A function has to be one that lives on by itself, as those of modules
    do: nothing here keeps a lambda or a bound method alive. Any thread may call this at any time.
    """
    _forkable.add(holder)


def _after_fork() -> None:
    for holder in list(_forkable):
        getattr(holder, "after_fork", holder)()


at_fork(mode.after_fork)  # which cannot say so itself: the clock stands on it, and this file on the clock
os.register_at_fork(after_in_child=_after_fork)
