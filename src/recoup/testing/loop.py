"""An asyncio event loop on a virtual clock: what waits for a timer does not wait.

When the loop has nothing to do until its next timer, it moves the clock there instead of blocking. Three things
keep that honest:

* I/O that is ready comes first: the real selector is always asked before the clock moves.
* Work in other threads takes real time. While other threads live, the loop gives them `grace` real seconds before each
  jump (ten times as long while `run_in_executor` owes an answer), so that a `call_soon_threadsafe` that is on its way
  arrives before the timers behind it.
* With no timer at all the loop blocks for real, as any loop would; if nothing on earth could wake it, it says so
  instead of hanging the test run.

With a seed, tasks that could run in the same pass of the loop run in an order drawn from it. Nobody promises in which
order tasks run (Trio shuffles them always, for the same reason), and code that is right only in asyncio's usual order
is found by trying others. What asyncio does promise is kept: plain callbacks (`call_soon`, timers, done callbacks, the
inner workings of transports) run in the order in which they became ready.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections import deque
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from recoup._core import clock as seam
from recoup.testing.clock import VirtualClock, active_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping
    from concurrent.futures import Executor
    from typing import Any, TypeVar, TypeVarTuple

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

__all__ = ["VirtualEventLoop", "run", "virtual_loops"]

GRACE = 0.02  # real seconds; a thread that has its answer needs a GIL switch (5 ms) and a turn on the processor
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


class _Shuffled(deque["asyncio.Handle"]):
    """What is ready to run; the tasks in it change places once a pass.

    A pass of asyncio's loop adds what input and timers made ready, then takes as many handles as there are by then; so
    the first one taken is the moment to draw, and what becomes ready during a pass belongs to the next.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)  # noqa: S311 - an order for a test, not cryptography
        self.settled = False

    def popleft(self) -> asyncio.Handle:
        if not self.settled:
            self.settled = True
            places = [place for place, handle in enumerate(self) if _steps_a_task(handle)]
            drawn = [self[place] for place in places]
            self._random.shuffle(drawn)
            for place, handle in zip(places, drawn, strict=True):
                self[place] = handle
        return super().popleft()


def _steps_a_task(handle: Any) -> bool:
    # As asyncio itself tells them apart when it prints handles, for tasks in C and in Python.
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """Run asyncio code in virtual time: `asyncio.sleep`, `call_later` and `asyncio.timeout` cost nothing.

    Use it as a loop factory: `asyncio.Runner(loop_factory=VirtualEventLoop)`, or call `run`. One loop belongs to one
    thread; several loops may share a clock, and any of them moves it.

    Args:
        clock: The clock that tells this loop's time; None (the default) follows the active `VirtualClock`, and real
            time while there is none.
        grace: Real seconds given to other threads, while there are any, before the clock moves; default 0.02. Ten times
            as long while work given to `run_in_executor` is not done.
        seed: A whole number: tasks that are ready at the same time run in an order drawn from it, the same each time
            as long as no thread, socket or signal has a say. Default `None`: in the order in which they became ready.

    Example:
        >>> import asyncio
        >>> from recoup.testing import VirtualEventLoop
        >>> async def order(seed):
        ...     seen = []
        ...     async def step(name):
        ...         seen.append(name)
        ...     await asyncio.gather(*map(step, "abcd"))
        ...     return "".join(seen)
        >>> def tried(seed):
        ...     with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(seed=seed)) as runner:
        ...         return runner.run(order(seed))
        >>> tried(None), tried(7) == tried(7), len({tried(seed) for seed in range(200)})
        ('abcd', True, 24)
    """

    def __init__(self, clock: VirtualClock | None = None, *, grace: float = GRACE, seed: int | None = None) -> None:
        self._own_clock = clock
        self.grace = grace
        self.seed = seed
        self._blocking = 0
        self._working = 0
        super().__init__(_JumpingSelector(self))
        self._shuffled = None if seed is None else _Shuffled(seed)
        if self._shuffled is not None:
            self._ready = self._shuffled

    @property
    def clock(self) -> VirtualClock | None:
        """Tell which virtual clock drives this loop; None means real time."""
        return self._own_clock or active_clock()

    def time(self) -> float:
        """Tell the loop's time: the virtual clock's."""
        clock = self.clock
        return super().time() if clock is None else clock.monotonic()

    def _process_events(self, event_list: Any) -> None:
        if self._shuffled is not None:
            self._shuffled.settled = False  # asyncio comes here once a pass, before it runs what is ready
        inherited: Any = super()  # not public, so not in the types; each pass of every selector loop comes through it
        inherited._process_events(event_list)

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


@contextmanager
def _dice(seed: int | None) -> Generator[None]:
    """Have recoup draw from a seed meanwhile, in the whole process; None leaves everything to chance as ever."""
    if seed is None:
        yield
        return
    replaced, seam.random = seam.random, Random(seed).random  # noqa: S311 - jitter for a test, not cryptography
    try:
        yield
    finally:
        seam.random = replaced


def run(main: Coroutine[Any, Any, T], *, clock: VirtualClock | None = None, seed: int | None = None) -> T:
    """Run a coroutine to its end on a fresh virtual event loop, like `asyncio.run`.

    Args:
        main: The coroutine to run.
        clock: The clock for the loop; None (the default) follows the active `VirtualClock`, and real time while there
            is none.
        seed: A whole number that the order of tasks (see `VirtualEventLoop`) and recoup's own dice (jitter, rates of
            faults) are drawn from meanwhile; a run that went wrong can be repeated. Default `None`: tasks in their
            usual order, and chance.

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
    with _dice(seed), asyncio.Runner(loop_factory=lambda: VirtualEventLoop(clock, seed=seed)) as runner:
        return runner.run(main)


@contextmanager
def virtual_loops() -> Generator[None]:
    """Have new event loops follow the active `VirtualClock`, whoever makes them: `asyncio.run`, runners of plugins.

    Not those that are made by a loop factory of somebody's own.
    """
    places: tuple[Any, ...] = (asyncio, asyncio.events)  # the public name, and where asyncio.Runner looks
    replaced = [place.new_event_loop for place in places]
    for place in places:
        place.new_event_loop = VirtualEventLoop
    try:
        yield
    finally:
        for place, function in zip(places, replaced, strict=True):
            place.new_event_loop = function
