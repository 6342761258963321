"""What the crew of an isolation decides where it is close: what a fork finds of it (G18)."""

from __future__ import annotations

from recoup._core import waiting
from recoup.strategies.isolation.state import Crew


def test_a_fork_finds_nothing_counted() -> None:
    """The child has made no calls yet, whatever the parent had counted; it is told of the fork (G18)."""
    crew = Crew(1, 1, lambda tally: None)
    assert crew in waiting._forkable
    crew.tally.add("rejected")
    assert crew.counts().rejected == 1
    crew.after_fork()
    assert crew.counts().rejected == 0
