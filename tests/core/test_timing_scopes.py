"""Cancel scopes under asyncio: whose cancellation is it, and what becomes of the call."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from contextlib import suppress
from typing import Any

import pytest

from recoup._core.timing import current_deadline, struck_in, time_left
from recoup.errors import DeadlineExceeded
from recoup.testing import VirtualClock, VirtualEventLoop, disabled
from tests.core.limited import Layer, hang, limited


async def test_a_call_in_time_is_left_alone(clock: VirtualClock) -> None:
    """A call that ends in time gives its value, and inside it the time left is known (D1)."""

    async def work(x: int) -> tuple[int, float | None]:
        await asyncio.sleep(1)
        return x, time_left()

    assert await limited(work, 5)(7) == (7, 4)
    assert time_left() is None


async def test_a_call_that_takes_too_long_is_cancelled(clock: VirtualClock) -> None:
    """When the time is up the work is cancelled where it hangs; DeadlineExceeded has that as its cause (D2)."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(DeadlineExceeded, match="test: not finished within 5 s") as caught:
        await limited(work, 5)()
    assert caught.value.started is True
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert seen == ["cancelled"]
    assert clock.monotonic() == 1005
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_callers_own_cancellation_stays_one(clock: VirtualClock) -> None:
    """A caller that cancels gets CancelledError, whatever the deadline (D2)."""
    task = asyncio.create_task(limited(hang, 5)())
    await asyncio.sleep(1)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert clock.monotonic() == 1001


async def test_a_value_in_spite_of_the_cancellation_is_returned(clock: VirtualClock) -> None:
    """Work that swallows the cancellation delays its caller, and its value is not thrown away (D2)."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(3)
        return "all the same"

    assert await limited(stubborn, 5)() == "all the same"
    assert clock.monotonic() == 1008
    await asyncio.sleep(20)  # and nothing of it is left
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("error", [TimeoutError("mine"), ValueError("mine"), DeadlineExceeded(seconds=1, started=True)])
async def test_the_users_own_error_stays_the_users(clock: VirtualClock, error: Exception) -> None:
    """An error of the user's own comes out itself, before the time is up and after (D2, G3)."""

    async def early() -> None:
        await asyncio.sleep(1)
        raise error

    async def late() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        raise error

    for work in (early, late):
        with pytest.raises(type(error)) as caught:
            await limited(work, 5)()
        assert caught.value is error
        assert error.__context__ is None
        assert error.__cause__ is None
        error.__traceback__ = None


async def test_a_cancellation_that_the_work_raises_itself_is_no_deadline(clock: VirtualClock) -> None:
    """CancelledError without our timer, or from a task that somebody else cancelled, passes (D2)."""

    async def awaits_cancelled() -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(1)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        await limited(awaits_cancelled, 5)()


# The race: what may happen in one iteration of the loop, in every order. A callback moves the clock far ahead, so all
# timers are due in the same iteration and run in the order of their times, before the task takes its next step.

EVENTS = ("timer", "caller", "work")
ORDERS = [order for length in (1, 2, 3) for order in itertools.permutations(EVENTS, length)]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_timer_caller_and_work_in_the_same_iteration(clock: VirtualClock, order: tuple[str, ...]) -> None:
    """If the caller cancelled, the caller wins; else if our timer fired, the deadline; else the value (D2)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()
    at = {event: 4 + order.index(event) for event in order}
    after: list[object] = []

    async def work() -> str:
        return await done

    async def caller() -> None:
        try:
            after.append(await limited(work, at.get("timer", 500))())
        except DeadlineExceeded:
            after.append("deadline")
        task = asyncio.current_task()
        assert task is not None
        after.append(task.cancelling())
        await asyncio.sleep(1000)  # nothing late may cancel this
        after.append("undisturbed")

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    now = loop.time()
    if "work" in order:
        loop.call_at(now + at["work"], done.set_result, "value")
    if "caller" in order:
        loop.call_at(now + at["caller"], task.cancel)
    loop.call_at(now + 1, clock.advance, 100)
    await asyncio.wait([task])
    if "caller" in order:
        assert task.cancelled()
        assert task.cancelling() == 1
        assert after == []
    elif "timer" in order:
        assert after == ["deadline", 0, "undisturbed"]
    else:
        assert after == ["value", 0, "undisturbed"]


async def test_a_timer_that_rings_after_the_work_has_ended_hits_nobody(clock: VirtualClock) -> None:
    """The last step of the work and then the timer in one iteration: the task goes on with other things (D2)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def finish() -> None:
        done.set_result("value")
        clock.advance(100)  # so the timer is due in the next iteration, right behind the task's step

    async def work() -> str:
        return await done

    loop.call_later(1, finish)
    assert await limited(work, 5)() == "value"
    await asyncio.sleep(0)
    await asyncio.sleep(100)


@pytest.mark.parametrize("steps", range(6))
async def test_a_caller_may_cancel_at_every_await(steps: int) -> None:
    """Wherever the caller's cancellation arrives, it passes, the scope is closed and the clean-up has run (D2, G2)."""
    log: list[str] = []
    terms: list[object] = []

    async def work() -> str:
        terms.append(current_deadline())
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await limited(asyncio.sleep, 30)(0)
        finally:
            log.append("cleaned")
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    task = asyncio.create_task(limited(work, 60)())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == (["cleaned"] if steps else [])
    assert not any(term.open for term in terms)  # type: ignore[attr-defined]


@pytest.mark.parametrize("throw", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit, ValueError])
@pytest.mark.parametrize("steps", range(3))
def test_a_coroutine_stepped_by_hand_is_closed_at_every_await(steps: int, throw: type[BaseException]) -> None:
    """Outside any loop there is no timer; what is thrown in at any await comes out, and the scope is closed (G2)."""

    class Pause:
        def __await__(self) -> Any:
            yield self

    terms: list[Any] = []

    async def work() -> str:
        terms.append(current_deadline())
        for _ in range(3):
            await Pause()
        return "done"

    coroutine = limited(work, 60)()
    coroutine.send(None)
    for _ in range(steps):
        coroutine.send(None)
    assert terms[0].open
    with pytest.raises(throw):
        coroutine.throw(throw())
    assert not terms[0].open
    assert terms[0].task is None


def test_values_and_results_pass_through_by_hand() -> None:
    """What is sent in arrives, what is yielded comes out, and the result is the coroutine's (G5)."""

    class Echo:
        def __await__(self) -> Any:
            return (yield "question")

    async def work() -> Any:
        return await Echo()

    coroutine = limited(work, 60)()
    assert coroutine.send(None) == "question"
    with pytest.raises(StopIteration) as stop:
        coroutine.send("answer")
    assert stop.value.value == "answer"


def test_a_coroutine_that_is_never_awaited_sets_nothing() -> None:
    """Calling does not start the time; awaiting does."""
    coroutine = limited(hang, 5)()
    assert time_left() is None
    coroutine.close()


async def test_struck_in_inside_the_cancelled_call(clock: VirtualClock) -> None:
    """What is cancelled can tell a timer of its own stack from the caller (G2)."""
    layer = Layer()
    answers: list[bool] = []

    async def work() -> None:
        try:
            await hang()
        finally:
            answers.append(struck_in((layer,)))

    with pytest.raises(DeadlineExceeded):
        await limited(work, 5, owner=layer)()
    task = asyncio.create_task(limited(work, 5, owner=layer)())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert answers == [True, False]


@pytest.mark.parametrize("kind", ["future", "task", "object"])
async def test_functions_that_return_other_awaitables(clock: VirtualClock, kind: str) -> None:
    """A future, a task or any object with `__await__` is limited like a coroutine (G5)."""

    class Awaitable:
        def __await__(self) -> Any:
            return hang().__await__()

    def make() -> Any:
        if kind == "object":
            return Awaitable()
        task = asyncio.ensure_future(hang())
        return task if kind == "task" else asyncio.shield(task)

    with pytest.raises(DeadlineExceeded):
        await limited(make, 5)()


async def test_an_error_of_the_call_itself_closes_the_scope(clock: VirtualClock) -> None:
    """A function that raises before it gives anything to await leaves nothing open (G2)."""

    def broken() -> Any:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await limited(broken, 5)()
    assert time_left() is None
    await asyncio.sleep(10)


async def test_nothing_happens_while_recovery_is_off(clock: VirtualClock) -> None:
    """With recovery switched off a call may take as long as it likes (G16)."""

    async def work() -> str:
        await asyncio.sleep(50)
        return "late"

    with disabled():
        assert await limited(work, 5)() == "late"


async def test_the_frames_of_a_failed_call_are_freed(clock: VirtualClock) -> None:
    """Once a deadline has struck and its error is dropped, nothing of the call is alive, collector off (G11)."""

    class Payload:
        pass

    async def work(payload: Payload) -> None:
        # Not asyncio.sleep: its frame keeps a future that keeps the CancelledError that keeps the frame.
        await asyncio.get_running_loop().create_future()
        payload.done = True  # type: ignore[attr-defined]

    gc.collect()
    gc.disable()
    try:
        payload = Payload()
        gone = weakref.ref(payload)
        with suppress(DeadlineExceeded):
            await limited(work, 5)(payload)
        del payload
        await asyncio.sleep(0)  # the step that threw the CancelledError in holds it until it ends
        assert gone() is None
    finally:
        gc.enable()


def test_an_unfinished_coroutine_closed_by_the_collector(clock: VirtualClock) -> None:
    """A call whose loop is gone is closed without harm, wherever that happens (G2)."""
    loop = VirtualEventLoop()
    task = loop.create_task(limited(hang, 5)())
    loop.run_until_complete(asyncio.sleep(0))
    coroutine = task.get_coro()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the point of this test
    loop.close()
    del task
    assert coroutine is not None
    coroutine.close()
    assert time_left() is None
