"""A store in memory whose moods a test decides."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

from recoup import JournalError
from recoup.sagas.journal import Head, Start, State, Story, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from recoup.sagas.journal import Append


class Memory:
    """A backend that keeps nothing over its life."""

    journal = "memory:"

    def __init__(self) -> None:
        self.owner = ""
        self.openings = 0
        self.batches: list[int] = []
        self.away = 0  # how often it is unavailable
        self.broken = ""  # what is wrong with every commit
        self.poison = ""  # the saga that nothing can be written of
        self.gate = Event()
        self.gate.set()
        self.rows: dict[str, Head] = {}
        self.records: dict[str, dict[int, Any]] = {}
        self.closed = 0
        self.abandoned = 0
        self.told: list[Callable[[], None]] = []
        self._count = 0

    def open(self) -> None:
        self._leave()
        self.openings += 1
        self.owner = f"owner-{self.openings}"

    def _leave(self) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable(journal=self.journal, reason="away")

    def begin(self, *, writes: bool, alone: bool = False) -> None:
        self._count = 0
        self._leave()

    def commit(self) -> None:
        self.gate.wait(30)
        if self.broken:
            raise JournalError(journal=self.journal, reason=self.broken)
        self.batches.append(self._count)

    def rollback(self) -> None:
        pass

    def start(self, start: Start) -> Head:
        self._count += 1
        head = Head(*start[:6], State.RUNNING, self.owner, 1, start.created, start.created, "")
        return self.rows.setdefault(start.id, head)

    def appends(self, wanted: Sequence[tuple[Append, Start | None]]) -> list[bool]:
        return [self.append(append, start) for append, start in wanted]

    def append(self, append: Append, start: Start | None = None) -> bool:
        if start is not None:
            self.start(start)
        self._count += 1
        if append.id == self.poison:
            raise JournalError(journal=self.journal, reason="poison")
        head = self.rows[append.id]
        if (head.owner, head.fence) != (self.owner, append.fence):
            return False
        kept = self.records.setdefault(append.id, {})
        for each in append.records:
            kept.setdefault(each.seq, each)
        owner = None if append.release else self.owner
        self.rows[append.id] = head._replace(state=append.state or head.state, owner=owner, reason=append.reason)
        return True

    def load(self, id: str) -> Story | None:
        head = self.rows.get(id)
        return None if head is None else Story(head, list(self.records.get(id, {}).values()))

    def listed(self, states: Collection[State], limit: int, name: str | None = None) -> list[Head]:
        return [each for each in self.rows.values() if not states or each.state in states][:limit]

    def claim(self, limit: int) -> list[Head]:
        found = [
            each for each in self.rows.values() if each.owner is None and each.state in {"running", "compensating"}
        ]
        for each in found[:limit]:
            self.rows[each.id] = each._replace(owner=self.owner, fence=each.fence + 1)
        return [self.rows[each.id] for each in found[:limit]]

    def take(self, id: str, states: Collection[State], *, force: bool = False) -> Head | None:
        head = self.rows.get(id)
        if head is None or head.state not in states:
            return None
        self.rows[id] = head._replace(owner=self.owner, fence=head.fence + 1)
        return self.rows[id]

    def watch(self, notify: Callable[[], None]) -> Callable[[], None]:
        self.told.append(notify)
        return lambda: self.told.remove(notify)

    def close(self) -> None:
        self.closed += 1

    def abandon(self) -> None:
        self.abandoned += 1
