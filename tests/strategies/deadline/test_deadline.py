"""`@deadline`: async functions are cancelled, plain ones have to say what they want."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import math
import pickle
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest

from recoup import (
    DeadlineConfig,
    DeadlineExceeded,
    TimeLimiter,
    current_deadline,
    deadline,
    explain,
    layers_of,
    subscribe,
)
from recoup._core import clock as seam
from recoup.events import DeadlineStruck
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both

NOT_ASYNC = "is not asynchronous, so nothing can interrupt it"


@deadline(5)
async def module_level(x: int) -> int:
    """Double."""
    await asyncio.sleep(0)
    return 2 * x


def test_in_time(both: Both, clock: VirtualClock) -> None:
    """A call that ends in time gives its result, and knows inside how much time is left (D1)."""

    def work(x: int, *, y: int = 2) -> tuple[int, int, float, str]:
        ambient = current_deadline()
        assert ambient is not None
        return x, y, ambient.remaining(), ambient.name

    limited = deadline(5, mode="cooperative")(both.wrap(work))
    assert both.call(limited, 1) == (1, 2, 5, f"{work.__qualname__}")
    assert both.call(limited, 1, y=3)[1] == 3


def test_too_late(both: Both, clock: VirtualClock) -> None:
    """An async call is cancelled on time; a cooperative plain one runs to its end and its result counts (D2, D3)."""
    limited = deadline(5, mode="cooperative")(both.wrap(lambda: both.pause(50) or "late"))
    if both.is_async:
        with pytest.raises(DeadlineExceeded, match=r"<lambda>: not finished within 5 s") as caught:
            both.call(limited)
        assert caught.value.started is True
        assert clock.monotonic() == 1005
    else:
        assert both.call(limited) == "late"
        assert clock.monotonic() == 1050


def test_cooperative_code_checks_for_itself(both: Both, clock: VirtualClock) -> None:
    """`current_deadline().check()` ends a loop in time, sync and async (D3)."""
    done: list[int] = []

    def work() -> None:
        ambient = current_deadline()
        assert ambient is not None
        for n in range(100):
            ambient.check()
            seam.sleep(2)
            done.append(n)

    with pytest.raises(DeadlineExceeded):
        both.call(deadline(5, mode="cooperative")(both.wrap(work)))
    assert done == [0, 1, 2]


def test_nested_calls_share_what_is_left(both: Both, clock: VirtualClock) -> None:
    """A function called inside a deadline is bound by it, and refused when it has no time (D1, G13)."""
    calls: list[float] = []

    @deadline(50, mode="cooperative", name="inner")
    def inner() -> None:
        ambient = current_deadline()
        assert ambient is not None
        calls.append(ambient.remaining())

    def outer() -> None:
        for _ in range(5):
            inner()
            clock.advance(2)

    with pytest.raises(DeadlineExceeded, match="outer: 5 s were used up before the call could start") as caught:
        both.call(deadline(5, mode="cooperative", name="outer")(both.wrap(outer)))
    assert caught.value.started is False
    assert calls == [5, 3, 1]


@pytest.mark.parametrize("plain", [lambda: None, functools.partial(int, "1"), (lambda: (yield))])
def test_a_plain_function_has_to_say_a_mode(plain: Any) -> None:
    """Without a mode a plain function, partial or generator is refused; the message explains both (D3)."""
    with pytest.raises(TypeError, match=NOT_ASYNC) as caught:
        deadline(2)(plain)
    assert 'mode="cooperative"' in str(caught.value)
    assert 'mode="thread"' in str(caught.value)


def test_executing_a_plain_function_needs_a_mode_as_well() -> None:
    """`execute` and `execute_sync` fool nobody either: in a task a plain function cannot be interrupted (D3)."""
    limiter = TimeLimiter(DeadlineConfig(2))
    with pytest.raises(TypeError, match=NOT_ASYNC):
        limiter.execute_sync(lambda: None)
    with pytest.raises(TypeError, match=NOT_ASYNC):
        asyncio.run(limiter.execute(lambda: None))


def test_generators_cannot_run_in_a_thread() -> None:
    """A generator's steps belong to its consumer's thread; the message says what to do (D3)."""

    def items() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r'mode="thread" cannot run .*items.*, a generator'):
        deadline(2, mode="thread")(items)


@pytest.mark.parametrize("mode", ["cooperative", "thread"])
async def test_async_functions_ignore_the_mode(clock: VirtualClock, mode: Any) -> None:
    """A limiter shared by plain and async functions cancels the async ones (D3)."""
    with pytest.raises(DeadlineExceeded):
        await deadline(5, mode=mode)(asyncio.sleep)(50)

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(50)

    with pytest.raises(DeadlineExceeded):
        _ = [n async for n in deadline(5, mode=mode)(items)()]


def test_execute(both: Both, clock: VirtualClock) -> None:
    """A limiter runs any function without decorating it."""
    limiter = TimeLimiter(DeadlineConfig(5, mode="cooperative"), name="box")

    def work(x: int) -> tuple[int, float]:
        ambient = current_deadline()
        assert ambient is not None
        return x, ambient.remaining()

    assert both.execute(limiter, both.wrap(work), 7) == (7, 5)
    if both.is_async:
        with pytest.raises(DeadlineExceeded, match="box: not finished within 5 s"):
            both.execute(limiter, lambda: both.pause(50))


def test_a_plain_function_that_returns_a_coroutine(clock: VirtualClock) -> None:
    """A sync-looking function is limited to the end of the coroutine that it returns (G5)."""

    @deadline(5, mode="cooperative")
    def limited(seconds: float) -> Awaitable[str]:
        return asyncio.sleep(seconds, "value")

    async def main() -> None:
        assert await limited(1) == "value"
        with pytest.raises(DeadlineExceeded):
            await limited(50)

    Both("asyncio").run(main)


def test_streams(both: Both, clock: VirtualClock) -> None:
    """A generator has its time from the first item to the last (G17)."""

    def items() -> Iterator[float]:
        for _ in range(10):
            ambient = current_deadline()
            assert ambient is not None
            yield ambient.remaining()
            clock.advance(2)

    limited = deadline(5, mode="cooperative", name="items")(both.wrap(items))
    with pytest.raises(DeadlineExceeded, match="items: not finished within 5 s"):
        both.call(limited)


def test_methods_and_class_methods(both: Both, clock: VirtualClock) -> None:
    """Methods of every kind are limited (G5)."""

    def bound(self: Any) -> tuple[Any, bool]:
        return self, current_deadline() is not None

    class Service:
        plain = deadline(5, mode="cooperative")(both.wrap(bound))
        of_class = deadline(5, mode="cooperative")(classmethod(both.wrap(bound)))

    service = Service()
    assert both.call(service.plain) == (service, True)
    assert both.call(Service.of_class) == (Service, True)


def test_identity_is_kept() -> None:
    """Name, docstring, signature, colour, pickling and copying stay (G6)."""
    assert module_level.__name__ == "module_level"
    assert module_level.__doc__ == "Double."
    assert inspect.iscoroutinefunction(module_level)
    assert list(inspect.signature(module_level).parameters) == ["x"]
    assert pickle.loads(pickle.dumps(module_level)) is module_level  # noqa: S301 - our own bytes
    assert copy.deepcopy(module_level) is module_level
    assert [layer.kind for layer in layers_of(module_level)] == ["deadline"]
    assert layers_of(module_level)[0].name == "module_level"
    assert asyncio.run(module_level(3)) == 6


def test_one_limiter_for_many_calls_at_once(clock: VirtualClock) -> None:
    """Each call of a shared limiter has a deadline of its own (G8)."""
    limiter = deadline(5)

    async def call(start: float, length: float) -> str:
        await asyncio.sleep(start)
        try:
            await limiter(asyncio.sleep)(length)
        except DeadlineExceeded:
            return f"cut at {clock.monotonic() - 1000:g}"
        return f"done at {clock.monotonic() - 1000:g}"

    async def main() -> list[str]:
        return list(await asyncio.gather(call(0, 9), call(1, 2), call(2, 9), call(3, 4)))

    assert Both("asyncio").run(main) == ["cut at 5", "done at 3", "cut at 7", "done at 7"]


def test_events(both: Both, clock: VirtualClock) -> None:
    """A deadline that strikes, or leaves no time, tells DeadlineStruck under the limiter's name."""
    told: list[Any] = []

    def work() -> Any:
        if both.is_async:
            return both.pause(50)
        clock.advance(50)
        return deadline(9, mode="cooperative")(lambda: None)()

    with subscribe(told.append), pytest.raises(DeadlineExceeded):
        both.call(deadline(5, mode="cooperative", name="fetch")(both.wrap(work)))
    assert told == [DeadlineStruck("fetch", 5, started=both.is_async)]


def test_recovery_off(both: Both, clock: VirtualClock) -> None:
    """With recovery switched off nothing is cut and nothing refused (G16)."""
    limited = deadline(5, mode="cooperative")(both.wrap(lambda: both.pause(50)))
    with disabled():
        both.call(limited)
    assert clock.monotonic() == 1050


@pytest.mark.parametrize(
    ("mode", "says", "plain", "awaited"),
    [
        (None, "cancels the call after 5 s", None, 5),
        ("cooperative", "allows 5 s", math.inf, 5),
        ("thread", "gives its caller control back after 5 s", 5, 5),
    ],
)
def test_it_explains_itself(mode: Any, says: str, plain: float | None, awaited: float) -> None:
    """A limiter says what it does, and what it bounds: nothing ends a cooperative plain function but itself (D3)."""

    def work() -> None: ...

    async def work_async() -> None: ...

    limiter = deadline(5, mode=mode)
    assert explain(limiter).says[0][0].startswith(says)
    assert explain(limiter(work_async)).worst_seconds == awaited
    if plain is not None:
        assert explain(limiter(work)).worst_seconds == plain
