"""Generators: a place from the first item asked for until the end, close or drop (G17, B3)."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, BulkheadFullError, bulkhead
from tests.strategies.bulkhead.patience import until_async

if TYPE_CHECKING:
    from tests.conftest import Both


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, "max_queue_size": 0, **options}))


def numbers(guard: Bulkhead) -> Any:
    yield guard.running
    yield guard.running


def test_all_items_come_through(both: Both) -> None:
    """The place is held during the iteration and comes back at its end."""
    guard = made()
    protected = guard(both.wrap(numbers))
    assert both.call(protected, guard) == [1, 1]
    assert both.call(protected, guard) == [1, 1]
    assert guard.metrics == {"executed": 2, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


def test_a_generator_that_is_not_begun_holds_nothing() -> None:
    """Making it is not asking for an item."""
    guard = made()
    stream = guard(numbers)(guard)
    assert guard.metrics["executed"] == 0
    stream.close()
    assert guard.metrics["executed"] == 0


def test_ways_to_end() -> None:
    """Closed, dropped, failed or thrown into: the place comes back at once."""
    guard = made()
    protected = guard(numbers)
    closed = protected(guard)
    next(closed)
    assert guard.running == 1
    closed.close()
    assert guard.running == 0
    dropped = protected(guard)
    next(dropped)
    del dropped
    assert guard.running == 0
    thrown = protected(guard)
    next(thrown)
    with pytest.raises(ValueError, match="mine"):
        thrown.throw(ValueError("mine"))
    assert guard.running == 0


async def test_ways_to_end_in_async_code() -> None:
    """The same for async generators; dropping one has its loop close it."""
    guard = made()

    @guard
    async def stream() -> Any:
        yield 1
        yield 2

    closed = stream()
    await anext(closed)
    assert guard.running == 1
    await closed.aclose()
    assert guard.running == 0
    thrown = stream()
    await anext(thrown)
    with pytest.raises(ValueError, match="mine"):
        await thrown.athrow(ValueError("mine"))
    assert guard.running == 0
    dropped = stream()
    await anext(dropped)
    del dropped
    gc.collect()
    await until_async(lambda: not guard.running)


def test_what_the_consumer_sends_arrives() -> None:
    """send, throw and the return value work as without a bulkhead."""

    @bulkhead
    def echo() -> Any:
        try:
            got = yield "first"
        except ValueError:
            got = "thrown"
        got = yield got
        return got

    stream = echo()
    assert next(stream) == "first"
    assert stream.throw(ValueError) == "thrown"
    with pytest.raises(StopIteration) as end:
        stream.send("last")
    assert end.value.value == "last"


def test_a_full_bulkhead_refuses_the_first_item(both: Both) -> None:
    """The refusal comes when the first item is asked for, and the generator never begins (B2)."""
    guard = made()

    def never() -> Any:
        pytest.fail("it must not begin")
        yield

    protected = guard(both.wrap(never))
    with guard:
        stream = protected()
        with pytest.raises(BulkheadFullError):
            both.call(lambda: stream)
    assert guard.running == 0


def test_a_dropped_generator_wakes_who_waits() -> None:
    """A finaliser that gives a place back sees to the one who waits for it (G7)."""
    guard = made(max_queue_size=1)

    async def main() -> str:
        stream = guard(numbers)(guard)
        next(stream)

        async def work() -> str:
            return "served"

        task = asyncio.ensure_future(guard.execute(work))
        await asyncio.sleep(0)
        assert guard.waiting == 1
        del stream
        return await asyncio.wait_for(task, 10)

    assert asyncio.run(main()) == "served"
