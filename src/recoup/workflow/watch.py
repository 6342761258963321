"""The workflow's own layers: they watch an execution from several places in the stack and change nothing.

account (outermost)   opens and closes the record of the execution
  fallback
    outcome           did the function answer, or has a fallback to? tells on_error and on_alert
      the fallback's judging of results, if it does that: a result that is turned down is a failure
      compensation
        undoing       is compensation about to run?
          deadline, retry
            tries     each attempt, and which of them our own layers inside refused
              circuit breaker, rate limit, bulkhead
                calls each run of the function
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import clock, mode
from recoup._core.strategy import Pump, Strategy
from recoup.errors import is_refusal
from recoup.workflow import pumps
from recoup.workflow.record import ExecutionRecord, current

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token

    from recoup._core.strategy import Place
    from recoup.strategies.compensation.strategy import Compensation
    from recoup.workflow.layers import Layers

__all__ = ["Account", "Calls", "Outcome", "Tries", "Undoing", "between"]


class _Watch(Strategy):
    """A layer that watches: what it does at the begin, after an error and after a success."""

    kind: ClassVar[str] = "watch"

    def _begun(self) -> None:
        """Take note that the inner layers begin."""

    def _failed(self, error: BaseException) -> None:
        """Take note of an error that comes out of the inner layers."""

    async def _failed_async(self, error: BaseException) -> None:
        self._failed(error)

    def _succeeded(self) -> None:
        """Take note that the inner layers answered."""

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour = place.colour
        failed = self._failed_async if colour.is_async else self._failed
        factory: Callable[..., Any]
        if colour.is_stream:
            factory = pumps.watching_stream_async if colour.is_async else pumps.watching_stream
        else:
            factory = pumps.watching_async if colour.is_async else pumps.watching
        return [Pump(factory, (self._begun, failed, self._succeeded))]


class Outcome(_Watch):
    """Watches inside the fallback: what the function itself came to."""

    def __init__(self, tell: Callable[[Exception], None], tell_async: Callable[[Exception], Any]) -> None:
        super().__init__()
        self._tell = tell
        self._tell_async = tell_async

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._tell(error)

    async def _failed_async(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            await self._tell_async(error)

    def _succeeded(self) -> None:
        record = current.get()
        if record is not None:
            record.answered_by = "function"


class Undoing(_Watch):
    """Watches inside compensation: an error that gets here is what it undoes."""

    def __init__(self, compensation: Compensation) -> None:
        super().__init__()
        self._compensation = compensation

    def _failed(self, error: BaseException) -> None:  # noqa: ARG002 - which error does not matter
        record = current.get()
        if record is not None and self._compensation.config.compensation_actions and not (mode.active and mode.off()):
            record.compensated = True


class Tries(_Watch):
    """Watches inside retry: each attempt."""

    def _begun(self) -> None:
        record = current.get()
        if record is not None:
            record.attempt_begins(clock.monotonic())

    def _failed(self, error: BaseException) -> None:
        record = current.get()
        if record is not None:
            record.attempt_failed(error, clock.monotonic(), refused=is_refusal(error))


class Calls(_Watch):
    """Watches innermost: each run of the function."""

    def _begun(self) -> None:
        record = current.get()
        if record is not None:
            record.calls += 1


class Account(Strategy):
    """Watches outermost: opens and closes the record of an execution.

    Args:
        ended: Told each record when its execution is over, with `cut=True` if it came to nothing: it was cancelled,
            or the consumer of a generator threw something in.
        keeps: Whether records keep the errors, because the caller asked for the record.
    """

    kind: ClassVar[str] = "account"

    def __init__(self, ended: Callable[..., None], *, keeps: bool = False) -> None:
        super().__init__()
        self._ended = ended
        self._keeps = keeps

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour = place.colour
        factory: Callable[..., Any]
        if colour.is_stream:
            factory = pumps.accounting_stream_async if colour.is_async else pumps.accounting_stream
        else:
            factory = pumps.accounting_async if colour.is_async else pumps.accounting
        return [Pump(factory, (self._open, _resume, _suspend, self._close))]

    def _open(self) -> ExecutionRecord:
        return ExecutionRecord(clock.monotonic(), keeps=self._keeps)

    def _close(
        self, record: ExecutionRecord, value: object, error: BaseException | None, *, theirs: bool = False
    ) -> None:
        """Settle a record; an execution that was cut off is neither answered nor failed."""
        record.seconds = max(0.0, clock.monotonic() - record.started_at)
        if error is None:
            record.answered_by = record.answered_by or "fallback"
            record.value = value if record.keeps else None
        else:
            record.answered_by = None
            record.error = error if record.keeps else None
        self._ended(record, cut=theirs or not (error is None or isinstance(error, Exception)))


def _resume(record: ExecutionRecord) -> Token[ExecutionRecord | None]:
    return current.set(record)


def _suspend(token: Token[ExecutionRecord | None]) -> None:
    with suppress(ValueError):  # a coroutine that the collector closes runs its last lines in a foreign context
        current.reset(token)


def between(parts: Layers, tell: Callable[..., None], tell_async: Callable[..., Any]) -> tuple[Strategy, ...]:
    """Put the layers that watch between those that act, but for the account, which is outermost.

    Args:
        parts: Those that act.
        tell: Told the error of a failed execution.
        tell_async: The same, in async code.
    """
    ordered = (
        parts.fallback,
        Outcome(tell, tell_async),
        None if parts.fallback is None else parts.fallback._judging,
        parts.compensation,
        None if parts.compensation is None else Undoing(parts.compensation),
        parts.deadline,
        parts.retry,
        Tries(),
        parts.breaker,
        parts.limiter,
        parts.attempt,
        parts.bulkhead,
        Calls(),
    )
    return tuple(layer for layer in ordered if layer is not None)
