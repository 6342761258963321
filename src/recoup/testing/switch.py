"""The switch that turns recovery off, or takes the waiting out of it, for a while (rule G16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup._core import mode

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["disabled", "enabled", "instant"]


def disabled() -> AbstractContextManager[None]:
    """Turn recovery off inside a `with` block: decorated functions behave as if they were not decorated.

    A retry gives up at the first failure, an open breaker and a full bulkhead let calls through, no fallback answers,
    no cached value is used, no deadline strikes and nothing is compensated.

    The scope is the current context: other threads and tasks are not affected (tasks started inside the block are), and
    a task that outlives the block goes back to normal. Blocks nest; the innermost one decides.

    Returns:
        A context manager, good for one `with`.

    Example:
        >>> from recoup.testing import disabled
        >>> with disabled():
        ...     pass  # test here what your own code does when the service fails
    """
    return mode.Scope("off")


def instant() -> AbstractContextManager[None]:
    """Take the waiting out of recovery inside a `with` block: everything is decided as usual, but no pause is slept.

    Retries still happen, as often as they would, one right after the other. Timers of deadlines and the open time of a
    breaker are not pauses and keep their length; to move those, use a `VirtualClock`. The scope is that of `disabled`.

    Returns:
        A context manager, good for one `with`.

    Example:
        >>> from recoup.testing import instant
        >>> with instant():
        ...     pass  # a retry that would take minutes takes microseconds here
    """
    return mode.Scope("instant")


def enabled() -> AbstractContextManager[None]:
    """Turn recovery back on inside a `with` block, within an outer `disabled` or `instant` one.

    Returns:
        A context manager, good for one `with`.

    Example:
        >>> from recoup.testing import disabled, enabled
        >>> with disabled(), enabled():
        ...     pass  # as if there were no `disabled` around
    """
    return mode.Scope("on")
