"""Retry as a strategy object.

The pumps keep nothing on the way of a healthy call: the run is made at the first failure.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from recoup._core import checks, clock, timing
from recoup._core.colour import described
from recoup._core.options import same
from recoup._core.strategy import Pump, Strategy
from recoup.strategies.retry import blocks, deciding, describing, leftovers, pumps, telling
from recoup.strategies.retry.config import RetryConfig
from recoup.strategies.retry.plan import RetryPlan, asynchronous

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from recoup._core.colour import Colour
    from recoup._core.strategy import Place, Worst
    from recoup.errors import UnacceptableResult
    from recoup.strategies.retry.changing import Call
    from recoup.strategies.retry.state import RetryRun
    from recoup.typing import ConditionSpec

__all__ = ["RetryExecutor"]


class RetryExecutor(Strategy):
    """Call what failed again, after a wait, a limited number of times.

    A decorator (`@executor`), an executor (`await executor.execute(func)`, `executor.execute_sync(func)`) and a source
    of attempts (`for attempt in executor: with attempt: ...`, also `async for`).

    Args:
        config: What to retry and how long to wait; default `RetryConfig()`.
        name: What errors, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: all state belongs to a call, so one object serves any number of threads, tasks and loops.

    >>> executor = RetryExecutor(RetryConfig(max_attempts=3, initial_delay=0))
    >>> answers = iter([ConnectionError("lost"), "ok"])
    >>> def flaky():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> executor.execute_sync(flaky)
    'ok'
    """

    kind: ClassVar[str] = "retry"

    def __init__(self, config: RetryConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = RetryConfig()
        checks.instance("config", config, RetryConfig)
        super().__init__(name=name, async_callbacks=_asynchronous(config))
        self.config = config
        self._plan = RetryPlan(config, id(self))
        self._elapsed = None if config.max_elapsed is None else timing.Live(self._limit("max_elapsed"))
        self._attempt = None if config.attempt_timeout is None else timing.Live(self._limit("attempt_timeout"))
        self._bound: WeakSet[RetryExecutor] | None = None
        self._repeated = 0

    def __repr__(self) -> str:
        return f"<RetryExecutor {self.name!r} max_attempts={self.config.max_attempts}>"

    def on(self, condition: ConditionSpec) -> RetryExecutor:
        """Make an executor that differs only in which errors it retries.

        Args:
            condition: As `retry_on_exceptions` of `RetryConfig`.

        Returns:
            A new executor; this one stays as it is. When this one is reconfigured, the new one follows, but for its
            condition.
        """
        from dataclasses import replace  # noqa: PLC0415 - a convenience, not worth its import to everybody

        with telling.guard:
            executor = RetryExecutor(replace(self.config, retry_on_exceptions=condition))
            executor._given_name = self._given_name  # of the same name, but not listed a second time
            if self._bound is None:
                self._bound = WeakSet()
            self._bound.add(executor)
        return executor

    def reconfigure(self, config: RetryConfig | None = None, /, **changes: Any) -> None:
        """Change what is retried, how often and how, while calls are made.

        A call that has failed already goes on under the configuration that it began to retry with.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `RetryConfig`; `on` as for its decorator.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range; if there was no `retry_on_result`, `budget`, `before_retry`, `replay`,
                `attempt_timeout` or `max_elapsed` and now is, or the other way round; or for a callback that is async
                now and was not before. Functions were decorated for these. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> executor = RetryExecutor(RetryConfig(max_attempts=3))
        >>> executor.reconfigure(max_attempts=5, on=ConnectionError)
        >>> executor.config.max_attempts
        5
        """
        super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Count nested retries (`metrics`) from 0 again; all else belongs to single calls, or to a shared budget."""
        with telling.guard:
            self._repeated = 0

    def _settled(self, config: Any) -> None:
        old = self.config
        settled: dict[str, tuple[object, object]] = {
            f"whether there is a {option}": (getattr(old, option) is None, getattr(config, option) is None)
            for option in ("retry_on_result", "budget", "before_retry", "replay", "attempt_timeout", "max_elapsed")
        }
        before = _asynchronous(old)
        settled |= {f"that {each} is a plain function": (each in before, True) for each in _asynchronous(config)}
        same(self, **settled)

    def _adopt(self, config: Any) -> None:
        with telling.guard:
            plan = RetryPlan(config, id(self))
            if config.max_attempts == self.config.max_attempts:
                plan.limit = self._plan.limit
            self.config, self._plan, self._async_callbacks = config, plan, _asynchronous(config)
            if self._elapsed is not None:
                self._elapsed.limit = self._limit("max_elapsed")
            if self._attempt is not None:
                self._attempt.limit = self._limit("attempt_timeout")
            for each in list(self._bound or ()):
                from dataclasses import replace  # noqa: PLC0415 - as in `on`

                each._adopt(replace(config, retry_on_exceptions=each.config.retry_on_exceptions))

    def _limit(self, option: str) -> timing.Limit:
        return timing.Limit(self, getattr(self.config, option), option)

    @property
    def metrics(self) -> Mapping[str, int]:
        """Tell how often an error was retried that a retry further in had given up on (`nested`)."""
        return {"nested": self._repeated}

    def __iter__(self) -> Iterator[blocks.Attempt]:
        """Give attempts for `for attempt in executor: with attempt: ...`.

        Raises:
            TypeError: If an option is set that a synchronous block cannot honour.
        """
        return blocks.attempts(self)

    def __aiter__(self) -> AsyncIterator[blocks.AsyncAttempt]:
        """Give attempts for `async for attempt in executor: async with attempt: ...`.

        Raises:
            TypeError: If an option is set that a block cannot honour.
        """
        return blocks.attempts_async(self)

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour, changes = place.colour, self.config.before_retry
        layers = [self._pump(place) if changes is None else self._changing(place)]
        if self._elapsed is not None:
            layers.insert(0, timing.limit(colour, self._elapsed))
        if self._attempt is not None:
            layers.append(timing.limit(colour, self._attempt))
        return layers

    def _pump(self, place: Place, call: Call | None = None) -> Pump:
        """Give the retrying pump; that of one call alone, if its arguments may change."""
        colour = place.colour
        later = colour.is_async
        sleep: Callable[[float], Any] = clock.pause_async if later else clock.pause
        decide: Callable[..., RetryRun] = self._decide
        if call is not None:
            sleep, decide = (call.sleep_async if later else call.sleep), call.decide
        elif spent := place.spent.get(self._plan.key, 0):
            decide = partial(deciding.decide_later, self, spent)
        tell: Callable[..., Any] = partial(telling.tell_async if later else telling.tell, self)
        factory: Callable[..., Any]
        if colour.is_stream:
            succeed = None if self._plan.budget is None else self._succeeded
            factory = pumps.retrying_stream_async if later else pumps.retrying_stream
            return Pump(factory, (decide, tell, succeed, sleep, self._progress(asynchronous=later)))
        if self.config.retry_on_result is None and self.config.budget is None:
            factory = pumps.retrying_async if later else pumps.retrying
            return Pump(factory, (decide, tell, sleep))
        drop: Callable[..., Any] = leftovers.finish_async if later else leftovers.finish
        factory = pumps.judging_async if later else pumps.judging
        return Pump(factory, (decide, self._judge, tell, drop, sleep))

    def _progress(self, *, asynchronous: bool) -> Callable[[], Any]:
        """Give what begins the progress of a stream."""
        from recoup.strategies.retry import streams  # noqa: PLC0415 - not everybody has generators

        if self.config.replay is None:
            once = streams.ONCE[asynchronous]
            return lambda: once
        cursor = streams.ANEW[asynchronous]
        return lambda: streams.Anew(cursor, resume=self.config.replay == "resume")

    def _changing(self, place: Place) -> Pump:
        """Give the pump of calls whose arguments may change."""
        from recoup._core.arguments import Parameters  # noqa: PLC0415 - few ask for it
        from recoup.strategies.retry import changing  # noqa: PLC0415 - as above

        def make(call: Call, attempt: Callable[[], Any]) -> Callable[[], Any]:
            pump = self._pump(place, call)
            made: Callable[[], Any] = pump.factory(attempt, *pump.cells)
            return made

        spent = place.spent.get(self._plan.key, 0)
        decide = partial(deciding.decide_later, self, spent)
        parameters = Parameters.of(place.target)
        begin = partial(changing.begun, parameters, make, decide)
        factory: Any = changing.FACTORIES[place.colour.is_async, place.colour.is_stream]
        return Pump(factory, (begin,))

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        if self.config.replay is not None and not colour.is_stream:
            raise TypeError(f"replay is for generators, and {described(target)} is none: leave replay out")
        if colour.is_stream and self.config.retry_on_result is not None:
            raise TypeError(
                f"retry_on_result cannot judge {described(target)}, a generator: items that were handed out cannot be "
                "taken back; let the generator raise instead"
            )

    def _says(self) -> Sequence[str]:
        return describing.says(self._plan)

    def _worst(self, inner: Worst, colour: Colour) -> Worst:
        return describing.worst(self._plan, inner, colour)

    def _judge(self, run: RetryRun | None, result: Any) -> UnacceptableResult | None:
        """Look at a result, by the plan that its call goes by: a rejection, or `None` for a success."""
        plan = self._plan if run is None else run.plan
        rejection = plan.judge(result) if plan.judges else None
        if rejection is None and plan.budget is not None:
            plan.budget._succeeded()
        return rejection

    def _succeeded(self, run: RetryRun | None) -> None:
        """Take note of a success that no judge sees: of a block, of a stream."""
        budget = self._plan.budget if run is None else run.plan.budget
        if budget is not None:
            budget._succeeded()
            if run is not None:
                run.succeeded()

    _decide = deciding.decide


def _asynchronous(config: RetryConfig) -> tuple[str, ...]:
    """Name the conditions and callbacks that are async functions."""
    callbacks = ("on_retry", "before_retry", "on_failure")
    return asynchronous(config) + tuple(each for each in callbacks if checks.awaitable_callback(getattr(config, each)))
