"""`with limiter:` and `async with limiter:`."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from recoup import DeadlineExceeded, current_deadline, deadline
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both
from tests.core.limited import hang


def left() -> float | None:
    ambient = current_deadline()
    return None if ambient is None else ambient.remaining()


def test_a_block_has_a_deadline(both: Both, clock: VirtualClock) -> None:
    """Inside the block the time left is known, after it is not; blocks nest by minimum (D1)."""
    limiter = deadline(5, mode="cooperative")

    def plain() -> list[float | None]:
        with limiter as entered:
            assert entered is limiter
            one = left()
            clock.advance(1)
            with deadline(2, mode="cooperative"):
                two = left()
            with limiter:  # it may stand in itself
                three = left()
            four = left()
        return [one, two, three, four, left()]

    async def awaited() -> list[float | None]:
        async with limiter as entered:
            assert entered is limiter
            one = left()
            clock.advance(1)
            async with deadline(2):
                two = left()
            async with limiter:
                three = left()
            four = left()
        return [one, two, three, four, left()]

    assert (both.run(awaited) if both.is_async else plain()) == [5, 2, 4, 4, None]


def test_an_async_block_is_cancelled(both: Both, clock: VirtualClock) -> None:
    """What the block awaits is cancelled when the time is up; what comes after the block is not (D2)."""

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match="fetch: not finished within 5 s") as caught:
            async with deadline(5, name="fetch"):
                await both.pause(50)
        assert caught.value.started is True
        assert type(caught.value.__cause__).__name__ in {"CancelledError", "Cancelled"}
        assert clock.monotonic() == 1005
        await both.pause(50)

    if both.is_async:
        both.run(main)


def test_the_error_of_a_block_is_its_own(both: Both, clock: VirtualClock) -> None:
    """An error raised in a block comes out itself (G3)."""
    error = TimeoutError("mine")

    async def awaited() -> None:
        async with deadline(5):
            raise error

    def plain() -> None:
        with deadline(5, mode="cooperative"):
            raise error

    with pytest.raises(TimeoutError, match="mine") as caught:
        both.run(awaited) if both.is_async else plain()
    assert caught.value is error
    assert error.__context__ is None


@pytest.mark.parametrize("mode", [None, "thread"])
def test_a_plain_block_must_be_cooperative(mode: object) -> None:
    """A plain block cannot be interrupted, and nobody is fooled about it (D3)."""
    limiter = deadline(5, mode=mode)  # type: ignore[call-overload]  # the point of this test
    with pytest.raises(TypeError, match='say mode="cooperative" if it is enough'), limiter:
        raise AssertionError
    assert left() is None


def test_a_block_without_time(both: Both, clock: VirtualClock) -> None:
    """A block that an outer deadline leaves no time for is not entered (G13)."""

    async def awaited() -> None:
        with deadline(3, mode="cooperative", name="outer"):
            clock.advance(3)
            async with deadline(5):
                raise AssertionError

    def plain() -> None:
        with deadline(3, mode="cooperative", name="outer"):
            clock.advance(3)
            with deadline(5, mode="cooperative"):
                raise AssertionError

    with pytest.raises(DeadlineExceeded, match="outer: 3 s were used up"):
        both.run(awaited) if both.is_async else plain()
    assert left() is None


def test_blocks_of_several_tasks_do_not_mix(clock: VirtualClock) -> None:
    """One limiter may be open in any number of tasks at once (G8)."""
    limiter = deadline(5)

    async def task(start: float, length: float) -> str:
        await asyncio.sleep(start)
        try:
            async with limiter:
                await asyncio.sleep(length)
        except DeadlineExceeded:
            return f"cut at {clock.monotonic() - 1000:g}"
        return f"done at {clock.monotonic() - 1000:g}"

    async def main() -> list[str]:
        return list(await asyncio.gather(task(0, 9), task(1, 2), task(2, 9), task(3, 4)))

    assert Both("asyncio").run(main) == ["cut at 5", "done at 3", "cut at 7", "done at 7"]


async def test_the_callers_cancellation_wins(clock: VirtualClock) -> None:
    """A block that the caller cancels ends with the caller's cancellation (D2)."""

    async def block() -> None:
        async with deadline(5):
            await hang()

    task = asyncio.create_task(block())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_a_block_left_in_another_context_is_an_error(clock: VirtualClock) -> None:
    """A block has to end where it began; the message says so."""
    limiter = deadline(5, mode="cooperative")
    contextvars.copy_context().run(limiter.__enter__)
    with pytest.raises(RuntimeError, match="must begin and end in one function of one task"):
        limiter.__exit__(None, None, None)


def test_blocks_left_in_the_wrong_order_are_an_error(clock: VirtualClock) -> None:
    """Blocks nest; leaving the outer one first is an error, and the inner one still ends."""
    outer, inner = deadline(5, mode="cooperative"), deadline(2, mode="cooperative")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="before a block inside it"):
        outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)
    assert left() is None


def test_blocks_while_recovery_is_off(both: Both, clock: VirtualClock) -> None:
    """A block does nothing while recovery is off, also when that changes inside it (G16)."""
    limiter = deadline(5, mode="cooperative")

    async def awaited() -> list[float | None]:
        async with limiter:
            with disabled():
                async with limiter:
                    await both.pause(1)
                    inside = left()
            return [inside, left()]

    def plain() -> list[float | None]:
        with limiter:
            with disabled(), limiter:
                clock.advance(1)
                inside = left()
            return [inside, left()]

    assert (both.run(awaited) if both.is_async else plain()) == [4, 4]
    assert left() is None
