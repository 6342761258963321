"""Lines: who is next, where that is not simply who came first.

A line takes the place of the ordered dict in which calls wait by default, and does what the gate asks of that one:
`line[ticket] = None`, `del line[ticket]`, `line.pop(ticket, None)`, `len(line)`, `line.clear()`, and iteration, whose
first ticket is the next one. All but its length needs the gate's lock. What a ticket's rank means is up to the line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from recoup._core import checks, clock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from recoup.strategies.bulkhead.config import QueueOrder
    from recoup.strategies.bulkhead.tickets import Ticket

    Key: TypeAlias = str | int | None

__all__ = ["FairLine", "NewestFirstLine", "PriorityLine", "made", "queue_as", "ranked"]

OVERLOADED_AFTER = 0.1
"""Seconds without an empty line, then the newest comes first: N in Maurer, "Fail at Scale", ACM Queue 13 (8), 2015."""


class Rank:
    """How calls of a context queue up, while the block that says so is open (rule G16)."""

    __slots__ = ("key", "open", "priority")

    def __init__(self, priority: int, key: Key) -> None:
        self.priority = priority
        self.key = key
        self.open = True


_rank: ContextVar[Rank | None] = ContextVar("recoup_bulkhead_rank", default=None)
_NONE = Rank(0, None)


def ranked() -> Rank:
    """Tell how a call of this context queues up."""
    rank = _rank.get()
    return rank if rank is not None and rank.open else _NONE


@contextmanager
def queue_as(*, priority: int = 0, key: str | int | None = None) -> Generator[None]:
    """Say how calls inside the block queue up, in bulkheads that ask for it.

    Args:
        priority: With `queue_order="priority"`, calls of a higher one come first. Default 0; may be negative.
        key: With `queue_order="fair"`, calls of different keys (tenants, say) take turns. Default `None`, which is one
            of them. Nothing is kept of a key when no call of it waits.

    Raises:
        TypeError: If the priority is no whole number, or the key neither that nor a string. (Keys are compared under a
            lock, where no code of a user's may run.)

    It holds for the context of the block, including tasks started there, but for nobody once the block has ended. An
    inner block replaces an outer one whole.

    >>> with queue_as(priority=5):
    ...     pass
    """
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority must be a whole number, not {checks.shown(priority)}")
    if key is not None and type(key) not in {str, int}:
        raise TypeError(f"key must be a string, a whole number or None, not {checks.shown(key)}")
    rank = Rank(int(priority), key)
    outer = _rank.get()
    _rank.set(rank)
    try:
        yield
    finally:
        rank.open = False
        _rank.set(outer)


class Lanes(ABC):
    """Several queues, each first come first served; a subclass says whose turn it is."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Any, OrderedDict[Ticket, None]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __setitem__(self, ticket: Ticket, value: None) -> None:
        name = self._name(ticket.rank)
        if name not in self._lanes:
            self._opened(name)
        self._lanes[name][ticket] = value
        self._size += 1

    def pop(self, ticket: Ticket, default: None) -> None:
        """Take a ticket out, if it is there."""
        name = self._name(ticket.rank)
        lane = self._lanes.get(name)
        if lane is not None and ticket in lane:
            del lane[ticket]
            self._size -= 1
            if not lane:
                self._closed(name)
            elif ticket.place is not None:
                self._served(name)
        return default

    def __delitem__(self, ticket: Ticket) -> None:
        self.pop(ticket, None)

    def clear(self) -> None:
        """Take all out."""
        for name in list(self._lanes):
            self._closed(name)
        self._size = 0

    def __iter__(self) -> Iterator[Ticket]:
        for name in self._turns():
            yield from self._lanes[name]

    def _opened(self, name: Any) -> None:
        self._lanes[name] = OrderedDict()

    def _closed(self, name: Any) -> None:
        del self._lanes[name]

    @abstractmethod
    def _served(self, name: Any) -> None:
        """Take note that somebody of a lane was let in."""
        ...

    @abstractmethod
    def _name(self, rank: Any) -> Any:
        """Tell which lane somebody belongs to."""
        ...

    @abstractmethod
    def _turns(self) -> Iterable[Any]:
        """Give the lanes in the order of their turns; the first one at once, however many there are."""
        ...


class PriorityLine(Lanes):
    """Higher priorities first; who has the same comes in order of arrival. Low ones may starve."""

    def __init__(self) -> None:
        super().__init__()
        self._order: list[int] = []  # negative priorities, ascending

    def _name(self, rank: Rank) -> int:
        return -rank.priority

    def _served(self, name: int) -> None:
        """Change nothing: there are no turns."""

    def _turns(self) -> Iterable[Any]:
        return self._order

    def _opened(self, name: int) -> None:
        super()._opened(name)
        insort(self._order, name)

    def _closed(self, name: int) -> None:
        super()._closed(name)
        self._order.remove(name)


class FairLine(Lanes):
    """One of each key in turn, so that a tenant with a thousand calls holds up nobody else's single one."""

    def _name(self, rank: Rank) -> Key:
        return rank.key

    def _served(self, name: Key) -> None:
        self._lanes.move_to_end(name)

    def _turns(self) -> Iterable[Any]:
        return self._lanes


class NewestFirstLine(OrderedDict["Ticket", None]):
    """First come first served, until the line has not been empty for some time; then the newest comes first.

    Under overload those who have waited longest are the least likely to be waited for any longer, and to serve them
    first makes everybody late. And who comes then may be given less time to wait (`overload_timeout`), so that those
    who would not be served in time anyway know it soon. Source: Maurer, "Fail at Scale", ACM Queue 13 (8), 2015:
    adaptive LIFO, and a controlled delay after CoDel (when the queue has not been empty for N = 100 ms, whoever comes
    waits M = 5 ms). Facebook's folly/executors/Codel.cpp has the same two numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._since = 0.0

    def __setitem__(self, ticket: Ticket, value: None) -> None:
        if not self:
            self._since = clock.monotonic()
        super().__setitem__(ticket, value)

    def __iter__(self) -> Iterator[Ticket]:
        return super().__reversed__() if self.overloaded() else super().__iter__()

    def overloaded(self) -> bool:
        """Tell whether somebody has been waiting for some time without interruption. Needs no lock."""
        return bool(self) and clock.monotonic() - self._since >= OVERLOADED_AFTER


def made(order: QueueOrder) -> Any:
    """Make a line."""
    return {"priority": PriorityLine, "fair": FairLine, "newest_first": NewestFirstLine}[order]()
