"""What there is to do when a durable saga is undone, one task after the other.

    COMPENSATING is written, then for each step that is owed: its actions run, UNDONE is written; at the end, END

Each mark is durable before the next task begins, and nothing follows what failed (rules 2 and 9).
"""

from __future__ import annotations

import json
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from recoup.sagas import describing, failures, names
from recoup.sagas.steps import UNKNOWN, in_step
from recoup.strategies.compensation import actions
from recoup.strategies.compensation.state import Mark, Undo, noticed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from recoup.sagas.ledger import Entry
    from recoup.sagas.run import Run
    from recoup.sagas.writer import Ticket
    from recoup.strategies.compensation.state import Task

__all__ = ["Written", "encoded", "live", "restored", "waited", "whole"]


class Undoing:
    """An action of the user's, which finds the key of its step where it runs."""

    def __init__(self, action: Callable[..., object], run: Run, entry: Entry) -> None:
        self._action = action
        self._told = (run.key(entry), entry.n, run.name, run.id)
        self.__qualname__ = str(getattr(action, "__qualname__", type(action).__qualname__))

    def __call__(self, state: dict[str, Any]) -> object:
        with in_step(*self._told):
            result = actions.begin(self._action, state)
        return Later(result, self._told) if isawaitable(result) else result


class Later:
    """What an async action returned; it finds the key of its step too."""

    def __init__(self, awaitable: Any, told: tuple[str, int, str, str]) -> None:
        self._awaitable = awaitable
        self._told = told

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        with in_step(*self._told):
            return await self._awaitable

    def close(self) -> None:
        """Dispose of it, where nobody can await."""
        actions.close(self._awaitable)


class Written:
    """The mark that a step is undone.

    Args:
        run: The saga.
        entry: The step.
        waits: Whether the mark is awaited.
    """

    def __init__(self, run: Run, entry: Entry, *, waits: bool) -> None:
        self._run = run
        self._entry = entry
        self._waits = waits

    def mark(self) -> Mark:
        """Give the task."""
        return Mark(self._written)

    def _written(self) -> object:
        run, entry = self._run, self._entry
        with run.lock:
            ticket = run.write(run.ledger.undo_done(entry))
        return waited(run, ticket, waits=self._waits)


def live(run: Run, entry: Entry, error: BaseException | None) -> list[Task]:
    """Give what undoes a step that this process has run."""
    facts: dict[str, Any] = {"result": UNKNOWN} if entry in run.ledger.running() and entry not in run.live else {}
    return [_keyed(task, run, entry) for task in run.plans[entry.n](error=error, **facts)]


def restored(run: Run, entry: Entry) -> list[Task]:
    """Give what undoes a step that another process has run.

    Raises:
        LookupError: If something that is needed for it is not found; the message says what.
    """
    state = describing.state(entry, run.ledger.error)
    return [Undo(Undoing(names.find(name), run, entry), state, 1, 0.0) for name in entry.undo]


def whole(
    run: Run,
    error: BaseException,
    tasks: Iterable[tuple[Entry, list[Task]]],
    *,
    waits: bool,
    start: Callable[..., object] | None = None,
    complete: Callable[..., object] | None = None,
) -> list[Task]:
    """Give everything there is to do for a saga that failed.

    Args:
        run: The saga.
        error: Why.
        tasks: Each step that is owed, in the order of undoing, with what undoes it.
        waits: Whether marks are awaited.
        start: Called before the first action, if there is any.
        complete: Called after the last one.
    """

    def compensating() -> object:
        if run.ledger.compensating:
            return None
        return waited(run, run.compensate(failures.dumps(error)), waits=waits)

    def finished() -> object:
        with run.lock:
            if run.ledger.ended or run.ledger.owed() or run.live:
                return None
            ticket = run.end()
        return waited(run, ticket, waits=waits)

    doing: list[Task] = []
    for entry, undos in tasks:
        doing += [*undos, Written(run, entry, waits=waits).mark()]
    return [Mark(compensating), *noticed(doing, start, complete), Mark(finished)]


def _keyed(task: Task, run: Run, entry: Entry) -> Task:
    return task._replace(action=Undoing(task.action, run, entry)) if isinstance(task, Undo) else task


def waited(run: Run, ticket: Ticket, *, waits: bool) -> object:
    """Wait for what a mark writes, or give what waits for it."""
    return run.wait_async(ticket) if waits else run.wait(ticket)


def encoded(body: dict[str, Any]) -> str:
    """Write a body that was read."""
    return json.dumps(body, separators=(",", ":"))
