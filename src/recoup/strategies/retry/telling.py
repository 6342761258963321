"""Who is told of a failure: the callbacks, the listeners, and a retry further out (rules R7 and R10)."""

from __future__ import annotations

from threading import RLock

from recoup._core import emit, timing
from recoup._core.waiting import at_fork
from recoup.strategies.retry import leftovers, nesting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.strategies.retry.state import RetryRun
    from recoup.strategies.retry.strategy import RetryExecutor

__all__ = ["guard", "tell", "tell_async"]

guard = RLock()
"""Of rare events: what is counted, reconfigured and bound; one for all executors."""


def tell(executor: RetryExecutor, run: RetryRun, error: Exception) -> None:
    """Run callbacks and tell listeners, as the run decided; close a result that nobody will see."""
    if run.plan.judges:
        leftovers.drop(run, error)
    config = run.plan.config
    if run.delay is not None and config.on_retry is not None:
        emit.call(config.on_retry, run.attempts, error)
        _recheck(run)
    if run.gave_up:
        nesting.mark(error, run.plan.key, executor.name, run.attempts)
        if config.on_failure is not None:
            emit.call(config.on_failure, error)
    elif run.delay is not None and (given := nesting.found(error, run.plan.key)) is not None:
        _repeat(executor, run, given)
    if emit.listeners:
        _emit(executor, run, error)


async def tell_async(executor: RetryExecutor, run: RetryRun, error: Exception) -> None:
    """Do what `tell` does, awaiting the callbacks; before it, what there is to decide."""
    if run.open and await _accepted(executor, run, error):
        return
    if run.plan.judges:
        await leftovers.drop_async(run, error)
    config = run.plan.config
    if run.delay is not None and config.on_retry is not None:
        await emit.call_async(config.on_retry, run.attempts, error)
        _recheck(run)
    if run.gave_up:
        nesting.mark(error, run.plan.key, executor.name, run.attempts)
        if config.on_failure is not None:
            await emit.call_async(config.on_failure, error)
    elif run.delay is not None and (given := nesting.found(error, run.plan.key)) is not None:
        _repeat(executor, run, given)
    if emit.listeners:
        _emit(executor, run, error)


async def _accepted(executor: RetryExecutor, run: RetryRun, error: Exception) -> bool:
    """Ask the asynchronous predicates; decide, unless it turns out that the result is good."""
    if run.turned_down(error):
        await leftovers.drop_async(run, error)
        verdict = await run.plan.judge_async(run.held)
        if not verdict:
            run.accept()
            executor._succeeded(run if run.attempts else None)
            return True
    else:
        verdict = await run.plan.retries_async(error)
    run.open, run.verdict = False, verdict
    executor._decide(run, error)
    return False


def _repeat(executor: RetryExecutor, run: RetryRun, given: nesting.Mark) -> None:
    """Count and tell that an error is retried which a retry further in has given up on."""
    with guard:
        executor._repeated += 1
    if emit.listeners:
        from recoup import events  # noqa: PLC0415 - as in `_emit`

        emit.tell(events.RetryNested(executor.name, run.attempts, given[1], given[2]))


def _emit(executor: RetryExecutor, run: RetryRun, error: Exception) -> None:
    from recoup import events  # noqa: PLC0415 - nobody pays for events who does not listen

    if run.delay is not None:
        emit.tell(events.RetryScheduled(executor.name, run.attempts, run.delay, type(error).__qualname__))
    elif run.gave_up:
        emit.tell(events.RetryStopped(executor.name, run.attempts, run.elapsed, run.reason))


def _recheck(run: RetryRun) -> None:
    """Look again at the deadline: a callback takes as long as it likes."""
    deadline = timing.current_deadline()
    if deadline is not None:
        run.recheck(deadline.remaining(), deadline.name)


def _after_fork() -> None:
    global guard  # noqa: PLW0603 - somebody in the parent may have held it
    guard = RLock()


at_fork(_after_fork)
