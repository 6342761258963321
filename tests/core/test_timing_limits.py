"""The pumps that limit the time of a call: plain functions and generators, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from recoup._core import clock as seam
from recoup._core import timing
from recoup._core.colour import Colour
from recoup._core.timing import current_deadline, time_left
from recoup.errors import DeadlineExceeded
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both

COLOURS = {
    (False, False): Colour.SYNC,
    (False, True): Colour.STREAM,
    (True, False): Colour.ASYNC,
    (True, True): Colour.ASYNC_STREAM,
}


def limited(both: Both, fn: Callable[..., Any], seconds: float, *, stream: bool = False) -> Callable[..., Any]:
    pump = timing.limit(COLOURS[both.is_async, stream], timing.Live(timing.Limit(None, seconds, "test")))
    made: Callable[..., Any] = pump.factory(both.wrap(fn), *pump.cells)
    return made


def test_arguments_results_and_errors_pass(both: Both, clock: VirtualClock) -> None:
    """A limited call takes the function's arguments and gives its result or its very error (G3)."""
    error = ValueError("mine")

    def work(x: int, *, y: int) -> tuple[int, int, float | None]:
        if x < 0:
            raise error
        return x, y, time_left()

    call = limited(both, work, 5)
    assert both.call(call, 1, y=2) == (1, 2, 5)
    with pytest.raises(ValueError, match="mine") as caught:
        both.call(call, -1, y=0)
    assert caught.value is error
    assert error.__context__ is None
    assert both.call(time_left) is None


def test_a_late_result_of_a_plain_function_is_returned(clock: VirtualClock) -> None:
    """Nothing interrupts a plain function, and what it returns late is not thrown away (D3)."""
    pump = timing.limit(Colour.SYNC, timing.Live(timing.Limit(None, 5, "test")))

    def late() -> str:
        seam.sleep(50)
        return "late"

    assert pump.factory(late, *pump.cells)() == "late"
    assert clock.monotonic() == 1050


def test_without_time_the_function_is_not_called(both: Both, clock: VirtualClock) -> None:
    """When an outer deadline has left no time, the function is not called, and that is a refusal (G13)."""
    called: list[str] = []
    inner = limited(both, lambda: called.append("inner"), 50)

    def outer() -> Any:
        clock.advance(5)
        return inner()

    with pytest.raises(DeadlineExceeded, match="before the call could start") as caught:
        both.call(limited(both, outer, 5))
    assert caught.value.started is False
    assert called == []


def test_recovery_off(both: Both, clock: VirtualClock) -> None:
    """Switched off, a limit limits nothing, streams included (G16)."""

    def items() -> Iterator[float | None]:
        yield time_left()
        clock.advance(50)
        yield time_left()

    with disabled():
        assert both.call(limited(both, time_left, 5)) is None
        assert both.call(limited(both, items, 5, stream=True)) == [None, None]


def test_a_stream_has_its_time_from_the_first_item_on(both: Both, clock: VirtualClock) -> None:
    """The time of a generator counts from the first step, over its own and its consumer's time (G17)."""

    def items() -> Iterator[float | None]:
        for _ in range(3):
            yield time_left()
            clock.advance(2)

    made = limited(both, items, 10, stream=True)()
    clock.advance(100)
    assert both.call(lambda: made) == [10, 8, 6]


def test_a_stream_without_time_left_is_closed(both: Both, clock: VirtualClock) -> None:
    """When the time is up between two steps, the generator is closed where it stands (D3)."""
    log: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            log.append(f"closed with {time_left()}")

    seen: list[int] = []
    at_once: list[str] = []

    def consume() -> Any:
        try:
            for n in limited(both, items, 5, stream=True)():
                seen.append(n)
                clock.advance(2)
        finally:
            at_once.extend(log)

    async def consume_async() -> Any:
        try:
            async for n in limited(both, items, 5, stream=True)():
                seen.append(n)
                clock.advance(2)
        finally:
            at_once.extend(log)

    with pytest.raises(DeadlineExceeded, match="test: not finished within 5 s") as caught:
        both.run(consume_async) if both.is_async else consume()
    assert caught.value.started is True
    assert seen == [0, 1, 2]
    assert at_once == ["closed with None"]


def test_nothing_ambient_spans_a_yield(both: Both, clock: VirtualClock) -> None:
    """Between two steps the consumer sees no deadline of the generator's (G17)."""

    def items() -> Iterator[bool]:
        yield current_deadline() is not None
        yield current_deadline() is not None

    outside: list[object] = []

    async def consume() -> list[bool]:
        got = []
        async for inside in limited(both, items, 5, stream=True)():
            outside.append(current_deadline())
            got.append(inside)
        return got

    def plain() -> list[bool]:
        got = []
        for inside in limited(both, items, 5, stream=True)():
            outside.append(current_deadline())
            got.append(inside)
        return got

    assert (both.run(consume) if both.is_async else plain()) == [True, True]
    assert outside == [None, None]


def test_the_consumers_deadline_counts_between_steps(both: Both, clock: VirtualClock) -> None:
    """A step that the consumer's own deadline leaves no time for is not taken (D1)."""

    def items() -> Iterator[int]:
        yield 1
        yield 2

    async def consume() -> None:
        async for _ in limited(both, items, 50, stream=True)():
            clock.advance(5)

    def plain() -> None:
        for _ in limited(both, items, 50, stream=True)():
            clock.advance(5)

    deadline = timing.enter(timing.Limit(None, 3, "consumer"))  # cooperative: the stream has to notice by itself
    with pytest.raises(DeadlineExceeded, match="consumer: not finished"):
        both.run(consume) if both.is_async else plain()
    timing.leave(deadline)


def test_a_step_of_a_stream_without_time_at_the_start(both: Both, clock: VirtualClock) -> None:
    """A stream that is asked for its first item when no time is left is refused (G13)."""

    def items() -> Iterator[int]:
        yield 1

    def body() -> Any:
        deadline = timing.enter(timing.Limit(None, 3, "consumer"))
        try:
            clock.advance(3)
            return list(limited(both, items, 50, stream=True)())
        finally:
            timing.leave(deadline)

    async def body_async() -> Any:
        deadline = timing.enter(timing.Limit(None, 3, "consumer"))
        try:
            clock.advance(3)
            return [n async for n in limited(both, items, 50, stream=True)()]
        finally:
            timing.leave(deadline)

    with pytest.raises(DeadlineExceeded, match="before the call could start"):
        both.run(body_async) if both.is_async else body()


def test_a_clock_that_goes_backwards_restarts_a_stream(both: Both, clock: VirtualClock) -> None:
    """Between steps, too, a clock that goes backwards leaves no more time than the deadline was long (G12)."""

    def items() -> Iterator[float | None]:
        yield time_left()
        yield time_left()
        clock.rewind(500)
        yield time_left()
        yield time_left()

    seen: list[float | None] = []

    def consume() -> None:
        for left in limited(both, items, 10, stream=True)():
            seen.append(left)
            clock.rewind(100)

    async def consume_async() -> None:
        async for left in limited(both, items, 10, stream=True)():
            seen.append(left)
            clock.rewind(100)

    both.run(consume_async) if both.is_async else consume()
    assert seen == [10, 10, 10, 10]


def test_a_stream_that_looks_at_no_clock_is_restarted_too(both: Both, clock: VirtualClock) -> None:
    """A clock that goes backwards between steps gives a generator its whole time again, and no more (G12)."""

    def items() -> Iterator[int]:
        yield from range(100)

    seen: list[int] = []

    def moved(n: int) -> None:
        seen.append(n)
        if n == 0:
            clock.rewind(500)
        elif n > 1:
            clock.advance(4)

    def consume() -> None:
        for n in limited(both, items, 10, stream=True)():
            moved(n)

    async def consume_async() -> None:
        async for n in limited(both, items, 10, stream=True)():
            moved(n)

    with pytest.raises(DeadlineExceeded):
        both.run(consume_async) if both.is_async else consume()
    assert seen == [0, 1, 2, 3, 4]


def test_sending_and_throwing_into_a_generator(clock: VirtualClock) -> None:
    """send, throw, close and the return value work as on the bare generator (G5)."""

    def items() -> Any:
        try:
            got = yield "first"
        except ValueError as error:
            got = str(error)
        yield got
        return "result"

    pump = timing.limit(Colour.STREAM, timing.Live(timing.Limit(None, 10, "test")))
    limited_items = pump.factory(items, *pump.cells)
    stream = limited_items()
    assert next(stream) == "first"
    assert stream.send("sent") == "sent"
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == "result"
    stream = limited_items()
    next(stream)
    assert stream.throw(ValueError("thrown")) == "thrown"
    stream.close()


@pytest.mark.parametrize("how", ["close", "throw"])
def test_clean_up_after_the_time_is_not_cut(both: Both, clock: VirtualClock, how: str) -> None:
    """A consumer that closes, or throws, when the time is already up gets the generator's clean-up, whole (G17)."""
    log: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            log.append("cleaned")

    async def items_async() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await both.pause(20)
            log.append("cleaned")

    async def body_async() -> None:
        pump = timing.limit(Colour.ASYNC_STREAM, timing.Live(timing.Limit(None, 5, "test")))
        stream = pump.factory(items_async, *pump.cells)()
        await anext(stream)
        clock.advance(10)
        if how == "close":
            await stream.aclose()
        else:
            with pytest.raises(ValueError, match="mine"):
                await stream.athrow(ValueError("mine"))

    def body() -> None:
        stream = limited(both, items, 5, stream=True)()
        next(stream)
        clock.advance(10)
        if how == "close":
            stream.close()
        else:
            with pytest.raises(ValueError, match="mine"):
                stream.throw(ValueError("mine"))

    both.run(body_async) if both.is_async else body()
    assert log == ["cleaned"]


async def test_an_async_generator_that_hangs_is_cancelled(clock: VirtualClock) -> None:
    """A step that takes longer than what is left is cancelled, and the generator has ended (D2)."""
    log: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(3)
            yield 2
            await asyncio.sleep(50)
        finally:
            log.append("cleaned")

    pump = timing.limit(Colour.ASYNC_STREAM, timing.Live(timing.Limit(None, 10, "test")))
    stream = pump.factory(items, *pump.cells)()
    seen = [await anext(stream), await anext(stream)]
    with pytest.raises(DeadlineExceeded, match="test: not finished within 10 s") as caught:
        await anext(stream)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert seen == [1, 2]
    assert log == ["cleaned"]
    assert clock.monotonic() == 1010
    assert [n async for n in stream] == []


async def test_a_callers_cancellation_inside_a_step(clock: VirtualClock) -> None:
    """A consumer that is cancelled while it waits for an item gets its cancellation (D2)."""

    async def items() -> AsyncIterator[int]:
        await asyncio.sleep(50)
        yield 1

    async def consume() -> None:
        pump = timing.limit(Colour.ASYNC_STREAM, timing.Live(timing.Limit(None, 10, "test")))
        async for _ in pump.factory(items, *pump.cells)():
            raise AssertionError

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_steps_taken_by_different_tasks(clock: VirtualClock) -> None:
    """Each step has the cancel scope of the task that takes it (G17)."""

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(1)
        yield 2
        await asyncio.sleep(50)

    pump = timing.limit(Colour.ASYNC_STREAM, timing.Live(timing.Limit(None, 10, "test")))
    stream = pump.factory(items, *pump.cells)()
    assert await asyncio.create_task(anext(stream)) == 1
    assert await asyncio.create_task(anext(stream)) == 2
    with pytest.raises(DeadlineExceeded):
        await asyncio.create_task(anext(stream))
