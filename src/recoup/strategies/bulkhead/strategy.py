"""Bulkhead: the strategy object and the block form."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, mode, timing, waiting
from recoup._core.colour import Colour, described
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.bulkhead import pumps
from recoup.strategies.bulkhead.blocks import Blocks
from recoup.strategies.bulkhead.config import BulkheadConfig
from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import uncounted
from recoup.strategies.bulkhead.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from recoup._core.strategy import Place
    from recoup.strategies.bulkhead.pool import Pool, TaskJob, ThreadJob
    from recoup.strategies.bulkhead.tickets import Place as Held

__all__ = ["Bulkhead"]


class Bulkhead(Strategy):
    """Let only so many calls run at once; let some wait in order of arrival, and turn the others away.

    A decorator (`@bulkhead`), an executor (`await bulkhead.execute(func)`, `bulkhead.execute_sync(func)`) and a block
    (`with bulkhead:`, `async with bulkhead:`). A function that calls itself through its bulkhead needs a place for each
    level, as does a block inside a block.

    Args:
        config: The limits; default `BulkheadConfig()`.
        name: What errors, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: one limit and one queue hold for all threads, asyncio loops and Trio runs together. A forked
    child begins with an empty bulkhead.

    It does not stop work that runs: a call that its caller has left keeps its place until it really ends.

    >>> bulkhead = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=0), name="reports")
    >>> with bulkhead, bulkhead:
    ...     bulkhead.execute_sync(print, "one too many")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    recoup.errors.BulkheadFullError: bulkhead 'reports' is full: 2 calls run and 0 wait; raise max_concurrent or ...
    >>> bulkhead
    <Bulkhead 'reports' running=0/2 waiting=0/0>
    """

    kind: ClassVar[str] = "bulkhead"

    def __init__(self, config: BulkheadConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = BulkheadConfig()
        checks.instance("config", config, BulkheadConfig)
        super().__init__(name=name)
        self.config = config
        self._gate = Gate(*self._limits())
        self._blocks = Blocks()
        self._pool: Pool | None = None
        if config.use_thread_pool:
            from recoup.strategies.bulkhead.pool import Pool  # noqa: PLC0415 - paid for by those who use threads

            self._pool = Pool(config.thread_pool_size)

    def __repr__(self) -> str:
        counts, config = self._gate.counts(), self.config
        return (
            f"<Bulkhead {self.name!r} running={counts.running}/{config.max_concurrent} "
            f"waiting={counts.waiting}/{config.max_queue_size}>"
        )

    def reconfigure(self, config: BulkheadConfig | None = None, /, **changes: Any) -> None:
        """Change the limits while calls run and wait.

        Write `bulkhead.reconfigure(max_concurrent=5)`, which keeps all other fields, or give a whole config.

        Calls that run go on, and calls that wait keep their places in the queue and their patience. With a larger limit
        those there is room for come in at once. With a smaller one nobody new comes in before so many calls have ended
        that there is room again; this method does not wait for that.

        Args:
            config: The new limits; `None` for those that hold now, with changes.
            changes: Fields of `BulkheadConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range, or another `use_thread_pool`, which is settled for the functions that
                were decorated. Then nothing was changed.

        Any thread, task, signal handler or finaliser may call this at any time. Of two that do so at once, one wins.

        >>> bulkhead = Bulkhead(BulkheadConfig(max_concurrent=2))
        >>> bulkhead.reconfigure(max_concurrent=5)
        >>> bulkhead
        <Bulkhead 'bulkhead' running=0/5 waiting=0/100>
        """
        if config is None:
            config = replace(self.config, **changes)
        elif changes:
            raise TypeError(f"reconfigure() takes a config or fields, not both: {', '.join(sorted(changes))} given")
        checks.instance("config", config, BulkheadConfig)
        if config.use_thread_pool != self.config.use_thread_pool:
            raise ValueError(
                f"use_thread_pool of bulkhead {self.name!r} must stay {self.config.use_thread_pool}: its functions "
                "were decorated for that; make another Bulkhead"
            )
        self.config = config
        self._gate.resize(self._limits)
        if self._pool is not None:
            self._pool.resize(config.thread_pool_size)

    def _limits(self) -> tuple[int, int, int]:
        config = self.config
        return config.max_concurrent, config.max_queue_size, config.thread_pool_size

    @property
    def metrics(self) -> Mapping[str, int]:
        """What was counted so far, all of it at one moment; empty with `track_metrics=False`.

        `executed` calls got a place (those that run now included), `rejected` ones met a full queue, `timeout` ones
        ran out of time in the queue; `running` and `waiting` are those that do so now, `peak` is the most that ever ran
        at once. A call that was cancelled in the queue is in none of them.
        """
        return self._gate.counts()._asdict() if self.config.track_metrics else {}

    @property
    def running(self) -> int:
        """How many calls run now."""
        return self._gate.counts().running

    @property
    def waiting(self) -> int:
        """How many calls wait for a place now."""
        return self._gate.counts().waiting

    def __enter__(self) -> Self:
        """Wait for a place and hold it until the end of the block."""
        place = self._gate.take()
        if place is None:
            place = self._wait()
        self._blocks.entered(place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.back(self._blocks.left())
        if self._gate.queue:
            self._gate.settle()

    async def __aenter__(self) -> Self:
        """Wait for a place and hold it until the end of the block."""
        place = self._gate.take()
        if place is None:
            place = await self._wait_async()
        self._blocks.entered(place)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour, gate = place.colour, self._gate
        if colour is Colour.SYNC and self._pool is not None:
            return [Pump(pumps.pooling, (partial(self._enlist, self._pool),))]
        wait: Callable[..., Any] = self._wait_async if colour.is_async else self._wait
        factory: Callable[..., Any]
        if colour.is_stream:
            factory = pumps.holding_stream_async if colour.is_async else pumps.holding_stream
        else:
            factory = pumps.holding_async if colour.is_async else pumps.holding
        return [Pump(factory, (gate.take, wait, gate.back, gate.queue, gate.settle))]

    def _bridge(self, place: Place) -> Pump | None:  # noqa: ARG002 - it is the same pump in every place
        if self._pool is None:
            return None
        return Pump(pumps.pooling_async, (partial(self._enlist_async, self._pool),))

    def _says(self) -> Sequence[str]:
        config = self.config
        says = [f"lets {config.max_concurrent} calls run at once, over threads and event loops together"]
        if config.max_queue_size:
            says.append(
                f"lets {config.max_queue_size} more wait for up to {config.queue_timeout:g} s, first come first served"
            )
        says.append("refuses the others; refusals of ours open no circuit and are not retried")
        return says

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - waiting takes the same time in each
        waits: Any = self.config.queue_timeout if self.config.max_queue_size else 0.0
        return Worst(inner.calls, inner.seconds + waits)

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if colour is Colour.STREAM and self._pool is not None:
            raise TypeError(
                f"use_thread_pool cannot run {described(target)}, a generator, whose steps belong to its consumer's "
                "thread: leave use_thread_pool out, or return a list"
            )

    def _visit(self, waiter: Callable[[], Any], *, pooled: bool) -> Visit:
        """Begin the visit of a call that did not get straight in."""
        crowded = len(self._gate.queue) >= self.config.max_queue_size  # then a refusal need not cost a waiter
        return Visit(self._gate, self.config, self.name, None if crowded else waiter(), pooled=pooled)

    def _wait(self, *, pooled: bool = False) -> Held:
        """Queue up for a place in plain code.

        Raises:
            BulkheadFullError: If the queue is full.
            BulkheadTimeoutError: If no place was free within `queue_timeout`.
            DeadlineExceeded: If the ambient deadline struck before that; `started` is False.
        """
        if mode.active and mode.off():
            return uncounted()
        visit = self._visit(waiting.for_thread, pooled=pooled)
        try:
            if visit.queued() and not visit.ticket.waiter.wait(visit.patience):
                visit.late()
            place = visit.ticket.place
        except BaseException:
            visit.leave()
            raise
        if place is None:
            raise visit.refusal()
        return place

    async def _wait_async(self, *, pooled: bool = False) -> Held:
        """Queue up for a place in async code; raises what `_wait` raises."""
        if mode.active and mode.off():
            return uncounted()
        visit = self._visit(waiting.for_task, pooled=pooled)
        try:
            if visit.queued():
                with timing.queueing():  # if the deadline's timer cancels us here, the function was never asked
                    if not await visit.ticket.waiter.wait_async(visit.patience):
                        visit.late()
            place = visit.ticket.place
        except BaseException:
            visit.leave()
            raise
        if place is None:
            raise visit.refusal()
        return place

    def _enlist(self, pool: Pool, fn: Callable[..., Any]) -> ThreadJob:
        """Wait for a place and a thread."""
        from recoup.strategies.bulkhead.pool import ThreadJob  # noqa: PLC0415 - as in __init__

        return ThreadJob(pool, self._gate, self._wait(pooled=True), fn, self.name)

    async def _enlist_async(self, pool: Pool, fn: Callable[..., Any]) -> TaskJob:
        """Do what `_enlist` does in async code."""
        from recoup.strategies.bulkhead.pool import TaskJob  # noqa: PLC0415 - as in __init__

        return TaskJob(pool, self._gate, await self._wait_async(pooled=True), fn, self.name)
