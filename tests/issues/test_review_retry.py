"""Faults that a review found in retry, pinned (R3, R4, R9, R10, G2, G4, G5, G11)."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from recoup import DeadlineExceeded, RetryConfig, RetryExecutor, UnacceptableResult, retry, subscribe
from recoup.events import RetryStopped
from tests.conftest import Both, run_trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recoup.testing import VirtualClock


class Result:
    """Something to be closed."""

    closed = 0

    def close(self) -> None:
        """Count."""
        self.closed += 1


class AsyncResult(Result):
    """Something whose closing takes a moment."""

    async def aclose(self) -> None:
        """Count, later."""
        await asyncio.sleep(1)
        self.closed += 1


def making(made: list[Any], *, then: Callable[[], Awaitable[object]] | None = None, kind: type = Result) -> Any:
    """Make an async function that gives a new result, and from the second call on waits for `then` before."""

    async def work() -> Any:
        if made and then is not None:
            await then()
        made.append(kind())
        return made[-1]

    return work


def cancelled_after(seconds: float, function: Any) -> None:
    """Run a function in a task that is cancelled."""

    async def main() -> None:
        task = asyncio.create_task(function())
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    Both("asyncio").run(main)


@pytest.mark.parametrize("kind", [Result, AsyncResult])
def test_a_call_cancelled_in_its_wait_closes_the_result(clock: VirtualClock, kind: type) -> None:
    """What was turned down is nobody else's to close (R4, G2)."""
    made: list[Any] = []
    cancelled_after(5, retry(initial_delay=10, retry_on_result=lambda _: True)(making(made, kind=kind)))
    assert [result.closed for result in made] == [1]


def test_a_call_cancelled_in_its_next_attempt_closes_the_result(clock: VirtualClock) -> None:
    """Also when the function is at work again (R4, G2)."""
    work = making(made := list[Any](), then=lambda: asyncio.sleep(100))
    cancelled_after(5, retry(initial_delay=0, retry_on_result=lambda _: True)(work))
    assert [result.closed for result in made] == [1]


def test_a_call_cut_by_max_elapsed_closes_the_result(clock: VirtualClock) -> None:
    """A time limit is a cancellation inside (R3, R4)."""
    made: list[Any] = []
    work = making(made, then=lambda: asyncio.sleep(100))
    with pytest.raises(DeadlineExceeded):
        Both("asyncio").run(retry(initial_delay=0, max_elapsed=5, retry_on_result=lambda _: True)(work))
    assert [result.closed for result in made] == [1]


def test_a_predicate_that_raises_later_closes_the_held_result(both: Both, clock: VirtualClock) -> None:
    """The earlier result was turned down before the predicate broke (R4)."""
    made: list[Result] = []

    def judge(_: Result) -> bool:
        if len(made) == 2:
            raise KeyError("judge")
        return True

    def work() -> Result:
        made.append(Result())
        return made[-1]

    with pytest.raises(KeyError, match="judge"):
        both.call(retry(initial_delay=0, retry_on_result=judge)(both.wrap(work)))
    assert made[0].closed == 1


def test_closing_the_coroutine_closes_the_result_without_awaiting() -> None:
    """A coroutine that is closed must not await any more (R4, G2)."""
    made: list[Any] = []

    class Forever:
        def __await__(self) -> Any:
            yield None

    async def forever() -> None:
        await Forever()

    work = making(made, then=forever, kind=AsyncResult)
    coroutine = retry(initial_delay=0, retry_on_result=lambda _: True)(work)()
    coroutine.send(None)
    coroutine.close()
    assert [result.closed for result in made] == [1]


def test_a_close_property_that_raises_changes_nothing(both: Both, clock: VirtualClock) -> None:
    """The good result counts, whatever the bad one is made of (R4)."""

    class Proxy:
        @property
        def close(self) -> Any:
            raise RuntimeError("no request here")

    results: list[Any] = [Proxy(), "good"]
    protect = retry(initial_delay=0, retry_on_result=lambda result: result != "good")
    assert both.call(protect(both.wrap(lambda: results.pop(0)))) == "good"


def script(*errors: BaseException) -> Any:
    """Make a plain function that raises these, in order, and counts its calls on itself."""

    def work() -> None:
        work.calls += 1  # type: ignore[attr-defined]
        raise errors[min(work.calls, len(errors)) - 1]  # type: ignore[attr-defined]

    work.calls = 0  # type: ignore[attr-defined]
    return work


@pytest.mark.parametrize("earlier", [[], [ConnectionError("x")]])
def test_an_error_that_is_not_retried_is_not_given_up(both: Both, clock: VirtualClock, earlier: list[Any]) -> None:
    """on_failure and RetryStopped tell of limits that were reached (R10)."""
    failures, events = list[Exception](), list[object]()
    work = both.wrap(script(*earlier, ValueError("never")))
    with subscribe(events.append), pytest.raises(ValueError, match="never"):
        both.call(retry(on=ConnectionError, initial_delay=0, on_failure=failures.append)(work))
    assert failures == []
    assert not [event for event in events if isinstance(event, RetryStopped)]


@pytest.mark.parametrize(
    ("options", "calls"),
    [({"on": ConnectionError}, 1), ({"abort_on": UnacceptableResult}, 1), ({"on": UnacceptableResult}, 3)],
)
def test_a_users_own_unacceptable_result_is_an_error(
    both: Both, clock: VirtualClock, options: dict[str, Any], calls: int
) -> None:
    """Only what our own predicate turned down is retried by itself (R4, G4)."""
    work, protect = script(UnacceptableResult("mine")), retry(max_attempts=3, initial_delay=0, **options)
    with pytest.raises(UnacceptableResult):
        both.call(protect(both.wrap(work)))
    assert work.calls == calls


@pytest.mark.parametrize("plain_failures", [0, 1, 2])
def test_a_coroutine_that_comes_late_goes_on_with_the_count(clock: VirtualClock, plain_failures: int) -> None:
    """max_attempts counts calls, of whichever colour (R3, G5)."""
    calls: list[int] = []

    async def later() -> None:
        raise ConnectionError("async part")

    def client() -> Any:
        calls.append(1)
        if len(calls) <= plain_failures:
            raise ConnectionError("plain part")
        return later()

    async def main() -> None:
        with pytest.raises(ConnectionError, match="async part") as caught:
            await retry(max_attempts=3, initial_delay=0)(client)()
        assert "max_attempts is 3" in caught.value.__notes__[0]

    Both("asyncio").run(main)
    assert len(calls) == 3


async def _returning() -> int:
    async for attempt in RetryExecutor(RetryConfig(initial_delay=0)):
        async with attempt:
            return 1
    raise AssertionError


async def _breaking() -> int:
    async for attempt in RetryExecutor(RetryConfig(initial_delay=0)):
        async with attempt:
            pass
        break
    return 1


@pytest.mark.parametrize("leaving", [_returning, _breaking])
def test_leaving_an_async_loop_leaves_nothing_pending(leaving: Any) -> None:
    """No generator is left for the loop to close in a task of its own (R9)."""
    made: list[object] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        for _ in range(3):
            assert await leaving() == 1
        gc.collect()
        await asyncio.sleep(0)
        assert made == []  # before the loop ends, which makes tasks of its own

    asyncio.run(main())


@pytest.mark.parametrize("leaving", [_returning, _breaking])
def test_leaving_an_async_loop_is_quiet_under_trio(leaving: Any) -> None:
    """Trio warns of async generators that nobody closed (R9, G15)."""
    pytest.importorskip("trio")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run_trio(leaving) == 1
        gc.collect()


def test_an_attempt_is_of_no_use_after_its_loop() -> None:
    """It would swallow an error and never run the block again (R9)."""
    executor = RetryExecutor(RetryConfig(initial_delay=0))
    for attempt in executor:
        with attempt:
            pass
    with pytest.raises(RuntimeError, match="used once, inside the loop"), attempt:
        raise ConnectionError("lost")


def test_an_async_attempt_is_of_no_use_after_its_loop() -> None:
    """As the plain one (R9)."""

    async def main() -> None:
        async for attempt in RetryExecutor(RetryConfig(initial_delay=0)):
            async with attempt:
                pass
        with pytest.raises(RuntimeError, match="used once, inside the loop"):
            async with attempt:
                raise ConnectionError("lost")

    asyncio.run(main())


def test_an_attempt_is_used_once() -> None:
    """A second block in the same turn has no attempt of its own (R9)."""
    for attempt in RetryExecutor(RetryConfig(initial_delay=0)):
        with attempt:
            pass
        with pytest.raises(RuntimeError, match="used once"), attempt:
            pass


def test_an_interrupt_in_on_retry_keeps_no_locals_alive() -> None:
    """No cycle of ours is left, even when a callback is interrupted (G11, R9)."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def block(kept: Result) -> None:
        for attempt in RetryExecutor(RetryConfig(initial_delay=0, on_retry=interrupt)):
            with attempt:
                raise ConnectionError(id(kept))

    gc.collect()
    gc.disable()
    try:
        kept = Result()
        witness = weakref.ref(kept)
        with suppress(KeyboardInterrupt):
            block(kept)
        del kept
        assert witness() is None
    finally:
        gc.enable()
