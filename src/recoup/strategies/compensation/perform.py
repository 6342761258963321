"""Run a compensation, in either colour, and say how it went."""

from __future__ import annotations

from inspect import isawaitable
from typing import NamedTuple

from recoup._core import clock, emit, scopes, timing
from recoup.errors import CompensationError
from recoup.strategies.compensation import actions, steps
from recoup.strategies.compensation.state import Ledger, Notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable

    from recoup.strategies.compensation.state import Task

    Attempt = Callable[[Task, float, float], Awaitable[None]]

__all__ = ["Job", "undo", "undo_async"]


class Job(NamedTuple):
    """What is to be undone.

    Attributes:
        name: What the strategy object or the saga is called.
        tasks: What to run, in this order.
        seconds: How long all of it may take.
        raise_original: Whether a failure of an action is noted and logged only.
    """

    name: str
    tasks: list[Task]
    seconds: float
    raise_original: bool = False


def undo(job: Job | None, error: BaseException | None) -> None:
    """Run a compensation, if there is any; to be called in the `except` block that caught the operation's error.

    Raises:
        CompensationError: If an action failed.
        BaseException: Control flow that came meanwhile, once everything has run.
    """
    if job is None or error is None:
        return
    ledger = _begun(job, error)
    hidden = steps.hide()
    try:
        performing(ledger)
    finally:
        steps.unhide(*hidden)
    _conclude(job, ledger, error)


async def undo_async(job: Job | None, error: BaseException | None) -> None:
    """Run a compensation so that no cancellation stops it; what `undo` says holds here too.

    A coroutine that is being closed (`GeneratorExit`: its loop is gone) cannot wait for anything any more, so there
    plain actions still run and asynchronous ones fail.
    """
    if job is None or error is None:
        return
    if isinstance(error, GeneratorExit):
        undo(job, error)
        return
    from recoup.strategies.compensation import shield  # noqa: PLC0415 - not for programs without asynchronous code

    ledger = _begun(job, error)
    await shield.shielded(ledger)
    _conclude(job, ledger, error)


def performing(ledger: Ledger) -> None:
    """Run what a ledger says, one after the other."""
    while (task := ledger.next(clock.monotonic())) is not None:
        try:
            attempt(task, ledger.wait, ledger.limit(task, clock.monotonic()))
        except BaseException as error:  # noqa: BLE001 - control flow too must not stop the others; the ledger keeps it
            ledger.failed(error, clock.monotonic())
        else:
            ledger.succeeded()


async def performing_async(ledger: Ledger, attempt_async: Attempt) -> None:
    """Do what `performing` does, awaiting the actions."""
    while (task := ledger.next(clock.monotonic())) is not None:
        try:
            await attempt_async(task, ledger.wait, ledger.limit(task, clock.monotonic()))
        except GeneratorExit as closed:  # nobody will resume this coroutine: go on without waiting, and say so here
            ledger.failed(closed, clock.monotonic())
            performing(ledger)
            report(ledger)
            ledger.forget()
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            ledger.failed(error, clock.monotonic())
        else:
            ledger.succeeded()


def attempt(task: Task, wait: float, seconds: float) -> None:
    """Run one task. The deadline of the operation, which may be over, does not count here; a new one does."""
    deadline = timing.enter(timing.Limit(None, seconds, "saga_timeout"), inherit=False)
    try:
        clock.pause(wait)
        if isinstance(task, Notice):
            emit.call(task.callback)
            return
        result = actions.begin(task.action, task.state)
        if isawaitable(result):
            actions.close(result)
            raise TypeError(
                f"compensation action {actions.named(task.action)} returned an awaitable, which a synchronous call "
                "cannot await: make the decorated function async, or the action plain"
            )
    finally:
        timing.leave(deadline)


async def attempt_async(task: Task, wait: float, seconds: float) -> None:
    """Run one task, awaiting what it returns, and cancel it when its time is over."""
    deadline = scopes.enter_async(timing.Limit(None, seconds, "saga_timeout"), inherit=False)
    try:
        if wait > 0:
            await clock.pause_async(wait)
        await _awaited(task)
    except BaseException as error:
        blamed = scopes.leave_async(deadline, error)
        if blamed is None:
            raise
        if isinstance(task, Notice):
            _logger().warning("callback %s has not finished in %.3g s", actions.named(task.callback), seconds)
        raise timing.exceeded(blamed, started=True) from error
    scopes.leave_async(deadline)


async def _awaited(task: Task) -> None:
    if isinstance(task, Notice):
        await emit.call_async(task.callback)
        return
    result = actions.begin(task.action, task.state)
    if isawaitable(result):
        await result


def report(ledger: Ledger) -> None:
    """Log what was not undone: somebody has to look at it."""
    for failure in ledger.failures:
        _logger().error("not undone: %s", "; ".join(getattr(failure, "__notes__", ())), exc_info=failure)


def _logger() -> logging.Logger:
    import logging  # noqa: PLC0415 - most programs never get here

    return logging.getLogger("recoup")


def _begun(job: Job, error: BaseException) -> Ledger:
    ledger = Ledger(job.tasks, job.seconds, clock.monotonic())
    if emit.listeners:
        from recoup.events import CompensationStarted  # noqa: PLC0415 - paid for only when somebody listens

        emit.tell(CompensationStarted(job.name, ledger.total, type(error).__qualname__))
    return ledger


def _conclude(job: Job, ledger: Ledger, error: BaseException) -> None:
    """Tell how it went, and raise what comes out instead of the operation's own error, if anything does."""
    if emit.listeners:
        from recoup.events import CompensationFinished  # noqa: PLC0415 - as above

        emit.tell(CompensationFinished(job.name, ledger.undone, len(ledger.failures)))
    outcome = ledger.outcome(error, raise_original=job.raise_original)
    try:
        if not isinstance(outcome, CompensationError):
            report(ledger)
        if outcome is not None:
            raise outcome
    finally:
        ledger.forget()
        outcome = None  # this frame is in its traceback: they would keep each other
