"""Generators behind a circuit breaker (G2, G5, G17, R8, C4, C5)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any

import pytest

from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


class Streams:
    """A generator of either colour behind a breaker: two items, then what `end` says."""

    def __init__(self, both: Both, **fields: Any) -> None:
        fields = {"failure_threshold": 1, "success_threshold": 1, "timeout": 60, **fields}
        self.both = both
        self.breaker = CircuitBreaker(CircuitBreakerConfig(**fields), name="stream")
        self.end: BaseException | None = None
        self.begun = 0

        @self.breaker
        def stream() -> Generator[Any, Any, None]:
            self.begun += 1
            yield 1
            yield 2
            if self.end is not None:
                raise self.end

        @self.breaker
        async def stream_async() -> AsyncGenerator[Any, Any]:
            self.begun += 1
            yield 1
            yield 2
            if self.end is not None:
                raise self.end

        self.fn: Any = stream_async if both.is_async else stream

    def all(self) -> Any:
        return self.both.call(self.fn)

    def step(self, generator: Any, error: BaseException | None = None) -> Any:
        """Go one item on, or throw something in, without a loop."""
        if not self.both.is_async:
            return next(generator) if error is None else generator.throw(error)
        awaitable = generator.__anext__() if error is None else generator.athrow(error)
        try:
            awaitable.send(None)
        except StopIteration as item:
            return item.value
        raise AssertionError("it waits")

    def close(self, generator: Any) -> None:
        if not self.both.is_async:
            generator.close()
            return
        with contextlib.suppress(StopIteration):
            generator.aclose().send(None)

    @property
    def state(self) -> str:
        return self.breaker.state.value


def test_a_stream_is_admitted_at_its_first_item(both: Both, clock: VirtualClock) -> None:
    """Making the generator asks nobody; an open circuit refuses before the function runs (G5)."""
    made = Streams(both)
    early = made.fn()
    made.end = OSError("down")
    with pytest.raises(OSError, match="down"):
        made.all()
    assert made.state == "open"
    for generator in (early, made.fn()):
        with pytest.raises(CircuitBreakerError):
            made.step(generator)
    assert made.begun == 1


def test_a_stream_succeeds_by_ending(both: Both, clock: VirtualClock) -> None:
    """As a probe and as a call of the window (C2, C5)."""
    made = Streams(both, failure_threshold=2, window_size=2)
    for _ in range(3):
        made.end = OSError("down")
        with pytest.raises(OSError, match="down"):
            made.all()
        made.end = None
        assert made.all() == [1, 2]
    assert made.state == "closed"
    made = Streams(both)
    made.end = OSError("down")
    with pytest.raises(OSError, match="down"):
        made.all()
    clock.advance(60)
    made.end = None
    generator = made.fn()
    assert [made.step(generator), made.step(generator)] == [1, 2]
    assert made.state == "half_open"
    with pytest.raises(CircuitBreakerError):
        made.all()
    with pytest.raises((StopIteration, StopAsyncIteration)):
        made.step(generator)
    assert made.state == "closed"


def test_an_error_of_the_stream_is_a_failure_at_any_item(both: Both, clock: VirtualClock) -> None:
    """It comes out itself (G3)."""
    made = Streams(both, failure_threshold=2)
    for _ in range(2):
        made.end = OSError("down")
        with pytest.raises(OSError, match="down") as caught:
            made.all()
        assert caught.value is made.end
    assert made.state == "open"


def test_a_consumer_that_leaves_is_neutral(both: Both, clock: VirtualClock) -> None:
    """The probe is back at once, and nothing is counted (G2, C5)."""
    made = Streams(both, half_open_max=1)
    made.end = OSError("down")
    with pytest.raises(OSError, match="down"):
        made.all()
    clock.advance(60)
    for _ in range(3):
        generator = made.fn()
        made.step(generator)
        with pytest.raises(CircuitBreakerError):
            made.step(made.fn())
        made.close(generator)
        assert made.state == "half_open"
    made.end = None
    made.all()
    assert made.state == "closed"


def test_a_stream_that_is_never_resumed_gives_its_probe_back(both: Both, clock: VirtualClock) -> None:
    """When it is collected; async ones too, without a loop to close them (G2, G17)."""
    made = Streams(both, half_open_max=1)
    made.end = OSError("down")
    with pytest.raises(OSError, match="down"):
        made.all()
    clock.advance(60)
    made.end = None
    gc.disable()
    try:
        for _ in range(3):
            generator = made.fn()
            assert made.step(generator) == 1
            del generator
    finally:
        gc.enable()
    made.all()
    assert made.state == "closed"


def test_what_the_consumer_throws_in_is_the_consumers(both: Both, clock: VirtualClock) -> None:
    """Come out again unchanged it is neutral; the generator's own answer to it counts (R8)."""
    made = Streams(both)
    generator = made.fn()
    made.step(generator)
    with pytest.raises(OSError, match="mine"):
        made.step(generator, OSError("mine"))
    assert made.state == "closed"

    @made.breaker
    def answering() -> Generator[int]:
        try:
            yield 1
        except OSError:
            raise KeyError("theirs") from None

    items: Any = answering()
    next(items)
    with pytest.raises(KeyError, match="theirs"):
        items.throw(OSError("mine"))
    assert made.state == "open"


def test_a_stream_may_go_on_after_what_was_thrown_in(clock: VirtualClock) -> None:
    """send, throw and the return value pass through, and ending well is a success."""

    @circuit_breaker(failure_threshold=1)
    def talk() -> Generator[str, Any, str]:
        try:
            got = yield "begin"
        except OSError:
            got = yield "caught"
        return f"got {got}"

    for first in (None, OSError("mine")):
        generator = talk()
        assert next(generator) == "begin"
        if first is not None:
            assert generator.throw(first) == "caught"
        with pytest.raises(StopIteration, match="got 7"):
            generator.send(7)


def test_an_error_while_the_consumer_closes_is_neutral_and_takes_no_lock(both: Both, clock: VirtualClock) -> None:
    """It may run in the collector while the lock is held by this very thread (G7)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    @breaker
    def unclean() -> Generator[int]:
        try:
            yield 1
        finally:
            raise OSError("while closing")

    @breaker
    async def unclean_async() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            raise OSError("while closing")

    made = Streams(both)
    made.fn = unclean_async if both.is_async else unclean
    generator = made.fn()
    made.step(generator)
    with breaker._calls.circuit._lock, pytest.raises(OSError, match="while closing"):
        made.close(generator)
    assert breaker.state.value == "closed"


def test_a_late_end_of_a_stream_decides_nothing(both: Both, clock: VirtualClock) -> None:
    """It began in an earlier state (C4)."""
    made = Streams(both)
    slow = made.fn()
    made.step(slow)
    made.end = OSError("down")
    with pytest.raises(OSError, match="down"):
        made.all()
    clock.advance(60)
    made.end = None
    assert made.step(slow) == 2
    with pytest.raises((StopIteration, StopAsyncIteration)):
        made.step(slow)
    assert made.state == "half_open"
    assert made.breaker.metrics["late"] == 1


def test_a_stream_that_is_not_consumed_in_time_is_a_lost_probe(both: Both, clock: VirtualClock) -> None:
    """Nobody knows whether it would have ended well (C5)."""
    made = Streams(both, half_open_timeout=10)
    made.end = OSError("down")
    with pytest.raises(OSError, match="down"):
        made.all()
    clock.advance(60)
    generator = made.fn()
    made.step(generator)
    clock.advance(10)
    assert made.state == "open"


def test_a_stream_of_a_disabled_breaker_is_not_counted(both: Both, clock: VirtualClock) -> None:
    """Neither as a failure nor as a late result (C1)."""
    made = Streams(both)
    with made.breaker.disable():
        assert made.all() == [1, 2]
        made.end = OSError("down")
        with pytest.raises(OSError, match="down"):
            made.all()
    assert made.breaker.metrics == {"opened": 0, "refused": 0, "late": 0, "would_open": 0}


def test_a_stream_has_no_result_to_judge(both: Both) -> None:
    """Refused at decoration, saying what to do instead (G1)."""
    with pytest.raises(TypeError, match=r"failure_on_result cannot judge .*stream.*, a generator"):
        Streams(both, failure_on_result=bool)


async def test_a_cancelled_stream_is_neutral(clock: VirtualClock) -> None:
    """The caller's cancellation at an await of the generator (G2)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    @breaker
    async def slow() -> AsyncGenerator[int]:
        await asyncio.sleep(100)
        yield 1

    async def consume() -> None:
        async for _ in slow():
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.state.value == "closed"


async def test_async_callbacks_are_awaited_round_streams(clock: VirtualClock) -> None:
    """Half-opening before the first item, opening before the error, closing before the end (G9)."""
    seen: list[Any] = []

    def notify(name: str) -> Any:
        async def callback() -> None:
            await asyncio.sleep(1)
            seen.append(name)

        return callback

    answers: list[Exception | None] = [OSError("down"), None]

    @circuit_breaker(
        failure_threshold=1,
        success_threshold=1,
        on_open=notify("open"),
        on_half_open=notify("half open"),
        on_close=notify("close"),
    )
    async def stream() -> AsyncGenerator[str]:
        seen.append("begin")
        yield "item"
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    with pytest.raises(OSError, match="down"):
        seen.extend([item async for item in stream()])
    assert seen == ["begin", "open"]
    await asyncio.sleep(60)
    assert [item async for item in stream()] == ["item"]
    assert seen == ["begin", "open", "half open", "begin", "close"]


def test_callbacks_run_round_streams(clock: VirtualClock) -> None:
    """The same for plain generators (G9)."""
    seen: list[Any] = []
    answers: list[Exception | None] = [OSError("down"), None]

    @circuit_breaker(
        failure_threshold=1,
        success_threshold=1,
        on_open=lambda: seen.append("open"),
        on_half_open=lambda: seen.append("half open"),
        on_close=lambda: seen.append("close"),
    )
    def stream() -> Generator[str]:
        seen.append("begin")
        yield "item"
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    with pytest.raises(OSError, match="down"):
        list(stream())
    assert seen == ["begin", "open"]
    clock.advance(60)
    assert list(stream()) == ["item"]
    assert seen == ["begin", "open", "half open", "begin", "close"]
