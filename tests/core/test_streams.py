"""What the cursors promise: everything the consumer does gets through (G5, R8)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recoup import retry

protected = retry(max_attempts=3, initial_delay=0)
LOG: list[Any] = []


def echo(first: Any) -> Any:
    """Yield what is sent, log what is thrown, return the last."""
    last = first
    try:
        while last != "end":
            try:
                last = yield last
            except ValueError as error:
                LOG.append(("caught", error))
                last = "after"
    finally:
        LOG.append("closed")
    return ("returned", last)


async def echo_async(first: Any) -> Any:
    last = first
    try:
        while last != "end":
            try:
                last = yield last
            except ValueError as error:
                LOG.append(("caught", error))
                last = "after"
    finally:
        await asyncio.sleep(0)
        LOG.append("closed")


@pytest.fixture(autouse=True)
def empty_log() -> None:
    LOG.clear()


def test_send_throw_and_return_get_through() -> None:
    """A generator's whole protocol works through the pump."""
    stream = protected(echo)("a")
    assert next(stream) == "a"
    assert stream.send("b") == "b"
    error = ValueError("mine")
    assert stream.throw(error) == "after"
    with pytest.raises(StopIteration) as stopped:
        stream.send("end")
    assert stopped.value.value == ("returned", "end")
    assert [("caught", error), "closed"] == LOG


def test_the_same_for_async_generators() -> None:
    """asend, athrow and the end."""

    async def main() -> None:
        stream = protected(echo_async)("a")
        assert await anext(stream) == "a"
        assert await stream.asend("b") == "b"
        error = ValueError("mine")
        assert await stream.athrow(error) == "after"
        with pytest.raises(StopAsyncIteration):
            await stream.asend("end")
        assert [("caught", error), "closed"] == LOG

    asyncio.run(main())


def test_close_closes_the_inner_generator_at_once() -> None:
    """Not when the collector gets to it."""
    stream = protected(echo)("a")
    next(stream)
    stream.close()
    assert LOG == ["closed"]

    async def main() -> None:
        stream = protected(echo_async)("a")
        await anext(stream)
        await stream.aclose()
        assert LOG == ["closed", "closed"]

    asyncio.run(main())


def test_an_error_of_the_consumer_comes_back_to_it() -> None:
    """Thrown in and not caught inside: it is the consumer's own, and not retried (R8)."""
    error = KeyError("mine")
    stream = protected(echo)("a")
    next(stream)
    with pytest.raises(KeyError) as caught:
        stream.throw(error)
    assert caught.value is error
    assert error.__context__ is None
    assert not hasattr(error, "__notes__")
    assert LOG == ["closed"]


def test_the_cursor_knows_whose_an_error_is() -> None:
    """By identity, and only of the error thrown last."""
    from recoup._core.streams import Cursor

    cursor = Cursor(echo("a"))
    assert cursor.advance()
    error = KeyError()
    cursor.thrown = error
    with pytest.raises(KeyError):
        cursor.advance()
    assert cursor.threw(error)
    assert not cursor.threw(KeyError())


def test_nothing_runs_before_the_first_item_is_asked_for() -> None:
    """A protected generator function is as lazy as any."""

    def stream() -> Any:
        LOG.append("began")
        yield 1

    made = protected(stream)()
    assert LOG == []
    assert list(made) == [1]


def test_a_generator_may_refuse_to_close() -> None:
    """Yielding on close is the RuntimeError it always is."""

    def stubborn() -> Any:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    stream = protected(stubborn)()
    next(stream)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        stream.close()
