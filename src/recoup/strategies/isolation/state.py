"""Crew: which keeper takes which call, who waits, and who goes home; for all threads and event loops together.

A *keeper* has one worker process at a time (keeper.py). It is either idle, and listed here, or it has a job. So a place
cannot be lost: it belongs to the keeper, not to a caller who may be cancelled, interrupted or forgotten.

    submit(job) -> given to an idle keeper, else to a new one, else into the queue, else refused
    next(keeper) -> the first in the queue who still wants a worker; else the keeper is idle, or goes home

Rules:
* First come, first served: a keeper becomes idle only when nobody waits, so a newcomer overtakes nobody.
* Nothing here starts, ends or waits for a thread or a process: it is decided, and the keepers do it.
* One lock, held for a few steps and never while user code runs. A job is handed over *before* the keeper is taken off
  the list: an interrupt in between makes one job wait for another, and loses none.
* Leaving the queue takes no lock (G7): it is noted, and whoever decides next cleans up. Nobody is let in by it.
* A finaliser or a signal handler may interrupt a decision and make a call: it is refused, as if the queue were full.
* Keepers are held weakly, and those that live by their own threads: one that never came to life leaves no gap.
* After a fork the child begins anew: it has neither the threads nor, as its own, the processes (G18).
"""

from __future__ import annotations

from collections import deque
from threading import RLock
from weakref import WeakSet

from recoup._core import waiting
from recoup.strategies.isolation.tally import Counts, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    Verdict = Literal["taken", "queued", "full", "closed"]
    Hired = list[tuple[Any, Any]]

__all__ = ["HOME", "RENEW", "Crew"]

HOME: Any = None
"""Tells a keeper to end its worker and itself."""

RENEW: Any = "renew"
"""Tells an idle keeper to end its worker; the next job gets a new one."""


class Crew:
    """The keepers of one isolation, and the calls that wait for one.

    Args:
        size: How many keepers there may be.
        most_waiting: How many calls may wait.
        make: Makes a keeper, which counts in the tally it is given; with `give(item)`, `kill()`, `after_fork()`, and
            `pid` and `era` of its worker, if it has one.
    """

    def __init__(self, size: int, most_waiting: int, make: Callable[[Tally], Any]) -> None:
        self.size, self.most_waiting = size, most_waiting
        self.closed = False
        self.era = 0
        """Workers of an earlier one are not used again."""
        self.tally = Tally()
        self._make = make
        self._everyone: WeakSet[Any] = WeakSet()  # those that are on their way home included
        self._begin_anew()
        waiting.at_fork(self)

    def _begin_anew(self) -> None:
        self._lock = RLock()
        self._deciding = False
        self._keepers: WeakSet[Any] = WeakSet()
        self._idle: dict[Any, None] = {}
        self._waiting: deque[Any] = deque()
        self._left: deque[Any] = deque()
        self.tally.begin_anew()

    def after_fork(self) -> None:
        """Forget the keepers, which are not there in the child, and let go what the child has of their workers."""
        for keeper in list(self._everyone):
            keeper.after_fork()
        self._everyone = WeakSet()
        self._begin_anew()

    def submit(self, job: Any) -> tuple[Verdict, Hired]:
        """Find a keeper for a job, or a place in the queue.

        Returns:
            What became of it, and new keepers, whose threads have to be started, each with its job.
        """
        with self._lock:
            if self._deciding:  # we are in a finaliser, or a signal handler
                return "full", []
            return self._decide(self._submit, job)  # type: ignore[no-any-return]  # what `_submit` returns

    def _decide(self, decision: Callable[..., Any], *args: Any) -> Any:
        """Decide something alone, and let whoever interrupts this thread meanwhile know it."""
        with self._lock:
            before, self._deciding = self._deciding, True
            try:
                return decision(*args)
            finally:
                self._deciding = before

    def _submit(self, job: Any) -> tuple[Verdict, Hired]:
        if self.closed:
            return "closed", []
        if self._idle:
            warm = next((keeper for keeper in reversed(self._idle) if keeper.pid is not None), None)
            keeper = next(reversed(self._idle)) if warm is None else warm
            keeper.give(job)
            self._idle.pop(keeper, None)
            return "taken", []
        hired = self._hire()  # a keeper may have got lost while somebody waits, who is not overtaken
        if len(self._keepers) < self.size:
            self._waiting.append(job)
            return "taken", hired + self._hire()
        self._clean_up()
        if len(self._waiting) >= self.most_waiting:
            self.tally.add("rejected")
            return "full", hired
        self._waiting.append(job)
        return "queued", hired

    def _hire(self) -> Hired:
        """Make keepers for those who wait, as far as there may be more."""
        hired = []
        while self._waiting and len(self._keepers) < self.size:
            keeper, job = self._make(self.tally), self._waiting[0]
            keeper.give(job)
            self._everyone.add(keeper)
            self._keepers.add(keeper)
            self._waiting.popleft()
            hired.append((keeper, job))
        return hired

    def _clean_up(self) -> None:
        """Take those out of the queue who have left it."""
        while self._left:
            job = self._left.popleft()
            if job in self._waiting:
                self._waiting.remove(job)
        if len(self._waiting) >= self.most_waiting:  # now and then a loop is closed with tasks in it
            self._waiting = deque(job for job in self._waiting if job.wanted())

    def next(self, keeper: Any) -> Any:
        """Give a keeper that is done the next job; `None` if it has to look at what it is given instead."""
        return self._decide(self._next, keeper)

    def _next(self, keeper: Any) -> Any:
        if len(self._keepers) > self.size:
            self._send_home(keeper)
            return None
        while self._waiting:
            job = self._waiting.popleft()
            if job.wanted():
                return job
        self._left.clear()  # nobody is in the queue that they could have left
        if self.closed:
            self._send_home(keeper)
            return None
        if keeper.era != self.era:
            keeper.give(RENEW)
        self._idle[keeper] = None
        return None

    def lost(self, keeper: Any) -> Hired:
        """Forget a keeper that could not be started; give new ones as `submit` does, for those who wait."""
        return self._decide(self._lost, keeper)  # type: ignore[no-any-return]  # as above

    def _lost(self, keeper: Any) -> Hired:
        self._keepers.discard(keeper)
        self._everyone.discard(keeper)
        return self._hire()

    def withdraw(self, job: Any) -> None:
        """Leave the queue. Never waits; safe in a finaliser."""
        self._left.append(job)

    def counts(self) -> Counts:
        """Tell what was counted so far."""
        return self._decide(self._counted)  # type: ignore[no-any-return]  # as above

    def _counted(self) -> Counts:
        self._clean_up()
        running, waiting = len(self._keepers) - len(self._idle), len(self._waiting)
        return Counts(**self.tally.told(), running=running, waiting=waiting)

    def resize(self, size: int, most_waiting: int) -> Hired:
        """Change the limits. Jobs that keepers have go on, and those that wait stay where they are.

        Returns:
            New keepers, whose threads have to be started, each with its job.
        """
        return self._decide(self._resize, size, most_waiting)  # type: ignore[no-any-return]  # as above

    def _resize(self, size: int, most_waiting: int) -> Hired:
        self.size, self.most_waiting = size, most_waiting
        while self._idle and len(self._keepers) > size:
            self._send_home(next(iter(self._idle)))
        return self._hire()

    def renew(self) -> None:
        """Have no worker used again that lives now."""
        self._decide(self._renew)

    def _renew(self) -> None:
        self.era += 1
        for keeper in self._idle:
            keeper.give(RENEW)

    def close(self, *, kill: bool) -> tuple[list[Any], list[Any]]:
        """Take no more jobs; keepers go home when nobody waits any more.

        Args:
            kill: Whether jobs that run are killed, and those that wait turned away.

        Returns:
            All keepers that may still live, and the jobs to be turned away.
        """
        everyone, refused = self._decide(self._close, kill)
        if kill:
            for keeper in everyone:
                keeper.kill()
        return everyone, refused

    def _close(self, kill: bool) -> tuple[list[Any], list[Any]]:  # noqa: FBT001 - as `_decide` calls it
        self.closed = True
        refused: list[Any] = []
        if kill:
            refused = [*self._waiting]
            self._waiting.clear()
        while self._idle:
            self._send_home(next(iter(self._idle)))
        return list(self._everyone), refused

    def pids(self) -> list[int]:
        """Tell the process ids of the workers that live now."""
        return self._decide(lambda: sorted(each.pid for each in self._everyone if each.pid is not None))  # type: ignore[no-any-return]  # as above

    def _send_home(self, keeper: Any) -> None:
        keeper.give(HOME)
        self._keepers.discard(keeper)
        self._idle.pop(keeper, None)

    def __del__(self) -> None:
        for keeper in list(getattr(self, "_idle", ())):
            keeper.give(HOME)
