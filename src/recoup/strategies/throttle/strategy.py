"""Adaptive throttle as a strategy object and as a decorator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, overload

from recoup._core import checks, options
from recoup._core.colour import Colour, described
from recoup._core.conditions import when
from recoup._core.options import decorating
from recoup._core.strategy import Pump, Strategy
from recoup.strategies.throttle import pumps
from recoup.strategies.throttle.calls import Calls
from recoup.strategies.throttle.config import AdaptiveThrottleConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from recoup._core.strategy import Place
    from recoup.strategies.throttle.config import AdaptiveThrottleOptions
    from recoup.typing import Decorated

__all__ = ["AdaptiveThrottle", "adaptive_throttle"]

_FACTORIES: dict[Colour, Callable[..., Any]] = {
    Colour.SYNC: pumps.throttling,
    Colour.ASYNC: pumps.throttling_async,
    Colour.STREAM: pumps.throttling_stream,
    Colour.ASYNC_STREAM: pumps.throttling_stream_async,
}


class AdaptiveThrottle(Strategy):
    """Hold calls back by chance, as far as the service turns them away anyway.

    A decorator (`@throttle`), an executor (`await throttle.execute(func)`, `throttle.execute_sync(func)`) and a block
    (`with throttle:`, `async with throttle:`). All that go through one object share its counts.

    Args:
        config: What counts and how much of it; default `AdaptiveThrottleConfig()`.
        name: What errors, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: one object serves any number of threads, tasks and event loops, and counts exactly; a call
    of a healthy service takes no lock. A forked child begins with empty counts.

    Source: B. Beyer et al., "Site Reliability Engineering", 2016, chapter 21, "Handling Overload".

    >>> throttle = AdaptiveThrottle(name="search")
    >>> throttle.execute_sync(int, "12")
    12
    >>> throttle
    <AdaptiveThrottle 'search' holds back 0%, 1 of 1 accepted>
    """

    kind: ClassVar[str] = "adaptive_throttle"

    def __init__(self, config: AdaptiveThrottleConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = AdaptiveThrottleConfig()
        checks.instance("config", config, AdaptiveThrottleConfig)
        super().__init__(name=name)
        self._calls = Calls(self, config)

    def __repr__(self) -> str:
        odds, requests, accepts, _ = self._calls.seen()
        return f"<AdaptiveThrottle {self.name!r} holds back {odds:.0%}, {accepts} of {requests} accepted>"

    @property
    def config(self) -> AdaptiveThrottleConfig:
        """What holds now."""
        return self._calls.config

    @property
    def odds(self) -> float:
        """With which probability the next call is held back: 0.0 to just below 1.0."""
        return self._calls.seen()[0]

    @property
    def metrics(self) -> Mapping[str, int]:
        """What was counted: `requests` and `accepts` in the window, and how many were ever `held_back`; a copy."""
        _, requests, accepts, held_back = self._calls.seen()
        return {"requests": requests, "accepts": accepts, "held_back": held_back}

    def reconfigure(self, config: AdaptiveThrottleConfig | None = None, /, **changes: Any) -> None:
        """Change what counts, and how much of it, while calls are made.

        Write `throttle.reconfigure(multiplier=1.5)`, which keeps all other fields, or give a whole config. Calls that
        run are judged by the new conditions when they end. What is in the window and would be in the new one counts on.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `AdaptiveThrottleConfig`; `on` is short for `failure_on`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range, or if `failure_on_result` would become a predicate or cease to be one:
                functions were decorated for that. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> throttle = AdaptiveThrottle(name="search")
        >>> throttle.reconfigure(multiplier=1.5)
        >>> throttle.config.multiplier
        1.5
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Forget all calls: the window is empty, and nobody is held back.

        What is in the config stays. Calls that run count when they end.

        Any thread or task may call this at any time.
        """
        self._calls.reset()

    def _settled(self, config: AdaptiveThrottleConfig) -> None:
        judged = self.config.failure_on_result is None, config.failure_on_result is None
        options.same(self, failure_on_result=judged)

    def _adopt(self, config: AdaptiveThrottleConfig) -> None:
        self._calls.reconfigure(config)

    def __enter__(self) -> Self:
        """Enter a block that is protected like a function.

        Raises:
            ThrottledError: If it is held back.
            TypeError: If `failure_on_result` is set, because a block has no result.
        """
        if self.config.failure_on_result is not None:
            raise TypeError(
                "failure_on_result cannot work round a block, which has no result: raise inside the block instead"
            )
        self._calls.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._calls.returned(None)
        else:
            self._calls.failed(error, ())

    async def __aenter__(self) -> Self:
        """Enter a block that is protected like an async function; raises as `__enter__` does."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _pumps(self, place: Place) -> Sequence[Pump]:
        calls = self._calls
        admit = calls.admit if id(calls) not in place.spent else _after_one(calls.admit)
        return [Pump(_FACTORIES[place.colour], (admit, calls, place.outer))]

    def _says(self) -> Sequence[str]:
        config = self.config
        counted = "every Exception" if config.failure_on is None else str(when(config.failure_on))
        spared = "" if config.ignore_on is None else f" but {when(config.ignore_on)}"
        return (
            (
                f"holds calls back by chance once more than {config.multiplier:g} are made for each that was accepted "
                f"in the last {config.window_duration:g} s"
            ),
            f"takes {counted}{spared} as not accepted; refusals of ours and cancellations from outside do not count",
        )

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if colour.is_stream and self.config.failure_on_result is not None:
            raise TypeError(
                f"failure_on_result cannot judge {described(target)}, a generator: it has no result; "
                "let the generator raise instead"
            )


def _after_one(admit: Callable[[], None]) -> Callable[[], None]:
    """Let one call pass that has been let through before, then ask."""
    passes = [True]

    def admitting() -> None:
        if passes:
            passes.clear()
        else:
            admit()

    return admitting


@overload
def adaptive_throttle(target: Decorated, /) -> Decorated: ...
@overload
def adaptive_throttle(
    target: AdaptiveThrottleConfig | AdaptiveThrottle, /, *, name: str | None = None
) -> AdaptiveThrottle: ...
@overload
def adaptive_throttle(**options: Unpack[AdaptiveThrottleOptions]) -> AdaptiveThrottle: ...
def adaptive_throttle(target: Any = None, /, **options: Any) -> Any:
    """Hold calls of a function back by chance, as far as the service turns them away anyway.

    Write `@adaptive_throttle`, `@adaptive_throttle(multiplier=1.5, on=Overloaded)`, `@adaptive_throttle(config)` or
    `@adaptive_throttle(throttle)`. Without configuration: once the service accepted less than half of the calls of the
    last two minutes, what it gets stays near twice what it accepts.

    Args:
        target: The function (`@adaptive_throttle` alone), an `AdaptiveThrottleConfig`, or an `AdaptiveThrottle` to
            share.
        options: The fields of `AdaptiveThrottleConfig`; `on` is short for `failure_on`; `name` is what errors and
            events call it.

    Returns:
        The decorated function, or an `AdaptiveThrottle` that decorates.

    Raises:
        TypeError: For an unknown keyword or a function that cannot be protected.
        ValueError: For a value out of range.

    The decorated function raises `ThrottledError` when it is held back, and its own errors as ever.

    >>> @adaptive_throttle(on=ConnectionError)
    ... def fetch(path: str) -> str:
    ...     return "contents of " + path
    >>> fetch("/etc/motd")
    'contents of /etc/motd'
    """
    return decorating(AdaptiveThrottle, AdaptiveThrottleConfig, target, options)
