"""Generators: a fallback answers before the first item, with items; later errors are the consumer's (R8, G5, G17)."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import pytest

import recoup
from recoup import Fallback, FallbackConfig, events, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Both


fallback: Any = recoup.fallback  # called in every way, wrong ones included


class Down(Exception):
    pass


def failing(both: Both, after: int = 0, **options: Any) -> Callable[..., Any]:
    def rows(start: int = 0) -> Any:
        for number in range(after):
            yield start + number
        raise Down

    return fallback(**options)(both.wrap(rows))  # type: ignore[no-any-return]  # a function again


class Pages:
    """An iterable that can be read again."""

    def __iter__(self) -> Any:
        return iter([1, 2])


def test_items_take_the_place_of_items(both: Both) -> None:
    """Whatever iterable answers, its items are yielded (F1)."""

    def generator() -> Any:
        yield from (1, 2)

    for options in (
        {"fallback_value": [1, 2]},
        {"fallback_value": (1, 2)},
        {"fallback_value": Pages()},
        {"fallback_function": lambda: [1, 2]},
        {"fallback_function": lambda error: iter([1, 2])},
        {"fallback_function": generator},
        {"fallback_service": lambda start=0: range(start + 1, start + 3)},
    ):
        assert both.call(failing(both, **options)) == [1, 2]
    assert both.call(failing(both, fallback_value=[])) == []


def test_a_healthy_stream_is_left_alone(both: Both) -> None:
    """Its items come out as they are."""

    @fallback(fallback_value=[9])
    @both.wrap
    def rows(n: int) -> Any:
        yield from range(n)

    assert both.call(rows, 3) == [0, 1, 2]
    assert both.call(rows, 0) == []


def test_after_the_first_item_errors_are_the_consumers(both: Both) -> None:
    """Items that were handed out cannot be taken back (R8)."""
    seen: list[int] = []
    rows = failing(both, after=2, fallback_value=[9])

    def consume() -> None:
        seen.extend(rows())

    async def consume_later() -> None:
        async for item in rows():
            seen.append(item)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(Down):
        both.call(consume_later if both.is_async else consume)
    assert seen == [0, 1]


def test_a_stream_that_fails_before_its_first_item_is_passed_over(both: Both) -> None:
    """A fallback stream that fails at once is a source that fails; later its errors are the consumer's too (F1)."""

    def broken() -> Any:
        raise LookupError
        yield

    def late() -> Any:
        yield 1
        raise LookupError

    assert both.call(failing(both, fallback_function=[broken, lambda: [1]])) == [1]
    with pytest.raises(LookupError) as caught:
        both.call(failing(both, fallback_function=broken))
    assert isinstance(caught.value.__cause__, Down)
    with pytest.raises(LookupError) as caught:
        both.call(failing(both, fallback_function=late))
    assert caught.value.__cause__ is None


def test_an_error_that_is_not_answered_comes_out_itself(both: Both) -> None:
    """As for functions (G3)."""
    with pytest.raises(Down) as caught:
        both.call(failing(both, fallback_value=[1], on=LookupError))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("answer", ["text", b"bytes", 5, None])
def test_an_answer_without_items(both: Both, answer: object) -> None:
    """A value is refused at decoration, what a function returned is an error that names its type (G5)."""
    kind = type(answer).__name__
    with pytest.raises(TypeError, match=f"must be an iterable, whose items take the place .*, not a {kind}"):
        failing(both, fallback_value=answer)
    with pytest.raises(TypeError, match=f"not a {kind}") as caught:
        both.call(failing(both, fallback_function=lambda: answer))
    assert isinstance(caught.value.__cause__, Down)


def test_a_stream_cannot_be_remembered(both: Both) -> None:
    """`use_cache` is refused at decoration, with what to do instead (G5)."""
    with pytest.raises(TypeError, match=r"use_cache cannot remember what .*rows.* yields, a generator.*return a list"):
        failing(both, use_cache=True)


def test_a_stream_from_another_base(both: Both) -> None:
    """A URL opens the stream once more against the other base (F5)."""

    def rows(path: str, base: str = "main") -> Any:
        if base == "main":
            raise Down
        yield f"{base}{path}"

    async def rows_later(path: str, base: str = "main") -> Any:
        if base == "main":
            raise Down
        yield f"{base}{path}"

    decorate = fallback(fallback_service="backup", service_argument="base")
    assert both.call(decorate(rows_later if both.is_async else rows), "/x") == ["backup/x"]


def test_async_answers() -> None:
    """An async generator is answered by whatever has items: async iterables, awaited lists (F2)."""
    from tests.conftest import Both

    both = Both("asyncio")

    async def generator() -> Any:
        yield 1
        yield 2

    class Iterable_:  # noqa: N801 - an async iterable
        def __aiter__(self) -> Any:
            return generator()

    async def listed() -> list[int]:
        return [1, 2]

    for options in (
        {"fallback_function": generator},
        {"fallback_function": Iterable_},
        {"fallback_function": listed},
        {"fallback_function": lambda *_, **__: listed()},
        {"fallback_value": Iterable_()},
        {"fallback_service": lambda start=0: generator()},
    ):
        assert both.call(failing(both, **options)) == [1, 2]


def test_a_plain_stream_cannot_await() -> None:
    """What turns out to be asynchronous is an error, and the coroutine is closed (F2)."""

    async def listed() -> list[int]:
        return [1]

    @fallback(fallback_function=lambda *_: listed())
    def rows() -> Any:
        raise Down
        yield

    with pytest.raises(TypeError, match="something to await"):
        list(rows())


def test_sent_and_thrown_go_through() -> None:
    """The consumer talks to whichever stream runs: send, throw, close, and the returned value (G5)."""
    log: list[object] = []

    def talking(name: str) -> Any:
        try:
            got = yield name
            while got != "end":
                log.append(got)
                try:
                    got = yield got
                except LookupError as error:
                    log.append(error)
                    got = yield "caught"
        finally:
            log.append("closed")
        return f"{name} is over"

    @fallback(fallback_function=lambda: talking("fallback"))
    def rows(fail: bool) -> Any:
        if fail:
            raise Down
        return (yield from talking("main"))

    for fail, name in ((False, "main"), (True, "fallback")):
        log.clear()
        stream = rows(fail)
        assert next(stream) == name
        assert stream.send("a") == "a"
        error = LookupError()
        assert stream.throw(error) == "caught"
        with pytest.raises(StopIteration) as end:
            stream.send("end")
        assert end.value.value == f"{name} is over"
        assert log == ["a", error, "closed"]
        stream = rows(fail)
        next(stream)
        stream.close()
        assert log[-1] == "closed"


async def test_async_sent_and_thrown_go_through() -> None:
    """The same for async generators."""
    log: list[object] = []

    async def talking(name: str) -> Any:
        try:
            log.append((yield name))
            yield "more"
        finally:
            log.append("closed")

    @fallback(fallback_function=lambda: talking("fallback"))
    async def rows() -> Any:
        raise Down
        yield

    stream = rows()
    assert await anext(stream) == "fallback"
    assert await stream.asend("a") == "more"
    with pytest.raises(LookupError):
        await stream.athrow(LookupError())
    stream = rows()
    await anext(stream)
    await stream.aclose()
    assert log == ["a", "closed", "closed"]


def test_nothing_ambient_spans_a_yield() -> None:
    """A context variable that the consumer sets between items is its own (G17)."""
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)
    stream = failing_plain()
    for number, _ in enumerate(stream):
        assert var.get() == number
        var.set(number + 1)


@fallback(fallback_value=[1, 2, 3])
def failing_plain() -> Any:
    raise Down
    yield


def test_no_exception_is_being_handled_between_items() -> None:
    """While a fallback's items are read, the consumer's code is in no `except` block of ours (G3)."""
    import sys

    for _ in failing_plain():
        assert sys.exception() is None


def test_listeners_are_told_once(both: Both) -> None:
    """When the answer begins, not for each item."""
    seen: list[events.Event] = []
    with subscribe(seen.append):
        both.call(failing(both, fallback_value=[1, 2], name="rows"))
    assert seen == [events.FallbackUsed("rows", "value", "Down")]


def test_control_flow_passes(both: Both) -> None:
    """It is never answered (G2)."""

    @fallback(fallback_value=[1])
    @both.wrap
    def rows() -> Any:
        raise SystemExit
        yield

    begin = rows().__anext__().send if both.is_async else lambda _: next(rows())
    with pytest.raises(SystemExit):
        begin(None)


def test_a_generator_cannot_be_executed(both: Both) -> None:
    """It gives its answer piece by piece."""
    layer = Fallback(FallbackConfig(fallback_value=[1]))
    with pytest.raises(TypeError, match="is a generator function"):
        both.execute(layer, both.wrap(failing_plain))
