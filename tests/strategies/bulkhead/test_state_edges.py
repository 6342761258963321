"""What the gate of a bulkhead decides where it is close: what a fork finds of it (G18)."""

from __future__ import annotations

from recoup.strategies.bulkhead.state import Gate
from recoup.strategies.bulkhead.tickets import Ticket


def test_a_fork_finds_no_notes_of_the_parent() -> None:
    """Who was about to leave in another thread of the parent is not in the child, and is not counted there (G18)."""
    gate = Gate(1, 10)
    before = gate.take()
    assert before is not None
    gate._notes.append((Gate._forget_late, Ticket(None)))  # as if the thread that decides had just been interrupted
    gate.after_fork()
    gate.settle()
    assert (gate.counts().timeout, gate.counts().running) == (0, 0)
    after = gate.take()
    assert after is not None
    assert gate.take() is None, "one place, as before"
