"""`with bulkhead:` and `async with bulkhead:`: the place belongs to the block (B3, G16, G17, G18)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Bulkhead, BulkheadConfig, BulkheadFullError, BulkheadTimeoutError
from recoup.strategies.bulkhead import blocks
from recoup.testing import VirtualClock, disabled

if TYPE_CHECKING:
    from collections.abc import Generator


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 2, "max_queue_size": 0, **options}))


def test_a_block_holds_a_place() -> None:
    """From its first line to its last, also when it fails; it gives the bulkhead."""
    guard = made()
    with guard as entered:
        assert entered is guard
        assert guard.running == 1
    error = ValueError()
    with pytest.raises(ValueError, match=r"^$") as found, guard:
        raise error
    assert found.value is error
    assert guard.metrics == {"executed": 2, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 1}


async def test_an_async_block_holds_a_place() -> None:
    """The same in async code."""
    guard = made()
    async with guard as entered:
        assert entered is guard
        assert guard.running == 1
        with guard:
            assert guard.running == 2
    assert guard.running == 0


def test_a_block_in_a_block_needs_another_place() -> None:
    """Each counts; the one too many is refused and holds nothing."""
    guard = made()
    with guard, guard:
        with pytest.raises(BulkheadFullError), guard:
            pytest.fail("there were two places")
        assert guard.running == 2
    assert guard.running == 0


async def test_blocks_wait(clock: VirtualClock) -> None:
    """A block waits for its place like a call does (B2)."""
    guard = made(max_concurrent=1, max_queue_size=1, queue_timeout=5)

    async def hold(seconds: float) -> None:
        async with guard:
            await asyncio.sleep(seconds)

    await asyncio.gather(hold(1), hold(1))
    assert clock.monotonic() == 1002
    late = await asyncio.gather(hold(10), hold(1), return_exceptions=True)
    assert [type(result) for result in late] == [type(None), BulkheadTimeoutError]


async def test_many_tasks_at_once() -> None:
    """One object serves blocks of many tasks that begin and end in any order."""
    guard = made(max_concurrent=3, max_queue_size=100)

    async def hold(turns: int) -> None:
        async with guard:
            assert guard.running <= 3
            for _ in range(turns):
                await asyncio.sleep(0)

    await asyncio.gather(*(hold(number * 7 % 5) for number in range(50)))
    assert guard.metrics == {"executed": 50, "rejected": 0, "timeout": 0, "running": 0, "waiting": 0, "peak": 3}


def test_blocks_of_two_bulkheads_entwined() -> None:
    """Blocks of different bulkheads end in any order; each gives back its own place."""
    one, two = made(), made()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(one)
        second.enter_context(two)
        first.enter_context(one)
        first.close()
        assert (one.running, two.running) == (0, 1)
    assert (one.running, two.running) == (0, 0)


def test_a_switched_off_block_among_others() -> None:
    """A block that was let in without a place gives none back, wherever it stands (G16)."""
    guard = made(max_concurrent=1)
    with guard:
        with disabled():
            guard.__enter__()
        assert guard.running == 1
        guard.__exit__(None, None, None)
        assert guard.running == 1
    assert guard.running == 0


async def test_a_switched_off_block_beside_a_task_with_a_place() -> None:
    """The context knows whose block ends, not the order (G16)."""
    guard = made(max_concurrent=1)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def off() -> None:
        with disabled():
            async with guard:
                inside.set()
                await leave.wait()

    async with guard:
        task = asyncio.create_task(off())
        await inside.wait()
    assert guard.running == 0, "the block with the place has ended, the one without has not"
    async with guard:
        leave.set()
        await task
        assert guard.running == 1


def holding(guard: Bulkhead) -> Generator[int, None, None]:
    with guard:
        yield guard.running


def test_a_generator_that_leaves_its_block_elsewhere() -> None:
    """A block that is entered in one thread or context and left in another gives its place back once (G17)."""
    guard = made()
    stream = holding(guard)
    assert next(stream) == 1
    thread = threading.Thread(target=stream.close)
    thread.start()
    thread.join()
    assert guard.running == 0
    with guard:
        assert guard.running == 1
    assert guard.running == 0


def test_a_foreigner_takes_the_place_of_another_block() -> None:
    """Who cannot know its own place takes another block's, and that one takes his: none is missing (G17)."""
    guard = made()
    stream = holding(guard)
    next(stream)
    with guard:
        assert guard.running == 2
        thread = threading.Thread(target=stream.close)
        thread.start()
        thread.join()
        assert guard.running == 1
    assert guard.running == 0
    with guard, guard:
        assert guard.running == 2
    assert guard.running == 0


def test_generators_that_swap_their_contexts() -> None:
    """Whatever order blocks end in, and in whose context, as many places come back as were taken (G17)."""
    guard = made(max_concurrent=3)
    here, there = contextvars.copy_context(), contextvars.copy_context()
    first, second, third = (holding(guard) for _ in range(3))
    here.run(next, first)
    there.run(next, second)
    assert here.run(next, third) == 3
    there.run(first.close)
    assert guard.running == 2
    here.run(second.close)
    assert guard.running == 1
    here.run(third.close)
    assert guard.running == 0
    with guard, guard, guard:
        assert guard.running == 3
    assert guard.running == 0


def test_a_block_that_a_fork_cuts_in_two() -> None:
    """The child leaves the block that its parent entered without giving back what it does not have (G18)."""
    guard = made(max_concurrent=1)
    with guard:
        child = os.fork()
        if not child:
            wrong = 1
            with contextlib.suppress(BaseException):
                wrong = guard.running
                with guard:
                    wrong += 2 * (guard.running != 1)
                    guard.__exit__(None, None, None)
                    wrong += 4 * (guard.running != 0)
            os._exit(wrong)
        assert guard.running == 1
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert guard.running == 0


class Interrupted:
    """Stands for a context variable or a dict; Ctrl-C is pressed at one step, before or after it is taken."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.method = ""
        self.before = False

    def step(self, method: str, *args: Any) -> Any:
        struck = method == self.method
        if struck:
            self.method = ""
            if self.before:
                raise KeyboardInterrupt
        result = getattr(self.inner, method)(*args)
        if struck:
            raise KeyboardInterrupt
        return result

    def get(self) -> Any:
        return self.step("get")

    def set(self, block: Any) -> None:
        self.step("set", block)

    def __setitem__(self, place: Any, value: None) -> None:
        self.step("__setitem__", place, value)

    def __delitem__(self, place: Any) -> None:
        self.step("__delitem__", place)

    def pop(self, place: Any, default: None) -> None:
        self.inner.pop(place, default)


ENTERING = ["__setitem__", "get", "set"]
LEAVING = ["get", "set", "__delitem__"]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("method", "entering"), [*((m, True) for m in ENTERING), *((m, False) for m in LEAVING)])
def test_an_interrupt_in_a_block(method: str, entering: bool, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a block is entered or left costs no place, neither its own nor that of the block outside (G2)."""
    guard = made(max_concurrent=3)
    context, places = Interrupted(blocks._innermost), Interrupted(guard._blocks._places)
    monkeypatch.setattr(blocks, "_innermost", context)
    monkeypatch.setattr(guard._blocks, "_places", places)
    armed = context if method in {"get", "set"} else places
    armed.before = before
    with guard:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes on the way in, or on the way out
            if entering:
                armed.method = method
            with guard:
                assert not entering
                armed.method = method
        assert guard.running == 1
        assert len(places.inner) == 1
    assert guard.running == 0
    with guard, guard, guard:
        assert guard.running == 3
    assert guard.running == 0
    assert not places.inner


def test_a_block_that_was_never_entered_cannot_be_left() -> None:
    """No place is given back that nobody took (B3)."""
    guard = made()
    with pytest.raises(KeyError):
        guard.__exit__(None, None, None)
    assert guard.running == 0
    with guard, guard:
        assert guard.running == 2
