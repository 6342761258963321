"""TimeLimiter: what limits the time of calls; and `@deadline`."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast, overload

from recoup._core import blocks, checks, timing
from recoup._core.colour import Colour, colour_of, described
from recoup._core.options import decorating, same
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.deadline.config import DeadlineConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from recoup._core.strategy import Place
    from recoup.strategies.deadline.config import DeadlineOptions
    from recoup.strategies.deadline.workers import Workers
    from recoup.typing import Seconds

__all__ = ["TimeLimiter", "deadline"]


class TimeLimiter(Strategy):
    """Sets a deadline for every call, and cancels async calls that miss it.

    Use it as a decorator, through `execute` and `execute_sync`, or as a block: `async with limiter:` cancels what the
    block awaits; `with limiter:` (which needs `mode="cooperative"`) tells code inside it how much time is left and
    interrupts nothing. It may be shared by any number of functions, threads, tasks and event loops; each call has its
    own deadline. Under asyncio and Trio alike.

    Args:
        config: How long a call may take.
        name: What errors, events and `repr` call it. Default: the qualified name of the first function it decorates.

    >>> limiter = TimeLimiter(DeadlineConfig(0.5, mode="cooperative"))
    >>> with limiter:
    ...     sum(range(10))
    45
    """

    kind: ClassVar[str] = "deadline"

    def __init__(self, config: DeadlineConfig, *, name: str | None = None) -> None:
        checks.instance("config", config, DeadlineConfig)
        super().__init__(name=name)
        self.config = config
        self._live = timing.Live(self._limit(config))
        self._workers = _workers(config)

    def __repr__(self) -> str:
        return f"<TimeLimiter {self.name!r} {self.config.seconds:g} s>"

    def __enter__(self) -> Self:
        """Set a deadline for the block; it interrupts nothing.

        Raises:
            TypeError: If the mode is not "cooperative".
            DeadlineExceeded: With `started=False`, if an outer deadline has left no time.
        """
        if self.config.mode != "cooperative":
            raise TypeError(
                f'`with` on a deadline cannot interrupt its block: say mode="cooperative" if it is enough that code '
                f"inside may ask how much time is left (mode is {self.config.mode!r}), or use `async with`"
            )
        blocks.begin(self._live.limit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        blocks.end(self)

    async def __aenter__(self) -> Self:
        """Set a deadline for the block and cancel what it awaits when the time is up.

        Raises:
            DeadlineExceeded: With `started=False`, if an outer deadline has left no time.
        """
        await blocks.begin_async(self._live.limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await blocks.end_async(self, error)

    def reconfigure(self, config: DeadlineConfig | None = None, /, **changes: Any) -> None:
        """Change how long calls may take, while calls are made.

        Calls and blocks that run keep the time that they began with.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `DeadlineConfig`, `seconds` or `reserve`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range, or another `mode` or `thread_workers`: functions were decorated, and
                threads started, for these. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> limiter = TimeLimiter(DeadlineConfig(0.5))
        >>> limiter.reconfigure(seconds=2)
        >>> limiter.config.seconds
        2.0
        """
        super().reconfigure(config, **changes)

    def _settled(self, config: Any) -> None:
        now = self.config
        same(self, mode=(now.mode, config.mode), thread_workers=(now.thread_workers, config.thread_workers))

    def _adopt(self, config: Any) -> None:
        self.config = config
        self._live.limit = self._limit(config)

    def _limit(self, config: DeadlineConfig) -> timing.Limit:
        return timing.Limit(self, cast("float", config.seconds), None, cast("float", config.reserve))

    def _pumps(self, place: Place) -> Sequence[Pump]:
        if self._workers is not None and place.colour is Colour.SYNC:
            from recoup.strategies.deadline import jobs, pumps  # noqa: PLC0415 - few need threads

            return [Pump(pumps.delegating, (partial(jobs.ThreadJob, self._workers, self._live),))]
        return [timing.limit(place.colour, self._live)]

    def _bridge(self, place: Place) -> Pump | None:  # noqa: ARG002 - the same everywhere
        if self._workers is None:
            return None
        from recoup.strategies.deadline import pumps  # noqa: PLC0415 - few need threads

        return Pump(pumps.bridging, (self._workers, self._live))

    def _says(self) -> Sequence[str]:
        seconds, mode = self._live.limit.seconds, self.config.mode
        if mode == "thread":
            workers = self.config.thread_workers
            return [
                f"gives its caller control back after {seconds:g} s",
                f"runs up to {workers} plain calls in threads",
            ]
        if mode == "cooperative":
            return [f"allows {seconds:g} s: cancels async calls, and lets plain ones see how much is left"]
        return [f"cancels the call after {seconds:g} s, or when a deadline outside strikes"]

    def _worst(self, inner: Worst, colour: Colour) -> Worst:
        if not colour.is_async and self._workers is None:  # nothing ends a plain function but itself
            return inner
        return Worst(inner.calls, min(inner.seconds, self._live.limit.seconds))

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        mode = self.config.mode
        # `await limiter.execute(plain_function)` asks for ASYNC, and the function is as deaf as ever.
        if mode is None and not (colour.is_async and colour_of(target) is not Colour.SYNC):
            raise TypeError(
                f"{described(target)} is not asynchronous, so nothing can interrupt it when its time is up; say what "
                'you want instead: mode="cooperative" (it runs to its end; the time is checked before it starts, '
                'before every wait and by current_deadline().check()) or mode="thread" (it runs in a thread of its '
                "own; its caller gets control back on time, the work goes on until it ends by itself)"
            )
        if mode == "thread" and colour is Colour.STREAM:
            raise TypeError(
                f'mode="thread" cannot run {described(target)}, a generator, whose steps belong to the thread of its '
                'consumer: say mode="cooperative", or return a list'
            )


def _workers(config: DeadlineConfig) -> Workers | None:
    if config.mode != "thread":
        return None
    from recoup.strategies.deadline.workers import Workers  # noqa: PLC0415 - few need threads

    return Workers(config.thread_workers)


@overload
def deadline(target: DeadlineConfig | TimeLimiter, /, *, name: str | None = None) -> TimeLimiter: ...
@overload
def deadline(seconds: Seconds, /, **options: Unpack[DeadlineOptions]) -> TimeLimiter: ...
@overload
def deadline(*, seconds: Seconds, **options: Unpack[DeadlineOptions]) -> TimeLimiter: ...
def deadline(target: Any = None, /, **options: Any) -> Any:
    """Limit how long every call may take.

    Write `@deadline(2)`, `@deadline(2, mode="thread")`, `@deadline(config)` or `@deadline(limiter)`. Inside the
    function `current_deadline()` tells how much time is left, and no other layer of recoup waits longer than that.

    An async function is cancelled when its time is up, and `DeadlineExceeded` (a `TimeoutError`) raised. If it returns
    a value or raises an error of its own all the same, that is what the caller gets; code that swallows cancellation
    delays its caller. Nothing can cancel a plain function: say `mode`, see `DeadlineConfig`.

    Args:
        target: How long a call may take, in seconds (or a timedelta); or a `DeadlineConfig`, or a `TimeLimiter` to
            share.
        options: The fields of `DeadlineConfig`; `name` is what errors and events call it.

    Returns:
        A `TimeLimiter` that decorates; also a block: `async with deadline(2):`.

    Raises:
        TypeError: Without a time, for an unknown keyword, for a plain function without a mode, or for a function
            that cannot be protected.
        ValueError: For a value out of range.

    >>> @deadline(2.5)
    ... async def fetch(path: str) -> str:
    ...     return "contents of " + path
    >>> import asyncio
    >>> asyncio.run(fetch("/etc/motd"))
    'contents of /etc/motd'
    """
    if isinstance(target, (DeadlineConfig, TimeLimiter)):
        return decorating(TimeLimiter, DeadlineConfig, target, options)
    if isinstance(target, (int, float, timedelta)):
        if "seconds" in options:
            raise TypeError("deadline() got the time twice: by position and as seconds")
        options["seconds"] = target
    elif target is not None or "seconds" not in options:
        given = "" if target is None else f", not @deadline with {checks.shown(target)}"
        raise TypeError(f"@deadline needs a time: write @deadline(2.5) above the function{given}")
    return decorating(TimeLimiter, DeadlineConfig, None, options)
