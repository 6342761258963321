"""What attempts as blocks promise (R9)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from recoup import DeadlineExceeded, RetryConfig, RetryExecutor, current_deadline, retry
from recoup._core import clock as seam
from recoup.testing import VirtualClock, disabled
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
        ({"before_retry": print}, "before_retry cannot change the arguments of a block"),
        ({"replay": "repeat"}, "replay is for generators, and a block is none"),
        ({"attempt_timeout": 1}, "attempt_timeout cannot interrupt a block in plain code"),
        ({"max_elapsed": 1}, "max_elapsed cannot interrupt a block in plain code"),
    ],
)
def test_options_a_block_cannot_honour_are_refused(both: Both, options: dict[str, Any], message: str) -> None:
    """At the head of the loop, not silently; async blocks can be interrupted (R9)."""
    executor = RetryExecutor(RetryConfig(**options))
    if both.is_async and "plain" in message:
        assert aiter(executor) is not None
        return
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


async def hangs_until(executor: RetryExecutor, last: int, begun: list[float], both: Both) -> None:
    """Hang in every attempt before the last one."""
    async for attempt in executor:
        async with attempt:
            begun.append(seam.monotonic())
            if attempt.number < last:
                await both.pause(1000)


@pytest.fixture(params=["asyncio", "trio"])
def awaiting(request: pytest.FixtureRequest, clock: VirtualClock) -> Both:
    """Run the test on each library; Trio only if it is there."""
    if request.param == "trio":
        pytest.importorskip("trio")
    return Both(request.param)


def test_attempt_timeout_cuts_an_async_block(awaiting: Both) -> None:
    """A block that hangs is cancelled and counts as a failed attempt (R3, R9)."""
    begun: list[float] = []
    failures: list[Any] = []
    executor = retry(attempt_timeout=2, backoff_strategy="fixed", on_retry=lambda n, error: failures.append((n, error)))
    awaiting.run(hangs_until, executor, 3, begun, awaiting)
    assert [at - begun[0] for at in begun] == [0, 3, 6]
    assert [(n, error.name, error.started) for n, error in failures] == [
        (1, "attempt_timeout", True),
        (2, "attempt_timeout", True),
    ]


def test_the_last_attempt_that_is_cut_raises(awaiting: Both) -> None:
    """A DeadlineExceeded comes out of the block, with the note (R3, G3)."""
    begun: list[float] = []
    with pytest.raises(DeadlineExceeded, match="attempt_timeout: not finished within 2 s") as caught:
        awaiting.run(hangs_until, retry(attempt_timeout=2, max_attempts=2), 9, begun, awaiting)
    assert len(begun) == 2
    assert caught.value.__notes__[0].startswith("recoup: 2 attempts")


def test_max_elapsed_cuts_an_async_block_and_names_the_failure_before(awaiting: Both, clock: VirtualClock) -> None:
    """All blocks and waits together: the running one is cancelled, and the previous failure is the cause (R3, R9)."""
    first = OSError("first")
    began = clock.monotonic()

    async def main() -> None:
        async for attempt in retry(max_elapsed=10, backoff_strategy="fixed"):
            async with attempt:
                if attempt.number == 1:
                    raise first
                await awaiting.pause(1000)

    with pytest.raises(DeadlineExceeded, match="max_elapsed: not finished within 10 s") as caught:
        awaiting.run(main)
    assert clock.monotonic() - began == 10
    assert caught.value.__cause__ is first


def test_a_wait_that_would_cross_max_elapsed_is_not_begun_in_blocks(awaiting: Both, clock: VirtualClock) -> None:
    """It gives up now and says which limit; nothing strikes later (R3, R9)."""

    async def main() -> None:
        async for attempt in retry(max_attempts=9, max_elapsed=5, backoff_strategy="exponential"):
            async with attempt:
                raise OSError("x")

    with pytest.raises(OSError, match="x") as caught:
        awaiting.run(main)
    assert clock.sleeps == [1.0, 2.0]
    assert "the next wait of 4 s does not fit max_elapsed (2 s left)" in caught.value.__notes__[0]


def test_leaving_a_loop_with_limits_leaves_no_timer(awaiting: Both) -> None:
    """What comes after the loop is not cut by them (R9, G2)."""

    async def main() -> str:
        async for attempt in retry(max_elapsed=10, attempt_timeout=5):
            async with attempt:
                break
        await awaiting.pause(100)
        assert current_deadline() is None
        return "later"

    assert awaiting.run(main) == "later"


def test_a_block_that_ends_with_the_callers_cancellation_is_not_a_timeout(clock: VirtualClock) -> None:
    """The caller's cancellation stays the caller's (D2, G2)."""

    async def main() -> None:
        task = asyncio.ensure_future(hangs_until(retry(max_elapsed=9, attempt_timeout=9), 2, [], Both("async")))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    Both("async").run(main)


def test_no_time_left_for_an_attempt_is_said_at_its_head(clock: VirtualClock) -> None:
    """The block never ran: started is False (R3, D1), and both deadlines are closed."""

    async def main() -> None:
        async for attempt in retry(max_elapsed=2, attempt_timeout=1, initial_delay=1, on_retry=lambda *_: None):
            clock.advance(3 if attempt.number == 2 else 0)
            async with attempt:
                assert attempt.number == 1
                raise OSError("x")

    with pytest.raises(DeadlineExceeded) as caught:
        Both("async").run(main)
    assert not caught.value.started


def test_blocks_without_recovery_have_no_limits(clock: VirtualClock) -> None:
    """Switched off, they just run (G16)."""

    async def main() -> int:
        async for attempt in retry(max_elapsed=2, attempt_timeout=1):
            async with attempt:
                await asyncio.sleep(10)
                return 1
        return 0

    with disabled():
        assert Both("async").run(main) == 1


@pytest.mark.parametrize("how", ["leaves", "fails", "cancelled while waiting"])
def test_limits_keep_no_locals_alive(how: str) -> None:
    """The error that waits to be a cause dies with the loop (G11)."""

    class Local:
        pass

    async def main(kept: Any) -> None:
        async for attempt in retry(max_elapsed=50, max_attempts=2, initial_delay=0):
            async with attempt:
                if how == "leaves" and attempt.number == 2:
                    break
                raise OSError("x")

    def run() -> weakref.ref[Local]:
        local = Local()
        made = main(local)
        try:
            made.send(None)
            if how == "cancelled while waiting":
                made.throw(asyncio.CancelledError())
            made.send(None)
        except (StopIteration, OSError, asyncio.CancelledError):
            pass
        del made
        return weakref.ref(local)

    gc.collect()
    gc.disable()
    try:
        assert run()() is None
    finally:
        gc.enable()


def test_a_loop_can_be_taken_before_it_is_run() -> None:
    """As an iterator of the language's own kind (R9)."""
    loop = aiter(retry())
    assert aiter(loop) is loop
