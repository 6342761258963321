"""What `disabled`, `instant` and `enabled` promise (G16)."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

import pytest

from recoup._core import mode
from recoup.strategies.retry.config import RetryConfig
from recoup.strategies.retry.strategy import RetryExecutor
from recoup.testing import disabled, enabled, instant
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from recoup.testing import VirtualClock
    from recoup.testing.switch import Switch


@pytest.fixture(params=["sync", "asyncio", "trio"])
def each(request: pytest.FixtureRequest) -> Both:
    """Give all three colours whatever the options."""
    return Both(request.param)


class Flaky:
    """A function that always fails, and counts."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.calls = 0

    def _body(self) -> None:
        self.calls += 1
        raise ConnectionError("down")

    def run(self) -> int:
        """Try, and tell how many calls it took."""
        self.calls = 0
        with pytest.raises(ConnectionError, match="down"):
            self.both.execute(RetryExecutor(RetryConfig(max_attempts=3)), self.both.wrap(self._body))
        return self.calls


def test_disabled_makes_one_plain_call(both: Both, clock: VirtualClock) -> None:
    """Inside `disabled` a retry gives up at the first failure; behind it everything is as before (G16)."""
    flaky = Flaky(both)
    with disabled():
        assert flaky.run() == 1
    assert clock.sleeps == []
    assert flaky.run() == 3
    assert len(clock.sleeps) == 2


def test_instant_retries_without_waiting(both: Both, clock: VirtualClock) -> None:
    """Inside `instant` a retry makes all its attempts and sleeps for none of them (G16)."""
    with instant():
        assert Flaky(both).run() == 3
    assert clock.sleeps == []


def test_scopes_nest_and_restore(both: Both, clock: VirtualClock) -> None:
    """The innermost scope decides, and leaving one brings back the one around it (G16)."""
    flaky = Flaky(both)
    with disabled():
        with instant():
            assert flaky.run() == 3
        assert flaky.run() == 1
        with enabled():
            assert flaky.run() == 3
            assert len(clock.sleeps) == 2
        assert flaky.run() == 1


@pytest.mark.parametrize("scope", [disabled, instant, enabled])
def test_scope_ends_with_an_error(scope: Callable[[], Switch]) -> None:
    """A scope that is left by an exception is over all the same, and does not swallow it."""
    with pytest.raises(KeyError, match="the way out"), scope():
        raise KeyError("the way out")
    assert not mode.off()
    assert not mode.instant()
    assert mode.active == 0


def test_scope_opens_once() -> None:
    """One scope object cannot be open twice at a time."""
    scope = disabled()
    with scope, pytest.raises(RuntimeError, match="open already"):
        scope.__enter__()
    assert mode.active == 0


def test_other_threads_are_not_affected() -> None:
    """The switch belongs to the context that set it (G16)."""
    seen: list[bool] = []
    with disabled():
        thread = threading.Thread(target=lambda: seen.append(mode.off()))
        thread.start()
        thread.join()
        assert mode.off()
    assert seen == [False]


async def test_other_tasks_are_not_affected_and_children_are() -> None:
    """A task sees the scopes it was started in, while they are open, and no others (G16)."""
    opened, leave = asyncio.Event(), asyncio.Event()
    seen: list[tuple[str, bool]] = []

    async def child() -> None:
        seen.append(("child inside", mode.off()))
        await leave.wait()
        seen.append(("child that outlives the block", mode.off()))

    async def scoped() -> asyncio.Task[None]:
        with disabled():
            task = asyncio.create_task(child())
            await asyncio.sleep(0)
            opened.set()
            await asyncio.sleep(0)
        return task

    async def stranger() -> None:
        await opened.wait()
        seen.append(("stranger", mode.off()))

    other = asyncio.create_task(stranger())
    task = await scoped()
    leave.set()
    await asyncio.gather(task, other)
    assert dict(seen) == {"child inside": True, "child that outlives the block": False, "stranger": False}


@pytest.mark.parametrize("scope", [disabled, instant, enabled])
async def test_scopes_work_with_async_with(scope: Callable[[], Switch]) -> None:
    """`async with` does what `with` does, and ends with an error (G16)."""

    async def inside() -> None:
        async with disabled(), scope():
            assert mode.off() is (scope is disabled)
            assert mode.instant() is (scope is instant)
            raise KeyError("the way out")

    with pytest.raises(KeyError, match="the way out"):
        await inside()
    assert mode.active == 0


def test_a_scope_may_be_entered_again() -> None:
    """A scope that was left can be used again, and what outlived its first block is not affected by the second."""
    scope = disabled()
    with scope:
        remembered = copy_context()
    with scope:
        assert mode.off()
        assert not remembered.run(mode.off)
    scope.__exit__(None, None, None)
    assert mode.active == 0


def test_scopes_decorate_functions(each: Both, clock: VirtualClock) -> None:
    """A decorated function of either colour runs inside the scope, and keeps its name and parameters."""

    @disabled()
    @each.wrap
    def look(number: int = 2) -> tuple[int, bool]:
        """Look."""
        return number, mode.off()

    assert each.call(look, number=3) == (3, True)
    assert (look.__name__, look.__doc__, str(inspect.signature(look))[:10]) == ("look", "Look.", "(number: '")
    assert inspect.iscoroutinefunction(look) is each.is_async
    assert mode.active == 0


def test_decorated_function_recurses() -> None:
    """A decorated function may call itself, and fail."""

    @disabled()
    def deeper(levels: int) -> None:
        assert mode.off()
        assert mode.active == 4 - levels
        if not levels:
            raise KeyError("the bottom")
        deeper(levels - 1)

    with pytest.raises(KeyError, match="the bottom"):
        deeper(3)
    assert mode.active == 0


def test_scopes_decorate_generators(each: Both) -> None:
    """A decorated generator is inside the scope while it runs, its consumer never is (G17)."""

    @disabled()
    @each.wrap
    def items() -> Iterator[bool]:
        yield mode.off()
        yield mode.off()

    assert each.call(items) == [True, True]
    assert mode.active == 0


def test_decorated_generator_is_driven_from_outside() -> None:
    """What the consumer sends, throws and closes reaches a decorated generator, and its value comes back (G17)."""
    seen: list[object] = []

    @disabled()
    def items() -> Generator[int, str, str]:
        try:
            seen.append((yield 1))
            yield 2
        except KeyError as error:
            seen.append(error)
            return "the value"
        finally:
            seen.append(mode.off())
        raise AssertionError

    stream, error = items(), KeyError("thrown")
    assert (next(stream), mode.off()) == (1, False)
    assert stream.send("sent") == 2
    with pytest.raises(StopIteration) as end:
        stream.throw(error)
    assert end.value.value == "the value"
    assert seen == ["sent", error, True]
    closed = items()
    next(closed)
    closed.close()
    assert seen[3:] == [True]


async def test_decorated_async_generator_is_driven_from_outside() -> None:
    """As for plain generators: sent, thrown, closed (G17)."""
    seen: list[object] = []

    @disabled()
    async def items() -> AsyncGenerator[int, str]:
        try:
            seen.append((yield 1))
            yield 2
        except KeyError as error:
            seen.append(error)
        finally:
            seen.append(mode.off())

    stream, error = items(), KeyError("thrown")
    assert (await anext(stream), mode.off()) == (1, False)
    assert await stream.asend("sent") == 2
    with pytest.raises(StopAsyncIteration):
        await stream.athrow(error)
    assert seen == ["sent", error, True]


def test_scopes_decorate_methods() -> None:
    """Methods of every kind can be decorated, above or below the descriptors (G5)."""

    class Client:
        @disabled()
        def plain(self) -> bool:
            return mode.off()

        @disabled()
        @classmethod
        def outside(cls) -> bool:
            return mode.off()

        @staticmethod
        @disabled()
        def inside() -> bool:
            return mode.off()

        @disabled()
        @staticmethod
        def static() -> bool:
            return mode.off()

    client = Client()
    assert [client.plain(), client.outside(), Client.outside(), client.inside(), client.static()] == [True] * 5


def test_scopes_refuse_classes() -> None:
    """A class is refused at decoration, with the reason (G1)."""
    with pytest.raises(TypeError, match=r"class .*Case' cannot be decorated"):

        @disabled()
        class Case:
            pass
