"""What attempts as blocks promise (R9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recoup import RetryConfig, RetryExecutor, retry
from recoup._core import clock as seam
from recoup.testing import VirtualClock
from tests.conftest import Both


def looped(both: Both, executor: RetryExecutor, body: Any) -> list[int]:
    """Run a body in an attempt block of either colour; give the numbers of the attempts."""
    numbers: list[int] = []
    if not both.is_async:
        for attempt in executor:
            with attempt:
                numbers.append(attempt.number)
                body(attempt.number)
        return numbers

    async def main() -> None:
        async for attempt in executor:
            async with attempt:
                numbers.append(attempt.number)
                await seam.pause_async(0)
                body(attempt.number)

    both.run(main)
    return numbers


def fails_until(last: int) -> Any:
    """Make a body that fails before its last attempt."""

    def body(number: int) -> None:
        if number < last:
            raise OSError(number)

    return body


def test_the_loop_ends_with_the_first_success(both: Both, clock: VirtualClock) -> None:
    """And waits in between like the decorator."""
    executor = retry(max_attempts=5, backoff_strategy="exponential")
    assert looped(both, executor, fails_until(3)) == [1, 2, 3]
    assert clock.sleeps == [1.0, 2.0]
    assert looped(both, executor, fails_until(1)) == [1]


def test_the_last_error_comes_out_of_the_block(both: Both, clock: VirtualClock) -> None:
    """Itself, with the note and the callbacks of the decorator (G3, R10)."""
    log: list[Any] = []
    executor = retry(
        initial_delay=0, on_retry=lambda n, error: log.append(n), on_failure=lambda error: log.append("failed")
    )
    with pytest.raises(OSError, match="3") as caught:
        looped(both, executor, fails_until(9))
    assert caught.value.__notes__[0].startswith("recoup: 3 attempts")
    assert log == [1, 2, "failed"]


@pytest.mark.parametrize("control", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_control_flow_leaves_the_block(both: Both, clock: VirtualClock, control: type[BaseException]) -> None:
    """It is never retried (G2)."""

    def body(number: int) -> None:
        assert number == 1
        raise control

    with pytest.raises(control):
        looped(both, retry(), body)


def test_leaving_the_loop_by_hand_ends_it(both: Both, clock: VirtualClock) -> None:
    """break and return do what they always do."""
    assert not both.is_async or asyncio.run(self_broken_async()) == 1
    for attempt in retry():
        with attempt:
            break
    assert clock.sleeps == []


async def self_broken_async() -> int:
    async for attempt in retry():
        async with attempt:
            return attempt.number
    return 0


def test_an_unused_attempt_is_an_error(both: Both) -> None:
    """Else the loop would look like one that succeeded, or go on for ever."""
    message = "the attempt was not used: write `with attempt:`"
    if both.is_async:

        async def main() -> None:
            async for _ in retry():
                pass

        with pytest.raises(RuntimeError, match=message):
            both.run(main)
    else:
        with pytest.raises(RuntimeError, match=message):
            for _ in retry():
                pass


def test_a_plain_with_in_an_async_loop_is_refused() -> None:
    """Callbacks may have to be awaited."""

    async def main() -> None:
        async for attempt in retry():
            with attempt:
                pass

    with pytest.raises(TypeError, match="write `async with attempt:` inside `async for`"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry_on_result": bool}, "retry_on_result cannot work round a block"),
        ({"attempt_timeout": 1}, "attempt_timeout cannot interrupt a block"),
        ({"max_elapsed": 1}, "max_elapsed cannot interrupt a block"),
    ],
)
def test_options_a_block_cannot_honour_are_refused(both: Both, options: dict[str, Any], message: str) -> None:
    """At the head of the loop, not silently (R9)."""
    executor = RetryExecutor(RetryConfig(**options))
    with pytest.raises(TypeError, match=message):
        aiter(executor) if both.is_async else iter(executor)


def test_async_callbacks_need_an_async_loop(clock: VirtualClock) -> None:
    """And are awaited there (G9)."""
    log: list[int] = []

    async def on_retry(n: int, error: Exception) -> None:
        await seam.pause_async(0)
        log.append(n)

    executor = retry(initial_delay=0, on_retry=on_retry)
    with pytest.raises(TypeError, match="on_retry is an async function: use `async for`"):
        iter(executor)
    assert looped(Both("async"), executor, fails_until(2)) == [1, 2]
    assert log == [1]


def test_loops_do_not_share_their_attempts(both: Both, clock: VirtualClock) -> None:
    """Each `for` begins anew, nested ones too (G8)."""
    executor = retry(max_attempts=2, initial_delay=0)

    def body(number: int) -> None:
        if both.is_async:
            return
        assert looped(both, executor, fails_until(2)) == [1, 2]

    assert looped(both, executor, body) == [1]
    assert looped(both, executor, fails_until(2)) == [1, 2]
