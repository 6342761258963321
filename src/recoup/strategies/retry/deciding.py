"""What is looked at after a failed attempt, before its run decides.

Nearly all failures are plain: nothing in their class needs a closer look, they carry nothing (neither a hint nor the
mark of a retry further in), and nobody listens or waits. These are decided about here and now. A service that is down
makes many of them, and what they cost is paid on top.
"""

from __future__ import annotations

from recoup._core import clock, emit, mode, timing
from recoup.errors import is_refusal
from recoup.strategies.retry import nesting
from recoup.strategies.retry.state import TURN, RetryRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.strategies.retry.strategy import RetryExecutor

__all__ = ["decide", "decide_later"]


def decide(executor: RetryExecutor, run: RetryRun | None, error: Exception) -> RetryRun:
    """Take note of a failure, in a run that begins with the first one."""
    if run is None:
        run = RetryRun(executor._plan, clock.monotonic(), 0)
    plan = run.plan
    if not (
        type(error) in plan.plain
        and not error.__dict__
        and error.__cause__ is None
        and (timing.innermost() is None or timing.current_deadline() is None)
        and not (mode.active or emit.listeners)
    ):
        return _looked_into(executor, run, error)
    attempts = run.attempts + 1
    run.attempts, run._error = attempts, error
    if attempts >= plan.most:
        run.used_up(error, clock.monotonic(), executor.name)
    elif plan.waits or not attempts % TURN:
        run.goes_on(error, clock)
    else:
        run.delay, run.waits = 0.0, False
    return run


def _looked_into(executor: RetryExecutor, run: RetryRun, error: Exception) -> RetryRun:
    """Decide about a failure that has something unusual about it, or in it."""
    plan = run.plan
    if plan.judges and run.unjudged(error):
        return run
    if mode.active and mode.off():
        run.off()
        return run
    if plan.asks and run.verdict is None:
        run.ask()
        return run
    _ask_run(run, error)
    if plan.tells or emit.listeners:
        run.tells = True
    elif run.gave_up:
        nesting.mark(error, plan.key, executor.name, run.attempts)
    elif nesting.may_be_marked(error):
        run.tells = True
    elif run.delay is not None:
        plan.met(error)
    return run


def decide_later(executor: RetryExecutor, spent: int, run: RetryRun | None, error: Exception) -> RetryRun:
    """Do what `decide` does, in a call that has used up some attempts before (rule G5)."""
    if run is None:
        run = RetryRun(executor._plan, clock.monotonic(), spent)
    return decide(executor, run, error)


def _ask_run(run: RetryRun, error: Exception) -> None:
    """Have the run decide, with the time that it has."""
    now, deadline = clock.monotonic(), timing.innermost() and timing.current_deadline()
    if deadline is None:
        run.failed(error, now, None, clock)
        return
    if not is_refusal(error):
        timing.asked()  # whatever strikes from now on finds that the function has been called
    run.failed(error, now, deadline.remaining(), clock, deadline.name)
