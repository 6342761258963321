"""What the suite's own fixtures promise: both colours, and virtual time in each of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from recoup._core import clock as seam
from recoup.testing import VirtualEventLoop
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recoup.testing import VirtualClock


@pytest.fixture(params=["sync", "asyncio", "trio"])
def each(request: pytest.FixtureRequest) -> Both:
    """Give all three colours whatever the options."""
    return Both(request.param)


def test_wrap_keeps_name_and_colours(each: Both) -> None:
    """A wrapped body is a function of the colour, with the body's name and parameters."""

    def body(a: int, *, b: int = 2) -> int:
        return a + b

    wrapped = each.wrap(body)
    assert inspect.iscoroutinefunction(wrapped) is each.is_async
    assert (wrapped.__name__, str(inspect.signature(wrapped))) == ("body", "(a: 'int', *, b: 'int' = 2) -> 'int'")
    assert each.call(wrapped, 1, b=5) == 6


def test_generators_become_streams(each: Both) -> None:
    """A generator body becomes an async generator, and `call` collects both."""

    def body() -> Iterator[int]:
        yield 1
        yield 2

    wrapped = each.wrap(body)
    assert inspect.isasyncgenfunction(wrapped) is each.is_async
    assert each.call(wrapped) == [1, 2]


def test_time_is_virtual_in_every_colour(each: Both, clock: VirtualClock) -> None:
    """Pauses of recoup and of user code move the same clock, and nothing sleeps."""
    seen: list[float] = []

    def body() -> object:
        seen.append(seam.monotonic())
        return each.pause(60)

    async def pause_async() -> None:
        await seam.pause_async(5)

    for _ in range(2):
        each.call(each.wrap(body))
        each.call(pause_async if each.is_async else seam.pause, *(() if each.is_async else (5,)))
    assert seen == [1000, 1065]
    assert clock.monotonic() == 1130
    assert [pause for pause in clock.sleeps if pause == 5] == [5, 5]


def test_errors_come_out_themselves(each: Both) -> None:
    """`call` raises the very object the function raised (G3)."""
    error = KeyError("itself")

    def body() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        each.call(each.wrap(body))
    assert caught.value is error


def test_execute_picks_the_method(each: Both) -> None:
    """`execute` goes through `execute_sync` or `execute`."""

    class Strategy:
        async def execute(self, fn: object, *args: object) -> tuple[object, ...]:
            return ("async", fn, *args)

        def execute_sync(self, fn: object, *args: object) -> tuple[object, ...]:
            return ("sync", fn, *args)

    assert each.execute(Strategy(), print, 1) == (each.colour, print, 1)


def test_both_names_its_colour(both: Both) -> None:
    """The fixture's parameter shows in a failing test."""
    assert repr(both) in {"<Both sync>", "<Both asyncio>", "<Both trio>"}


async def test_async_tests_run_on_a_virtual_loop(clock: VirtualClock) -> None:
    """An `async def` test with the clock needs no loop of its own."""
    import asyncio

    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualEventLoop)
    assert running.clock is clock


async def test_async_tests_without_clock_run_on_a_common_loop() -> None:
    """An `async def` test without the clock runs in real time."""
    import asyncio

    assert not isinstance(asyncio.get_running_loop(), VirtualEventLoop)


def test_names_are_loaded_when_they_are_used() -> None:
    """`dir` lists every public name of `recoup.testing`, and what is none is an AttributeError."""
    from recoup import testing

    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="no attribute 'VirtualClok'"):
        testing.VirtualClok  # type: ignore[attr-defined]  # noqa: B018 - a mistake, on purpose
