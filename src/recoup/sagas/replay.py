"""Which step of before a crash is the one that begins now, when a function is run again.

Steps of one task come in the order in which they came before: the next one has to be the one that is written, by name
and arguments, or the code has changed and a person has to look. Tasks and threads beside the main one are known again
by the first step of theirs; where a pool shares its calls out among its threads in another way than before, a person
has to look as well. What never ran is skipped, and so is what ran inside a step that is over.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from recoup.sagas.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recoup.sagas.ledger import Entry, Ledger

__all__ = ["MismatchError", "Replay", "branch_of"]

MAIN = 0


class MismatchError(Exception):
    """The step that begins is not the one that is written."""


class Replay:
    """The steps of before that did not come again yet; empty for a saga that runs for the first time.

    Args:
        ledger: What is written.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._pending: dict[int, list[Entry]] = {}
        self._branches: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._used = MAIN
        for entry in ledger.entries.values():
            branch = int(entry.body.get("branch", MAIN))
            self._used = max(self._used, branch)
            if not _void(entry) and not _inside(entry, ledger.entries):
                self._pending.setdefault(branch, []).append(entry)
        self._claimed = {MAIN}

    def begin(self, token: Any) -> None:
        """Say which task or thread runs the function."""
        self._branches[token] = MAIN

    def match(self, body: Mapping[str, Any], token: Any) -> tuple[Entry | None, int]:
        """Find the step that begins now among those of before.

        Args:
            body: What its INTENT would say.
            token: Its task or thread.

        Returns:
            The step of before, or `None` for a new one; and its branch.

        Raises:
            MismatchError: If another step is written there.
        """
        branch = self._branches.get(token)
        if branch is None:
            branch = self._branches[token] = self._claim(body)
        waiting = self._pending.get(branch)
        if not waiting:
            return None, branch
        if not _same(waiting[0], body):
            raise MismatchError(f"step {waiting[0].n} was {_shown(waiting[0].body)}, and now it is {_shown(body)}")
        return waiting.pop(0), branch

    def left(self) -> Entry | None:
        """Give a step of before that did not come again."""
        return next((each[0] for each in self._pending.values() if each), None)

    def _claim(self, body: Mapping[str, Any]) -> int:
        open_ = {branch: each for branch, each in self._pending.items() if each and branch not in self._claimed}
        found = next((branch for branch, each in open_.items() if _same(each[0], body)), None)
        if found is None and open_:
            first = next(iter(open_.values()))[0]
            raise MismatchError(f"{_shown(body)} began beside others, of which step {first.n} was {_shown(first.body)}")
        if found is None:
            self._used += 1
            found = self._used
        self._claimed.add(found)
        return found


def branch_of() -> Any:
    """Give the running task, or thread where there is none."""
    asyncio = sys.modules.get("asyncio")
    try:
        task = None if asyncio is None else asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        task = None
    if task is not None:
        return task
    trio = sys.modules.get("trio")
    try:
        return threading.current_thread() if trio is None else trio.lowlevel.current_task()
    except RuntimeError:
        return threading.current_thread()


def _void(entry: Entry) -> bool:
    """Tell whether a step never ran."""
    return entry.outcome is Outcome.BEGUN and entry.undone


def _inside(entry: Entry, entries: Mapping[int, Entry]) -> bool:
    """Tell whether a step ran inside another one that is over, and so does not run again."""
    while (parent := entries.get(int(entry.body.get("parent", 0)))) is not None:
        if parent.outcome is not Outcome.BEGUN:
            return True
        entry = parent
    return False


def _same(entry: Entry, body: Mapping[str, Any]) -> bool:
    return all(entry.body.get(each) == body.get(each) for each in ("step", "args", "kwargs"))


def _shown(body: Mapping[str, Any]) -> str:
    """Name a step without its arguments, which are nobody's business (rule G10)."""
    return f"{body.get('step')} (with {len(body.get('args', ()))} arguments)"
