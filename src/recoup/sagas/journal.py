r"""The protocol between sagas and what keeps them: states, records, and what a store has to be able to do.

    ledger (decides)  ->  Journal (one writer thread, group commit; writer.py)  ->  Backend (SQLite, PostgreSQL)

A backend is used by one thread at a time, the writer's. Each call between `begin` and `commit` belongs to one
transaction, in which the calls of many sagas meet; one that is refused (`False`, `None`) must leave the others as they
are. What it raises is a `JournalError`, and then the whole transaction is rolled back.

    saga(id, name, version, fn, args, key, state, owner, fence, created, changed, reason)
        unique (name, key) where state is not 'compensated': a saga that was undone may be tried anew
    rec(saga, seq, kind, n, body)
        primary key (saga, seq)

    RUNNING --> DONE                                             the block or function ended well
       \\-----> COMPENSATING --> COMPENSATED                      every step was undone
                     \\--> STUCK --> COMPENSATING, ...            a person decides

Who owns a saga is decided without clocks: an owner lives as long as its lock is held (a `flock` on a file, a session
advisory lock). `fence` grows with each change of owner, and every append names owner and fence in the same statement.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from recoup.errors import JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["SCHEMA", "Append", "Backend", "Head", "Kind", "Record", "Start", "State", "Story", "Unavailable"]

SCHEMA = 1
"""Version of the tables. A backend migrates older ones when it opens, and refuses newer ones."""


class State(StrEnum):
    """What has become of a saga."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    DONE = "done"
    COMPENSATED = "compensated"
    STUCK = "stuck"


class Kind(StrEnum):
    """What a record says of step `n`, or of the whole saga (`n` = 0)."""

    INTENT = "intent"  # the step is about to begin: name, undo, arguments
    DONE = "done"  # it returned: result
    FAILED = "failed"  # it raised: error; its undo comes next
    PIVOT = "pivot"  # the point of no return is behind us
    COMPENSATING = "compensating"  # the whole saga failed: error; no way back
    UNDONE = "undone"  # the step is undone, or never ran
    SKIPPED = "skipped"  # a person says that the step needs no undoing: reason
    STUCK = "stuck"  # it cannot go on by itself: reason
    RESUMED = "resumed"  # a person says: try again
    END = "end"  # nothing is left to do: result, or who says so


class Record(NamedTuple):
    """One line of a saga's journal.

    Attributes:
        seq: Its place, 1 or more, chosen by the owner; sending it again changes nothing.
        kind: What it says.
        n: Which step, 1 or more; 0 for the whole saga.
        body: A JSON object, as text.
    """

    seq: int
    kind: Kind
    n: int = 0
    body: str = "{}"


class Start(NamedTuple):
    """A saga that begins.

    Attributes:
        id: A new identity, chosen by the caller; sending it again changes nothing.
        name: What the saga is called.
        version: Which version of its code, as the user counts.
        fn: `module:qualname` of an `@saga` function; empty for a block.
        args: Its arguments, JSON as text; empty for a block.
        key: What the user knows it by, unique for the name; `None` for nothing.
        created: Seconds since the epoch, on the wall clock; for people, nothing is decided by it.
    """

    id: str
    name: str
    version: str = ""
    fn: str = ""
    args: str = ""
    key: str | None = None
    created: float = 0.0


class Append(NamedTuple):
    """Records for one saga, all or none of them.

    Attributes:
        id: The saga.
        fence: What its owner was given; refused if it has changed, or the owner has.
        records: What to add; those whose `seq` is there already are left as they are.
        now: Seconds since the epoch, on the wall clock, for `changed`.
        state: Its new state; `None` for no change.
        reason: Why it is stuck; kept for lists.
        release: Whether the owner gives it up, for whoever finds it (`owner` becomes null).
    """

    id: str
    fence: int
    records: Sequence[Record]
    now: float
    state: State | None = None
    reason: str = ""
    release: bool = False


class Head(NamedTuple):
    """What is known of a saga without its records; times are seconds since the epoch."""

    id: str
    name: str
    version: str
    fn: str
    args: str
    key: str | None
    state: State
    owner: str | None
    fence: int
    created: float
    changed: float
    reason: str


class Story(NamedTuple):
    """A saga with all its records, in the order of `seq`."""

    head: Head
    records: Sequence[Record]


class Unavailable(JournalError):  # noqa: N818 - a state of the store, seen by the writer alone
    """The store cannot be reached at the moment; the writer opens it again and repeats the transaction."""


class Backend(Protocol):
    """What keeps sagas. All methods but `abandon` and `watch` are called in the writer's thread.

    Attributes:
        journal: What errors call it: the address, without a password.
    """

    journal: str

    @property
    def owner(self) -> str:
        """Who this is, new for each backend that is opened: sagas started here belong to it."""
        ...

    def open(self) -> None:
        """Connect, make or migrate the tables, and take the owner's lock; again after `Unavailable`.

        When it comes again and the lock was lost, it takes a new owner's name: whoever found the old owner dead has
        its sagas now.

        Raises:
            JournalError: If it cannot be opened, or its schema is newer than this program.
            Unavailable: If it may work later.
        """
        ...

    def begin(self, *, writes: bool, alone: bool = False) -> None:
        """Begin a transaction.

        Args:
            writes: Whether anything but `load` and `listed` will be called.
            alone: Whether one request alone follows, or one `appends`, which may then be a transaction by itself.
        """
        ...

    def commit(self) -> None:
        """Make it durable: when this returns, no crash of anything loses it."""
        ...

    def rollback(self) -> None:
        """Undo what was done since `begin`; must not raise."""
        ...

    def start(self, start: Start) -> Head:
        """Add a saga with state RUNNING, this owner and fence 1.

        Returns:
            The saga; if it was there already (same id), as it is; if there is another one with the same name and key
            whose state is not COMPENSATED, that other one: the caller compares the ids.
        """
        ...

    def append(self, append: Append, start: Start | None = None) -> bool:
        """Add records and change the state, if owner and fence are still what they were; tell whether they are.

        It is true, too, if the saga belongs to nobody any more, with the same fence, and all the records are there:
        then this very append has given it up, and comes again after a lost answer.

        Args:
            append: What to add.
            start: The saga itself, if it may not be there yet.
        """
        ...

    def appends(self, wanted: Sequence[tuple[Append, Start | None]]) -> list[bool]:
        """Do what `append` does, for several sagas, in as few exchanges with the store as there can be."""
        ...

    def load(self, id: str) -> Story | None:  # noqa: A002 - what everybody calls it
        """Read a saga."""
        ...

    def listed(self, states: Collection[State], limit: int, name: str | None = None) -> list[Head]:
        """Read what there is in these states (all states if empty), oldest `created` first, at most `limit` of them."""
        ...

    def claim(self, limit: int) -> list[Head]:
        """Take over orphans: RUNNING or COMPENSATING, tested in the claiming statement, whose owner is null or dead.

        Each gets this owner and a fence one higher. Own sagas are never orphans.
        """
        ...

    def take(self, id: str, states: Collection[State], *, force: bool = False) -> Head | None:  # noqa: A002 - as above
        """Take one saga over, with a fence one higher, if it is in one of these states.

        Its owner must be null, dead or this one; `force` takes it from an owner that lives too. A STUCK saga belongs to
        nobody. Returns `None` if it cannot be taken.
        """
        ...

    def watch(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Have a function called, from any thread, soon after an owner dies or something else may be to be claimed.

        Returns:
            A function that ends the watching.
        """
        ...

    def close(self) -> None:
        """Give the owner's lock back and disconnect; must not raise. `open` may follow."""
        ...

    def abandon(self) -> None:
        """Forget everything that a forked child has inherited, without a word to the store.

        The lock's file and the socket are closed; a connection that must not be touched is kept alive and never used.
        `open` may follow, and takes a new owner's name.
        """
        ...
