"""What the pumps of one function ask: the shelf decides, the desk adds the clock, the listeners and the background."""

from __future__ import annotations

import sys
from functools import partial

from recoup._core import clock, emit, mode, timing
from recoup._core.chain import Pending
from recoup._core.conditions import plainly
from recoup._core.deadlines import exceeded
from recoup._core.frozen import Unkeyable
from recoup._core.store import Entry
from recoup._core.waiting import for_task, for_thread
from recoup.errors import DeadlineExceeded
from recoup.strategies.cache import pumps
from recoup.strategies.cache.glances import Glances
from recoup.strategies.cache.run import Hit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from recoup._core.keys import Keys
    from recoup.strategies.cache.run import Run
    from recoup.strategies.cache.strategy import Cache
    from recoup.typing import Predicate

__all__ = ["AsyncDesk", "Desk", "PlainDesk"]


class Desk:
    """What both colours have in common."""

    _waiter: Callable[[], Any]
    _refresh: Callable[..., None]

    def __init__(self, cache: Cache, keys: Keys, target: Any) -> None:
        self._cache = cache
        self._shelf = cache._shelf
        self._keys = keys
        self._glances = Glances(self._shelf, target)
        self.glance = self._glances.glance

    def look(self, key: Hashable | None) -> Hit | Run | None:
        """Find out what to do about a call; `None` to call past the cache."""
        if key is None or (mode.active and mode.off()):
            return None
        now = clock.monotonic()
        try:
            found = self._shelf.look(key, now, self._waiter)
        except Unkeyable as problem:
            self._cache._complain(str(problem))
            return None
        if type(found) is Hit and type(key) is tuple:  # of atoms alone
            self._glances.ease(key)
        if emit.listeners:
            self._tell(found, now)
        return found

    def _woken(self, run: Run, in_time: bool) -> None:  # noqa: FBT001 - it is the answer of a wait
        """Go on after a wait.

        Raises:
            DeadlineExceeded: If the caller's time is over; the function was not called for this caller.
        """
        if run.woken(in_time):
            deadline = timing.current_deadline()
            assert deadline is not None  # noqa: S101 - without one a wait does not end before it is over
            raise exceeded(deadline, started=False)

    def done(self, run: Run, result: object) -> None:
        """End a call with a result."""
        worth = self._cache.config.cache_if
        keep = worth is None or self._worth(worth, run, result)
        if not run.done(result, clock.monotonic(), keep=keep):
            self._cache._complain(f"a result of type {type(result).__qualname__}, which can be used only once")
        self._keys.learn()

    def _worth(self, worth: Predicate, run: Run, result: object) -> bool:
        """Ask the user whether a result is to be kept; an error of theirs ends a call, and a refresh without a word."""
        try:
            return bool(plainly("cache_if", worth(result)))
        except BaseException as error:
            if run.stale is None or not isinstance(error, Exception):
                run.useless(clock.monotonic())
                raise
            self.lost(run, error)
            return False

    def failed(self, run: Run, error: Exception) -> Entry | None:
        """End a call with an error; give an old result that answers all the same."""
        now = clock.monotonic()
        own = False
        if isinstance(error, DeadlineExceeded):
            deadline = timing.current_deadline()
            own = deadline is not None and deadline.expired
        old = run.failed(error, now, own=own)
        if old is not None and emit.listeners:
            self._hit(old, now)
        return old

    def lost(self, run: Run, error: Exception) -> None:
        """End a refresh with an error."""
        if run.leads:
            self._cache._lost(type(error).__qualname__)
        run.failed(error, clock.monotonic(), own=False)

    def abandoned(self, run: Run) -> None:
        """End a call without an outcome."""
        run.abandoned()

    def refreshed(self, run: Run, fn: Callable[..., Any]) -> Callable[..., None]:
        """Give a function of the call's arguments that begins to refresh its result."""
        return partial(self._refresh, run, fn)

    def _tell(self, found: Hit | Run | None, now: float) -> None:
        from recoup import events  # noqa: PLC0415 - nobody pays for events who does not listen

        if found is not None and found.waiter is not None:
            emit.tell(events.CacheShared(self._cache.name))
        elif found is None or found.answer is None:
            emit.tell(events.CacheMiss(self._cache.name))
        elif isinstance(found.answer, Entry):
            self._hit(found.answer, now)

    def _hit(self, entry: Entry, now: float) -> None:
        from recoup import events  # noqa: PLC0415 - as above

        age = entry.age(now)
        emit.tell(events.CacheHit(self._cache.name, age, stale=age >= self._shelf.ttl))


class AsyncDesk(Desk):
    """For async functions."""

    _waiter = staticmethod(for_task)

    async def wait(self, run: Run) -> None:
        """Wait for somebody else's call, not longer than there is time."""
        self._cache._background.sweep()
        try:
            with timing.queueing():  # this caller's call has not been made
                while run.waiter is not None:
                    self._woken(run, await run.waiter.wait_async(timing.time_left()))
        except BaseException:
            run.abandoned()
            raise

    def _refresh(self, run: Run, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        work = pumps.refreshing_async(fn, run, self)
        if not self._cache._background.spawn(run, partial(work, *args, **kwargs)):
            run.abandoned()


class PlainDesk(Desk):
    """For plain functions.

    One of them may return a coroutine all the same. The first call finds out: the coroutine passes the pump as
    `Pending`, and the asynchronous pumps cache what comes of it (G5). From then on a hit has to be something to await
    as well, wherever else the same function is decorated, and nobody may wait for a flight here, which would block the
    loop that it needs.
    """

    _waiter = staticmethod(for_thread)

    _coroutines = False

    def look(self, key: Hashable | None) -> Hit | Run | None:
        """Find out what to do about a call; `None` to call past the cache."""
        awaited = self._cache._awaited  # nobody pays for the question whose functions give no coroutines
        if not self._coroutines and (awaited is None or self._keys.function not in awaited):
            return super().look(key)
        self._coroutines = True
        if key is None or (mode.active and mode.off()):
            return None
        try:
            entry = self._shelf.fresh(key, clock.monotonic())
        except Unkeyable:  # the asynchronous pumps complain
            return None
        return None if entry is None else Hit(_answered(entry.value), entry.stored)

    def wait(self, run: Run) -> None:
        """Wait for somebody else's call, not longer than there is time."""
        self._cache._background.sweep()
        try:
            while run.waiter is not None:
                self._woken(run, run.waiter.wait(timing.time_left()))
        except BaseException:
            run.abandoned()
            raise

    def abandoned(self, run: Run) -> None:
        """End a call without an outcome."""
        if isinstance(sys.exception(), Pending):
            self._coroutines = True
            assert self._keys.function is not None  # noqa: S101 - a run has a key
            self._cache._await(self._keys.function)
            run.useless(clock.monotonic())
        else:
            run.abandoned()

    def _refresh(self, run: Run, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        work = pumps.refreshing(fn, run, self)
        if not self._cache._background.run(partial(work, *args, **kwargs)):
            run.abandoned()


async def _answered(value: Any) -> Any:
    """Give a result to somebody who awaits it."""
    return value
