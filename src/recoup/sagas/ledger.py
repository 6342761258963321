r"""What one durable saga has done and has to undo: decisions without I/O, rebuilt from its records after a crash.

    begun --done--> done ----\\
      |                       >-- owed once the saga fails --undone/skipped--> undone
      |---failed--> failed --/    (a failed step is owed at once)
      \\---(crash)--> begun: nobody knows how far it came; owed

* Every step with an INTENT is owed, known outcome or not (rule 2).
* Undoing goes from the last one completed to the first; what has not completed comes before all.
* What stands at or before a pivot that was passed is never undone, and then the saga can only go on.
* A pivot whose outcome is unknown and that has no undo leaves no way but to ask a person.

Each method that changes something gives the record of it, and a ledger made from the records is the same. The caller
holds a lock, so that records are written in the order of their `seq`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from recoup.sagas.journal import Kind, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Entry", "Ledger", "Outcome"]


class Outcome(Enum):
    """How far a step came, as far as the journal knows."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Entry:
    """One step.

    Attributes:
        record: INTENT, as it is written.
        body: What INTENT says, a JSON object.
        outcome: How far it came.
        result: What DONE says, a JSON object with `result` if that could be written.
        error: What FAILED says, a JSON object.
        ended: The `seq` at which its outcome became known; 0 for not yet.
        undone: Whether it is undone, skipped by a person, or never ran.
    """

    record: Record
    body: dict[str, Any]
    outcome: Outcome = Outcome.BEGUN
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    ended: int = 0
    undone: bool = False

    @property
    def n(self) -> int:
        """Which one, in the order in which they began; 1 or more."""
        return self.record.n

    @property
    def step(self) -> str:
        """What the step is called."""
        return str(self.body.get("step", ""))

    @property
    def undo(self) -> Sequence[str]:
        """The names of what undoes it, in the order in which they run."""
        return tuple(self.body.get("undo", ()))

    @property
    def pivot(self) -> bool:
        """Whether it is a point of no return."""
        return bool(self.body.get("pivot"))


@dataclass(slots=True, eq=False)
class Ledger:
    """The steps of one saga.

    Attributes:
        entries: By number.
        seq: The last one given out.
        passed: Number of the last pivot that was passed; 0 for none.
        compensating: Whether there is no way back.
        error: Why, a JSON object.
        stuck: Why it waits for a person; empty if it does not.
        ended: Whether nothing is left to do.
        result: What END says, a JSON object with `result` if an `@saga` function returned.
    """

    entries: dict[int, Entry] = field(default_factory=dict)
    seq: int = 0
    passed: int = 0
    compensating: bool = False
    error: dict[str, Any] = field(default_factory=dict)
    stuck: str = ""
    ended: bool = False
    result: dict[str, Any] = field(default_factory=dict)
    _last: int = 0

    @classmethod
    def of(cls, records: Iterable[Record]) -> Ledger:
        """Rebuild a ledger."""
        ledger = cls()
        for record in records:
            ledger._take(record)
        return ledger

    def intend(self, body: str) -> tuple[Entry, Record]:
        """Begin a step."""
        record = self._made(Kind.INTENT, self._last + 1, body)
        return self.entries[self._last], record

    def done(self, entry: Entry, body: str) -> Record:
        """Note that a step returned; PIVOT if that was the point of no return."""
        return self._made(Kind.PIVOT if entry.pivot else Kind.DONE, entry.n, body)

    def failed(self, entry: Entry, body: str) -> Record:
        """Note that a step raised."""
        return self._made(Kind.FAILED, entry.n, body)

    def undo_done(self, entry: Entry, why: str = "") -> Record:
        """Note that a step is undone, or never ran."""
        return self._made(Kind.UNDONE, entry.n, json.dumps({"why": why}) if why else "{}")

    def skip(self, n: int, body: str) -> Record:
        """Note that a person says a step needs no undoing."""
        return self._made(Kind.SKIPPED, n, body)

    def compensate(self, body: str) -> Record:
        """Note that the whole saga failed."""
        return self._made(Kind.COMPENSATING, 0, body)

    def halt(self, n: int, reason: str) -> Record:
        """Note that it cannot go on by itself."""
        return self._made(Kind.STUCK, n, json.dumps({"reason": reason}))

    def resume(self, body: str) -> Record:
        """Note that a person says: try again."""
        return self._made(Kind.RESUMED, 0, body)

    def end(self, body: str = "{}") -> Record:
        """Note that nothing is left to do."""
        return self._made(Kind.END, 0, body)

    def owed(self, among: Iterable[Entry] | None = None) -> list[Entry]:
        """Give the steps that are to be undone if the saga fails now, in the order of undoing."""
        chosen = self.entries.values() if among is None else among
        open_ = [each for each in chosen if not each.undone and each.n > self.passed and each.undo]
        return sorted(open_, key=lambda each: (0, -each.n) if not each.ended else (1, -each.ended))

    def doubtful(self) -> Entry | None:
        """Give a pivot whose outcome is unknown and which nothing can undo."""
        for each in self.entries.values():
            if each.pivot and each.outcome is Outcome.BEGUN and not each.undone and not each.undo:
                return each
        return None

    def hindrance(self) -> str:
        """Say why this saga cannot be undone, whatever its steps are; empty if it can."""
        if self.passed:
            return f"it failed after its pivot (step {self.passed}, {self.entries[self.passed].step}): only forward"
        if (pivot := self.doubtful()) is not None:
            return f"whether its pivot (step {pivot.n}, {pivot.step}) had its effect is not known"
        return ""

    def running(self) -> list[Entry]:
        """Give the steps whose outcome is not known (yet)."""
        return [each for each in self.entries.values() if each.outcome is Outcome.BEGUN and not each.undone]

    def _made(self, kind: Kind, n: int, body: str) -> Record:
        record = Record(self.seq + 1, kind, n, body)
        self._take(record)
        return record

    def _take(self, record: Record) -> None:
        """Take note of one record, new or read."""
        self.seq = max(self.seq, record.seq)
        self._last = max(self._last, record.n)
        body = json.loads(record.body)
        entry = self.entries.get(record.n)
        match record.kind:
            case Kind.INTENT:
                self.entries[record.n] = Entry(record, body)
            case Kind.COMPENSATING:
                self.compensating, self.error = True, body
            case Kind.STUCK:
                self.stuck = body["reason"]
            case Kind.RESUMED | Kind.SKIPPED if entry is None:
                self.stuck = ""
            case Kind.END:
                self.ended, self.result = True, body
            case _ if entry is not None:
                self._change(entry, record, body)
            case _:  # of a step whose INTENT was never written: it never began
                pass

    def _change(self, entry: Entry, record: Record, body: dict[str, Any]) -> None:
        match record.kind:
            case Kind.DONE | Kind.PIVOT:
                entry.outcome, entry.result, entry.ended = Outcome.DONE, body, record.seq
                if record.kind is Kind.PIVOT:
                    self.passed = max(self.passed, entry.n)
            case Kind.FAILED:
                entry.outcome, entry.error, entry.ended = Outcome.FAILED, body, record.seq
            case _:  # UNDONE, SKIPPED
                entry.undone = True
                if record.kind is Kind.SKIPPED:
                    self.stuck = ""
