"""Hedge: the strategy object, and `@hedge`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast, overload

from recoup._core import checks
from recoup._core.colour import Colour, colour_of, described
from recoup._core.options import decorating
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.strategies.hedge import pumps
from recoup.strategies.hedge.config import HedgeConfig
from recoup.strategies.hedge.race import Race
from recoup.strategies.hedge.state import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from recoup._core.strategy import Place
    from recoup.strategies.hedge.config import HedgeOptions

__all__ = ["Hedge", "hedge"]


class Hedge(Strategy):
    """Makes another attempt beside one that takes long; the first success wins, the others are cancelled.

    A decorator and an executor (`await hedge.execute(func)`), for async functions, under asyncio and Trio. It may be
    shared by any number of functions, which then share the live delay and the budget. It serves threads and any number
    of event loops at the same time. A forked child begins anew.

    Each attempt runs in a task of its own with a copy of its caller's context variables: what it sets there is not seen
    by the caller.

    Args:
        config: When to hedge, and how much.
        name: What errors, events and `repr` call it. Default: the qualified name of the first function it decorates.

    >>> import asyncio
    >>> hedge = Hedge(HedgeConfig(delay=0.01, idempotent=True), name="mirrors")
    >>> waits = [60, 0]
    >>> async def fetch():
    ...     await asyncio.sleep(waits.pop(0))
    ...     return "page"
    >>> asyncio.run(hedge.execute(fetch))
    'page'
    >>> hedge
    <Hedge 'mirrors' after 0.01 s>
    """

    kind: ClassVar[str] = "hedge"

    def __init__(self, config: HedgeConfig, *, name: str | None = None) -> None:
        checks.instance("config", config, HedgeConfig)
        super().__init__(name=name)
        self._pace = Pace(config)

    def __repr__(self) -> str:
        delay = self.delay
        return f"<Hedge {self.name!r} {'learning' if delay is None else f'after {delay:.3g} s'}>"

    @property
    def config(self) -> HedgeConfig:
        """What holds now."""
        return self._pace.config

    @property
    def delay(self) -> float | None:
        """How many seconds an attempt has before another one starts; `None` while too few calls were timed."""
        return self._pace.delay

    @property
    def metrics(self) -> Mapping[str, int]:
        """What was counted so far, all of it at one moment.

        `calls` were made, `hedges` are attempts that were added, `wins` calls were answered by one of those, and
        `withheld` attempts were due and the budget had none.
        """
        return self._pace.counts()

    def reconfigure(self, config: HedgeConfig | None = None, /, **changes: Any) -> None:
        """Change when calls are hedged, and how much, while they are made.

        Write `hedge.reconfigure(delay=0.2)`, which keeps all other fields, or give a whole config. Calls that run end
        under the options that they began with, but for the budget. Durations that were seen are kept, as many as the
        new window holds, and so are saved tokens, as many as the new burst.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `HedgeConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> hedge = Hedge(HedgeConfig(delay=0.01, idempotent=True), name="mirrors")
        >>> hedge.reconfigure(delay=0.2)
        >>> hedge
        <Hedge 'mirrors' after 0.2 s>
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Begin anew: durations and counts are forgotten, and `burst` attempts may be added.

        The options stay; a budget that is shared with others is left as it is. What calls that run come to counts when
        they end.

        Any thread or task may call this at any time.
        """
        self._pace.reset()

    def _adopt(self, config: HedgeConfig) -> None:
        self._pace.reconfigure(config)

    def _pumps(self, place: Place) -> Sequence[Pump]:  # noqa: ARG002 - async functions only
        return [Pump(pumps.hedging_async, (partial(Race, self),))]

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if colour_of(target) is Colour.ASYNC:
            return
        if colour.is_stream:
            raise TypeError(
                f"hedge cannot race two attempts of {described(target)}, a generator: which of two half-read streams "
                "has won? Hedge the call that opens the stream, or collect the items and return them"
            )
        raise TypeError(
            f"hedge needs an async function, and {described(target)} is not one: nothing can cancel the attempt that "
            "lost, so it would go on in a thread; make the function async, or bound it with @deadline and @retry"
        )

    def _says(self) -> Sequence[str]:
        config = self.config
        if config.delay is not None:
            when = f"{config.delay:g} s after the one before"
        else:
            when = f"when the one before takes longer than {100 * config.quantile:.3g} % of the calls"
        return [
            f"makes up to {config.max_attempts} attempts at once, each started {when}",
            f"adds at most {_share(config)}; the first success wins",
        ]

    def _worst(self, inner: Worst, colour: Colour) -> Worst:  # noqa: ARG002 - async functions only
        config = self.config
        # An attempt starts only while an earlier one runs.
        delay = inner.seconds if config.delay is None else min(cast("float", config.delay), inner.seconds)
        seconds = inner.seconds + delay * (config.max_attempts - 1) + cast("float", config.grace)
        return Worst(inner.calls * config.max_attempts, seconds)


def _share(config: HedgeConfig) -> str:
    """Say how many attempts may be added."""
    budget = config.budget
    return f"{budget:.3g} attempts per call on average" if isinstance(budget, float) else f"what {budget!r} pays for"


@overload
def hedge(target: HedgeConfig | Hedge, /, *, name: str | None = None) -> Hedge: ...
@overload
def hedge(**options: Unpack[HedgeOptions]) -> Hedge: ...
def hedge(target: Any = None, /, **options: Any) -> Any:
    """Make another attempt beside an async call that takes long, and give the first success.

    Write `@hedge(delay=0.2, idempotent=True)` or `@hedge(idempotent=True)`, which follows the 95th percentile of the
    durations seen; or `@hedge(config)`, `@hedge(strategy)`.

    * The first success wins; a failure never hides a success that still comes. If all fail, the first attempt's error
      comes out.
    * The attempts that lost are cancelled and waited for, as long as `grace`; results that come all the same are closed
      if they can be.
    * Nothing is added past a deadline, nor beyond the budget.

    Args:
        target: A `HedgeConfig`, or a `Hedge` to share.
        options: The fields of `HedgeConfig`; `name` is what errors and events call it.

    Returns:
        A `Hedge` that decorates.

    Raises:
        TypeError: Without `idempotent=True`, for an unknown keyword, for a function that is not async, or a generator.
        ValueError: For a value out of range.

    >>> @hedge(delay=0.2, idempotent=True)
    ... async def fetch(path: str) -> str:
    ...     return "contents of " + path
    >>> import asyncio
    >>> asyncio.run(fetch("/etc/motd"))
    'contents of /etc/motd'
    """
    return decorating(Hedge, HedgeConfig, target, options, bare=False)
