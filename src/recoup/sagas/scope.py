"""`with saga(...)` on a journal: the block.

An inner saga of the same journal is a bracket round some steps of the outer one: if it fails, these are undone at once;
if it completes, they are steps of the outer one, which they always were to the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup.errors import Fenced, RecoveryError, SagaExists, SagaStuck
from recoup.sagas import undoing
from recoup.sagas.joined import DurableSteps
from recoup.sagas.run import Run
from recoup.strategies.compensation import perform, steps
from recoup.strategies.compensation.scope import Saga
from recoup.strategies.compensation.state import Mark, noticed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from recoup.sagas.keeper import Journal
    from recoup.sagas.ledger import Entry
    from recoup.sagas.writer import Ticket
    from recoup.strategies.compensation.state import Task
    from recoup.typing import Callback, Seconds

__all__ = ["DurableSaga"]


class DurableSaga(Saga):
    """The block of `saga(...)` where there is a journal; see there."""

    __slots__ = ("_journal", "_key", "_version", "run")

    def __init__(
        self,
        name: str,
        *,
        journal: Journal,
        key: str | None,
        version: str,
        saga_timeout: Seconds,
        on_compensation_start: Callback | None,
        on_compensation_complete: Callback | None,
    ) -> None:
        super().__init__(
            name,
            saga_timeout=saga_timeout,
            on_compensation_start=on_compensation_start,
            on_compensation_complete=on_compensation_complete,
        )
        self._journal = journal
        self._key = key
        self._version = version
        self.run: Run | None = None

    @property
    def id(self) -> str:
        """Its identity in the journal, for people; empty before it is entered."""
        return "" if self.run is None else self.run.id

    def __enter__(self) -> Self:
        self._check_plain()
        ticket = self._begin(waits=False)
        if ticket is not None:
            run = self._of()
            try:
                self._begun(run, run.wait(ticket))
            except BaseException:
                self._withdraw()
                raise
        return self

    async def __aenter__(self) -> Self:
        ticket = self._begin(waits=True)
        if ticket is not None:
            run = self._of()
            try:
                self._begun(run, await run.wait_async(ticket))
            except BaseException:
                self._withdraw()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mine = self._leave()
        problem = mine.unfinished() if error is None else None
        ended = error or problem
        try:
            if ended is not None:
                perform.undo(self._undoing(mine, ended, waits=False), ended)
            elif (ticket := self._completed(mine)) is not None:
                mine.run.wait(ticket)
            if problem is not None:
                raise problem
        finally:
            self._over(mine)
            problem = ended = None  # this frame is in their traceback: they would keep each other

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mine = self._leave()
        problem = mine.unfinished() if error is None else None
        ended = error or problem
        try:
            if ended is not None:
                await perform.undo_async(self._undoing(mine, ended, waits=True), ended)
            elif (ticket := self._completed(mine)) is not None:
                await mine.run.wait_async(ticket)
            if problem is not None:
                raise problem
        finally:
            self._over(mine)
            problem = ended = None  # as above

    def _begin(self, *, waits: bool) -> Ticket | None:
        """Enter the block; give what has to be waited for, if anything."""
        if self._steps is not None:
            raise RuntimeError(f"saga {self.name!r} was entered before: make a new one for each block")
        outer = steps.joined()
        if outer is not None:
            self.run = _shared(self, outer, self._journal, self._key)
        else:
            self.run = self._made()
        self._steps = self._joining(self.run, waits=waits, outer=outer)
        steps.show(self._steps)
        if outer is not None or self._key is None:
            return None  # it is written with its first step
        return self.run.announce()

    def _joining(self, run: Run, *, waits: bool, outer: steps.Steps | None) -> DurableSteps:
        return DurableSteps(run, self.name, waits=waits, outer=outer)

    def _made(self) -> Run:
        return Run.begun(self._journal, self.name, key=self._key, version=self._version)

    def _begun(self, run: Run, head: Any) -> None:
        """Look at what the journal says about the key."""
        run.announced(head)
        if head.id != run.id:
            run.closed = True  # there is nothing of it
            raise SagaExists(name=self.name, key=str(self._key), id=head.id, state=str(head.state))

    def _withdraw(self) -> None:
        """Leave a block that could not be entered."""
        mine = self._leave()
        mine.fail()
        if not mine.run.closed:
            self._over(mine)

    def _leave(self) -> DurableSteps:
        mine = self._steps
        if not isinstance(mine, DurableSteps):
            raise RuntimeError(f"saga {self.name!r} was left but never entered")  # noqa: TRY004 - as in memory
        steps.leave(mine)
        return mine

    def _completed(self, mine: DurableSteps) -> Ticket | None:
        """Close a block that has completed; give what has to be waited for."""
        if not mine.commit():
            raise RecoveryError(f"saga {self.name!r} completed after the one around it had failed")
        return None if mine.inner or not mine.run.known() else mine.run.end(self._answer())

    def _answer(self) -> str:
        return "{}"

    def _undoing(self, mine: DurableSteps, error: BaseException, *, waits: bool) -> perform.Job | None:
        """Give what is to be done about a block that has failed."""
        run = mine.run
        mine.fail()
        if isinstance(error, Fenced) or not run.known() or run.ledger.ended:
            return None
        if mine.inner:
            tasks: list[Task] = []
            for entry, undos in self._owed(mine, error):
                tasks += [*undos, undoing.Written(run, entry, waits=waits).mark()]
            tasks = noticed(tasks, self._start, self._finish)
        elif reason := error.reason if isinstance(error, SagaStuck) else run.ledger.hindrance():
            error.add_note(f"recoup: saga {self.name!r} ({run.id}) is stuck: {reason}")
            tasks = [Mark(lambda: undoing.waited(run, run.halt(reason), waits=waits))]
        else:
            owed = self._owed(mine, error)
            tasks = undoing.whole(run, error, owed, waits=waits, start=self._start, complete=self._finish)
        return perform.Job(self.name, tasks, self._seconds) if tasks else None

    def _owed(self, mine: DurableSteps, error: BaseException) -> list[tuple[Entry, list[Task]]]:
        """Give the steps to undo, each with what undoes it; those that still run undo themselves."""
        run = mine.run
        with run.lock:
            owed = [entry for entry in run.ledger.owed(mine.mine if mine.inner else None) if entry not in run.live]
        return [
            (entry, undoing.live(run, entry, error) if entry.n in run.plans else undoing.restored(run, entry))
            for entry in owed
        ]

    def _over(self, mine: DurableSteps) -> None:
        """Leave what is not done to whoever looks after sagas."""
        if not mine.inner:
            mine.run.closed = True
            mine.run.hand_over()

    def _of(self) -> Run:
        assert self.run is not None  # noqa: S101 - `_begin` has made it
        return self.run


def _shared(block: DurableSaga, outer: steps.Steps, journal: Journal, key: str | None) -> Run:
    """Give the saga that an inner block belongs to.

    Raises:
        RuntimeError: If the one around it is not of the same journal.
        TypeError: If the inner one has a key of its own.
    """
    if not isinstance(outer, DurableSteps) or outer.run.journal is not journal:
        raise RuntimeError(
            f"durable saga {block.name!r} is inside saga {outer.name!r}, which is not in the same journal and could "
            "not undo it: give both the same journal"
        )
    if key is not None:
        raise TypeError(
            f"saga {block.name!r} is inside saga {outer.name!r} and part of it: the key belongs to the outer one"
        )
    return outer.run
