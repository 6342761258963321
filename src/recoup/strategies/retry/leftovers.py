"""What becomes of results that were turned down, and of what is left when a call ends after a failure (rule R4)."""

from __future__ import annotations

from recoup._core import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.retry.state import RetryRun

__all__ = ["drop", "drop_async", "finish", "finish_async"]


def finish(run: RetryRun, outcome: object) -> None:
    """Do what there is to do when a call ends after a failure."""
    run.succeeded()
    drop(run, outcome)


async def finish_async(run: RetryRun, outcome: object) -> None:
    """Do what `finish` does, awaiting an `aclose`."""
    run.succeeded()
    await drop_async(run, outcome)


def drop(run: RetryRun, outcome: object) -> None:
    """Close an earlier result that was turned down, unless the same object came again (rule R4)."""
    discarded = _superseded(run, outcome)
    if discarded is not None:
        emit.call(_close, discarded)


async def drop_async(run: RetryRun, outcome: object) -> None:
    """Close an earlier result that was turned down, with its `aclose` if it has one and there is time to await it."""
    discarded = _superseded(run, outcome)
    if discarded is None:
        return
    if isinstance(outcome, GeneratorExit):  # the coroutine itself is closed: it must not await any more
        emit.call(_close, discarded)
    else:
        await emit.call_async(_aclose, discarded)


def _superseded(run: RetryRun, outcome: Any) -> object:
    """Give the earlier result that is to be closed now, if any; hold the new one if it was turned down too."""
    held, run.held = run.held, None
    if run.turned_down(outcome):
        outcome = outcome.result
        if run.delay is not None or run.failure is not None or run.open:
            run.held = outcome
    return None if held is outcome else held


def _close(result: Any) -> object:
    close = getattr(result, "close", None)
    return close() if callable(close) else None


def _aclose(result: Any) -> object:
    close = getattr(result, "aclose", None) or getattr(result, "close", None)
    return close() if callable(close) else None
