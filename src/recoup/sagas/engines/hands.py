"""What happens when an engine lets a step run, or has it undone, in whatever process.

A step has its key meanwhile (`step().key`). It cannot have steps of its own: engines know one level only.
"""

from __future__ import annotations

import json
from collections.abc import Callable  # noqa: TC003 - typing.get_type_hints looks for it here
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple

from recoup._core import chain, rim
from recoup._core.colour import colour_of
from recoup.errors import RecoveryError
from recoup.sagas import describing, failures, names, values
from recoup.sagas.journal import Kind, Record
from recoup.sagas.ledger import Entry, Outcome
from recoup.sagas.steps import in_step
from recoup.strategies.compensation import actions, steps
from recoup.strategies.compensation.strategy import Compensation

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from recoup.strategies.compensation.members import Member

__all__ = ["Compensated", "GaveUp", "Part", "StepFailed", "Task", "do", "do_async", "part", "undo", "undo_async"]


class StepFailed(Exception):  # noqa: N818 - says what has happened
    """A step raised; carried through an engine as text, and pickled by it.

    Args:
        text: The error, as `failures` writes it.
    """

    @property
    def text(self) -> str:
        """The error as text."""
        return str(self.args[0])


class GaveUp(Exception):  # noqa: N818 - as above
    """An engine has tried often enough to undo a step; its text says what was wrong the last time."""


class Compensated(Exception):  # noqa: N818 - as above
    """A saga failed and is undone; carried through an engine as text, and pickled by it.

    Args:
        text: The error of the saga, as `failures` writes it.
    """

    @property
    def text(self) -> str:
        """The error as text."""
        return str(self.args[0])


class Part(NamedTuple):
    """A step, ready to be called.

    Attributes:
        call: The layers of its function below `@compensate`, with the arguments.
        is_async: Whether what it returns is to be awaited.
    """

    call: Callable[[], Any]
    is_async: bool


class Task:
    """One step of one saga, for whoever runs or undoes it.

    Args:
        entry: Which one, and what is known of it.
        saga: What the saga is called.
        saga_id: Its identity.
    """

    __slots__ = ("entry", "saga", "saga_id")

    def __init__(self, entry: Entry, saga: str, saga_id: str) -> None:
        self.entry = entry
        self.saga = saga
        self.saga_id = saga_id

    @property
    def key(self) -> str:
        """What makes it unique, for doing and undoing it."""
        return f"{self.saga_id}:{self.entry.n}"

    def dumps(self) -> str:
        """Write it down for another process."""
        entry = self.entry
        facts = {"outcome": entry.outcome.value, "result": entry.result, "error": entry.error}
        return json.dumps({"saga": self.saga, "saga_id": self.saga_id, "n": entry.n, "body": entry.body, **facts})

    @classmethod
    def loads(cls, text: str) -> Task:
        """Read what `dumps` has written."""
        found = json.loads(text)
        intent = Record(0, Kind.INTENT, found["n"])
        entry = Entry(intent, found["body"], Outcome(found["outcome"]), found["result"], found["error"])
        return cls(entry, found["saga"], found["saga_id"])


def part(task: Task) -> Part:
    """Find the function of a step by its name, in a process that knows nothing else of it.

    Raises:
        LookupError: If nothing is found, or it is no function under `@compensate`.
    """
    name, body = task.entry.step, task.entry.body
    found = names.find(name)
    known = rim._known(found)
    if known is not None:
        for place, layer in enumerate(known.layers):
            if isinstance(layer, Compensation):
                colour = colour_of(found)
                fn = chain.compose(known.layers[place + 1 :], known.target, colour)
                return Part(partial(fn, *values.back(body["args"]), **values.back(body["kwargs"])), colour.is_async)
    raise LookupError(f"{name} is no function under @compensate")


def do(task: Task, call: Callable[[], Any]) -> str:
    """Run a step; give its result as the body of DONE.

    Raises:
        StepFailed: If it raised an `Exception`, or its result cannot be kept.
    """
    alone = _alone(task)
    try:
        with in_step(task.key, task.entry.n, task.saga, task.saga_id):
            return _result(task, call())
    except Exception as error:
        raise StepFailed(failures.dumps(error)) from error
    finally:
        steps.leave(alone)


async def do_async(task: Task, call: Callable[[], Awaitable[Any]]) -> str:
    """Do what `do` does for an async step."""
    alone = _alone(task)
    try:
        with in_step(task.key, task.entry.n, task.saga, task.saga_id):
            return _result(task, await call())
    except Exception as error:
        raise StepFailed(failures.dumps(error)) from error
    finally:
        steps.leave(alone)


def undo(task: Task, error: dict[str, Any]) -> None:
    """Undo a step: call what INTENT names, in its order.

    Args:
        task: Which one.
        error: Why, as `failures` writes it.

    Raises:
        LookupError: If something is not found any more.
        TypeError: If an action is asynchronous.
        Exception: What an action raised.
    """
    listed, state = _actions(task), describing.state(task.entry, error)
    hidden = steps.hide()
    try:
        with in_step(task.key, task.entry.n, task.saga, task.saga_id):
            for action in listed:
                if isawaitable(found := actions.begin(action, state)):
                    actions.close(found)
                    raise TypeError(f"compensation action {actions.named(action)} is async, but its saga is not")
    finally:
        steps.unhide(*hidden)


async def undo_async(task: Task, error: dict[str, Any]) -> None:
    """Do what `undo` does, awaiting the actions."""
    listed, state = _actions(task), describing.state(task.entry, error)
    hidden = steps.hide()
    try:
        with in_step(task.key, task.entry.n, task.saga, task.saga_id):
            for action in listed:
                if isawaitable(found := actions.begin(action, state)):
                    await found
    finally:
        steps.unhide(*hidden)


def _actions(task: Task) -> list[Callable[..., Any]]:
    return [names.find(each) for each in task.entry.undo]


def _result(task: Task, result: object) -> str:
    return describing.result(result, task.entry.step, keeps="args" in task.entry.body, opaque=False)


class _Alone(steps.Steps):
    """What is ambient inside a step: a saga that wants no steps."""

    __slots__ = ()

    def inside(self, member: Member, fn: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ARG002 - nothing is run
        raise RecoveryError(
            f"step {describing.title(member.target)} was called inside step {self.name}, but DBOS and Temporal know "
            "steps on one level only: call it from the saga itself"
        )

    def streamed(self, member: Member) -> steps.Steps:
        raise RecoveryError(f"{describing.title(member.target)} is a generator, and was called inside step {self.name}")


def _alone(task: Task) -> steps.Steps:
    alone = _Alone(task.entry.step, waits=True, outer=steps.joined())
    steps.show(alone)
    return alone
