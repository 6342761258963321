"""Rate limit: the strategy object and its blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, clock, mode, options, waiting
from recoup._core.strategy import Strategy, Worst
from recoup.strategies.rate_limit import making, waits
from recoup.strategies.rate_limit.config import RateLimitConfig
from recoup.strategies.rate_limit.desk import Demand, Desk
from recoup.strategies.rate_limit.weighing import NO_KEY, asked
from recoup.strategies.rate_limit.words import says

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from recoup._core.colour import Colour
    from recoup._core.strategy import Place, Pump

__all__ = ["RateLimiter"]


class RateLimiter(Strategy):
    """Let only so many calls begin in a time; let others wait for their moment, and turn the rest away at once.

    A decorator (`@limiter`), an executor (`await limiter.execute(func)`, `limiter.execute_sync(func)`) and a block
    (`with limiter:`, `async with limiter:`). `acquire`, `acquire_async` and `try_acquire` take permits by themselves.

    A call knows when it is made how long it has to wait, so one that would wait too long is refused before it waits.
    Calls begin in order of arrival, and never faster than the limits say, also after a loop was blocked or the process
    stood still. When a call is cancelled while it waits, those behind it move up; one that begins has used its permits,
    whatever becomes of it.

    Args:
        config: The limits. There is no default: what a service allows, nobody can guess.
        name: What errors, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: one limit holds for all threads, asyncio loops and Trio runs together. A forked child goes
    on with what was taken, and counts by itself from there.

    >>> limiter = RateLimiter(RateLimitConfig(rate=2, per=60, max_wait=0), name="mail")
    >>> limiter.try_acquire(2)
    True
    >>> with limiter:  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
        ...
    recoup.errors.RateLimitExceeded: rate limit 'mail' refused the call: 2 permits come in 60 s, ...
    """

    kind: ClassVar[str] = "rate_limit"

    def __init__(self, config: RateLimitConfig, *, name: str | None = None) -> None:
        checks.instance("config", config, RateLimitConfig)
        super().__init__(name=name)
        self._desk = Desk(config)
        self._asks = making.asking(config)

    def __repr__(self) -> str:
        config = self.config
        state = f"{self._desk.available(None)} available" if config.key is None else f"{self._desk.keys} keys"
        return f"<RateLimiter {self.name!r} {config.rate} per {config.per:g} s, {state}>"

    @property
    def config(self) -> RateLimitConfig:
        """The limits that hold now."""
        return self._desk.config

    @property
    def metrics(self) -> Mapping[str, int]:
        """What was counted so far.

        Calls that `waited`, and that were `refused`; how often the service asked for less (`slowed`); how many permits
        were taken by `drain` (`drained`).
        """
        desk = self._desk
        return {"waited": desk.waited, "refused": desk.refused, "slowed": desk.slowed, "drained": desk.drained}

    def available(self, *, key: Hashable = NO_KEY) -> int:
        """Tell how many permits could be taken now.

        Args:
            key: Whose, if the limiter has keys.

        Raises:
            TypeError: If a key is missing, is none, or is given to a limiter without keys.
        """
        return self._desk.available(asked(self, None, key).key)

    def current_rate(self, *, key: Hashable = NO_KEY) -> float:
        """Tell how many permits come in `per` seconds now: fewer than `rate` after the service asked for less.

        Args:
            key: As for `available`.

        Raises:
            TypeError: As for `available`.
        """
        per: Any = self.config.per
        permits: float = self._desk.rate(asked(self, None, key).key) * per
        return permits

    def slow_down(self, *, key: Hashable = NO_KEY) -> None:
        """Say that the service asks for less, where no call's error says so: in a block, or of an answer.

        Nothing happens unless the limiter is `adaptive`.

        Args:
            key: As for `available`.

        Raises:
            TypeError: As for `available`.

        >>> from recoup import AIMDRate
        >>> limiter = RateLimiter(RateLimitConfig(rate=100, adaptive=AIMDRate()))
        >>> limiter.slow_down()
        >>> limiter.current_rate()
        50.0
        """
        self._desk.learn(asked(self, None, key).key, clock.monotonic(), less=True)

    def try_acquire(self, weight: int | None = None, *, key: Hashable = NO_KEY) -> bool:
        """Take permits if they are there and nobody waits for them.

        Args:
            weight: How many; at least 1. Default: as many as a call takes, 1 if that depends on its arguments.
            key: Whose, if the limiter has keys.

        Returns:
            Whether they were taken.

        Raises:
            TypeError: If a key is missing, is none, or is given to a limiter without keys.
            ValueError: If there are never so many at once.

        >>> limiter = RateLimiter(RateLimitConfig(rate=1, per=60))
        >>> limiter.try_acquire(), limiter.try_acquire()
        (True, False)
        """
        demand = asked(self, weight, key)
        if mode.active and mode.off():
            return True
        return self._desk.claim(demand, 0.0, math.inf, waiting.for_thread) is None

    def drain(self, *, key: Hashable = NO_KEY) -> int:
        """Take all permits that are there now, so that no call begins before others have come.

        For when a service says that nothing is left, or work that is more important needs all there is. It never waits,
        so plain and async code call the same method. Calls that wait already go first: while any does, none is taken.

        Args:
            key: Whose, if the limiter has keys.

        Returns:
            How many were taken; 0 where the strategies are switched off.

        Raises:
            TypeError: As for `available`.

        Any thread or task may call this at any time: no permit is given to two.

        >>> limiter = RateLimiter(RateLimitConfig(rate=5, per=60))
        >>> limiter.try_acquire(2), limiter.drain(), limiter.drain()
        (True, 3, 0)
        >>> limiter.try_acquire()
        False
        """
        demand = asked(self, None, key)
        if mode.active and mode.off():
            return 0
        return self._desk.drain(demand.key)

    def acquire(self, weight: int | None = None, *, key: Hashable = NO_KEY) -> None:
        """Take permits, waiting for them in plain code.

        Args:
            weight: As for `try_acquire`.
            key: As for `try_acquire`.

        Raises:
            RateLimitExceeded: If they would not be there within `max_wait`, or before the deadline. At once.
            TypeError: As for `try_acquire`.
            ValueError: As for `try_acquire`.
        """
        self._wait(asked(self, weight, key))

    async def acquire_async(self, weight: int | None = None, *, key: Hashable = NO_KEY) -> None:
        """Take permits, waiting for them in async code; the asynchronous twin of `acquire`."""
        await self._wait_async(asked(self, weight, key))

    def reconfigure(self, config: RateLimitConfig | None = None, /, **changes: Any) -> None:
        """Change the limits while calls are made and wait.

        Write `limiter.reconfigure(rate=5)`, which keeps all other fields, or give a whole config. What was taken stays
        taken. Calls that wait keep their places, and begin as the new limits let them: earlier or later.

        Args:
            config: The new limits; `None` for those that hold now, with changes.
            changes: Fields of `RateLimitConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range, or another `mode`, or if `key` or `weight` would become functions or
                cease to be ones, or the rate adaptive: the functions were decorated for that. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> limiter = RateLimiter(RateLimitConfig(rate=2))
        >>> limiter.reconfigure(rate=5)
        >>> limiter
        <RateLimiter 'rate_limit' 5 per 1 s, 2 available>
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Begin anew: all permits are there, no key is known, and nothing was counted.

        The limits stay. Calls that wait keep their places, and begin as far as the new permits go.

        Any thread or task may call this at any time.

        >>> limiter = RateLimiter(RateLimitConfig(rate=1, per=60))
        >>> limiter.try_acquire(), limiter.try_acquire()
        (True, False)
        >>> limiter.reset()
        >>> limiter.try_acquire()
        True
        """
        self._desk.reset()

    def _settled(self, config: RateLimitConfig) -> None:
        now = self.config
        options.same(
            self,
            mode=(now.mode, config.mode),
            key=(now.key is None, config.key is None),
            weight=(callable(now.weight), callable(config.weight)),
            adaptive=(now.adaptive is None, config.adaptive is None),
        )

    def _adopt(self, config: RateLimitConfig) -> None:
        self._asks = making.asking(config)
        self._desk.reconfigure(config)

    def __enter__(self) -> Self:
        """Wait for the permits of one call."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: a block that began has counted."""

    async def __aenter__(self) -> Self:
        """Wait for the permits of one call."""
        await self.acquire_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: a block that began has counted."""

    def _pumps(self, place: Place) -> Sequence[Pump]:
        return [making.pump(self, place)]

    def _says(self) -> Sequence[str]:
        return says(self.config)

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - waiting takes the same time in each
        waits: Any = self.config.max_wait
        return Worst(inner.calls, inner.seconds + waits)

    def _wait(self, demand: Demand | None = None) -> None:
        """Wait for permits in plain code."""
        waits.wait(self, self._usual() if demand is None else demand)

    async def _wait_async(self, demand: Demand | None = None) -> None:
        """Wait for permits in async code."""
        await waits.wait_async(self, self._usual() if demand is None else demand)

    def _usual(self) -> Demand:
        """Give what a call asks for whose arguments do not matter; the config has checked it."""
        weight: Any = self.config.weight
        return Demand(weight)
