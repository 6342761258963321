"""Bulkhead: the strategy object and the block form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, options
from recoup._core.colour import Colour, described
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.bulkhead import pumps, visit
from recoup.strategies.bulkhead.blocks import Blocks
from recoup.strategies.bulkhead.config import ORDER_WORDS, BulkheadConfig
from recoup.strategies.bulkhead.state import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from recoup._core.strategy import Place
    from recoup.strategies.bulkhead.histogram import Histogram
    from recoup.strategies.bulkhead.meter import Meter
    from recoup.strategies.bulkhead.pool import Pool, TaskJob, ThreadJob

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
    ...     bulkhead.execute_sync(print, "one too many")  # doctest: +IGNORE_EXCEPTION_DETAIL
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
        self._meter: Meter | None = None
        self._ranked: Callable[[], object] | None = None
        line: Any = None
        if config.queue_order != "oldest_first":
            from recoup.strategies.bulkhead import lines  # noqa: PLC0415 - paid for by those who use it

            line, self._ranked = lines.made(config.queue_order), lines.ranked
        self._gate = Gate(*self._limits(), line)
        if config.histograms or config.adaptive is not None:
            from recoup.strategies.bulkhead.meter import Meter  # noqa: PLC0415 - paid for by those who measure

            self._meter = Meter(self._gate, config)
        self._blocks = Blocks()
        self._pool: Pool | None = None
        if config.use_thread_pool:
            from recoup.strategies.bulkhead.pool import Pool  # noqa: PLC0415 - paid for by those who use threads

            self._pool = Pool(config.thread_pool_size)

    def __repr__(self) -> str:
        counts, config = self._gate.counts(), self.config
        return (
            f"<Bulkhead {self.name!r} running={counts.running}/{self.limit} "
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
            ValueError: For a value out of range; for `use_thread_pool`, `histograms`, `queue_order` and an adaptive
                limit, which are settled (but one adaptive limit may replace another). Then nothing was changed.

        Any thread, task, signal handler or finaliser may call this at any time. Of two that do so at once, one wins.

        >>> bulkhead = Bulkhead(BulkheadConfig(max_concurrent=2))
        >>> bulkhead.reconfigure(max_concurrent=5)
        >>> bulkhead
        <Bulkhead 'bulkhead' running=0/5 waiting=0/100>
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Count from 0 again: counters, histograms, and an adaptive limit from `max_concurrent` on.

        Calls that run and wait are not disturbed. They count as `running` and `waiting`, and those that run now neither
        as `executed` nor in a histogram.

        Any thread, task, signal handler or finaliser may call this at any time.

        >>> bulkhead = Bulkhead()
        >>> bulkhead.execute_sync(len, "abc"), bulkhead.metrics["executed"]
        (3, 1)
        >>> bulkhead.reset()
        >>> bulkhead.metrics["executed"]
        0
        """
        self._gate.note(Gate.recount, None)
        if self._meter is not None:
            self._gate.note(self._forget, self._meter)
        self._gate.resize(self._limits)

    def _settled(self, config: BulkheadConfig) -> None:
        old = self.config
        settled: dict[str, tuple[object, object]] = {
            each: (getattr(old, each), getattr(config, each))
            for each in ("use_thread_pool", "histograms", "queue_order")
        }
        settled["whether there is an adaptive limit"] = (old.adaptive is None, config.adaptive is None)
        options.same(self, **settled)

    def _adopt(self, config: BulkheadConfig) -> None:
        old, self.config = self.config, config
        if self._meter is not None and (config.adaptive, config.max_concurrent) != (old.adaptive, old.max_concurrent):
            self._gate.note(self._adapt, self._meter)
        self._gate.resize(self._limits)
        if self._pool is not None:
            self._pool.resize(config.thread_pool_size)

    def _adapt(self, gate: Gate, meter: Meter) -> None:  # noqa: ARG002 - a gate says which one does what a note says
        meter.adapt(self.config)

    def _forget(self, gate: Gate, meter: Meter) -> None:  # noqa: ARG002 - as above
        meter.begin_anew(self.config)

    def _limits(self) -> tuple[int, int, int]:
        config = self.config
        limit = config.max_concurrent if self._meter is None else self._meter.limit
        return limit, config.max_queue_size, config.thread_pool_size

    @property
    def limit(self) -> int:
        """How many calls may run at once now: `max_concurrent`, or what an adaptive limit has learnt."""
        return self._gate.seats.limit

    @property
    def histograms(self) -> Mapping[str, Histogram]:
        """How long calls `waited` for a place (those that had to) and how long they `ran`; empty if not asked for."""
        meter = self._meter
        if meter is None or meter.waited is None or meter.ran is None:
            return {}
        return {"waited": meter.waited.histogram(), "ran": meter.ran.histogram()}

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
        if self._meter is not None:
            self._meter.entered(place)
        self._blocks.entered(place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        place = self._blocks.left()
        if self._meter is not None:
            self._meter.left(place, error)
        self._gate.back(place)
        if self._gate.queue:
            self._gate.settle()

    async def __aenter__(self) -> Self:
        """Wait for a place and hold it until the end of the block."""
        place = self._gate.take()
        if place is None:
            place = await self._wait_async()
        if self._meter is not None:
            self._meter.entered(place)
        self._blocks.entered(place)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour, gate = place.colour, self._gate
        measured: list[Pump] = []
        if self._meter is not None and not colour.is_stream:
            metering: Callable[..., Any] = pumps.metering_async if colour.is_async else pumps.metering
            measured = [Pump(metering, (self._meter.begin, place.outer))]
        if colour is Colour.SYNC and self._pool is not None:
            return [Pump(pumps.pooling, (partial(self._enlist, self._pool),)), *measured]
        wait: Callable[..., Any] = self._wait_async if colour.is_async else self._wait
        factory: Callable[..., Any]
        if colour.is_stream:
            factory = pumps.holding_stream_async if colour.is_async else pumps.holding_stream
        else:
            factory = pumps.holding_async if colour.is_async else pumps.holding
        return [Pump(factory, (gate.take, wait, gate.back, gate.queue, gate.settle)), *measured]

    def _bridge(self, place: Place) -> Pump | None:
        if self._pool is None:
            return None
        enlist = partial(self._enlist_async, self._pool)
        if self._meter is None:
            return Pump(pumps.pooling_async, (enlist,))
        return Pump(pumps.pooling_metered_async, (enlist, self._meter.begin, place.outer))

    def _says(self) -> Sequence[str]:
        config = self.config
        adapts = "" if config.adaptive is None else f", a limit that adapts ({type(config.adaptive).__name__})"
        says = [f"lets {self.limit} calls run at once, over threads and event loops together{adapts}"]
        if config.max_queue_size:
            order, hasty = ORDER_WORDS[config.queue_order], config.overload_timeout
            then = "" if hasty is None else f", who comes then for up to {hasty:g} s"
            says.append(f"lets {config.max_queue_size} more wait for up to {config.queue_timeout:g} s, {order}{then}")
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

    _wait = visit.wait
    _wait_async = visit.wait_async

    def _enlist(self, pool: Pool, fn: Callable[..., Any]) -> ThreadJob:
        """Wait for a place and a thread."""
        from recoup.strategies.bulkhead.pool import ThreadJob  # noqa: PLC0415 - as in __init__

        return ThreadJob(pool, self._gate, self._wait(pooled=True), fn, self.name)

    async def _enlist_async(self, pool: Pool, fn: Callable[..., Any]) -> TaskJob:
        """Do what `_enlist` does in async code."""
        from recoup.strategies.bulkhead.pool import TaskJob  # noqa: PLC0415 - as in __init__

        return TaskJob(pool, self._gate, await self._wait_async(pooled=True), fn, self.name)
