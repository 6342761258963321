"""Sagas with one rule removed: each must be caught, or the trials have no teeth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup.sagas import ledger, run, scope, stepping, undoing, writer
from recoup.sagas.ledger import Outcome
from recoup.strategies.compensation.state import Mark

if TYPE_CHECKING:
    from collections.abc import Callable


def intent_not_awaited() -> None:
    """Rule 1: the effect happens before INTENT is durable."""
    write = run.Run.write

    def lazily(self: Any, *records: Any, **more: Any) -> Any:
        lazy = more.pop("lazy", False) or any(each.kind == "intent" for each in records)
        return write(self, *records, lazy=lazy, **more)

    run.Run.write = lazily  # type: ignore[method-assign]
    stepping.StepCall.ready = lambda self, begun: self._start(begun)  # type: ignore[method-assign]


def only_finished_steps() -> None:
    """Rule 2: what has an INTENT but no outcome is not undone."""
    owed = ledger.Ledger.owed
    ledger.Ledger.owed = lambda self, among=None: [  # type: ignore[method-assign]
        each for each in owed(self, among) if each.outcome is not Outcome.BEGUN
    ]


def first_to_last() -> None:
    """Rule 9: undone in the order in which it was done."""
    owed = ledger.Ledger.owed
    ledger.Ledger.owed = lambda self, among=None: owed(self, among)[::-1]  # type: ignore[method-assign]


def undone_not_written() -> None:
    """UNDONE is not written before the next undo."""
    undoing.Written.mark = lambda self: Mark(lambda: self._run.ledger.undo_done(self._entry))  # type: ignore[method-assign]


def ended_too_early() -> None:
    """END is written before the first undo."""
    whole = undoing.whole

    def early(*args: Any, **more: Any) -> Any:
        tasks = whole(*args, **more)
        return [tasks[0], Mark(lambda: args[0].wait(args[0].end())), *tasks[1:]]

    undoing.whole = early


def other_key() -> None:
    """Rule 3: undoing has another key than doing."""
    undoing.in_step = lambda key, *rest: stepping.in_step(f"undo-{key}", *rest)  # type: ignore[attr-defined]


def end_not_awaited() -> None:
    """The caller is told that all is fine before END is durable."""
    completed = scope.DurableSaga._completed
    write = run.Run.write

    def lazily(self: Any, *records: Any, **more: Any) -> Any:
        lazy = more.pop("lazy", False) or any(each.kind == "end" for each in records)
        return write(self, *records, lazy=lazy, **more)

    def unwaited(self: Any, mine: Any) -> None:
        completed(self, mine)

    writer.LINGER = 0.5  # so that it is written when the journal is closed, on however slow a machine
    run.Run.write = lazily  # type: ignore[method-assign]
    scope.DurableSaga._completed = unwaited  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        intent_not_awaited,
        only_finished_steps,
        first_to_last,
        undone_not_written,
        ended_too_early,
        other_key,
        end_not_awaited,
    )
}


def apply(name: str) -> None:
    """Break a rule in this process."""
    if name:
        MUTANTS[name]()
