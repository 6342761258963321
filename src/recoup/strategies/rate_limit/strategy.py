"""Rate limit: the strategy object and its blocks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, clock, emit, mode, timing
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.errors import RateLimitExceeded
from recoup.strategies.rate_limit import pumps
from recoup.strategies.rate_limit.config import RateLimitConfig, check_change
from recoup.strategies.rate_limit.desk import Demand, Desk
from recoup.strategies.rate_limit.weighing import NO_KEY, Scales, checked_key, checked_weight
from recoup.strategies.rate_limit.words import says

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from recoup._core.chain import Pending
    from recoup._core.colour import Colour
    from recoup._core.strategy import Place
    from recoup.strategies.rate_limit.claims import Claim

__all__ = ["RateLimiter"]


class RateLimiter(Strategy):
    """Let only so many calls begin in a time; let others wait for their moment, and turn the rest away at once.

    A decorator (`@limiter`), an executor (`await limiter.execute(func)`, `limiter.execute_sync(func)`) and a block
    (`with limiter:`, `async with limiter:`). `acquire`, `acquire_async` and `try_acquire` take permits by themselves.

    A call knows when it is made how long it has to wait, so one that would wait too long is refused before it waits.
    Moments are given in order of arrival. A call that is cancelled while it waits gives its permits back; one that
    begins has used them, whatever becomes of it.

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
        """How many calls had to wait so far (`waited`), and how many were refused (`refused`)."""
        return {"waited": self._desk.waited, "refused": self._desk.refused}

    def available(self, *, key: Hashable = NO_KEY) -> int:
        """Tell how many permits could be taken now.

        Args:
            key: Whose, if the limiter has keys.

        Raises:
            TypeError: If a key is missing, is none, or is given to a limiter without keys.
        """
        return self._desk.available(self._demand(None, key).key)

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
        demand = self._demand(weight, key)
        if mode.active and mode.off():
            return True
        return self._desk.claim(demand, 0.0, math.inf).granted

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
        self._wait(self._demand(weight, key))

    async def acquire_async(self, weight: int | None = None, *, key: Hashable = NO_KEY) -> None:
        """Take permits, waiting for them in async code; the asynchronous twin of `acquire`."""
        await self._wait_async(self._demand(weight, key))

    def reconfigure(self, config: RateLimitConfig | None = None, /, **changes: Any) -> None:
        """Change the limits while calls are made and wait.

        Write `limiter.reconfigure(rate=5)`, which keeps all other fields, or give a whole config. What was taken stays
        taken, and calls that wait keep the moments that they were promised.

        Args:
            config: The new limits; `None` for those that hold now, with changes.
            changes: Fields of `RateLimitConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range, or another `mode`, or if `key` or `weight` would become functions or
                cease to be ones: the functions were decorated for that. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> limiter = RateLimiter(RateLimitConfig(rate=2))
        >>> limiter.reconfigure(rate=5)
        >>> limiter
        <RateLimiter 'rate_limit' 5 per 1 s, 2 available>
        """
        if config is None:
            config = replace(self.config, **changes)
        elif changes:
            raise TypeError(f"reconfigure() takes a config or fields, not both: {', '.join(sorted(changes))} given")
        checks.instance("config", config, RateLimitConfig)
        check_change(self.name, self.config, config)
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
        colour, desk = place.colour, self._desk
        wait: Callable[..., Any] = self._wait_async if colour.is_async else self._wait
        weigh = Scales(self, place.target).weigh
        factory: Callable[..., Any]
        if colour.is_stream:
            factory = pumps.limiting_stream_async if colour.is_async else pumps.limiting_stream
            return [Pump(factory, (clock, weigh, desk.admit, wait))]
        handed = id(self) in place.spent
        if self.config.key is None and not callable(self.config.weight):
            factory = pumps.limiting_async if colour.is_async else pumps.limiting
            return [Pump(factory, (clock, _after_one(desk.admit_one, handed=handed), wait, self._hand_over))]
        factory = pumps.limiting_each_async if colour.is_async else pumps.limiting_each
        return [Pump(factory, (clock, weigh, _after_one(desk.admit, handed=handed), wait, self._hand_over))]

    def _says(self) -> Sequence[str]:
        return says(self.config)

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - waiting takes the same time in each
        waits: Any = self.config.max_wait
        return Worst(inner.calls, inner.seconds + waits)

    def _hand_over(self, pending: Pending) -> None:
        """Have the asynchronous pass begin with the permits that the synchronous one took (rule G5)."""
        pending.spent[id(self)] = 1

    def _demand(self, weight: int | None, key: Any) -> Demand:
        """Check what is asked for without a call."""
        config = self.config
        if weight is None:
            weight = 1 if callable(config.weight) else config.weight
        weight = checked_weight("weight", weight, config.most)
        if config.key is None:
            if key is not NO_KEY:
                raise TypeError(f"rate limiter {self.name!r} has no keys: leave key out, or configure a key function")
            return Demand(weight)
        if key is NO_KEY:
            raise TypeError(
                f"rate limiter {self.name!r} has a limit for each key: say whose with acquire(key=...), "
                "acquire_async(key=...) or try_acquire(key=...), or decorate a function"
            )
        return Demand(weight, checked_key("key", key))

    def _claim(self, demand: Demand | None) -> Claim | None:
        """Set permits aside; `None` if there is nothing to wait for.

        Raises:
            RateLimitExceeded: If they would be there too late.
        """
        if mode.active and mode.off():
            return None
        if demand is None:  # of a call whose arguments do not matter
            demand = self._demand(None, NO_KEY)
        longest: Any = self.config.max_wait
        left = timing.time_left()
        claim = self._desk.claim(demand, longest, math.inf if left is None else left)
        if not claim.granted:
            raise self._refusal(claim, longest if left is None else min(left, longest))
        if not claim.wait:
            return None
        if mode.active and mode.instant():
            self._desk.give_back(claim)
            return None
        if emit.listeners:
            from recoup.events import CallDelayed  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(CallDelayed(self.name, claim.wait))
        return claim

    def _refusal(self, claim: Claim, patience: float) -> RateLimitExceeded:
        """Make the error of a call that would wait too long, and tell listeners about it."""
        if emit.listeners:
            from recoup.events import CallRefused  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(CallRefused(self.name, "rate_limit", claim.wait))
        per: Any = self.config.per
        return RateLimitExceeded(
            name=self.name, retry_after=claim.wait, rate=self.config.rate, per=per, patience=patience
        )

    def _wait(self, demand: Demand | None = None) -> None:
        """Wait for permits in plain code."""
        claim = self._claim(demand)
        if claim is not None:
            try:
                clock.pause(claim.wait)
            except BaseException:
                self._desk.give_back(claim)
                raise

    async def _wait_async(self, demand: Demand | None = None) -> None:
        """Wait for permits in async code."""
        claim = self._claim(demand)
        if claim is not None:
            try:
                with timing.queueing():  # if the deadline's timer cancels us here, the function was never asked
                    await clock.pause_async(claim.wait)
            except BaseException:
                self._desk.give_back(claim)
                raise


def _after_one(admit: Callable[..., bool], *, handed: bool) -> Callable[..., bool]:
    """Let one call pass that has its permits already, if there is one."""
    if not handed:
        return admit
    passes = [True]

    def admitting(*demand: Any) -> bool:
        return passes.pop() if passes else admit(*demand)

    return admitting
