"""What a bulkhead can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast, get_args

from recoup._core import checks
from recoup.strategies.bulkhead.limits import AdaptiveLimit  # noqa: TC001 - typing.get_type_hints looks for it here
from recoup.typing import Seconds  # noqa: TC001 - typing.get_type_hints looks for it here

__all__ = ["BulkheadConfig", "QueueOrder"]

QueueOrder: TypeAlias = Literal["oldest_first", "priority", "fair", "newest_first"]
ORDERS = get_args(QueueOrder)
ORDER_WORDS = {
    "oldest_first": "first come first served",
    "priority": "higher priorities first",
    "fair": "one of each key in turn",
    "newest_first": "newest first under overload",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadConfig:
    """Say how many calls may run at once, how many may wait, and for how long.

    Args:
        max_concurrent: Calls that run at once, over all threads and event loops; at least 1. Default 10.
        max_queue_size: Calls that wait for a place; 0 turns every call away that cannot run at once. Default 100.
        queue_timeout: Seconds (or a timedelta) that a call waits for a place at most; 0 or more. A deadline that is
            nearer counts instead. Default 30.0.
        use_thread_pool: Whether plain functions run in threads of the bulkhead's own. Coroutine functions stay on their
            event loop. Default False.
        thread_pool_size: Threads, and so plain functions that run at once; at least 1. They are started when needed. It
            has a meaning only with `use_thread_pool`, and no more than `max_concurrent` are ever busy. Default 5.
        track_metrics: Whether `bulkhead.metrics` tells the counts; without, it is empty. Default True.
        adaptive: An `AIMDLimit`, `VegasLimit` or `Gradient2Limit` that learns how many calls may run at once; it starts
            with `max_concurrent`. Each call then costs a few microseconds more. Generators teach it nothing, because
            their time is their consumer's too. Default `None`: the limit stays.
        histograms: Whether `bulkhead.histograms` tells how long calls waited and ran. Default False.
        queue_order: Who of those who wait is next. "oldest_first"; "priority", higher ones first; "fair", one of each
            key in turn (priorities and keys are given by `queue_as`); "newest_first", as soon as somebody has been
            waiting for 0.1 s without interruption, and oldest first until then. Default "oldest_first".
        overload_timeout: With "newest_first": seconds (or a timedelta) that a call waits at most if it comes while the
            newest comes first; not more than `queue_timeout`. Facebook takes 0.005 for servers that answer within
            milliseconds (Maurer, "Fail at Scale", 2015). Default `None`: `queue_timeout` always.

    Raises:
        TypeError: If a value has the wrong type; the message names the argument.
        ValueError: If a value is out of range.

    Configs are immutable and may be shared between threads and event loops.

    Source: the specification names the parameters; the defaults are those of the library it was written for.

    >>> BulkheadConfig(max_concurrent=5, queue_timeout=10).queue_timeout
    10.0
    """

    max_concurrent: int = 10
    max_queue_size: int = 100
    queue_timeout: Seconds = 30.0
    use_thread_pool: bool = False
    thread_pool_size: int = 5
    track_metrics: bool = True
    adaptive: AdaptiveLimit | None = None
    histograms: bool = False
    queue_order: QueueOrder = "oldest_first"
    overload_timeout: Seconds | None = None

    def __post_init__(self) -> None:
        checks.count("max_concurrent", self.max_concurrent)
        checks.count("max_queue_size", self.max_queue_size, low=0)
        object.__setattr__(self, "queue_timeout", checks.duration("queue_timeout", self.queue_timeout))
        checks.boolean("use_thread_pool", self.use_thread_pool)
        checks.count("thread_pool_size", self.thread_pool_size)
        checks.boolean("track_metrics", self.track_metrics)
        checks.boolean("histograms", self.histograms)
        if self.queue_order not in ORDERS:
            raise ValueError(f"queue_order must be one of {', '.join(ORDERS)}, not {checks.shown(self.queue_order)}")
        if self.overload_timeout is not None:
            self._check_overload()
        if self.adaptive is not None:
            self._check_adaptive(self.adaptive)

    def _check_overload(self) -> None:
        seconds, longest = checks.duration("overload_timeout", self.overload_timeout), self.queue_timeout
        object.__setattr__(self, "overload_timeout", seconds)
        if self.queue_order != "newest_first":
            raise ValueError(
                f'overload_timeout has a meaning only with queue_order="newest_first", not {self.queue_order}'
            )
        if seconds > cast("float", longest):
            raise ValueError(
                f"overload_timeout must not be longer than queue_timeout ({longest:g} s), not {seconds:g} s"
            )

    def _check_adaptive(self, adaptive: object) -> None:
        from recoup.strategies.bulkhead.limits import (  # noqa: PLC0415 - paid for by those who use it
            AIMDLimit,
            Gradient2Limit,
            VegasLimit,
        )

        if not isinstance(adaptive, AIMDLimit | VegasLimit | Gradient2Limit):
            raise TypeError(
                "adaptive must be an AIMDLimit, VegasLimit, Gradient2Limit or None, not " + checks.shown(adaptive)
            )
        if not adaptive.min_limit <= self.max_concurrent <= adaptive.max_limit:
            raise ValueError(
                f"max_concurrent, with which adaptive starts, must be within its min_limit ({adaptive.min_limit}) and "
                f"max_limit ({adaptive.max_limit}), not {self.max_concurrent}"
            )


if TYPE_CHECKING:

    class BulkheadOptions(TypedDict, total=False):
        """Keywords of `@bulkhead`: the fields of `BulkheadConfig`, and `name`."""

        name: str | None
        max_concurrent: int
        max_queue_size: int
        queue_timeout: Seconds
        use_thread_pool: bool
        thread_pool_size: int
        track_metrics: bool
        adaptive: AdaptiveLimit | None
        histograms: bool
        queue_order: QueueOrder
        overload_timeout: Seconds | None
