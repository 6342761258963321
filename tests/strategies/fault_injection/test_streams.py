"""Faults of generators: before they begin, in place of an item, at the end, and in the items (G5, G17)."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import pytest

from recoup import inject_faults, retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from tests.conftest import Both


class Rows:
    """Yields numbers and keeps a diary, in either colour."""

    def __init__(self, both: Both, count: int = 3) -> None:
        self.both = both
        self.count = count
        self.diary: list[Any] = []

    def under(self, layer: Any) -> Any:
        return layer(self.later if self.both.is_async else self.rows)

    def rows(self) -> Generator[int, Any, str]:
        self.diary.append("begun")
        try:
            yield from range(self.count)
        finally:
            self.diary.append("closed")
        return "end"

    async def later(self) -> AsyncGenerator[int, Any]:
        self.diary.append("begun")
        try:
            for number in range(self.count):
                yield number
        finally:
            self.diary.append("closed")

    def taken(self, stream: Any) -> list[Any]:
        """Take items until the end, and note the error that comes."""
        taken: list[Any] = []

        def take() -> None:
            for item in stream():
                taken.append(item)  # noqa: PERF402 - what came before an error counts

        async def take_later() -> None:
            async for item in stream():
                taken.append(item)  # noqa: PERF401 - as above

        try:
            self.both.call(take_later if self.both.is_async else take)
        except ConnectionError as error:
            taken.append(type(error))
        return taken


@pytest.mark.parametrize(
    ("options", "taken", "diary"),
    [
        ({}, [ConnectionError], []),
        ({"after_call": True}, [0, 1, 2, ConnectionError], ["begun", "closed"]),
        ({"after_items": 1}, [0, ConnectionError], ["begun", "closed"]),
        ({"after_items": 2}, [0, 1, ConnectionError], ["begun", "closed"]),
        ({"after_items": 3}, [0, 1, 2, ConnectionError], ["begun", "closed"]),
        ({"after_items": 9}, [0, 1, 2, ConnectionError], ["begun", "closed"]),
        ({"after_items": 1, "change_result": lambda item: item + 10}, [10, ConnectionError], ["begun", "closed"]),
    ],
)
def test_an_error_comes_where_it_is_wanted(
    both: Both, options: dict[str, Any], taken: list[Any], diary: list[Any]
) -> None:
    """Instead of the stream, in place of an item, or at the end; the generator is closed before the error comes out."""
    rows, faults = Rows(both), inject_faults(error=ConnectionError, **options)
    stream = rows.under(faults)
    for _ in range(2):
        with faults.armed():
            assert rows.taken(stream) == taken
        assert rows.diary == diary
        rows.diary.clear()
    assert rows.taken(stream) == [0, 1, 2]


def test_items_are_changed(both: Both) -> None:
    """`change_result` gets each item."""
    rows, faults = Rows(both), inject_faults(change_result=str)
    with faults.armed():
        assert rows.taken(rows.under(faults)) == ["0", "1", "2"]


def test_a_call_of_a_generator_is_one_call(both: Both) -> None:
    """It is numbered when its first item is asked for."""
    rows, faults = Rows(both), inject_faults(error=ConnectionError, schedule=[2])
    stream = rows.under(faults)
    with faults.armed():
        stream()  # nobody asks for an item
        assert [rows.taken(stream) for _ in range(3)] == [[0, 1, 2], [ConnectionError], [0, 1, 2]]


def test_a_retry_above_meets_the_fault(both: Both) -> None:
    """R8: what comes before the first item is retried, what comes later is the consumer's."""
    first = inject_faults(error=ConnectionError, schedule=[1])
    later = inject_faults(error=ConnectionError, schedule=[1], after_items=1)
    again = retry(max_attempts=2, initial_delay=0)
    for faults, taken in ((first, [0, 1, 2]), (later, [0, ConnectionError])):
        rows = Rows(both)
        with faults.armed():
            assert rows.taken(again(rows.under(faults))) == taken


def test_send_throw_and_value_are_passed_on() -> None:
    """G5: the protected generator behaves like the generator, hit or not."""

    def rows() -> Generator[Any, Any, str]:
        got = yield "first"
        try:
            yield got
        except LookupError:
            yield "caught"
        return "end"

    faults = inject_faults(change_result=lambda item: item)
    wrapped = faults(rows)

    def delegate() -> Generator[Any, Any, str]:
        return (yield from wrapped())

    for arm in (False, True):
        if arm:
            faults.arm()
        stream = delegate()
        assert next(stream) == "first"
        assert stream.send("sent") == "sent"
        assert stream.throw(LookupError()) == "caught"
        with pytest.raises(StopIteration) as ended:
            next(stream)
        assert ended.value.value == "end"


async def test_async_send_and_throw_are_passed_on() -> None:
    """The same for async generators."""

    async def rows() -> AsyncGenerator[Any, Any]:
        got = yield "first"
        try:
            yield got
        except LookupError:
            yield "caught"

    faults = inject_faults(change_result=lambda item: item)
    wrapped = faults(rows)
    for arm in (False, True):
        if arm:
            faults.arm()
        stream = wrapped()
        assert await anext(stream) == "first"
        assert await stream.asend("sent") == "sent"
        assert await stream.athrow(LookupError()) == "caught"
        assert [item async for item in stream] == []


def test_nothing_ambient_spans_an_item(both: Both) -> None:
    """G17: context variables are as they were between items."""
    rows, faults = Rows(both), inject_faults(change_result=str)
    stream = rows.under(faults)

    def variables() -> list[Any]:
        return sorted((variable.name, id(value)) for variable, value in contextvars.copy_context().items())

    def take() -> None:
        before = variables()
        for _ in stream():
            assert variables() == before

    async def take_later() -> None:
        before = variables()
        async for _ in stream():
            assert variables() == before

    faults.arm()
    both.call(take_later if both.is_async else take)
