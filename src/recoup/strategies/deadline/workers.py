"""Threads of a limiter's own, for plain functions whose callers have to get control back on time (rule D3).

A call that is given up keeps its place until it really ends: the number of places bounds how many threads a
dependency that hangs can pile up. There is no queue, so nested use cannot deadlock: without a free place a call is
refused. The threads are daemons, so what was given up does not keep the interpreter from ending. An idle thread holds
nothing but its inbox, and ends when its limiter is dropped.

No locks: taking a place, an idle thread or an outcome is one `pop`, which is atomic and has one winner.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue

from recoup._core import waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Inbox: TypeAlias = SimpleQueue[Any]  # of work; None sends the thread home

__all__ = ["Workers"]


class Workers:
    """Places, and the threads for them.

    Args:
        size: How many calls may run at once.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._places: deque[None] = deque([None] * size)
        self._idle: deque[Inbox] = deque()
        self._started = 0
        waiting.at_fork(self)

    def after_fork(self) -> None:
        """Forget the threads, which are not there in the child, and what they did."""
        self._idle.clear()
        self._places = deque([None] * self.size)

    def free(self) -> int:
        """Tell how many more calls could run now."""
        return len(self._places)

    def submit(self, work: Callable[[Callable[[], None]], None], name: str) -> bool:
        """Have work done in a thread.

        Args:
            work: Called with what gives its place back, which it has to call once, when the function has ended and
                before it says so to anybody: whoever then hears of it finds the place free. It must not raise.
            name: What a new thread is called; a number is added.

        Returns:
            False if there is no free place, or no new thread to be had from the system.
        """
        places = self._places
        try:
            places.pop()
        except IndexError:
            return False
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            if not self._start(inbox, name):
                places.append(None)
                return False

        def rest() -> None:
            self._idle.append(inbox)  # before the place: whoever has a place finds an idle thread
            places.append(None)

        inbox.put((work, rest))
        return True

    def _start(self, inbox: Inbox, name: str) -> bool:
        self._started += 1
        thread = threading.Thread(target=_work, args=(inbox,), name=f"{name}-{self._started}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        return True

    def retire(self) -> None:
        """Send idle threads home; whoever calls next starts new ones."""
        with suppress(IndexError):
            while True:
                self._idle.pop().put(None)

    def __del__(self) -> None:
        with suppress(AttributeError):  # no thread has ever been idle if `__init__` did not end
            self.retire()


def _work(inbox: Inbox) -> None:
    """Do one piece of work after another; hold on to nothing between two."""
    while (item := inbox.get()) is not None:
        work, rest = item
        del item
        work(rest)
        del work, rest


def shutting_down() -> bool:
    """Tell whether the interpreter ends: no thread can be started any more, and those that are idle may be frozen."""
    return not threading.main_thread().is_alive()
