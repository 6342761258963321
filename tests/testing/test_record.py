"""What `record` promises: every event of a block, to be asked about, with failures that show what happened."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from recoup import retry
from recoup._core import emit
from recoup.events import CircuitClosed, CircuitOpened, Event, RetryScheduled, RetryStopped
from recoup.testing import fail, faulty, record, recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.testing import VirtualClock
    from tests.conftest import Both

FIRST, SECOND = RetryScheduled("bank", 1, 0.5, "OSError"), RetryScheduled("shop", 2, 1.0, "OSError")
OPENED = CircuitOpened("bank", 60.0, "OSError")


def told() -> None:
    for event in (FIRST, OPENED, SECOND):
        emit.tell(event)


def test_events_of_a_block_are_recorded(both: Both, clock: VirtualClock) -> None:
    """Everything that happens in the block is there, in order, and nothing from outside it."""
    flaky, _ = faulty(
        retry(max_attempts=2, backoff_strategy="fixed", name="bank")(both.wrap(lambda: None)), fail(OSError)
    )
    with record() as events, pytest.raises(OSError, match="injected into call"):
        both.call(flaky)
    before = len(events)
    told()
    assert len(events) == before
    assert [event.attempt for event in events.of(RetryScheduled, name="bank")] == [1]
    events.expect_order(RetryScheduled, RetryStopped)


def test_events_are_chosen_by_class_and_values() -> None:
    """`of` and `count` choose by class, subclasses included, and by values."""
    with record() as events:
        told()
    assert list(events) == events.of(Event) == [FIRST, OPENED, SECOND]
    assert events.of(RetryScheduled) == [FIRST, SECOND]
    assert events.of(RetryScheduled, name="shop", attempt=2) == [SECOND]
    assert events.of(Event, name="bank") == [FIRST, OPENED]
    assert (events.count(RetryScheduled), events.count(RetryScheduled, attempt=7), events.count(OPENED)) == (2, 0, 1)
    assert (events[0], events[1:], OPENED in events) == (FIRST, [OPENED, SECOND], True)


def test_expectations_that_hold() -> None:
    """`expect` gives the events; `expect_none` and `expect_order` are silent."""
    with record() as events:
        told()
    assert events.expect(RetryScheduled) == [FIRST, SECOND]
    assert events.expect(RetryScheduled, times=1, attempt=2) == [SECOND]
    assert events.expect(CircuitClosed, times=0) == []
    events.expect_none(CircuitClosed)
    events.expect_none(CircuitOpened, name="shop")
    events.expect_order(RetryScheduled, CircuitOpened, RetryScheduled)
    events.expect_order()
    with record() as silence:
        pass
    silence.expect_none()


def test_expectations_that_fail_show_what_happened(clock: VirtualClock) -> None:
    """The message of a failure says what was expected, and lists what there was, with the time since the beginning."""
    with record() as events:
        clock.advance(1.5)
        emit.tell(OPENED)
    there = f"there were 1 event:\n  +1.500 s  {OPENED}"
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: events.expect(CircuitClosed), "expected CircuitClosed() at least once, found 0"),
        (lambda: events.expect(CircuitOpened, times=2), "expected CircuitOpened() 2 times, found 1"),
        (lambda: events.expect(CircuitOpened, times=1, name="x"), "expected CircuitOpened(name='x') once, found 0"),
        (events.expect_none, "expected Event() 0 times, found 1"),
        (lambda: events.expect_order(CircuitClosed), "expected CircuitClosed"),
        (
            lambda: events.expect_order(CircuitOpened, CircuitClosed, RetryScheduled),
            "expected CircuitClosed after CircuitOpened",
        ),
    ]
    for ask, message in asked:
        with pytest.raises(AssertionError, match=f"^{re.escape(f'{message}; {there}')}$"):
            ask()


def test_mistakes_are_no_expectations() -> None:
    """An attribute that the class does not have is refused: it would make every expectation hold, or none."""
    with record() as events:
        told()
    with pytest.raises(TypeError, match="RetryScheduled has no 'attempts'; it has name, attempt, delay, error_type"):
        events.expect_none(RetryScheduled, attempts=1)


def test_records_read_well() -> None:
    """A record says how many events there are, and which."""
    with record() as events:
        assert (str(events), repr(events)) == ("no events", "<no events>")
        told()
    assert str(events).splitlines()[0] == "3 events:"
    assert repr(events).startswith("<3 events:")


def test_blocks_nest() -> None:
    """Each block records for itself, and ends by itself, whatever ends it."""
    with record() as outer:
        with suppress(KeyError), record() as inner:
            told()
            raise KeyError
        emit.tell(OPENED)
    told()
    assert (len(outer), len(inner)) == (4, 3)
    assert emit.listeners == ()
    assert recording._inside.get() == ()


def test_other_threads_count() -> None:
    """Events of all threads are recorded, unless only those of this context are wanted."""
    with record() as everything, record(here=True) as own:
        emit.tell(OPENED)
        thread = threading.Thread(target=told)
        thread.start()
        thread.join()
    assert (len(everything), len(own)) == (4, 1)


async def test_tasks_belong_to_their_context() -> None:
    """`here=True` counts the tasks and threads that the block starts, and not those of others."""
    begin = asyncio.Event()

    async def stranger() -> None:
        await begin.wait()
        emit.tell(SECOND)

    async def child() -> None:
        emit.tell(FIRST)

    other = asyncio.create_task(stranger())
    with record(here=True) as own, record() as everything:
        await asyncio.create_task(child())
        await asyncio.to_thread(emit.tell, OPENED)
        begin.set()
        await other
    assert list(own) == [FIRST, OPENED]
    assert list(everything) == [FIRST, OPENED, SECOND]


def test_threads_may_tell_at_once() -> None:
    """Nothing is lost when 16 threads tell at the same time."""

    def work() -> None:
        for _ in range(200):
            emit.tell(OPENED)

    with record() as events:
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert events.count(CircuitOpened) == 3200
