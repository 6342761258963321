"""Bulkhead: the strategy object, the decorator and the block form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, overload

from recoup._core import checks, mode, timing, waiting
from recoup._core.colour import Colour, described
from recoup._core.strategy import Pump, Strategy, Worst, decorating
from recoup.strategies.bulkhead import pumps
from recoup.strategies.bulkhead.blocks import Blocks
from recoup.strategies.bulkhead.config import BulkheadConfig
from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import uncounted
from recoup.strategies.bulkhead.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from recoup._core.strategy import Place
    from recoup.strategies.bulkhead.config import BulkheadOptions
    from recoup.strategies.bulkhead.pool import Pool, TaskJob, ThreadJob
    from recoup.strategies.bulkhead.tickets import Place as Held
    from recoup.typing import Decorated

__all__ = ["Bulkhead", "bulkhead"]


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
        self._gate = Gate(config.max_concurrent, config.max_queue_size, config.thread_pool_size)
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


@overload
def bulkhead(target: Decorated, /) -> Decorated: ...
@overload
def bulkhead(target: BulkheadConfig | Bulkhead, /, *, name: str | None = None) -> Bulkhead: ...
@overload
def bulkhead(**options: Unpack[BulkheadOptions]) -> Bulkhead: ...
def bulkhead(target: Any = None, /, **options: Any) -> Any:
    """Let only so many calls of a function run at once; let some wait, and turn the others away.

    Write `@bulkhead`, `@bulkhead(max_concurrent=5)`, `@bulkhead(config)` or `@bulkhead(shared)`. Without configuration:
    10 calls run, 100 wait, none for longer than 30 seconds.

    Args:
        target: The function (`@bulkhead` alone), a `BulkheadConfig`, or a `Bulkhead` to share.
        options: The fields of `BulkheadConfig`; `name` is what errors and events call it.

    Returns:
        The decorated function, or a `Bulkhead` that decorates.

    Raises:
        TypeError: For an unknown keyword or a function that cannot be protected.
        ValueError: For a value out of range.

    The decorated function raises `BulkheadFullError` when the queue is full, `BulkheadTimeoutError` when it got no
    place in time, and `DeadlineExceeded` when its deadline struck in the queue; in all three it was not called. Of a
    generator function the place is held from the first item asked for until the generator ends, is closed or dropped.

    >>> @bulkhead(max_concurrent=2)
    ... def report(month: str) -> str:
    ...     return "report of " + month
    >>> report("May")
    'report of May'
    """
    return decorating(Bulkhead, BulkheadConfig, target, options)
