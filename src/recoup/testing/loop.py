"""An asyncio event loop on a virtual clock: what waits for a timer does not wait.

When the loop has nothing to do until its next timer, it moves the clock there instead of blocking. Three things
keep that honest:

* I/O that is ready comes first: the real selector is always asked before the clock moves.
* Work in other threads takes real time. While other threads live, the loop gives them `grace` real seconds before each
  jump (ten times as long while `run_in_executor` owes an answer), so that a `call_soon_threadsafe` that is on its way
  arrives before the timers behind it.
* With no timer at all the loop blocks for real, as any loop would; if nothing on earth could wake it, it says so
  instead of hanging the test run.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from typing import TYPE_CHECKING

from recoup.testing.clock import VirtualClock, active_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Executor
    from typing import Any, TypeVar, TypeVarTuple

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

__all__ = ["VirtualEventLoop", "run"]

_GRACE = 0.02  # real seconds; a thread that has its answer needs a GIL switch (5 ms) and a turn on the processor
_WORKING = 10  # times the grace while a worker of the loop owes an answer: on a loaded machine 20 ms are soon gone
_HOPELESS = 2.0  # real seconds without any sign of life before a loop that nothing can wake gives up


class _JumpingSelector(selectors.BaseSelector):
    """The platform's selector; where it would block until a timer, `jump` moves the clock instead."""

    def __init__(self, loop: VirtualEventLoop) -> None:
        self._real = selectors.DefaultSelector()
        self._loop = loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clock = self._loop.clock
        if clock is None or (timeout is not None and timeout <= 0):
            return self._real.select(timeout)
        if timeout is None or self._loop._blocking:
            return self._wait(hopeless=self._alone())
        target = clock.monotonic() + timeout
        ready = self._real.select(self._loop._patience())
        if not ready:
            clock.reach(target)
        return ready

    def _wait(self, *, hopeless: bool) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(_HOPELESS if hopeless else None)
        if hopeless and not ready:
            raise RuntimeError("deadlock: every task waits, and no timer, thread, socket or signal could wake one")
        return ready

    def _alone(self) -> bool:
        # The loop's own wake-up pipe is always registered; anything more is a socket, a pipe or a child process.
        watching = len(self._real.get_map()) > 1 or bool(getattr(self._loop, "_signal_handlers", None))
        return not watching and threading.active_count() <= 1


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """Run asyncio code in virtual time: `asyncio.sleep`, `call_later` and `asyncio.timeout` cost nothing.

    Use it as a loop factory: `asyncio.Runner(loop_factory=VirtualEventLoop)`, or call `run`. One loop belongs to one
    thread; several loops may share a clock, and any of them moves it.

    Args:
        clock: The clock that tells this loop's time; None (the default) follows the active `VirtualClock`, and real
            time while there is none.
        grace: Real seconds given to other threads, while there are any, before the clock moves; default 0.02. Ten times
            as long while work given to `run_in_executor` is not done.
    """

    def __init__(self, clock: VirtualClock | None = None, *, grace: float = _GRACE) -> None:
        self._own_clock = clock
        self.grace = grace
        self._blocking = 0
        self._working = 0
        super().__init__(_JumpingSelector(self))

    @property
    def clock(self) -> VirtualClock | None:
        """Tell which virtual clock drives this loop; None means real time."""
        return self._own_clock or active_clock()

    def time(self) -> float:
        """Tell the loop's time: the virtual clock's."""
        clock = self.clock
        return super().time() if clock is None else clock.monotonic()

    def _patience(self) -> float:
        """Tell how many real seconds to give to other threads before the clock moves."""
        if self._working:
            return self.grace * _WORKING
        return self.grace if threading.active_count() > 1 else 0

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function in an executor, as on any loop; the clock moves more patiently until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: asyncio.Future[Any]) -> None:
        self._working -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Join the default executor; its threads end in real time, so the clock stands still meanwhile."""
        self._blocking += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._blocking -= 1


def run(main: Coroutine[Any, Any, T], *, clock: VirtualClock | None = None) -> T:
    """Run a coroutine to its end on a fresh virtual event loop, like `asyncio.run`.

    Args:
        main: The coroutine to run.
        clock: The clock for the loop; None (the default) follows the active `VirtualClock`, and real time while there
            is none.

    Returns:
        What the coroutine returned.

    Example:
        >>> import asyncio
        >>> from recoup.testing import VirtualClock, run
        >>> async def wait_for_nobody():
        ...     try:
        ...         async with asyncio.timeout(30):
        ...             await asyncio.Event().wait()
        ...     except TimeoutError:
        ...         return "half a minute, at no cost"
        >>> with VirtualClock():
        ...     run(wait_for_nobody())
        'half a minute, at no cost'
    """
    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(clock)) as runner:
        return runner.run(main)
