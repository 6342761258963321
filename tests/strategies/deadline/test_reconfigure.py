"""Times that change while calls are made (D1, G1)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recoup import DeadlineConfig, DeadlineExceeded, TimeLimiter, current_deadline, deadline
from recoup.testing import VirtualClock
from tests.conftest import Both


def left() -> float:
    """Tell how long the running call may still take."""
    found = current_deadline()
    assert found is not None
    return found.remaining()


def test_calls_get_the_time_that_holds_when_they_begin(both: Both, clock: VirtualClock) -> None:
    """A decorated function, whatever its colour, follows its limiter (D1)."""
    limiter = deadline(5, mode="cooperative")
    call = limiter(both.wrap(left))
    assert both.call(call) == 5
    limiter.reconfigure(seconds=2)
    assert limiter.config == DeadlineConfig(2, mode="cooperative")
    assert both.call(call) == both.execute(limiter, left) == 2
    limiter.reconfigure(DeadlineConfig(9, mode="cooperative", reserve=1))
    outer = deadline(4, mode="cooperative")(call)
    assert both.call(outer) == 3
    limiter.reconfigure(reserve=0.5)
    assert both.call(outer) == 3.5


async def test_a_call_that_runs_keeps_its_time(clock: VirtualClock) -> None:
    """Neither a shorter nor a longer time reaches calls and blocks that have begun (D2)."""
    limiter = deadline(5)

    @limiter
    async def hang() -> None:
        await asyncio.sleep(3600)

    async def block() -> None:
        async with limiter:
            await asyncio.sleep(3600)

    running = [asyncio.ensure_future(hang()), asyncio.ensure_future(block())]
    await asyncio.sleep(1)
    limiter.reconfigure(seconds=1)
    began = clock.monotonic()
    for call in (hang, block):
        with pytest.raises(DeadlineExceeded) as told:
            await call()
        assert told.value.seconds == 1
    assert clock.monotonic() - began == 2
    limiter.reconfigure(seconds=100)
    for task in running:
        with pytest.raises(DeadlineExceeded) as told:
            await task
        assert told.value.seconds == 5
    assert clock.monotonic() - began == 4


async def test_an_iteration_keeps_its_time(clock: VirtualClock) -> None:
    """A generator's time is that of its first step (D1, G17)."""
    limiter = deadline(5)

    @limiter
    async def steps() -> AsyncIterator[float]:
        while True:
            yield left()

    running = steps()
    assert await anext(running) == 5
    limiter.reconfigure(seconds=2)
    assert await anext(running) == 5
    await running.aclose()  # type: ignore[attr-defined]  # a generator, whatever it says
    begun = steps()
    assert await anext(begun) == 2
    await begun.aclose()  # type: ignore[attr-defined]  # as above


def test_a_plain_block_gets_the_time_that_holds(clock: VirtualClock) -> None:
    """`with limiter:` follows its limiter (D1)."""
    limiter = deadline(5, mode="cooperative")
    with limiter:
        limiter.reconfigure(seconds=2)
        assert left() == 5
    with limiter:
        assert left() == 2


def test_calls_in_threads_get_the_time_that_holds(clock: VirtualClock) -> None:
    """With `mode="thread"` too, called or executed, plain or awaited (D3)."""
    limiter = deadline(5, mode="thread")
    call = limiter(left)
    assert call() == 5
    limiter.reconfigure(seconds=2)
    assert call() == limiter.execute_sync(left) == 2
    assert asyncio.run(limiter.execute(left)) <= 2


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"mode": None}, ValueError, r"^mode must stay as it is in <TimeLimiter 'deadline' 5 s>"),
        ({"mode": "thread", "thread_workers": 3}, ValueError, r"^mode and thread_workers must stay as they are"),
        ({"seconds": 0}, ValueError, r"^seconds must be greater than 0"),
        ({"seconds": 2, "reserve": float("nan")}, ValueError, r"^reserve must be"),
        ({"seconds": True}, TypeError, r"^seconds must be"),
        ({"second": 2}, TypeError, r"unexpected keyword argument 'second'; did you mean 'seconds'\?"),
    ],
)
def test_bad_changes_change_nothing(changes: dict[str, Any], error: type[Exception], match: str) -> None:
    """They are refused whole, naming the argument (G1)."""
    limiter = TimeLimiter(DeadlineConfig(5, mode="cooperative"))
    with pytest.raises(error, match=match):
        limiter.reconfigure(**changes)
    assert limiter.config == DeadlineConfig(5, mode="cooperative")
    with limiter:
        assert left() <= 5


def test_explain_and_repr_show_the_time_that_holds() -> None:
    """What is told is what is done, and there is nothing to forget (G14)."""
    limiter = TimeLimiter(DeadlineConfig(5))
    limiter.reconfigure(seconds=2.5)
    assert repr(limiter) == "<TimeLimiter 'deadline' 2.5 s>"
    assert limiter._says() == ["cancels the call after 2.5 s, or when a deadline outside strikes"]
    limiter.reset()
    assert limiter.config.seconds == 2.5


def test_changes_while_many_threads_call() -> None:
    """Every call sees one of the times that were set, never a mixture (G7)."""
    limiter = deadline(100, mode="cooperative")
    seen: set[tuple[float, float]] = set()
    go, stop = threading.Barrier(33), threading.Event()

    @limiter
    def look() -> None:
        found = current_deadline()
        assert found is not None
        seen.add((found.seconds, 100 * (found.remaining() > 100) + 100))

    def calls() -> None:
        go.wait()
        while not stop.is_set():
            look()

    threads = [threading.Thread(target=calls) for _ in range(32)]
    for thread in threads:
        thread.start()
    go.wait()
    for _ in range(200):
        limiter.reconfigure(seconds=200)
        limiter.reset()
        limiter.reconfigure(seconds=100)
    limiter.reconfigure(seconds=200)
    look()
    stop.set()
    for thread in threads:
        thread.join()
    assert seen <= {(100.0, 100.0), (200.0, 200.0)}
    assert (200.0, 200.0) in seen
