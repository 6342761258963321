"""`with limiter:` and `async with limiter:`, and the same for a deadline that was handed over.

Both are shared, so the open blocks of a context are kept in a context variable, not on them.
"""

from __future__ import annotations

from contextvars import ContextVar
from math import inf
from typing import NamedTuple

from recoup._core import mode
from recoup._core.notes import cause_of
from recoup._core.scopes import enter_async, leave_async
from recoup._core.timing import Limit, current_deadline, enter, exceeded, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.timing import Deadline, Term

__all__ = ["begin", "begin_async", "end", "end_async", "reopen", "reopen_async"]


class Block(NamedTuple):
    """An open block: whose, its deadline (`None` if recovery is switched off) and the block round it."""

    owner: object
    term: Term | None
    outer: Any


_blocks: ContextVar[Block | None] = ContextVar("recoup_deadline_blocks", default=None)


def begin(limit: Limit) -> None:
    """Enter a synchronous block."""
    _blocks.set(Block(limit.owner, enter(limit), _blocks.get()))


def end(owner: object) -> None:
    """Leave a synchronous block."""
    leave(_ended(owner))


async def begin_async(limit: Limit) -> None:
    """Enter an asynchronous block."""
    _blocks.set(Block(limit.owner, enter_async(limit), _blocks.get()))


def reopen(deadline: Deadline) -> None:
    """Enter a synchronous block with a deadline that began elsewhere."""
    limit = _reopened(deadline)
    _blocks.set(Block(deadline, limit and enter(limit, at=deadline.at), _blocks.get()))


async def reopen_async(deadline: Deadline) -> None:
    """Enter an asynchronous block with a deadline that began elsewhere."""
    limit = _reopened(deadline)
    _blocks.set(Block(deadline, limit and enter_async(limit, at=deadline.at), _blocks.get()))


async def end_async(owner: object, error: BaseException | None) -> None:
    """Leave an asynchronous block.

    Raises:
        DeadlineExceeded: In place of the cancellation by the block's own timer.
    """
    blamed = leave_async(_ended(owner), error)
    if blamed is not None and error is not None:  # nothing is to blame for a block that ended by itself
        raise exceeded(blamed) from cause_of(error)


def _reopened(deadline: Deadline) -> Limit | None:
    """Give what to open; `None` for a deadline that never strikes.

    Raises:
        DeadlineExceeded: With `started=False`, if no time is left.
    """
    if not (mode.active and mode.off()):
        for each in (current_deadline(), deadline):
            if each is not None and each.expired:
                raise exceeded(each, started=False)
    return None if deadline.at == inf else Limit(None, deadline.seconds, deadline.name)


def _ended(owner: object) -> Term | None:
    block = _blocks.get()
    if block is None or block.owner is not owner:
        raise RuntimeError(
            "this deadline block is left in another context than it was entered in, or before a block inside it: "
            "a block must begin and end in one function of one task"
        )
    _blocks.set(block.outer)
    return block.term
