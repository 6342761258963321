r"""A call of a `@compensate` function in a durable saga: what is written of it, and when.

enter --> INTENT is on its way --ready--> it is durable --> the function runs --keep--> DONE, which nobody waits for
\\--undo--> undone at once, then FAILED, UNDONE
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from recoup._core.chain import Pending
from recoup._core.colour import described
from recoup.errors import Fenced, RecoveryError, SagaStuck
from recoup.sagas import describing, failures, undoing, values
from recoup.sagas.ledger import Outcome
from recoup.sagas.steps import in_step
from recoup.strategies.compensation import perform, plans, steps
from recoup.strategies.compensation.state import Mark

if TYPE_CHECKING:
    from recoup.sagas.joined import DurableSteps
    from recoup.sagas.ledger import Entry
    from recoup.sagas.run import Run
    from recoup.sagas.writer import Ticket
    from recoup.strategies.compensation.members import Member
    from recoup.strategies.compensation.memory import Packed

__all__ = ["Begun", "StepCall"]


class Begun:
    """One call of a step.

    Attributes:
        entry: Its place in the ledger.
        call: The arguments.
        intent: What has to be written before it may begin; not there for what is remembered.
        remembered: Whether it is over since before a crash.
        started: Whether the function may have been called.
    """

    __slots__ = ("call", "config", "entry", "intent", "remembered", "started", "step")

    def __init__(self, run: Run, entry: Entry, call: Packed, config: Any, intent: Ticket | None) -> None:
        self.entry = entry
        self.call = call
        self.config = config
        self.intent = cast("Ticket", intent)  # nobody asks for it where it is None
        self.remembered = intent is None
        self.started = False
        self.step = in_step(run.key(entry), entry.n, run.name, run.id)

    def answer(self) -> Any:
        """Give what a remembered step returned, or raise what it raised."""
        if self.entry.outcome is Outcome.FAILED:
            raise failures.loads(json.dumps(self.entry.error))
        return values.back(self.entry.result.get("result"))


class StepCall:
    """What the pumps of one function ask in one saga.

    Args:
        joined: The saga, or the inner one of it, that the call belongs to.
        member: The function.
    """

    def __init__(self, joined: DurableSteps, member: Member) -> None:
        self._joined = joined
        self._run = joined.run
        self._member = member

    def enter(self, call: Packed) -> Begun:
        """Decide what a call is, and send its INTENT on the way.

        Raises:
            UnserializableError: If it could not be undone after a crash; nothing has happened then.
            RecoveryError: If the saga has failed meanwhile.
        """
        run, joined, config = self._run, self._joined, self._member.strategy.config
        body = describing.intent(self._member, config, call, parent=joined.parent())
        with run.lock:
            if joined.state is not steps.State.OPEN or run.ledger.compensating or run.ledger.stuck:
                raise RecoveryError(
                    f"{described(self._member.target)} was not called: saga {joined.name!r} has failed meanwhile"
                )
            entry, intent = joined.intend(body)
            joined.add(entry)
            begun = Begun(run, entry, call, config, intent)
            if not begun.remembered:
                run.plans[entry.n] = partial(plans.tasks, config, self._member.target, call)
                run.live.add(entry)
        return begun

    def ready(self, begun: Begun) -> None:
        """Wait until INTENT is durable: only then may the effect happen."""
        self._run.wait(begun.intent)
        self._start(begun)

    async def ready_async(self, begun: Begun) -> None:
        """Await what `ready` waits for."""
        await self._run.wait_async(begun.intent)
        self._start(begun)

    def _start(self, begun: Begun) -> None:
        begun.started = True
        begun.step.__enter__()

    def keep(self, begun: Begun, result: Any) -> None:
        """Note that the function returned; undo it if that came too late."""
        try:
            ticket = self._completed(begun, result)
        except (RecoveryError, TypeError) as error:
            self.undo(begun, error)
            raise
        if ticket is not None:
            self._run.wait(ticket)

    async def keep_async(self, begun: Begun, result: Any) -> None:
        """Do what `keep` does, awaiting it."""
        try:
            ticket = self._completed(begun, result)
        except (RecoveryError, TypeError) as error:
            await self.undo_async(begun, error)
            raise
        if ticket is not None:
            await self._run.wait_async(ticket)

    def _completed(self, begun: Begun, result: Any) -> Ticket | None:
        """Send DONE on the way; give what has to be waited for, if anything."""
        begun.step.__exit__(None, None, None)
        run, entry = self._run, begun.entry
        body = self._joined.result(result, described(self._member.target), keeps=begun.config.save_state)
        with run.lock:
            if run.ledger.compensating or self._joined.state is steps.State.FAILED:
                raise steps.too_late(described(self._member.target), self._joined)
            run.live.discard(entry)
            run.plans[entry.n] = (
                partial(run.plans[entry.n], result=result) if begun.config.save_state else run.plans[entry.n]
            )
            ticket = run.write(run.ledger.done(entry, body), lazy=not entry.pivot)
        return ticket if entry.pivot else None

    def undo(self, begun: Begun, error: BaseException) -> None:
        """Undo a call that ended with an error, or came too late.

        Raises:
            CompensationError: If an action failed; it is owed then.
        """
        job = self._job(begun, error, waits=False)
        try:
            perform.undo(job, error)
        finally:
            self._gone(begun)

    async def undo_async(self, begun: Begun, error: BaseException) -> None:
        """Do what `undo` does, awaiting it; no cancellation stops it."""
        job = self._job(begun, error, waits=True)
        try:
            await perform.undo_async(job, error)
        finally:
            self._gone(begun)

    def _job(self, begun: Begun, error: BaseException, *, waits: bool) -> perform.Job | None:
        begun.step.__exit__(None, None, None)
        run, entry = self._run, begun.entry
        if isinstance(error, (Fenced, SagaStuck)) or run.ledger.stuck:
            return None  # it is somebody else's
        with run.lock:
            if not begun.started or isinstance(error, Pending):
                record = run.ledger.undo_done(entry, "it never ran")
                if not begun.intent.failed():  # there is nothing to be said of what is not there
                    run.write(record, lazy=True)
                return None
            if entry.pivot and not entry.undo and _leaves_doubt(error):
                return None
            ticket = run.write(run.ledger.failed(entry, failures.dumps(error)), lazy=not entry.undo)
            if not entry.undo:
                run.write(run.ledger.undo_done(entry), lazy=True)
                return None
        # FAILED is durable before the undo: after a crash the step must not be taken for one that may be done again.
        failed = Mark(lambda: undoing.waited(run, ticket, waits=waits))
        tasks = [failed, *undoing.live(run, entry, error), undoing.Written(run, entry, waits=waits).mark()]
        return perform.Job(self._member.strategy.name, tasks, begun.config.saga_timeout)

    def _gone(self, begun: Begun) -> None:
        """Note that nothing of this call runs any more; the last one of a saga that has failed closes it."""
        with self._run.lock:
            self._run.live.discard(begun.entry)
        self._joined.after_late()


def _leaves_doubt(error: BaseException) -> bool:
    """Tell whether a call that ended so may have had its effect all the same."""
    return not isinstance(error, Exception) or isinstance(error, TimeoutError)
