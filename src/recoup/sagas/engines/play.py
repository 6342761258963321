"""One saga on an engine, while its function runs: which step is which, and what is to be undone.

The engine remembers what each step has given, and runs the function again after a crash; then everything here happens
again, in the same order. So nothing here may depend on the clock, on chance, or on which step ends first.
"""

from __future__ import annotations

import json
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from recoup._core.colour import described
from recoup.errors import RecoveryError, SagaStuck
from recoup.sagas import describing, failures, values
from recoup.sagas.engines import pumps
from recoup.sagas.engines.hands import GaveUp, Task
from recoup.sagas.ledger import Ledger, Outcome
from recoup.strategies.compensation import steps

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from recoup.sagas.ledger import Entry
    from recoup.strategies.compensation.members import Member
    from recoup.strategies.compensation.memory import Packed

__all__ = ["Act", "Engine", "Play"]


class Act(NamedTuple):
    """One call of a step.

    Attributes:
        task: Which step.
        member: The function.
        fn: The layers round it, below `@compensate`.
        call: Its arguments.
        body: What INTENT says, as text.
        place: What the engine has kept for it.
    """

    task: Task
    member: Member
    fn: Callable[..., Any]
    call: Packed
    body: str
    place: Any

    def recorded(self, body: str) -> None:
        """Take what INTENT said the first time, if the function gives other arguments now."""
        if body != self.body:
            self.task.entry.body = json.loads(body)

    def meant(self, body: str) -> Callable[[], Any]:
        """Give the call that INTENT tells of, which it was the first time."""
        args, kwargs = self.call
        self.recorded(body)
        if body != self.body and "args" in self.task.entry.body:
            args, kwargs = self._back("args"), self._back("kwargs")
        return partial(self.fn, *args, **kwargs)

    def _back(self, what: str) -> Any:
        return values.back(self.task.entry.body[what])

    def owed(self) -> bool:
        """Tell whether it has failed and something is to be undone."""
        entry = self.task.entry
        return entry.outcome is Outcome.FAILED and bool(entry.undo)


class Engine(Protocol):
    """What carries out and remembers steps. Each method of a synchronous saga returns; of an async one it awaits."""

    def reserve(self) -> Any:
        """Keep places for a step that begins, in the order in which steps begin."""
        ...

    def do(self, act: Act) -> Any:
        """Run a step, or remember it; gives the body of DONE, or raises `StepFailed`."""
        ...

    def undo(self, task: Task, error: str, place: Any) -> Any:
        """Undo a step, as often as it takes, or remember that it is undone; raises `GaveUp`."""
        ...


class Play(steps.Steps):
    """What is ambient while a saga's function runs on an engine.

    Args:
        name: What the saga is called.
        saga_id: Its identity.
        engine: What carries out its steps.
        waits: Whether the function is async.
        failure: What means that the function has failed.

        outer: The saga around an inner one, whose steps all count as the outer one's.

    Attributes:
        mine: What began in this saga, inner ones that have completed included.
        underway: The steps of an async function that run right now, with what tells when they end.
    """

    __slots__ = ("_thread", "engine", "failure", "ledger", "mine", "saga_id", "underway")

    def __init__(
        self,
        name: str,
        saga_id: str,
        engine: Engine,
        *,
        waits: bool,
        failure: tuple[type[BaseException], ...] = (Exception,),
        outer: Play | None = None,
    ) -> None:
        super().__init__(name, waits=waits, outer=outer)
        self.saga_id = saga_id
        self.engine = engine
        self.failure = failure
        self.ledger: Ledger = Ledger() if outer is None else outer.ledger
        self.mine: list[Entry] = []
        self.underway: dict[int, asyncio.Event] = {}
        self._thread = get_ident()

    def inside(self, member: Member, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Give what runs a function as a step."""
        if member.colour.is_async is not self.waits:
            have, need = ("synchronous", "async") if self.waits else ("async", "synchronous")
            raise RecoveryError(
                f"{described(member.target)} is {have}, but on DBOS and Temporal the steps of the {need} saga "
                f"{self.name!r} have to be {need} too: nothing was called"
            )
        return partial(pumps.acting_async if self.waits else pumps.acting, self, member, fn)

    def streamed(self, member: Member) -> steps.Steps:
        """Refuse a generator: what it has given cannot be remembered."""
        raise RecoveryError(f"{described(member.target)} is a generator, which cannot be a step of a durable saga")

    def begin(self, member: Member, fn: Callable[..., Any], call: Packed) -> Act:
        """Begin a step.

        Raises:
            UnserializableError: If it could not be undone after a crash.
            RecoveryError: If the saga has failed meanwhile, or another thread calls.
        """
        if not self.waits and get_ident() != self._thread:
            raise RecoveryError(
                f"{described(member.target)} was called in another thread than the one of saga {self.name!r}: DBOS and "
                "Temporal run one step of a synchronous saga at a time; make it async to run steps side by side"
            )
        if self.ledger.compensating or self.state is not steps.State.OPEN:
            raise RecoveryError(f"{described(member.target)} was not called: saga {self.name!r} has failed meanwhile")
        body = describing.intent(member, member.strategy.config, call, parent=0)
        entry, _ = self.ledger.intend(body)
        self.mine.append(entry)
        if self.waits:
            import asyncio  # noqa: PLC0415 - only where it is running

            self.underway[entry.n] = asyncio.Event()
        return Act(Task(entry, self.name, self.saga_id), member, fn, call, body, self.engine.reserve())

    def done(self, act: Act, body: str) -> Any:
        """Note that a step returned; give what."""
        self.ledger.done(act.task.entry, body)
        return values.back(json.loads(body).get("result"))

    def failed(self, act: Act, body: str) -> Exception:
        """Note that a step raised; give what. It is undone at once, as everywhere under `@compensate`."""
        entry, error = act.task.entry, failures.loads(body)
        if entry.pivot and not entry.undo and isinstance(error, TimeoutError):
            return error  # it may have had its effect all the same, and nothing can undo it
        self.ledger.failed(entry, body)
        if not entry.undo:
            self.ledger.undo_done(entry)
        return error

    def ended(self, act: Act) -> None:
        """Note that nothing of a step runs any more."""
        if (event := self.underway.pop(act.task.entry.n, None)) is not None:
            event.set()

    def result(self, value: object) -> str:
        """Write what the function returned.

        Raises:
            UnserializableError: If it would not come back the same.
        """
        return values.dumps(value, f"the result of saga {self.name!r}")

    def undone(self, task: Task) -> None:
        """Note that a step is undone."""
        self.ledger.undo_done(task.entry)

    def nested(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an inner saga: if it fails its steps are undone at once, if it completes they are the outer one's."""
        if function.is_async is not self.waits:
            raise RecoveryError(f"sagas {function.name!r} and {self.name!r} have to be both async or both synchronous")
        inner = Play(function.name, self.saga_id, self.engine, waits=self.waits, failure=self.failure, outer=self)
        pump = pumps.nesting_async if self.waits else pumps.nesting
        return pump(inner, partial(function.body, *args, **kwargs))

    def completed_inside(self) -> None:
        """Hand the steps of an inner saga that has completed to the outer one."""
        outer: Any = self.outer
        outer.mine += self.mine
        self.commit()

    def owed(self, error: str) -> list[Task]:
        """Note that the saga failed, and list what is to be undone, the last one begun first.

        Not the last one completed: of steps that ran side by side nobody knows after a crash which ended first.

        Raises:
            SagaStuck: If it can only go forward.
        """
        inner = isinstance(self.outer, Play)
        self.fail()
        if not inner:
            self.ledger.compensate(error)
        if reason := self.ledger.hindrance():
            raise self.stuck(reason)
        found = sorted(self.ledger.owed(self.mine), key=_last_first)
        return [Task(each, self.name, self.saga_id) for each in found]

    def stuck(self, reason: str) -> SagaStuck:
        """Make the error of a saga that cannot go on by itself."""
        return SagaStuck(id=self.saga_id, name=self.name, reason=reason)

    def gave_up(self, task: Task, why: GaveUp) -> SagaStuck:
        """Make the error of a saga whose step could not be undone."""
        return self.stuck(f"step {task.entry.n} ({task.entry.step}) could not be undone: {why}")


def _last_first(entry: Entry) -> int:
    return -entry.n
