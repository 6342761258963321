"""Cancel scopes under asyncio: nested ones, other people's timeouts, task groups, child tasks, queues."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import pytest

from recoup._core import timing
from recoup._core.colour import Colour
from recoup._core.timing import struck_in
from recoup.errors import DeadlineExceeded
from recoup.testing import VirtualClock, VirtualEventLoop
from tests.core.limited import Layer, hang, limited


async def test_the_tightest_of_nested_deadlines_strikes(clock: VirtualClock) -> None:
    """Of nested deadlines the tightest is to blame, at the same moment the outer one (D1)."""
    for outer, inner, blamed in ((5, 3, "inner"), (3, 5, "outer"), (4, 4, "outer")):
        began = clock.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            await limited(limited(hang, inner, "inner"), outer, "outer")()
        assert caught.value.name == blamed
        assert clock.monotonic() - began == min(outer, inner)


async def test_both_of_nested_deadlines_due_in_one_iteration(clock: VirtualClock) -> None:
    """When a blocked loop finds both over, the outer one wins: what it limits is over as well (D2)."""
    loop = asyncio.get_running_loop()
    loop.call_later(1, clock.advance, 100)
    with pytest.raises(DeadlineExceeded, match="outer"):
        await limited(limited(hang, 3, "inner"), 5, "outer")()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_inner_deadline_may_strike_again_and_again(clock: VirtualClock) -> None:
    """Each attempt has its own time inside the total, as in a retry (R3)."""
    struck: list[float] = []

    async def attempts() -> None:
        while True:
            try:
                await limited(hang, 2, "attempt")()
            except DeadlineExceeded as error:
                assert error.name == "attempt"  # noqa: PT017 - the last one is the total's
                struck.append(clock.monotonic() - 1000)

    with pytest.raises(DeadlineExceeded, match="total"):
        await limited(attempts, 7, "total")()
    assert struck == [2, 4, 6]


@pytest.mark.parametrize(("ours", "theirs"), [(5, 3), (3, 5)])
async def test_nested_with_asyncio_timeout(clock: VirtualClock, ours: int, theirs: int) -> None:
    """Inside and outside `asyncio.timeout`, the one that strikes raises its own error (D2)."""

    async def theirs_inside() -> None:
        async with asyncio.timeout(theirs):
            await hang()

    expected = DeadlineExceeded if ours < theirs else TimeoutError
    with pytest.raises(TimeoutError) as caught:
        await limited(theirs_inside, ours)()
    assert type(caught.value) is expected
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(theirs):
            await limited(hang, ours)()
    assert type(caught.value) is expected


async def test_nested_with_asyncio_timeout_in_one_iteration(clock: VirtualClock) -> None:
    """Both due in one iteration: the outer one wins, whichever kind it is (D2)."""
    loop = asyncio.get_running_loop()
    loop.call_later(1, clock.advance, 100)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(5):
            await limited(hang, 3)()
    assert type(caught.value) is TimeoutError

    async def theirs() -> None:
        async with asyncio.timeout(3):
            await hang()

    loop.call_later(1, clock.advance, 100)
    with pytest.raises(DeadlineExceeded):
        await limited(theirs, 5)()


async def test_a_task_group_inside(clock: VirtualClock) -> None:
    """A deadline round a task group cancels its children; a child's own failure stays a failure (D2)."""
    cancelled: list[int] = []

    async def child(n: int) -> None:
        try:
            await hang()
        except asyncio.CancelledError:
            cancelled.append(n)
            raise

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            for n in range(3):
                tasks.create_task(child(n))

    with pytest.raises(DeadlineExceeded):
        await limited(group, 5)()
    assert sorted(cancelled) == [0, 1, 2]

    async def failing() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hang())
            await asyncio.sleep(1)
            raise ValueError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        await limited(failing, 5)()
    assert caught.group_contains(ValueError, match="mine")


async def test_a_child_failure_and_the_timer_in_one_iteration(clock: VirtualClock) -> None:
    """A task group that fails in the tick of the timer: nothing is lost, and no cancellation is left over (D2)."""
    loop = asyncio.get_running_loop()
    fail = loop.create_future()

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hang())
            tasks.create_task(asyncio.wait_for(fail, None))
            await hang()

    loop.call_later(1, clock.advance, 100)
    loop.call_later(4, fail.set_exception, ValueError("mine"))
    with pytest.raises(ExceptionGroup) as caught:
        await limited(group, 5)()
    assert caught.group_contains(ValueError, match="mine")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(50)


async def test_inside_the_children_of_a_task_group(clock: VirtualClock) -> None:
    """Each child of a group may have its own deadline; one that strikes is that child's failure (D2)."""

    async def caught(seconds: float) -> float:
        try:
            await limited(hang, seconds)()
        except DeadlineExceeded as error:
            return error.seconds
        return 0

    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(caught(seconds)) for seconds in (3, 1, 2)]
    assert [task.result() for task in made] == [3, 1, 2]
    assert clock.monotonic() == 1003


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
async def test_eager_tasks(clock: VirtualClock) -> None:
    """In an eagerly started task the timer cancels that task, not the one that started it (D2)."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    task = asyncio.create_task(limited(hang, 5)())
    await asyncio.sleep(10)
    assert isinstance(task.exception(), DeadlineExceeded)


async def test_an_earlier_cancellation_that_was_swallowed_does_not_count(clock: VirtualClock) -> None:
    """A task that swallowed a cancellation without taking it back can still use deadlines (D2)."""

    async def main() -> str:
        with suppress(asyncio.CancelledError):
            await hang()
        try:
            await limited(hang, 5)()
        except DeadlineExceeded:
            return "deadline"
        return "nothing"

    task = asyncio.create_task(main())
    await asyncio.sleep(1)
    task.cancel()
    assert await task == "deadline"


async def test_cancelling_oneself_in_the_tick_of_the_timer(clock: VirtualClock) -> None:
    """A cancellation that was on its way when the call first suspended is the caller's (D2)."""

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        clock.advance(100)  # the timer is due before the task's next step
        await hang()

    task = asyncio.create_task(limited(work, 5)())
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_cancellation_on_its_way_when_the_call_begins(clock: VirtualClock) -> None:
    """A cancellation requested before the call and delivered in it is the caller's, although the timer strikes (D2)."""

    async def slow_to_go() -> None:
        try:
            await hang()
        finally:
            for _ in range(3):  # the timer strikes meanwhile
                await asyncio.sleep(0)

    async def work(child: asyncio.Task[None]) -> None:
        clock.advance(100)
        await child

    async def main() -> None:
        child = asyncio.create_task(slow_to_go())
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await limited(work, 5)(child)

    task = asyncio.create_task(main())
    await asyncio.wait([task])
    assert task.cancelled()


async def test_nothing_is_left_to_be_delivered_after_a_group_failed_in_the_same_tick(clock: VirtualClock) -> None:
    """When a task group requests the cancellation anew, it is taken back with ours: the next wait is not hit (D2)."""

    async def fail() -> None:
        try:
            await hang()
        except asyncio.CancelledError:
            raise ValueError("clean-up") from None

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            await hang()

    with pytest.raises(ExceptionGroup):
        await limited(group, 5)()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(1)


def test_in_the_main_task_of_a_run(clock: VirtualClock) -> None:
    """A deadline works in the task that runs everything (D2)."""
    with pytest.raises(DeadlineExceeded), asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        runner.run(limited(hang, 5)())


async def test_a_child_task_is_cut_to_a_tighter_deadline_of_its_parent(clock: VirtualClock) -> None:
    """A task started inside a tighter scope is cut to it, in that one's name, as an inherited deadline (D1, G2)."""
    layer = Layer()
    neutral: list[bool] = []

    async def watched() -> None:
        try:
            await hang()
        finally:
            neutral.append(struck_in((layer,)))

    async def parent() -> None:
        task = asyncio.create_task(limited(watched, 50, "child", layer)())
        await asyncio.sleep(0)
        try:
            await hang()
        finally:
            await asyncio.wait([task])
            error = task.exception()
            assert isinstance(error, DeadlineExceeded)
            assert error.name == "parent"

    with pytest.raises(DeadlineExceeded, match="parent"):
        await limited(parent, 5, "parent")()
    assert clock.monotonic() == 1005
    assert neutral == [False]


async def test_a_child_task_that_outlives_the_scope_gets_its_own_time_back(clock: VirtualClock) -> None:
    """Once the tighter scope has closed, the task is bound by its own deadline again (G16)."""

    async def parent() -> asyncio.Task[Any]:
        task = asyncio.create_task(limited(hang, 20, "child")())
        await asyncio.sleep(1)
        return task

    task = await limited(parent, 5, "parent")()
    with pytest.raises(DeadlineExceeded, match="child: not finished within 20 s"):
        await task
    assert clock.monotonic() == 1020


async def test_a_child_task_falls_back_to_the_next_tighter_one(clock: VirtualClock) -> None:
    """When the tightest scope closes and another one is still tighter than the task's own, that one counts (G16)."""

    async def innermost() -> asyncio.Task[Any]:
        task = asyncio.create_task(limited(hang, 50, "child")())
        await asyncio.sleep(1)
        return task

    async def middle() -> None:
        task = await limited(innermost, 5, "tight")()
        await asyncio.sleep(100)
        await task

    async def outermost() -> None:
        with pytest.raises(DeadlineExceeded, match="middle"):
            await limited(middle, 10, "middle")()

    tasks = asyncio.all_tasks()
    await limited(outermost, 70, "outermost")()
    (child,) = asyncio.all_tasks() - tasks
    with pytest.raises(DeadlineExceeded, match="middle"):
        await child
    assert clock.monotonic() == 1010


def test_a_loop_inside_a_plain_function_is_cut_to_its_deadline(clock: VirtualClock) -> None:
    """What a plain function with a deadline runs in a loop is cancelled when that deadline strikes (D1)."""

    def plain() -> None:
        with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
            runner.run(limited(hang, 50, "inner")())

    pump = timing.limit(Colour.SYNC, timing.Live(timing.Limit(None, 5, "plain")))
    with pytest.raises(DeadlineExceeded, match="plain"):
        pump.factory(plain, *pump.cells)()
    assert clock.monotonic() == 1005


async def test_waiting_in_a_queue_of_ours_is_not_a_start(clock: VirtualClock) -> None:
    """A deadline that strikes while the call waits in a queue is a refusal; before and after it is not (G13)."""

    async def queued_then_works(wait: float) -> None:
        with timing.queueing():
            await asyncio.sleep(wait)
        await hang()

    with pytest.raises(DeadlineExceeded) as caught:
        await limited(queued_then_works, 5)(10)
    assert caught.value.started is False
    with pytest.raises(DeadlineExceeded) as caught:
        await limited(queued_then_works, 5)(1)
    assert caught.value.started is True


async def test_only_the_first_wait_is_before_the_start(clock: VirtualClock) -> None:
    """Once the function was called, as in a retry, waiting in a queue does not undo that (G13)."""

    async def retried() -> None:
        timing.asked()
        with timing.queueing():
            await hang()

    with pytest.raises(DeadlineExceeded) as caught:
        await limited(retried, 5)()
    assert caught.value.started is True


async def test_a_queue_of_one_child_says_nothing_of_the_others(clock: VirtualClock) -> None:
    """When one of several tasks waits in a queue, the deadline round all of them has started (G13)."""

    async def queues() -> None:
        with timing.queueing():
            await hang()

    async def both() -> None:
        await asyncio.gather(queues(), hang())

    with pytest.raises(DeadlineExceeded) as caught:
        await limited(both, 5)()
    assert caught.value.started is True


async def test_an_inner_timer_in_a_queue_leaves_the_outer_deadline_unmarked(clock: VirtualClock) -> None:
    """An attempt cut off in the queue was not made; the total, in which others follow, has begun (G13)."""

    async def queues() -> None:
        with timing.queueing():
            await hang()

    async def total() -> None:
        with pytest.raises(DeadlineExceeded) as caught:
            await limited(queues, 2, "attempt")()
        assert caught.value.started is False
        await hang()

    with pytest.raises(DeadlineExceeded) as caught:
        await limited(total, 5, "total")()
    assert caught.value.started is True


async def test_a_call_that_a_thread_never_began_may_have_been_made_before(clock: VirtualClock) -> None:
    """What an earlier attempt has begun stays begun, though the thread of a later one did not begin (D3, G13)."""

    async def attempts() -> None:
        timing.asked()
        try:
            await hang()
        finally:
            timing.departed(begun=False)

    with pytest.raises(DeadlineExceeded) as caught:
        await limited(attempts, 5)()
    assert caught.value.started is True


async def test_a_call_that_got_out_of_the_queue_has_started(clock: VirtualClock) -> None:
    """A cancellation that arrives in the queue, but comes out after the function was called: it has started (G13)."""

    async def stubborn() -> None:
        cancelled: list[asyncio.CancelledError] = []
        with timing.queueing():
            try:
                await hang()
            except asyncio.CancelledError as error:
                cancelled.append(error)
        raise cancelled.pop()

    with pytest.raises(DeadlineExceeded) as caught:
        await limited(stubborn, 5)()
    assert caught.value.started is True
