"""ErrorRecoveryWorkflow: every strategy behind one configuration."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from recoup._core import chain, checks, emit
from recoup._core.strategy import Place, Strategy
from recoup.workflow import layers as room
from recoup.workflow import telling, watch
from recoup.workflow.arguments import checked
from recoup.workflow.config import ErrorRecoveryConfig
from recoup.workflow.metrics import Metrics, rates, verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar

    from recoup._core.colour import Colour
    from recoup._core.strategy import Pump
    from recoup.workflow.record import ExecutionRecord

    T = TypeVar("T")

__all__ = ["ErrorRecoveryWorkflow"]


class ErrorRecoveryWorkflow(Strategy):
    """Run functions under all the strategies of a configuration.

    A decorator (`@workflow`) and an executor (`await workflow.execute(func, args, kwargs)`,
    `workflow.execute_sync(...)`) over the same layers and the same state: one circuit, one bulkhead, one count.

    Args:
        config: Which strategies, and what holds for all of them. Default: `ErrorRecoveryConfig()`, that is retry.
        name: What errors, events and logs call it.

    Attributes:
        config: The configuration.
        on_error: Called as `on_error(error)` for each failed execution, also when a fallback then answers. `None` or
            any callable; may be set at any time; may be async if only async functions are executed.
        on_alert: Called once as `on_alert(count)` when the number of failed executions reaches `alert_threshold`;
            `reset_metrics()` arms it again. Otherwise as `on_error`.

    Thread and loop safety: one object serves any number of threads, tasks and event loops.

    >>> import asyncio
    >>> workflow = ErrorRecoveryWorkflow()
    >>> async def operation(n: int) -> int:
    ...     return n + 1
    >>> asyncio.run(workflow.execute(operation, args=(1,)))
    2
    >>> workflow.get_metrics()["successes"]
    1
    """

    kind: ClassVar[str] = "workflow"

    def __init__(self, config: ErrorRecoveryConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = ErrorRecoveryConfig()
        checks.instance("config", config, ErrorRecoveryConfig)
        super().__init__(name=name)
        self.config = config
        self.on_error: Callable[[Exception], object] | None = None
        self.on_alert: Callable[[int], object] | None = None
        self._metrics = Metrics(enabled=config.metrics_enabled, alert_threshold=config.alert_threshold)
        self._parts = room.build(config, name)
        self._account = watch.Account(self._account_for)
        self._inner = watch.between(self._parts, partial(telling.tell, self), partial(telling.tell_async, self))

    def __repr__(self) -> str:
        active = ", ".join(layer.kind for layer in self.layers) or "no strategies"
        return f"<ErrorRecoveryWorkflow {self.name!r} {active}>"

    @property
    def layers(self) -> tuple[Strategy, ...]:
        """The strategy objects, outermost first: the way to the breaker's `state` or the bulkhead's `metrics`."""
        return tuple(layer for layer in self._parts if layer is not None)

    @overload  # the specification's signature, not that of single strategies
    async def execute(
        self,
        func: Callable[..., Awaitable[T]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: Literal[False] = False,
    ) -> T: ...
    @overload
    async def execute(
        self,
        func: Callable[..., T],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: Literal[False] = False,
    ) -> T: ...
    @overload
    async def execute(
        self,
        func: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: Literal[True],
    ) -> ExecutionRecord: ...
    async def execute(
        self,
        func: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: bool = False,
    ) -> Any:
        """Call a function, synchronous or asynchronous, under all strategies.

        Args:
            func: The function; an awaitable that it returns is awaited.
            args: Its positional arguments, as a list or tuple. Default: none.
            kwargs: Its keyword arguments. Default `None`: none.
            result: Return the whole `ExecutionRecord` instead of the value, and do not raise. Default False.

        Returns:
            What the function returns, or what a fallback answers; with `result=True` the record.

        Raises:
            Exception: What the function raised last, with a note on what was tried, or what a strategy refuses with.
            TypeError: If `args` or `kwargs` are not what they should be, or `func` is a generator function.
        """
        positional, named = checked(args, kwargs)
        if not result:
            return await chain.composed_async((self._account, *self._inner), func)(*positional, **named)
        records: list[ExecutionRecord] = []
        whole = chain.composed_async((self._kept(records), *self._inner), func)
        with suppress(Exception):  # it is in the record
            await whole(*positional, **named)
        return records.pop()

    @overload
    def execute_sync(
        self,
        func: Callable[..., T],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: Literal[False] = False,
    ) -> T: ...
    @overload
    def execute_sync(
        self,
        func: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: Literal[True],
    ) -> ExecutionRecord: ...
    def execute_sync(  # the specification's signature, not that of single strategies
        self,
        func: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        result: bool = False,
    ) -> Any:
        """Call a plain function under all strategies; the synchronous twin of `execute`.

        Raises:
            TypeError: If `func` is a coroutine function, or a callback in the configuration is async.
        """
        positional, named = checked(args, kwargs)
        if not result:
            return chain.composed_sync((self._account, *self._inner), func)(*positional, **named)
        records: list[ExecutionRecord] = []
        whole = chain.composed_sync((self._kept(records), *self._inner), func)
        with suppress(Exception):  # it is in the record
            whole(*positional, **named)
        return records.pop()

    def _kept(self, records: list[ExecutionRecord]) -> Strategy:
        """Make an account for one execution whose record somebody wants."""

        def ended(record: ExecutionRecord, *, cut: bool) -> None:
            self._account_for(record, cut=cut)
            records.append(record)

        return watch.Account(ended, keeps=True)

    def _account_for(self, record: ExecutionRecord, *, cut: bool) -> None:
        """Count an execution that is over, and tell listeners."""
        self._metrics.ended(record, cut=cut)
        if emit.listeners:
            from recoup.events import ExecutionFinished  # noqa: PLC0415 - nobody pays for events who does not listen

            outcome = "cancelled" if cut else record.answered_by or "failed"
            emit.tell(ExecutionFinished(self.name, outcome, record.attempts, record.calls, record.seconds))

    def _pumps(self, place: Place) -> Sequence[Pump]:
        whole = (self._account, *self._inner)
        pumps: list[Pump] = []
        for index, layer in enumerate(whole):
            inside = Place(place.target, (*place.outer, *whole[:index]), place.colour)
            pumps.extend(layer._pumps(inside))
        return pumps

    def _accept(self, colour: Colour, target: object) -> None:
        for layer in self._inner:
            layer._accept(colour, target)

    def _members(self) -> Sequence[Strategy]:
        return self.layers

    def get_metrics(self) -> dict[str, Any]:
        """Give a copy of the counters.

        Returns:
            attempts (executions that ended), successes, fallbacks, failures (attempts = successes + fallbacks +
            failures), compensations, calls (runs of the function), retries, rejections (attempts that our own breaker,
            rate limit or bulkhead refused), last_execution_time and total_execution_time in seconds, bulkhead (its
            metrics, or `None`) and circuit_breaker (its state, or `None`). All keys are there from the start; with
            `metrics_enabled=False` the counters stay 0.
        """
        bulkhead, breaker = self._parts.bulkhead, self._parts.breaker
        return {
            **self._metrics.snapshot(),
            "bulkhead": None if bulkhead is None else dict(bulkhead.metrics),
            "circuit_breaker": None if breaker is None else {"state": breaker.state.value},
        }

    def reset_metrics(self) -> None:
        """Set all counters to 0 and arm `on_alert` again; `reset()` does that and resets every strategy object."""
        self._metrics.reset()

    def reconfigure(self, config: ErrorRecoveryConfig | None = None, /, **changes: Any) -> None:
        """Change what the strategies do, while functions are executed.

        Write `workflow.reconfigure(global_timeout=10, retry_config=RetryConfig(max_attempts=5))`, which keeps all other
        fields, or give a whole config. All strategy objects are asked first and nothing changes if one of them refuses;
        then each takes over its part, with what its own `reconfigure` says of calls that run. They stay the objects
        that they are: a circuit that is open stays so. Another `alert_threshold` arms `on_alert` again.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `ErrorRecoveryConfig`.

        Raises:
            TypeError: For an unknown field, a value of the wrong type, changes beside a config, or what does not suit a
                function that is decorated.
            ValueError: For a value out of range, for a strategy that would appear or disappear, or for what a strategy
                object has settled. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> workflow = ErrorRecoveryWorkflow()
        >>> workflow.reconfigure(global_timeout=10)
        >>> workflow.config.global_timeout
        10.0
        """
        with self._metrics.changing:
            super().reconfigure(config, **changes)

    def reset(self) -> None:
        """Reset the counters and every strategy object: the circuit closes, what is remembered is forgotten."""
        self._metrics.reset()
        for layer in self.layers:
            layer.reset()

    def _settled(self, config: ErrorRecoveryConfig) -> None:
        room.settled(self, self._parts, room.configs(config))

    def _adopt(self, config: ErrorRecoveryConfig) -> None:
        self.config = config
        self._metrics.reconfigure(enabled=config.metrics_enabled, alert_threshold=config.alert_threshold)
        room.adopt(self._parts, config)

    def get_health_status(self) -> dict[str, Any]:
        """Sum up how things are.

        Returns:
            status ("healthy", "degraded" or "failing": by the circuit, or an error rate above 0.1 or from 0.5),
            error_rate and success_rate (0..1, both 0.0 before any work), attempts, and circuit_breaker (its state as
            a string, or `None`).
        """
        counts = self._metrics.snapshot()
        shares = rates(counts)
        circuit = None if self._parts.breaker is None else self._parts.breaker.state.value
        status = verdict(shares["error_rate"], circuit)
        return {"status": status, **shares, "attempts": counts["attempts"], "circuit_breaker": circuit}
