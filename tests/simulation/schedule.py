"""What makes a run a matter of its seed: the order of steps, and the await at which a task is cancelled."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from recoup.testing import VirtualEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from random import Random

    from recoup.testing import VirtualClock

__all__ = ["SeededLoop", "counted"]


class Lottery(deque[Any]):
    """The callbacks of a loop that are ready; which one is next is drawn by lot.

    Args:
        dice: Draws.
        look: Called before each step, so after the one before.
    """

    def __init__(self, dice: Random, look: Callable[[], None]) -> None:
        super().__init__()
        self._dice = dice
        self._look = look

    def popleft(self) -> Any:
        """Take out what runs next."""
        self._look()
        if len(self) < 2:
            return super().popleft()
        drawn = self._dice.randrange(len(self))
        self.rotate(-drawn)
        handle = super().popleft()
        self.rotate(drawn)
        return handle


class SeededLoop(VirtualEventLoop):
    """An event loop in virtual time, whose schedule is a matter of dice: it keeps one of three orders.

    * "usual": asyncio's own.
    * "tasks": tasks that are ready in the same pass are shuffled, as the loop of `recoup.testing` does it for a seed.
    * "lots": of all that is ready, anything may be next. No loop does that, and no rule of recoup may need more: with
      threads about, wake-ups come in any order.

    Args:
        clock: The virtual time.
        dice: Draws.
        look: Called after each step, or (but for "lots") after each pass.
        order: One of the three.
    """

    def __init__(self, clock: VirtualClock, dice: Random, look: Callable[[], None], order: str) -> None:
        super().__init__(clock, seed=dice.getrandbits(32) if order == "tasks" else None)
        self._look: Callable[[], None] | None = look
        if order == "lots":
            self._look = None
            # A private name of asyncio, the same since 3.4: `_run_once` takes each handle from there by `popleft`.
            self.__dict__["_ready"] = Lottery(dice, look)

    def _patience(self) -> float:
        return 0  # threads run only while the loop stands still

    def _run_once(self) -> None:
        inherited: Any = super()  # not public, so not in the types
        inherited._run_once()
        if self._look is not None:
            self._look()


async def counted(work: Coroutine[Any, Any, Any], number: int | None, cancel: Callable[[], object]) -> Any:
    """Await something; when it is suspended for the `number`-th time (from 0), have it cancelled.

    Whether the cancellation or what it waits for comes first is up to the schedule.
    """
    return await _Counted(work, number, cancel)


class _Counted:
    def __init__(self, work: Coroutine[Any, Any, Any], number: int | None, cancel: Callable[[], object]) -> None:
        self._work = work
        self._number = number
        self._cancel = cancel

    def __await__(self) -> Generator[Any, Any, Any]:
        suspensions = 0
        step: Callable[[], Any] = lambda: self._work.send(None)  # noqa: E731 - the next step is set below
        while True:
            try:
                waits = step()
            except StopIteration as end:
                return end.value
            if suspensions == self._number:
                asyncio.get_running_loop().call_soon(self._cancel)
            suspensions += 1
            try:
                sent = yield waits
            except BaseException as thrown:  # noqa: BLE001 - handed on to where it belongs
                step = _throwing(self._work, thrown)
            else:
                step = _sending(self._work, sent)


def _throwing(work: Coroutine[Any, Any, Any], thrown: BaseException) -> Callable[[], Any]:
    return lambda: work.throw(thrown)


def _sending(work: Coroutine[Any, Any, Any], sent: Any) -> Callable[[], Any]:
    return lambda: work.send(sent)
