"""The steps that begin in one block of a durable saga."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup.errors import RecoveryError, SagaStuck
from recoup.sagas import describing, stepping
from recoup.sagas import steps as current_step
from recoup.sagas.ledger import Outcome
from recoup.sagas.pumps import stepping as stepping_sync
from recoup.sagas.pumps import stepping_async
from recoup.strategies.compensation import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.sagas.ledger import Entry
    from recoup.sagas.run import Run
    from recoup.sagas.writer import Ticket
    from recoup.strategies.compensation.members import Member

__all__ = ["DurableSteps"]


class DurableSteps(steps.Steps):
    """The steps of one durable saga, or of an inner one.

    Args:
        run: The saga.
        name: What this block is called.
        waits: Whether it can await an asynchronous action when it ends.
        outer: The block around it.

    Attributes:
        mine: What began in this block, inner ones that have completed included.
    """

    __slots__ = ("_inner", "mine", "run")

    durable = True

    def __init__(self, run: Run, name: str, *, waits: bool, outer: steps.Steps | None = None) -> None:
        super().__init__(name, waits=waits, outer=outer)
        self.run = run
        self.mine: list[Entry] = []
        self._inner = isinstance(outer, DurableSteps) and outer.run is run

    @property
    def inner(self) -> bool:
        """Whether this is a bracket inside a saga."""
        return self._inner

    def __len__(self) -> int:
        return len(self.run.ledger.owed(self.mine))

    def inside(self, member: Member, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Give what runs a function as a step of this saga."""
        call = stepping.StepCall(self, member)
        if member.colour.is_async:
            return stepping_async(fn, member.pack, call.enter, call.ready_async, call.undo_async, call.keep_async)
        return stepping_sync(fn, member.pack, call.enter, call.ready, call.undo, call.keep)

    def streamed(self, member: Member) -> steps.Steps:
        """Refuse a stream: nothing of what it gave could be remembered."""
        raise TypeError(
            f"{describing.title(member.target)} is a generator, which cannot be a step of durable saga {self.name!r}: "
            "make it a function that returns a list, or use it outside the saga"
        )

    def parent(self) -> int:
        """Give the number of the step in which another one begins now; 0 for none."""
        step = current_step.current()
        return step.n if step is not None and step.saga_id == self.run.id else 0

    def add(self, entry: Entry) -> None:
        """Take note of a step that begins."""
        self.mine.append(entry)

    def intend(self, body: str) -> tuple[Entry, Ticket | None]:
        """Begin a step; no ticket means that it is over since before a crash."""
        if self._inner and isinstance(self.outer, DurableSteps):
            return self.outer.intend(body)
        entry, record = self.run.ledger.intend(body)
        return entry, self.run.write(record)

    def result(self, value: object, what: str, *, keeps: bool) -> str:
        """Write what a step returned, if that can be written."""
        if self._inner and isinstance(self.outer, DurableSteps):
            return self.outer.result(value, what, keeps=keeps)
        return describing.result(value, what, keeps=keeps, opaque=True)

    def commit(self) -> bool:
        """Close a block that has completed; False if the saga has failed meanwhile."""
        with self.run.lock:
            self._state = steps.State.COMMITTED
            if self.inner and self.run.ledger.compensating:
                self._state = steps.State.FAILED
                return False
            if self.inner and isinstance(self.outer, DurableSteps):
                self.outer.mine += self.mine
        self.outer = steps.still_open(self.outer)
        return True

    def fail(self) -> list[Any]:
        """Close a block that has failed."""
        with self.run.lock:
            self._state = steps.State.FAILED
        return []

    def unfinished(self) -> BaseException | None:
        """Say why a block cannot complete although no error has ended it."""
        run = self.run
        with run.lock:
            for entry in self.mine:
                if entry in run.live:
                    return RecoveryError(f"{_named(entry, run)} still runs: wait for what is started in the block")
                if entry.undone and entry.outcome is Outcome.DONE:
                    reason = f"{_named(entry, run)} was undone before a crash, and now the block completed"
                    return SagaStuck(id=run.id, name=run.name, reason=reason)
                if not entry.undone and entry.outcome is not Outcome.DONE:
                    return RecoveryError(f"{_named(entry, run)} failed and is not undone, so the saga cannot complete")
        return None

    def after_late(self) -> None:
        """Note that a step which had to undo itself is over; the last one after a saga's end closes the saga."""
        run = self.run
        with run.lock:
            if not run.closed or run.live or not run.ledger.compensating:
                return
            if not run.ledger.owed() and not run.ledger.ended:
                run.end()
        run.hand_over()


def _named(entry: Entry, run: Run) -> str:
    return f"step {entry.n} ({entry.step}) of saga {run.name!r}"
