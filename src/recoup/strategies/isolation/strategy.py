"""Isolation: the strategy object."""

from __future__ import annotations

import atexit
import threading
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from recoup._core import checks, waiting
from recoup._core.colour import Colour, colour_of, described, innermost
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.isolation import errands, pumps
from recoup.strategies.isolation.config import IsolationConfig
from recoup.strategies.isolation.jobs import TaskCall, ThreadCall, start
from recoup.strategies.isolation.keeper import Keeper, closed
from recoup.strategies.isolation.process import Plan
from recoup.strategies.isolation.state import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from recoup._core.strategy import Place

__all__ = ["Isolation"]

_LAST_WAIT = 5.0  # seconds for each worker at the end of the program; a process that the system cannot end stays behind


class Isolation(Strategy):
    """Run plain functions in worker processes, where they can crash or hang without harm to anybody else.

    A decorator (`@isolation`) and an executor (`isolation.execute_sync(func)`, which blocks, and
    `await isolation.execute(func)`). As a block, `with isolation:` or `async with isolation:`, it is closed at the end.

    The name is that of the field: MicroProfile and Hystrix isolate calls by threads or semaphores, resilix and the
    sandboxes of browsers by processes. It is no `ProcessPool`, because the workers are not the point: what they keep
    apart is.

    Args:
        config: How many workers, and how long a call may take; default `IsolationConfig()`.
        name: What errors, events and `repr` call it, and its processes. Default: the name of the first function it
            decorates.

    Thread and loop safety: one object serves any number of threads, asyncio loops and Trio runs at the same time, and
    a queue for all of them. A forked child begins with no workers. Nothing of signals is changed in this process.

    It does not carry context variables to the worker, other than the deadline. Processes that the function itself
    starts are not killed with the worker. It needs a POSIX system: Linux or macOS.

    >>> isolation = Isolation(IsolationConfig(workers=1, timeout=30), name="doctest")
    >>> isolation
    <Isolation 'doctest' running=0/1 waiting=0/100>
    >>> with isolation:
    ...     isolation.execute_sync(divmod, 7, 2)
    (3, 1)
    """

    kind: ClassVar[str] = errands.KIND

    def __init__(self, config: IsolationConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = IsolationConfig()
        checks.instance("config", config, IsolationConfig)
        super().__init__(name=name)
        self.config = config
        self._crew = Crew(config.workers, config.max_queue_size, Keeper)
        _open.add(self)

    def __repr__(self) -> str:
        counts, config = self._crew.counts(), self.config
        state = " closed" if self._crew.closed else ""
        return (
            f"<Isolation {self.name!r}{state} running={counts.running}/{config.workers} "
            f"waiting={counts.waiting}/{config.max_queue_size}>"
        )

    @property
    def metrics(self) -> Mapping[str, int]:
        """What was counted so far; a copy.

        Calls: `executed` ones were taken by a worker, `rejected` ones met a full queue, `timeout` ones got no worker in
        time; `running` and `waiting` are those that do so now. Workers: `started`, `crashed`, `killed` (out of time, or
        left by their caller) and `recycled` (after `max_calls_per_worker` calls).
        """
        return self._crew.counts()._asdict()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers that live now."""
        return tuple(self._crew.pids())

    def reconfigure(self, config: IsolationConfig | None = None, /, **changes: Any) -> None:
        """Change the number of workers, or anything else, while calls run and wait.

        Write `isolation.reconfigure(workers=8)`, which keeps all other fields, or give a whole config.

        Calls that run go on, under the timeout that they began with, and calls that wait keep their places. With more
        workers those there is room for begin at once; surplus ones end, when they are idle. A new `initializer` or
        `start_method` holds for new workers, and those that live are replaced after the call that they have now.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `IsolationConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> isolation = Isolation(IsolationConfig(workers=2))
        >>> isolation.reconfigure(workers=3)
        >>> isolation
        <Isolation 'isolation' running=0/3 waiting=0/100>
        """
        super().reconfigure(config, **changes)

    def _adopt(self, config: IsolationConfig) -> None:
        old, self.config = self.config, config
        if (config.initializer, config.start_method) != (old.initializer, old.start_method):
            self._crew.renew()
        start(self._crew.resize(config.workers, config.max_queue_size))

    def reset(self) -> None:
        """Forget what was counted, and replace all workers: whatever they have kept in memory goes with them.

        Idle ones end now, the others after the call that they have. Any thread or task may call this at any time.
        """
        self._crew.tally.begin_anew()
        self._crew.renew()

    def close(self, *, kill: bool = False) -> None:
        """Take no more calls, and wait until no worker is left.

        Args:
            kill: Whether to kill calls that run (`WorkerCrashed`) and refuse those that wait; by default all of them
                are made first. If this wait is interrupted, by Ctrl-C say, they are killed.

        A second call does nothing but wait. Calls afterwards raise RuntimeError. At the end of the program all are
        closed, with `kill`.
        """
        try:
            for keeper in self._closed(kill=kill):
                keeper.join()
        except BaseException:
            self._closed(kill=True)
            raise

    async def aclose(self, *, kill: bool = False) -> None:
        """Do what `close` does, for a task; if that is cancelled, calls that run are killed."""
        waiter = waiting.for_task()

        def close() -> None:
            self.close(kill=kill)
            waiter.wake()

        threading.Thread(target=close, name=f"recoup-{self.name}-close", daemon=True).start()
        try:
            await waiter.wait_async()
        except BaseException:
            self._closed(kill=True)
            raise

    def _closed(self, *, kill: bool) -> list[Keeper]:
        everyone, refused = self._crew.close(kill=kill)
        for job in refused:
            job.fail(closed(self.name))
        return everyone

    def __enter__(self) -> Self:
        """Close it at the end of the block; if that is left by an exception, calls that run yet are killed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=error is not None)

    async def __aenter__(self) -> Self:
        """Close it at the end of the block, as a plain one."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose(kill=error is not None)

    def _pumps(self, place: Place) -> Sequence[Pump]:
        if place.colour is not Colour.SYNC:  # recovery is off, and the function has returned a coroutine
            return []
        return [Pump(pumps.isolating, (partial(self._call, ThreadCall, place.target),))]

    def _bridge(self, place: Place) -> Pump | None:
        return Pump(pumps.isolating_async, (partial(self._call, TaskCall, place.target),))

    def _call(self, make: Callable[..., Any], target: Any, fn: Callable[..., Any]) -> Any:
        return make(fn, target, self._crew, self._plan)

    def _plan(self) -> Plan:
        return Plan(self.name, self.config, self._crew.era)

    def _says(self) -> Sequence[str]:
        config = self.config
        says = [f"runs plain functions in {config.workers} worker processes; a crash fails the one call that it hits"]
        if config.timeout is not None:
            says.append(f"kills a worker whose call takes more than {config.timeout:g} s, and starts another")
        if config.max_queue_size:
            says.append(
                f"lets {config.max_queue_size} more calls wait for a worker, up to {config.queue_timeout:g} s, first "
                "come first served"
            )
        return says

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - the same in each
        config: Any = self.config
        seconds = inner.seconds if config.timeout is None else min(inner.seconds, config.timeout)
        return Worst(inner.calls, seconds + config.queue_timeout)

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        kind = Colour.SYNC if isinstance(target, type) else colour_of(target)
        if kind is not Colour.SYNC:
            what = "a generator, whose steps belong to its consumer" if kind.is_stream else "asynchronous"
            raise TypeError(
                f"{described(target)} is {what}, and cannot run in a worker process: isolate a plain function that "
                "does the work and returns it whole; async code awaits isolation.execute(function, ...)"
            )
        name = getattr(innermost(target), "__qualname__", "")
        if "<" in name:
            raise TypeError(
                f"{name!r} is a lambda or was made inside a function, where no other process can find it: isolate a "
                "function, or a method of a class, at module level"
            )


_open: WeakSet[Isolation] = WeakSet()


def _close_all() -> None:
    """End all workers with the program: before multiprocessing waits for them."""
    keepers = [keeper for isolation in list(_open) for keeper in isolation._closed(kill=True)]
    for keeper in keepers:
        keeper.join(_LAST_WAIT)


# What is registered later runs earlier, and multiprocessing.util, which waits for all child processes, registers that
# when it is imported.
import_module("multiprocessing.util")
atexit.register(_close_all)
