"""Threads whose schedule is a matter of the seed: one runs at a time, and each until it would block.

The loop starts a thread, stands still while it runs, and goes on when it waits (for time, or to be woken) or ends. So
plain functions meet tasks on the same strategy objects, in any order that the dice draw, and the same seed does the
same again. Where a real thread would block, recoup asks the seam: the clock, and what `for_thread` makes.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recoup._core import waiting
from recoup.strategies.cache.desk import PlainDesk
from recoup.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Hand", "HandClock", "Interrupt", "hands"]

STUCK = 60.0  # real seconds without a sign of life: it blocks on something that is not of the seam


class Interrupt(BaseException):
    """What a signal handler raises in a thread that waits, as Ctrl-C does."""


class Hand:
    """A thread that does one piece of work while the loop stands still.

    Args:
        work: What it does.
        number: At its how manieth wait (from 0) it is interrupted; None for never.
        interrupted: Called then.
    """

    def __init__(self, work: Callable[[], Any], number: int | None, interrupted: Callable[[], object]) -> None:
        self._work = work
        self._number = number
        self._interrupted = interrupted
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._waits = 0
        self._seconds: float | None = None
        self._future: asyncio.Future[None] | None = None
        self._abandoned = False
        self.ended = False
        self.value: Any = None
        self.error: BaseException | None = None

    async def result(self) -> Any:
        """Let it work, whenever it can, until it has ended; give what came of it."""
        self._thread.start()
        try:
            while self._step():
                await self._over()
        except BaseException:
            self._abandoned = True
            while self._step():
                pass
            raise
        finally:
            self._thread.join()
        if self.error is not None:
            raise self.error
        return self.value

    def wait(self, seconds: float | None) -> None:
        """Wait in the thread: for some seconds, or until `nudge`."""
        number, self._waits = self._waits, self._waits + 1
        if number == self._number:
            self._interrupted()
        if number == self._number or self._abandoned:
            raise Interrupt
        self._seconds = seconds
        self._back.release()
        self._go.acquire()
        if self._abandoned:
            raise Interrupt

    def nudge(self) -> None:
        """Let it go on, in a later step of the loop."""
        future = self._future
        if future is not None:
            # From the loop itself, or from a thread for which the loop stands still: nobody runs at the same time.
            future.get_loop().call_soon(_answer, future)

    def _step(self) -> bool:
        """Have it run until it waits or ends; True if it waits."""
        if self.ended:
            return False
        self._go.release()
        assert self._back.acquire(timeout=STUCK), "a thread blocks on something that is not of the seam"
        return not self.ended

    async def _over(self) -> None:
        loop = asyncio.get_running_loop()
        future = self._future = loop.create_future()
        timer = None if self._seconds is None else loop.call_later(self._seconds, _answer, future)
        try:
            await future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()

    def _run(self) -> None:
        self._go.acquire()
        _here.hand = self
        try:
            self.value = self._work()
        except BaseException as error:  # noqa: BLE001 - handed on to the loop
            self.error = error
        self.ended = True
        self._back.release()


def _answer(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Here(threading.local):
    hand: Hand | None = None


_here = _Here()


class HandWaiter:
    """Blocks such a thread until somebody wakes it; in the place of a `ThreadWaiter`."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._woken = False

    def wake(self) -> bool:
        self._woken = True
        self._hand.nudge()
        return True

    def gone(self) -> bool:
        return False

    def wait(self, seconds: float | None = None) -> bool:
        if not self._woken:
            self._hand.wait(seconds)
        woken, self._woken = self._woken, False
        return woken


class HandClock(VirtualClock):
    """A virtual clock that knows how such threads wait."""

    def sleep(self, seconds: float) -> None:
        hand = _here.hand
        if hand is None:
            super().sleep(seconds)
        else:
            hand.wait(seconds)

    def _rest(self, waiter: Any, seconds: float) -> bool:
        return bool(waiter.wait(seconds)) if _here.hand is not None else super()._rest(waiter, seconds)


@contextmanager
def hands() -> Generator[None]:
    """Have recoup make waiters for such threads in them."""
    usual = waiting.for_thread

    def for_thread() -> Any:
        return usual() if _here.hand is None else HandWaiter(_here.hand)

    waiting.for_thread = for_thread
    PlainDesk._waiter = staticmethod(for_thread)
    try:
        yield
    finally:
        waiting.for_thread = usual
        PlainDesk._waiter = staticmethod(usual)
