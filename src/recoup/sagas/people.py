"""What a person can do about sagas: see them, try them again, skip a step, or say that one is settled.

Nothing here runs anything but `recover`: what is set free is found by the programs that look after the journal. Each
decision is a record of its own in the saga's story, with its reason.
"""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Any

from recoup._core import checks
from recoup.errors import Fenced, RecoveryError, SagaStuck
from recoup.sagas import opening, recoverer, recovery, settings
from recoup.sagas.journal import Append, State
from recoup.sagas.keeper import Journal, now
from recoup.sagas.ledger import Ledger, Outcome
from recoup.sagas.run import Run

if TYPE_CHECKING:
    from collections.abc import Collection

    from recoup.sagas.journal import Head, Record, Story

__all__ = ["OPEN", "find", "listed", "recover", "resolve", "retry", "show", "skip"]

OPEN = (State.RUNNING, State.COMPENSATING, State.STUCK)
"""The states of what is not over."""


def listed(
    states: Collection[State | str] = OPEN, *, limit: int = 100, name: str | None = None, journal: Any = settings.UNSET
) -> list[Head]:
    """List sagas.

    Args:
        states: Those in which of the states. Default: those that are not over.
        limit: How many at the most, the oldest first. Default 100.
        name: Only those of this name; `None` for all.
        journal: Where, as for `configure`. Default: what is configured.

    Raises:
        JournalError: If it cannot be read.
        ValueError: If there is no such state.
    """
    place = _place(journal)
    checks.count("limit", limit)
    found: list[Head] = place.wait(place.listed([State(each) for each in states], limit, name))
    return found


def show(id: str, *, journal: Any = settings.UNSET) -> Story:  # noqa: A002 - what the journal calls it
    """Read one saga, with all its records.

    Args:
        id: Which one; the first letters are enough if they fit one alone.
        journal: As for `listed`.

    Raises:
        LookupError: If there is none, or there are several.
    """
    place = _place(journal)
    story: Story | None = place.wait(place.load(id))
    if story is None:
        story = place.wait(place.load(find(id, journal=place)))
    if story is None:
        raise LookupError(f"there is no saga {id!r} any more")
    return story


def find(letters: str, *, journal: Any = settings.UNSET) -> str:
    """Find the saga whose identity begins with some letters, or whose key this is; else as `show`."""
    heads = listed(tuple(State), limit=100_000, journal=journal)
    found = [each.id for each in heads if each.id.startswith(letters) or each.key == letters]
    if len(found) != 1:
        raise LookupError(f"{len(found) or 'no'} sagas are called {letters!r}")
    return found[0]


def retry(id: str, *, reason: str = "", force: bool = False, journal: Any = settings.UNSET) -> None:  # noqa: A002 - as above
    """Have a stuck saga tried again, by the programs that look after the journal.

    Args:
        id: Which one.
        reason: Why, for the story.
        force: Whether to take it from an owner that lives too: one that hangs. It is fenced then, and can do nothing
            more for the saga; what it is doing right now may still take effect.
        journal: As for `listed`.

    Raises:
        RecoveryError: If it is not stuck (or, with `force`, is over already).
    """
    run = _taken(id, OPEN if force else (State.STUCK,), journal, force=force)
    with run.lock:
        _set_free(run, run.ledger.resume(_said(reason)))


def skip(id: str, step: int, *, reason: str, journal: Any = settings.UNSET) -> None:  # noqa: A002 - as above
    """Say that a step of a stuck saga needs no undoing (any more), and have the saga tried again.

    Args:
        id: Which saga.
        step: Which step, 1 or more, as `show` numbers them.
        reason: Why; it is kept in the story.
        journal: As for `listed`.

    Raises:
        RecoveryError: If the saga is not stuck, or the step is not to be undone.
        ValueError: If no reason is given.
    """
    checks.count("step", step)
    body = _said(reason, needed=True)
    run = _taken(id, (State.STUCK,), journal)
    with run.lock:
        entry = run.ledger.entries.get(step)
        if entry is None or entry.undone:
            ticket = run.write(state=State.STUCK, reason=run.ledger.stuck)
            run.wait(ticket)
            raise RecoveryError(f"saga {run.name!r} ({run.id}) has no step {step} that is to be undone")
        _set_free(run, run.ledger.skip(step, body))


def resolve(
    id: str,  # noqa: A002 - as above
    *,
    reason: str,
    done: bool = False,
    force: bool = False,
    journal: Any = settings.UNSET,
) -> None:
    """Say that a saga is settled, whatever its steps are: nothing more is done about it.

    Args:
        id: Which one.
        reason: What was done about it; it is kept in the story.
        done: Whether it counts as done, and its key stays taken; else it counts as compensated.
        force: As for `retry`.
        journal: As for `listed`.

    Raises:
        RecoveryError: If it is not stuck (or, with `force`, is over already).
        ValueError: If no reason is given.
    """
    body = _said(reason, needed=True)
    run = _taken(id, OPEN if force else (State.STUCK,), journal, force=force)
    with run.lock:
        ticket = run.write(run.ledger.end(body), state=State.DONE if done else State.COMPENSATED, reason=reason)
    run.wait(ticket)


def recover(*, limit: int = 100, saga_timeout: float = 300.0, journal: Any = settings.UNSET) -> dict[str, State]:
    """Take over sagas that their processes have left, and bring each to its end, now and in this thread.

    What fails is tried once; with a background recoverer, that goes on with it. What is not found is stuck at once, so
    call this when all modules are loaded.

    Args:
        limit: How many at the most. Default 100.
        saga_timeout: Seconds for each. Default 300.0.
        journal: As for `listed`.

    Returns:
        What has become of each, by its identity.
    """
    place = _place(journal)
    fates: dict[str, State] = {}
    for head in place.wait(place.claim(limit)):
        run = Run.taken_over(place, place.wait(place.load(head.id)))
        try:
            recoverer.attempt(run, saga_timeout)
        except (SagaStuck, recovery.LostError) as error:
            recoverer.halt(run, getattr(error, "reason", str(error)))
        except (Fenced, Exception) as error:  # noqa: BLE001 - the others must have their turn
            recoverer.failed(run, error)
        run.closed = True
        run.hand_over()
        story = place.wait(place.load(head.id))
        fates[head.id] = story.head.state
    return fates


def told(story: Story) -> list[dict[str, Any]]:
    """Give the steps of a saga for people: number, name, how far it came, and whether it is undone."""
    ledger = Ledger.of(story.records)
    return [
        {
            "n": each.n,
            "step": each.step,
            "outcome": "unknown" if each.outcome is Outcome.BEGUN else each.outcome.value,
            "undone": each.undone,
            "undo": list(each.undo),
            "pivot": each.pivot,
        }
        for each in ledger.entries.values()
    ]


def _place(given: Any) -> Journal:
    found = settings.journal() if given is settings.UNSET else opening.journal_of(given)
    if not isinstance(found, Journal):
        raise RecoveryError("there is no journal: call recoup.configure(journal=...) first, or give one here")
    return found


def _taken(id: str, states: Collection[State], journal: Any, *, force: bool = False) -> Run:  # noqa: A002 - as above
    place = _place(journal)
    story = show(id, journal=place)
    if place.wait(place.take(story.head.id, states, force=force)) is None:
        raise RecoveryError(f"saga {story.head.name!r} ({story.head.id}) is {story.head.state}: nothing was changed")
    return Run.taken_over(place, place.wait(place.load(story.head.id)))


def _set_free(run: Run, record: Record) -> None:
    """Write a decision, and leave the saga to whoever looks after the journal."""
    state = State.COMPENSATING if run.ledger.compensating else State.RUNNING
    append = Append(run.id, run.fence, (record,), now(), state, release=True)
    run.wait(run.journal.append(append, name=run.name))


def _said(reason: str, *, needed: bool = False) -> str:
    if not isinstance(reason, str) or (needed and not reason.strip()):
        raise ValueError("reason must say why: it is all that the next one will know")
    return json.dumps({"reason": reason, "by": _user()})


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "?"
