"""The events of a block, to be asked about afterwards, with failures that show what happened instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, overload

from recoup._core import clock as seam
from recoup._core import emit
from recoup.events import Event

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TypeVar

    E = TypeVar("E", bound=Event)

__all__ = ["Events", "record"]

_inside: ContextVar[tuple[Events, ...]] = ContextVar("recoup_recording", default=())


class Events(Sequence[Event]):
    """What has happened in a block of `record()`, in the order in which it was told.

    A sequence: `len(events)`, `events[0]`, `for event in events`. It grows while the block runs, from any thread, and
    not afterwards. `str(events)` lists the events with the seconds since the block began.

    Events are chosen by their class and, given by name, by the values of their attributes:
    `events.of(RetryScheduled, name="fetch", attempt=2)`. An attribute that the class does not have is a TypeError.
    """

    def __init__(self) -> None:
        self._began = seam.monotonic()
        self._told: list[tuple[float, Event]] = []

    def __len__(self) -> int:
        return len(self._told)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        told = self._told[index]
        return [event for _, event in told] if isinstance(told, list) else told[1]

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        told = self._told.copy()
        if not told:
            return "no events"
        lines = [f"  {at - self._began:+.3f} s  {event}" for at, event in told]
        return "\n".join([f"{len(told)} event{'' if len(told) == 1 else 's'}:", *lines])

    def of(self, kind: type[E], /, **attributes: object) -> list[E]:
        """Give the events of a class.

        Args:
            kind: A class of `recoup.events`; `Event` for all.
            attributes: Values that the events must have.

        Raises:
            TypeError: For an attribute that the class does not have.
        """
        _known(kind, attributes)
        found = [event for _, event in self._told.copy() if isinstance(event, kind)]
        return [event for event in found if all(getattr(event, each) == value for each, value in attributes.items())]

    def count(self, kind: Any, /, **attributes: object) -> int:
        """Count the events of a class, with these values; or how often one event is there.

        Raises:
            TypeError: For an attribute that the class does not have.
        """
        if isinstance(kind, type):
            return len(self.of(kind, **attributes))
        return super().count(kind)

    def expect(self, kind: type[E], /, *, times: int | None = None, **attributes: object) -> list[E]:
        """Assert that something happened.

        Args:
            kind: A class of `recoup.events`.
            times: How often exactly; default `None`: at least once.
            attributes: Values that the events must have.

        Returns:
            The events, at least one unless `times` is 0.

        Raises:
            AssertionError: If it did not; the message lists what happened.
            TypeError: For an attribute that the class does not have.
        """
        __tracebackhide__ = True
        found = self.of(kind, **attributes)
        if len(found) == times or (times is None and found):
            return found
        often = "at least once" if times is None else f"{times} times" if times != 1 else "once"
        raise AssertionError(f"expected {_worded(kind, attributes)} {often}, found {len(found)}; there were {self}")

    def expect_none(self, kind: type[Event] = Event, /, **attributes: object) -> None:
        """Assert that something did not happen; without a class, that nothing did.

        Raises:
            AssertionError: If it did; the message lists what happened.
            TypeError: For an attribute that the class does not have.
        """
        __tracebackhide__ = True
        self.expect(kind, times=0, **attributes)

    def expect_order(self, *kinds: type[Event]) -> None:
        """Assert that events of these classes came in this order, whatever came in between.

        Raises:
            AssertionError: If they did not; the message says how far it went, and lists what happened.
        """
        __tracebackhide__ = True
        rest = iter(self)
        for place, kind in enumerate(kinds):
            if not any(isinstance(event, kind) for event in rest):
                before = " after ".join([kind.__name__, *[each.__name__ for each in reversed(kinds[:place])]])
                raise AssertionError(f"expected {before}; there were {self}")

    def _take(self, event: Event) -> None:
        self._told.append((seam.monotonic(), event))


def _known(kind: type[Event], attributes: dict[str, object]) -> None:
    fields = [field.name for field in dataclasses.fields(kind)]
    for each in attributes:
        if each not in fields:
            raise TypeError(f"{kind.__name__} has no {each!r}; it has {', '.join(fields)}")


def _worded(kind: type[Event], attributes: dict[str, object]) -> str:
    return f"{kind.__name__}({', '.join(f'{each}={value!r}' for each, value in attributes.items())})"


@contextmanager
def record(*, here: bool = False) -> Generator[Events]:
    """Record every event of recoup while a block runs.

    Args:
        here: Whether only events of this context count: of the code in the block, and of the tasks and threads that it
            starts with a copy of its context (asyncio tasks, `asyncio.to_thread`, recoup's own threads). Default False:
            events of the whole process, in any thread and task.

    Returns:
        A context manager that gives the `Events`.

    Blocks nest, and each records for itself. Events carry no arguments, results or exceptions (G10); for these see
    `inject`.

    Example:
        >>> from recoup import retry
        >>> from recoup.events import RetryScheduled
        >>> from recoup.testing import VirtualClock, faulty, fail, record
        >>> fetch, _ = faulty(retry(backoff_strategy="fixed")(lambda: "page"), fail(ConnectionError, on=1))
        >>> with VirtualClock(), record() as events:
        ...     fetch()
        'page'
        >>> events.expect(RetryScheduled, times=1)[0].delay
        1.0
        >>> print(events)
        2 events:
          +0.000 s  FaultInjected(name='<lambda>', fault='error', call=1)
          +0.000 s  RetryScheduled(name='<lambda>', attempt=1, delay=1.0, error_type='ConnectionError')
    """
    events = Events()
    outer = _inside.get()
    _inside.set((*outer, events))

    def listen(event: Event) -> None:
        if not here or events in _inside.get():
            events._take(event)

    try:
        with emit.subscribe(listen):
            yield events
    finally:
        _inside.set(outer)
