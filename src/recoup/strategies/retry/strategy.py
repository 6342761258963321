"""Retry as a strategy object and as a decorator.

The pumps keep nothing on the way of a healthy call: the run is made at the first failure.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, overload

from recoup._core import checks, clock, mode, timing
from recoup._core.colour import described
from recoup._core.conditions import when
from recoup._core.options import decorating
from recoup._core.strategy import Pump, Strategy, Worst
from recoup.errors import is_refusal
from recoup.strategies.retry import blocks, leftovers, pumps, telling
from recoup.strategies.retry.config import RetryConfig
from recoup.strategies.retry.plan import RetryPlan
from recoup.strategies.retry.state import RetryRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from typing import Unpack

    from recoup._core.colour import Colour
    from recoup._core.strategy import Place
    from recoup.errors import UnacceptableResult
    from recoup.strategies.retry.changing import Call
    from recoup.strategies.retry.config import RetryOptions
    from recoup.typing import ConditionSpec, Decorated

__all__ = ["RetryExecutor", "retry"]


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
        callbacks = ("on_retry", "before_retry", "on_failure")
        super().__init__(
            name=name,
            async_callbacks=[each for each in callbacks if checks.awaitable_callback(getattr(config, each))],
        )
        self.config = config
        self._plan = RetryPlan(config)
        self._repeated = 0

    def __repr__(self) -> str:
        return f"<RetryExecutor {self.name!r} max_attempts={self.config.max_attempts}>"

    def on(self, condition: ConditionSpec) -> RetryExecutor:
        """Make an executor that differs only in which errors it retries.

        Args:
            condition: As `retry_on_exceptions` of `RetryConfig`.

        Returns:
            A new executor; this one stays as it is.
        """
        from dataclasses import replace  # noqa: PLC0415 - a convenience, not worth its import to everybody

        executor = RetryExecutor(replace(self.config, retry_on_exceptions=condition))
        executor._given_name = self._given_name  # of the same name, but not listed a second time
        return executor

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
        colour, config = place.colour, self.config
        changes = config.before_retry
        layers = [self._pump(place) if changes is None else self._changing(place, changes)]
        elapsed: Any = config.max_elapsed
        attempt: Any = config.attempt_timeout
        if elapsed is not None:
            layers.insert(0, timing.limit(colour, self, elapsed, "max_elapsed"))
        if attempt is not None:
            layers.append(timing.limit(colour, self, attempt, "attempt_timeout"))
        return layers

    def _pump(self, place: Place, call: Call | None = None) -> Pump:
        """Give the retrying pump; that of one call alone, if its arguments may change."""
        colour = place.colour
        later = colour.is_async
        sleep: Callable[[float], Any] = clock.pause_async if later else clock.pause
        decide: Callable[..., RetryRun] = self._decide
        if call is not None:
            sleep, decide = (call.sleep_async if later else call.sleep), call.decide
        elif spent := place.spent.get(id(self._plan), 0):
            decide = partial(decide, spent=spent)
        tell: Callable[..., Any] = partial(telling.tell_async if later else telling.tell, self)
        factory: Callable[..., Any]
        if colour.is_stream:
            succeed = None if self._plan.budget is None else self._succeeded
            if self.config.replay is not None:
                from recoup.strategies.retry import replaying  # noqa: PLC0415 - few ask for it

                begin = partial(replaying.Progress, resume=self.config.replay == "resume")
                factory = replaying.replaying_stream_async if later else replaying.replaying_stream
                return Pump(factory, (decide, tell, succeed, sleep, begin))
            factory = pumps.retrying_stream_async if later else pumps.retrying_stream
            return Pump(factory, (decide, tell, succeed, sleep))
        judge = self._judge()
        drop: Callable[..., Any] = leftovers.keep_async if later else leftovers.keep
        if judge is not None:
            drop = leftovers.finish_async if later else leftovers.finish
        factory = pumps.retrying_async if later else pumps.retrying
        return Pump(factory, (decide, judge, tell, drop, sleep))

    def _changing(self, place: Place, before_retry: Callable[..., object]) -> Pump:
        """Give the pump of calls whose arguments may change."""
        from recoup._core.arguments import Parameters  # noqa: PLC0415 - few ask for it
        from recoup.strategies.retry import changing  # noqa: PLC0415 - as above

        def make(call: Call, attempt: Callable[[], Any]) -> Callable[[], Any]:
            pump = self._pump(place, call)
            made: Callable[[], Any] = pump.factory(attempt, *pump.cells)
            return made

        spent = place.spent.get(id(self._plan), 0)
        decide = partial(self._decide, spent=spent)
        parameters = Parameters.of(place.target)
        begin = partial(changing.begun, parameters, make, before_retry, decide)
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
        config = self.config
        says = [f"calls up to {config.max_attempts} times, waiting {self._plan.backoff} in between"]
        which = "every Exception" if config.retry_on_exceptions is None else str(when(config.retry_on_exceptions))
        spared = "" if config.abort_on is None else f", never {when(config.abort_on)}"
        says.append(f"retries {which}{spared}; not our own refusals unless they are named")
        if config.retry_on_result is not None:
            says.append("retries results that retry_on_result turns down")
        if config.replay is not None:
            says.append(f"starts generators anew also after their first item ({config.replay})")
        if config.nested == "once":
            says.append("passes on what a retry further in has given up on")
        if config.idempotent is False:
            says.append("retries no timeout: the function is not idempotent")
        if config.budget is not None:
            says.append(f"shares {config.budget.name!r} with whoever has it too: no token, no retry")
        if config.attempt_timeout is not None:
            says.append(f"limits each attempt to {config.attempt_timeout:g} s")
        if config.max_elapsed is not None:
            says.append(f"limits all attempts together to {config.max_elapsed:g} s")
        return says

    def _worst(self, inner: Worst, colour: Colour) -> Worst:
        config = self.config
        attempt: Any = inner.seconds
        if config.attempt_timeout is not None and colour.is_async:
            attempt = min(attempt, config.attempt_timeout)
        seconds: Any = config.max_attempts * attempt + self._plan.backoff.longest(config.max_attempts - 1)
        if config.max_elapsed is not None and colour.is_async:
            seconds = min(seconds, config.max_elapsed)
        return Worst(inner.calls * config.max_attempts, seconds)

    def _judge(self) -> Callable[[Any], UnacceptableResult | None] | None:
        """Give what looks at every result; `None` if nobody does."""
        judge = self._plan.judge if self._plan.judges else None
        if self._plan.budget is None:
            return judge
        succeeded = self._plan.budget._succeeded

        def counting(result: Any) -> UnacceptableResult | None:
            rejection = None if judge is None else judge(result)
            if rejection is None:
                succeeded()
            return rejection

        return counting

    def _succeeded(self, run: RetryRun | None) -> None:
        """Take note of a success that no judge sees: of a block, of a stream."""
        if self._plan.budget is not None:
            self._plan.budget._succeeded()
            if run is not None:
                run.succeeded()

    def _decide(self, run: RetryRun | None, error: Exception, *, spent: int = 0) -> RetryRun:
        """Take note of a failure, in a run that begins with the first one."""
        now = clock.monotonic()
        if run is None:
            run = RetryRun(self._plan, now, spent)
        if mode.active and mode.off():
            run.off()
        else:
            deadline = timing.current_deadline()
            if deadline is not None and not is_refusal(error):
                timing.asked()  # whatever strikes from now on finds that the function has been called
            if deadline is None:
                run.failed(error, now, None, clock)
            else:
                run.failed(error, now, deadline.remaining(), clock, deadline.name)
        return run


@overload
def retry(target: Decorated, /) -> Decorated: ...
@overload
def retry(target: RetryConfig | RetryExecutor, /, *, name: str | None = None) -> RetryExecutor: ...
@overload
def retry(**options: Unpack[RetryOptions]) -> RetryExecutor: ...
def retry(target: Any = None, /, **options: Any) -> Any:
    """Call a failing function again, after a wait, a limited number of times.

    Write `@retry`, `@retry(max_attempts=5, on=ConnectionError)`, `@retry(config)` or `@retry(executor)`. Without
    configuration: three attempts, waits of about 1 and 2 seconds with jitter, every `Exception` but our own refusals.

    Args:
        target: The function (`@retry` alone), a `RetryConfig`, or a `RetryExecutor` to share.
        options: The fields of `RetryConfig`; `on` is short for `retry_on_exceptions`; `name` is what errors and
            events call it.

    Returns:
        The decorated function, or a `RetryExecutor` that decorates.

    Raises:
        TypeError: For an unknown keyword or a function that cannot be protected.
        ValueError: For a value out of range.

    Synchronous functions block their thread while waiting, async ones only their task. It does not make a function
    safe to repeat: a call that failed may have had its effect all the same.

    >>> @retry(max_attempts=3, on=ConnectionError, initial_delay=0)
    ... def fetch(path: str) -> str:
    ...     return "contents of " + path
    >>> fetch("/etc/motd")
    'contents of /etc/motd'
    """
    return decorating(RetryExecutor, RetryConfig, target, options)
