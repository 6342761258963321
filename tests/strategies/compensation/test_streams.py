"""Generators are undone when they end with an error, at whatever item (rules G5, G17, S1)."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, current_deadline
from recoup.strategies.compensation import steps
from recoup.strategies.compensation.scope import saga
from recoup.strategies.compensation.strategy import compensate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from tests.conftest import Both


@pytest.mark.parametrize("good", [0, 1, 3])
def test_an_error_at_any_item_is_compensated(both: Both, good: int) -> None:
    """S1: before the first item or after any other, the error comes out itself after the actions have run."""
    states: list[Any] = []
    error = ConnectionError("no answer")

    def rows(table: str) -> Iterator[int]:
        yield from range(good)
        raise error

    with pytest.raises(ConnectionError) as caught:
        both.call(compensate([states.append, states.append])(both.wrap(rows)), "orders")
    assert caught.value is error
    assert error.__context__ is None
    assert [state["table"] for state in states] == ["orders", "orders"]
    assert error.__notes__ == ["recoup: compensated: 2 of 2 actions succeeded"]


def test_a_stream_that_ends_is_left_alone(both: Both) -> None:
    """Nothing is undone when the generator ends by itself."""
    states: list[Any] = []

    def rows() -> Iterator[int]:
        yield from range(3)

    assert both.call(compensate(states.append)(both.wrap(rows))) == [0, 1, 2]
    assert states == []


def test_failures_are_reported(both: Both) -> None:
    """S2: as for calls."""

    def rows() -> Iterator[int]:
        yield 1
        raise ConnectionError

    def broken() -> None:
        raise KeyError("broken")

    with pytest.raises(CompensationError, match="1 of 1 compensations failed"):
        both.call(compensate(broken)(both.wrap(rows)))


def play(both: Both, decorated: Any, *, fails: bool) -> None:
    """Go through a stream inside a saga that fails or not."""

    def sync() -> None:
        with saga("export"):
            list(decorated())
            if fails:
                raise LookupError

    async def asynchronous() -> None:
        async with saga("export"):
            async for _ in decorated():
                pass
            if fails:
                raise LookupError

    both.call(asynchronous if both.is_async else sync)


def test_a_stream_is_a_step(both: Both) -> None:
    """S1: a generator that has ended is a completed step."""
    states: list[Any] = []

    def rows() -> Iterator[int]:
        yield 1
        yield 2

    decorated = compensate(states.append)(both.wrap(rows))
    play(both, decorated, fails=False)
    assert states == []
    with pytest.raises(LookupError):
        play(both, decorated, fails=True)
    assert len(states) == 1


def test_what_a_generator_returns_is_its_result() -> None:
    """A plain generator's return value is passed on, and is the `result` of the step."""
    states: list[Any] = []

    @compensate(states.append)
    def rows() -> Generator[int, None, str]:
        yield 1
        return "returned"

    def outer() -> Iterator[int]:
        assert (yield from rows()) == "returned"

    def block() -> None:
        with saga("export"):
            assert list(outer()) == [1]
            raise LookupError

    with pytest.raises(LookupError):
        block()
    assert states[0]["result"] == "returned"


def test_send_throw_and_close_are_passed_on() -> None:
    """G5: the generator behaves as before for its consumer; what is thrown in and comes out is compensated."""
    diary: list[Any] = []

    @compensate(lambda: diary.append("undo"))
    def echo() -> Iterator[Any]:
        got: Any = "ready"
        while True:
            try:
                got = yield got
            except KeyError as error:
                got = error

    stream: Any = echo()
    assert next(stream) == "ready"
    assert stream.send(1) == 1
    error = KeyError()
    assert stream.throw(error) is error
    assert diary == []
    with pytest.raises(ConnectionError):
        stream.throw(ConnectionError())
    assert diary == ["undo"]


@pytest.mark.parametrize("within_saga", [False, True])
def test_what_the_consumer_throws_ends_the_step(both: Both, within_saga: bool) -> None:
    """S1: the consumer's own error comes out itself (R8), but the step did not complete, so it is undone."""
    diary: list[Any] = []
    step = compensate(lambda state: diary.append(("undo", state["error"])))
    thrown = ConnectionError("the consumer's")

    def rows() -> Iterator[int]:
        yield 1

    async def rows_async() -> AsyncIterator[int]:
        yield 1

    def consume() -> None:
        stream: Any = step(rows)()
        assert next(stream) == 1
        stream.throw(thrown)

    async def consume_async() -> None:
        stream: Any = step(rows_async)()
        assert await anext(stream) == 1
        await stream.athrow(thrown)

    def block() -> None:
        with saga():
            consume()

    async def block_async() -> None:
        async with saga():
            await consume_async()

    calls = (block, block_async) if within_saga else (consume, consume_async)
    with pytest.raises(ConnectionError) as caught:
        both.call(calls[both.is_async])
    assert caught.value is thrown
    assert diary == [("undo", thrown)]


def test_a_stream_that_handles_what_is_thrown_goes_on(both: Both) -> None:
    """S1: an error that the generator handles is no failure of the step."""
    diary: list[Any] = []
    step = compensate(lambda: diary.append("undo"))

    def rows() -> Iterator[int]:
        try:
            yield 1
        except ConnectionError:
            yield 2

    async def rows_async() -> AsyncIterator[int]:
        try:
            yield 1
        except ConnectionError:
            yield 2

    def consume() -> list[int]:
        stream: Any = step(rows)()
        return [next(stream), stream.throw(ConnectionError()), *stream]

    async def consume_async() -> list[int]:
        stream: Any = step(rows_async)()
        return [await anext(stream), await stream.athrow(ConnectionError()), *[item async for item in stream]]

    assert both.call(consume_async if both.is_async else consume) == [1, 2]
    assert diary == []


def test_closing_early_is_no_error() -> None:
    """A consumer that has seen enough closes the generator; nothing is undone, and in a saga it is a completed step."""
    diary: list[Any] = []

    @compensate(lambda: diary.append("undo"))
    def rows() -> Iterator[int]:
        yield 1
        yield 2

    stream: Any = rows()
    assert next(stream) == 1
    stream.close()
    assert diary == []

    def block() -> None:
        with saga("export"):
            stream: Any = rows()
            assert next(stream) == 1
            stream.close()
            raise LookupError

    with pytest.raises(LookupError):
        block()
    assert diary == ["undo"]


async def test_closing_an_async_stream_early_is_no_error() -> None:
    """The same for async generators."""
    diary: list[Any] = []

    @compensate(lambda: diary.append("undo"))
    async def rows() -> AsyncIterator[int]:
        yield 1
        yield 2

    stream: Any = rows()
    assert await anext(stream) == 1
    await stream.aclose()
    assert diary == []

    async def block() -> None:
        async with saga("export"):
            stream: Any = rows()
            assert await anext(stream) == 1
            await stream.aclose()
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    assert diary == ["undo"]


async def test_async_send_and_throw_are_passed_on() -> None:
    """G5: as for plain generators."""
    diary: list[Any] = []

    @compensate(lambda: diary.append("undo"))
    async def echo() -> AsyncIterator[Any]:
        got: Any = "ready"
        while True:
            try:
                got = yield got
            except KeyError as error:
                got = error

    stream: Any = echo()
    assert await anext(stream) == "ready"
    assert await stream.asend(1) == 1
    error = KeyError()
    assert await stream.athrow(error) is error
    with pytest.raises(ConnectionError):
        await stream.athrow(ConnectionError())
    assert diary == ["undo"]


async def test_a_cancelled_stream_is_undone() -> None:
    """S1: cancellation of the consumer while the generator waits is undone, shielded."""
    diary: list[str] = []

    async def slow() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        diary.append("slow")

    @compensate(slow)
    async def rows() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def consume() -> None:
        async for _ in rows():
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert diary == ["slow"]


def test_nothing_ambient_spans_an_item(both: Both) -> None:
    """G17: between two items the consumer sees neither a deadline nor a saga of the generator's."""
    seen: list[Any] = []

    def rows() -> Iterator[int]:
        yield 1
        yield 2

    decorated = compensate(lambda: None)(both.wrap(rows))

    def look() -> None:
        seen.append((current_deadline(), steps.joined(), len(contextvars.copy_context())))

    def sync() -> None:
        look()
        for _ in decorated():
            look()

    async def asynchronous() -> None:
        look()
        async for _ in decorated():
            look()

    both.call(asynchronous if both.is_async else sync)
    assert seen == [seen[0]] * 3
    assert seen[0][:2] == (None, None)


def test_a_stream_belongs_to_the_saga_in_which_it_began() -> None:
    """G16: a generator that is finished after its saga has failed undoes itself."""
    diary: list[str] = []

    @compensate(lambda: diary.append("undo"))
    def rows() -> Iterator[int]:
        yield 1
        yield 2

    stream: Any = rows()

    def block() -> None:
        with saga("export"):
            next(stream)
            raise LookupError

    with pytest.raises(LookupError):
        block()
    assert diary == []
    assert next(stream) == 2
    with pytest.raises(Exception, match="completed after saga 'export' had failed, and was undone"):
        next(stream)
    assert diary == ["undo"]
