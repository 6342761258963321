"""`with breaker:` and `async with breaker:` (C1, C5, G2, G7, G17)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker import blocks
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def breaking(**fields: Any) -> CircuitBreaker:
    fields = {"failure_threshold": 1, "success_threshold": 1, "timeout": 60, **fields}
    return CircuitBreaker(CircuitBreakerConfig(**fields), name="service")


def block(both: Both, manager: Any, body: Callable[[], Any]) -> Any:
    """Run something inside a block of either colour; give what `as` gave."""

    def inside() -> Any:
        with manager as entered:
            body()
        return entered

    async def inside_async() -> Any:
        async with manager as entered:
            body()
        return entered

    return both.call(inside_async if both.is_async else inside)


def down() -> None:
    raise OSError("down")


def test_a_block_is_protected_like_a_function(both: Both, clock: VirtualClock) -> None:
    """Failures open, open refuses, a good probe closes (C1)."""
    breaker = breaking()
    assert block(both, breaker, lambda: None) is breaker
    with pytest.raises(OSError, match="down") as failed:
        block(both, breaker, down)
    assert failed.value.__context__ is None
    with pytest.raises(CircuitBreakerError):
        block(both, breaker, lambda: pytest.fail("the body ran"))
    clock.advance(60)
    with pytest.raises(OSError, match="down"):
        block(both, breaker, down)
    assert breaker.state.value == "open"
    clock.advance(60)
    block(both, breaker, lambda: None)
    assert breaker.state.value == "closed"
    assert blocks._entered.get() == ()


def test_successes_of_blocks_are_numbered_like_those_of_functions(both: Both) -> None:
    """They push failures out of the window (C2)."""
    breaker = breaking(failure_threshold=2, window_size=2)
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            block(both, breaker, down)
        block(both, breaker, lambda: None)
    assert breaker.state.value == "closed"


def test_a_block_of_a_disabled_breaker_is_not_counted(both: Both) -> None:
    """Neither as a failure nor as a late result (C1)."""
    breaker = breaking()
    with breaker.disable():
        block(both, breaker, lambda: None)
        with pytest.raises(OSError, match="down"):
            block(both, breaker, down)
    assert breaker.metrics == {"opened": 0, "refused": 0, "late": 0, "would_open": 0}


def test_a_callback_may_enter_a_block_while_news_is_pending(both: Both) -> None:
    """It is the teller itself that enters: nobody else will tell first (G9)."""
    seen: list[str] = []
    breaker: CircuitBreaker

    def on_open() -> None:
        breaker.reset()
        with breaker:
            pass
        seen.append("left a block")

    async def on_open_async() -> None:
        breaker.reset()
        async with breaker:
            pass
        seen.append("left a block")

    breaker = breaking(on_open=on_open_async if both.is_async else on_open, on_close=lambda: seen.append("closed"))
    with pytest.raises(OSError, match="down"):
        block(both, breaker, down)
    assert seen == ["left a block", "closed"]


def test_a_guard_is_the_same_in_an_object(both: Both, clock: VirtualClock) -> None:
    """It may be used again after it was left (C1)."""
    breaker = breaking()
    guard = breaker.guard()
    assert block(both, guard, lambda: None) is guard
    with pytest.raises(OSError, match="down"):
        block(both, guard, down)
    with pytest.raises(CircuitBreakerError):
        block(both, guard, lambda: None)
    clock.advance(60)
    block(both, guard, lambda: None)
    assert breaker.state.value == "closed"


def test_control_flow_gives_the_probe_back(both: Both, clock: VirtualClock) -> None:
    """Leaving a block by an interrupt is neutral (G2)."""
    breaker = breaking(half_open_max=1)
    with pytest.raises(OSError, match="down"):
        block(both, breaker, down)
    clock.advance(60)

    def interrupt() -> None:
        raise GeneratorExit

    for _ in range(3):
        with pytest.raises(GeneratorExit):
            block(both, breaker, interrupt)
        assert breaker.state.value == "half_open"
    block(both, breaker, lambda: None)
    assert breaker.state.value == "closed"


def test_blocks_nest(both: Both, clock: VirtualClock) -> None:
    """The same breaker and others, left in order (C1)."""
    first, second = breaking(failure_threshold=2), breaking()
    seen: list[Any] = []

    def inner() -> None:
        seen.append([guard.breaker for guard in blocks._entered.get()])
        raise OSError("down")

    def nested() -> None:
        with first, second, first:
            inner()

    async def nested_async() -> None:
        async with first, second, first:
            inner()

    with pytest.raises(OSError, match="down"):
        both.call(nested_async if both.is_async else nested)
    assert seen == [[first, second, first]]
    assert (first.state.value, second.state.value) == ("open", "open")


def test_blocks_of_two_breakers_may_be_left_in_any_order() -> None:
    """An exit stack or a generator need not be orderly: each exit finds its own entry (C1)."""
    first, second = breaking(), breaking()
    first.__enter__()
    second.__enter__()
    first.__exit__(OSError, OSError("down"), None)
    second.__exit__(None, None, None)
    assert (first.state.value, second.state.value) == ("open", "closed")
    assert blocks._entered.get() == ()


async def test_each_task_has_its_own_entry(clock: VirtualClock) -> None:
    """Of two tasks in one breaker, each settles its own probe, in whatever order they leave (G7)."""
    breaker = breaking(success_threshold=3)
    with pytest.raises(OSError, match="down"):
        async with breaker:
            down()
    await asyncio.sleep(60)

    async def work(seconds: float) -> None:
        async with breaker:
            await asyncio.sleep(seconds)

    await asyncio.gather(work(3), work(1), work(2))
    assert breaker.state.value == "closed"


async def test_a_task_started_in_a_block_does_not_leave_it(clock: VirtualClock) -> None:
    """It inherits a copy of the context, with an entry that is not its own (G7)."""
    breaker = breaking(success_threshold=2)
    with pytest.raises(OSError, match="down"):
        async with breaker:
            down()
    await asyncio.sleep(60)

    async def child() -> None:
        async with breaker:
            pass

    async def parent() -> None:
        async with breaker:
            await asyncio.create_task(child())
            assert breaker.state.value == "half_open"
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await parent()
    assert breaker.state.value == "open"


def test_each_thread_has_its_own_entry(clock: VirtualClock) -> None:
    """As tasks have (G7)."""
    breaker = breaking(failure_threshold=3)
    meeting = threading.Barrier(3, timeout=10)

    def work() -> None:
        with contextlib.suppress(OSError), breaker:
            meeting.wait()
            down()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.state.value == "open"


def test_leaving_in_another_context_says_what_to_do() -> None:
    """A fixture or generator may be ended elsewhere: silence would lose the outcome (C1)."""
    breaker = breaking()

    def fixture() -> Generator[None]:
        with breaker:
            yield

    generator = fixture()
    contextvars.copy_context().run(next, generator)
    with pytest.raises(RuntimeError, match=r"'service' was left in another context.*`with breaker.guard\(\):`"):
        next(generator, None)


def test_leaving_in_another_context_does_not_hide_the_error() -> None:
    """The user's own error comes out itself (G3)."""
    breaker = breaking()

    def fixture() -> Generator[None]:
        with breaker:
            yield

    async def fixture_async() -> Any:
        async with breaker:
            yield

    generator = fixture()
    contextvars.copy_context().run(next, generator)
    with pytest.raises(OSError, match="down") as caught:
        generator.throw(OSError("down"))
    assert caught.value.__context__ is None
    stream: Any = fixture_async()

    def begin() -> None:
        with pytest.raises(StopIteration):
            stream.__anext__().send(None)

    contextvars.copy_context().run(begin)
    with pytest.raises(OSError, match="down"):
        stream.athrow(OSError("down")).send(None)


def test_a_guard_may_be_left_in_another_context() -> None:
    """That is what it is for (C1)."""
    breaker = breaking()

    def fixture() -> Generator[None]:
        with breaker.guard():
            yield

    generator = fixture()
    contextvars.copy_context().run(next, generator)
    with pytest.raises(OSError, match="down"):
        generator.throw(OSError("down"))
    assert breaker.state.value == "open"


def test_a_guard_is_entered_once_at_a_time(both: Both) -> None:
    """It holds one permit (C1)."""
    guard = breaking().guard()
    with pytest.raises(RuntimeError, match=r"entered already: call breaker.guard\(\) for each block"):
        block(both, guard, lambda: block(Both("sync"), guard, lambda: None))
    with pytest.raises(RuntimeError, match="left without being entered"):
        guard.__exit__(None, None, None)


def test_a_block_refuses_what_it_cannot_honour(both: Both) -> None:
    """It has no result to judge (R9)."""
    breaker = breaking(failure_on_result=bool)
    for manager in (breaker, breaker.guard()):
        with pytest.raises(TypeError, match="failure_on_result cannot work round a block"):
            block(both, manager, lambda: None)


async def test_async_callbacks_are_awaited_round_blocks(clock: VirtualClock) -> None:
    """Opening at the exit, half-opening at the entry (G9)."""
    seen: list[str] = []

    def notify(name: str) -> Callable[[], Any]:
        async def callback() -> None:
            await asyncio.sleep(1)
            seen.append(name)

        return callback

    breaker = breaking(on_open=notify("open"), on_half_open=notify("half open"), on_close=notify("close"))
    with pytest.raises(OSError, match="down"):
        async with breaker:
            down()
    await asyncio.sleep(60)
    async with breaker:
        seen.append("body")
    assert seen == ["open", "half open", "body", "close"]


def test_callbacks_run_round_blocks(clock: VirtualClock) -> None:
    """The same for plain ones (G9)."""
    seen: list[str] = []
    breaker = breaking(
        on_open=lambda: seen.append("open"),
        on_half_open=lambda: seen.append("half open"),
        on_close=lambda: seen.append("close"),
    )
    with pytest.raises(OSError, match="down"), breaker:
        down()
    clock.advance(60)
    with breaker:
        seen.append("body")
    assert seen == ["open", "half open", "body", "close"]


async def test_an_entry_cancelled_while_it_tells_holds_nothing(clock: VirtualClock) -> None:
    """A probe is taken after the news, so none is lost with it (G2)."""

    async def notified() -> None:
        await asyncio.sleep(100)

    breaker = breaking(half_open_max=1, on_half_open=notified)
    with pytest.raises(OSError, match="down"):
        async with breaker:
            down()
    await asyncio.sleep(60)

    async def work() -> None:
        async with breaker:
            pass

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await work()
    assert breaker.state.value == "closed"
