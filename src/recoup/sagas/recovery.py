"""Go on with a saga that its process has left: undo it, run its function again, or leave it to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup._core import checks
from recoup.errors import RecoveryError, SagaStuck
from recoup.sagas import failures, names, undoing
from recoup.strategies.compensation import perform

if TYPE_CHECKING:
    from recoup.sagas.run import Run

__all__ = ["LostError", "backward", "backward_async", "needs_loop"]


class LostError(RecoveryError):
    """Something that is needed to go on is not found: a function, a class, a module."""


def needs_loop(run: Run) -> bool:
    """Tell whether undoing it needs an event loop.

    Raises:
        LostError: If an undo is not found.
    """
    return any(checks.awaitable_callback(_found(name)) for entry in run.ledger.owed() for name in entry.undo)


def backward(run: Run, seconds: float) -> None:
    """Undo a saga, as far as that is not done.

    Raises:
        SagaStuck: If it cannot be undone, and a person has to decide; that is not written yet.
        LostError: If something that is needed for it is not found.
        CompensationError: If an action failed.
        Fenced: If somebody else has taken it over.
    """
    error = _error(run)
    perform.undo(_job(run, error, seconds, waits=False), error)


async def backward_async(run: Run, seconds: float) -> None:
    """Do what `backward` does, awaiting the actions."""
    error = _error(run)
    await perform.undo_async(_job(run, error, seconds, waits=True), error)


def _error(run: Run) -> Exception:
    """Give the error for which a saga is undone."""
    if run.ledger.error:
        return failures.loads(undoing.encoded(run.ledger.error))
    return RecoveryError(f"the process that ran saga {run.name!r} ended before the saga did")


def _job(run: Run, error: Exception, seconds: float, *, waits: bool) -> perform.Job:
    reason = "" if run.ledger.compensating else run.ledger.hindrance()
    if reason:
        raise SagaStuck(id=run.id, name=run.name, reason=reason)
    try:
        owed = [(entry, undoing.restored(run, entry)) for entry in run.ledger.owed()]
    except (LookupError, TypeError, ValueError) as lost:
        raise LostError(f"saga {run.name!r} cannot be undone: {lost}") from lost
    return perform.Job(run.name, undoing.whole(run, error, owed, waits=waits), seconds)


def _found(name: str) -> Any:
    try:
        return names.find(name)
    except LookupError as lost:
        raise LostError(str(lost)) from lost
