"""No cancellation stops a compensation, and none is lost (rules S1 and G2)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import threading
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, DeadlineExceeded, retry
from recoup.strategies.compensation.scope import saga
from recoup.strategies.compensation.strategy import compensate
from recoup.testing import run
from tests.conftest import run_trio

if TYPE_CHECKING:
    from collections.abc import Generator

    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Work:
    """An operation that waits, and actions that wait."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.undoing = asyncio.Event()
        self.go_on = asyncio.Event()

    async def operation(self) -> None:
        self.diary.append("operation")
        await asyncio.Event().wait()

    async def failing(self) -> None:
        raise ValueError("own")

    async def slow(self) -> None:
        self.undoing.set()
        await self.go_on.wait()
        self.diary.append("slow")

    def plain(self) -> None:
        self.diary.append("plain")


async def test_a_cancelled_call_is_undone() -> None:
    """S1: the caller's cancellation comes out, itself, after the actions have run."""
    work = Work()
    task = asyncio.create_task(compensate([work.slow, work.plain])(work.operation)())
    await asyncio.sleep(0)
    task.cancel("why")
    await work.undoing.wait()
    assert not task.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError, match="why") as caught:
        await task
    assert work.diary == ["operation", "slow", "plain"]
    assert caught.value.__notes__ == ["recoup: compensated: 2 of 2 actions succeeded"]
    assert task.cancelled()


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_cancelling_again_changes_nothing(times: int) -> None:
    """S1: repeated cancellation while undoing stops nothing, and one CancelledError comes out."""
    work = Work()
    task = asyncio.create_task(compensate([work.slow, work.plain])(work.operation)())
    await asyncio.sleep(0)
    task.cancel()
    await work.undoing.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
    assert not task.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.diary == ["operation", "slow", "plain"]
    assert task.cancelling() == 1 + 2 * times


async def test_a_cancellation_that_comes_while_undoing_is_not_lost() -> None:
    """G2: the call failed by itself and was cancelled while it was undone: the cancellation comes out, afterwards."""
    work = Work()

    async def call() -> None:
        with pytest.raises(asyncio.CancelledError, match="first") as caught:
            await compensate([work.slow, work.plain])(work.failing)()
        assert isinstance(caught.value.__context__, ValueError)
        work.diary.append("cancelled")

    task = asyncio.create_task(call())
    await work.undoing.wait()
    task.cancel("first")
    await asyncio.sleep(0)
    task.cancel("second")
    await asyncio.sleep(0)
    work.go_on.set()
    await task
    assert work.diary == ["slow", "plain", "cancelled"]


@pytest.mark.parametrize("own", [True, False])
async def test_no_cycle_after_a_cancellation(own: bool) -> None:
    """G11: with the collector off, what a cancelled call held is gone as soon as the error is."""

    class Held:
        pass

    gone: list[Any] = []
    work = Work()

    async def operation() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        if own:
            raise ValueError("own")
        await work.operation()

    async def call() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        with contextlib.suppress(asyncio.CancelledError):
            await compensate([work.slow, work.plain])(operation)()

    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        task.cancel()
        await work.undoing.wait()
        task.cancel()
        await asyncio.sleep(0)
        work.go_on.set()
        await task
        del task
        assert work.diary[-2:] == ["slow", "plain"]
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


async def test_failures_of_a_cancelled_call_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """G2: a cancellation is not replaced by what failed; that is logged, for somebody has to look at it."""
    work = Work()

    async def broken() -> None:
        raise KeyError("broken")

    task = asyncio.create_task(compensate([broken, work.plain])(work.operation)())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.diary == ["operation", "plain"]
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


async def test_timeouts_of_the_caller_work(clock: VirtualClock) -> None:
    """S1: a call cut by `asyncio.timeout` is undone, and the timeout is still a TimeoutError, nested ones too."""
    work = Work()

    async def slow() -> None:
        await asyncio.sleep(10)
        work.diary.append("slow")

    began = clock.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5), asyncio.timeout(4):
            await compensate([slow, work.plain])(work.operation)()
    assert work.diary == ["operation", "slow", "plain"]
    assert clock.monotonic() - began == pytest.approx(14)
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_task_groups_of_the_caller_work() -> None:
    """S1: when a sibling fails, the call is cancelled and undone before the group ends."""
    work = Work()
    work.go_on.set()

    async def sibling() -> None:
        await asyncio.sleep(0)
        raise KeyError("sibling")

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(compensate([work.slow, work.plain])(work.operation)())
            tasks.create_task(sibling())

    with pytest.raises(ExceptionGroup) as caught:
        await group()
    assert [type(each) for each in caught.value.exceptions] == [KeyError]
    assert work.diary == ["operation", "slow", "plain"]


async def test_the_wait_is_not_busy() -> None:
    """S1: each cancellation wakes the caller once; between them nothing spins."""
    work = Work()
    steps = 0

    async def counted() -> Any:
        inner = compensate(work.slow)(work.failing)()
        return await Counting(inner)

    class Counting:
        def __init__(self, coroutine: Any) -> None:
            self.coroutine = coroutine

        def __await__(self) -> Generator[Any, Any, Any]:
            nonlocal steps
            step, value = self.coroutine.send, None
            while True:
                try:
                    yielded = step(value)
                except StopIteration:
                    return
                steps += 1
                try:
                    value, step = (yield yielded), self.coroutine.send
                except BaseException as error:  # noqa: BLE001 - thrown on
                    value, step = error, self.coroutine.throw

    task = asyncio.create_task(counted())
    await work.undoing.wait()
    before = steps
    for _ in range(50):
        await asyncio.sleep(0)
    assert steps == before
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert steps == before + 3
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_action_that_is_cancelled_by_itself_has_failed() -> None:
    """An action that awaits something cancelled has failed; nobody has cancelled the caller."""
    work = Work()

    async def awaits_cancelled() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(CompensationError) as caught:
        await compensate([awaits_cancelled, work.plain])(work.failing)()
    assert isinstance(caught.value.failures[0], asyncio.CancelledError)
    assert work.diary == ["plain"]


async def test_a_cancelled_action_leaves_no_trace_for_the_next() -> None:
    """Whoever cancels the compensation's own task ends one action; timeouts and groups of the next work."""
    work = Work()

    async def shot() -> None:
        own = asyncio.current_task()
        assert own is not None
        own.cancel()
        own.cancel()
        await asyncio.sleep(1)

    async def next_one() -> None:
        own = asyncio.current_task()
        assert own is not None
        assert own.cancelling() == 0
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(work.failing())
        work.diary.append("next")

    with pytest.raises(CompensationError, match="1 of 2"):
        await compensate([shot, next_one])(work.failing)()
    assert work.diary == ["next"]


def test_the_end_of_the_loop_waits_for_it() -> None:
    """S1: when the program ends, a compensation under way loses the action that is cancelled, and no other."""
    diary: list[str] = []

    async def hang() -> None:
        await asyncio.sleep(1000)

    async def slow() -> None:
        await asyncio.sleep(0.01)
        diary.append("slow")

    async def fail() -> None:
        raise ValueError("own")

    async def main() -> None:
        tasks = [
            asyncio.create_task(compensate([hang, slow, lambda: diary.append("plain")])(fail)()),
            asyncio.create_task(compensate([slow, lambda: diary.append("plain")])(hang)()),
        ]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)

    asyncio.run(main())
    assert sorted(diary) == ["plain", "plain", "slow", "slow"]


def test_one_object_serves_many_loops() -> None:
    """G7, G8: loops in several threads share one object; each call is undone in its own loop, with its own state."""
    undone: list[tuple[int, bool]] = []

    async def undo(state: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        undone.append((state["number"], state["loop"] is asyncio.get_running_loop()))

    compensation = compensate(undo)

    @compensation
    async def fail(number: int, loop: asyncio.AbstractEventLoop) -> None:
        await asyncio.sleep(0)
        raise ValueError(number)

    async def main(base: int) -> None:
        loop = asyncio.get_running_loop()
        outcomes = await asyncio.gather(*(fail(base + n, loop) for n in range(20)), return_exceptions=True)
        assert [type(each) for each in outcomes] == [ValueError] * 20

    threads = [threading.Thread(target=lambda base=base: asyncio.run(main(base))) for base in range(0, 80, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(undone) == [(number, True) for number in range(80)]
    assert compensation.compensations == 80


def test_ctrl_c_in_asyncio() -> None:
    """S1: Ctrl-C cancels the main task; it is undone, and then KeyboardInterrupt comes out of `asyncio.run`."""
    diary: list[str] = []

    async def operation() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(1000)

    async def slow() -> None:
        await asyncio.sleep(0.01)
        diary.append("slow")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(compensate([slow, lambda: diary.append("plain")])(operation)())
    assert diary == ["slow", "plain"]


def test_ctrl_c_inside_an_action() -> None:
    """KeyboardInterrupt raised in an async action stops no other and comes out at the end."""
    diary: list[str] = []

    async def fail() -> None:
        raise ValueError("own")

    async def pressed() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(compensate([pressed, lambda: diary.append("plain")])(fail)())
    assert diary == ["plain"]


def test_a_loop_closed_under_it(caplog: pytest.LogCaptureFixture) -> None:
    """S1: when the loop is closed while undoing, what needs no waiting is still done, and the rest is logged."""
    diary: list[str] = []

    async def hang() -> None:
        await asyncio.sleep(1000)

    async def fail() -> None:
        raise ValueError("own")

    async def again() -> None:
        diary.append("never")

    loop = asyncio.new_event_loop()
    actions = [hang, lambda: diary.append("plain"), again, lambda: diary.append("last")]
    task = loop.create_task(compensate(actions)(fail)())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    assert diary == []
    del task
    gc.collect()
    assert diary == ["plain", "last"]
    reported = [record for record in caplog.records if record.name == "recoup"]
    assert [type(record.exc_info[1]).__name__ for record in reported if record.exc_info] == [
        "GeneratorExit",
        "TypeError",
    ]


def test_a_coroutine_that_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """S1: a call whose coroutine is closed is undone as far as that is possible without waiting."""
    work_diary: list[str] = []

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def operation() -> None:
        await Pause()

    async def waits() -> None:
        await Pause()

    coroutine = compensate([lambda: work_diary.append("plain"), waits, lambda: work_diary.append("last")])(operation)()
    coroutine.send(None)
    coroutine.close()
    assert work_diary == ["plain", "last"]
    assert len(caplog.records) == 1


def test_a_coroutine_that_is_closed_while_undoing(caplog: pytest.LogCaptureFixture) -> None:
    """S1: outside any loop too, closing stops no plain action."""
    diary: list[str] = []

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def fail() -> None:
        raise ValueError("own")

    async def waits() -> None:
        diary.append("waits")
        await Pause()
        diary.append("never")

    coroutine = compensate([waits, lambda: diary.append("plain")])(fail)()
    coroutine.send(None)
    assert diary == ["waits"]
    coroutine.close()
    assert diary == ["waits", "plain"]
    assert [record.getMessage() for record in caplog.records] == [
        "not undone: recoup: in compensation action 'test_a_coroutine_that_is_closed_while_undoing.<locals>.waits'"
    ]


async def test_anyio_is_asked_to_shield(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1: with AnyIO loaded the wait stands in its shielded scope, because AnyIO cancels in every round of the loop."""
    seen: list[Any] = []

    class CancelScope:
        def __init__(self, *, shield: bool) -> None:
            seen.append(shield)

        def __enter__(self) -> None:
            seen.append("enter")

        def __exit__(self, *_: object) -> None:
            seen.append("exit")

    anyio = ModuleType("anyio")
    anyio.CancelScope = CancelScope  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "anyio", anyio)
    work = Work()
    work.go_on.set()
    with pytest.raises(ValueError, match="own"):
        await compensate([work.slow, lambda: seen.append("plain")])(work.failing)()
    assert seen == [True, "enter", "plain", "exit"]


def test_a_program_without_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coroutine that is driven by hand, where nothing has imported asyncio, is undone all the same."""
    monkeypatch.delitem(sys.modules, "asyncio")
    diary: list[str] = []

    async def fail() -> None:
        raise ValueError("own")

    coroutine = compensate(lambda: diary.append("plain"))(fail)()
    with pytest.raises(ValueError, match="own"):
        coroutine.send(None)
    assert diary == ["plain"]


async def test_a_saga_is_undone_when_it_is_cancelled() -> None:
    """S1: the block's cancellation comes out after all its steps are undone."""
    work = Work()

    @compensate(work.slow)
    async def step() -> None:
        work.diary.append("step")

    async def block() -> None:
        async with saga("order"):
            await step()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    await work.undoing.wait()
    task.cancel()
    await asyncio.sleep(0)
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.diary == ["step", "slow"]


if sys.version_info >= (3, 12):  # eager tasks are new in 3.12

    def test_eager_tasks() -> None:
        """An eager task factory changes nothing."""
        diary: list[str] = []

        async def fail() -> None:
            raise ValueError("own")

        async def slow() -> None:
            await asyncio.sleep(0)
            diary.append("slow")

        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            for actions in ([lambda: diary.append("plain")], [slow]):
                with pytest.raises(ValueError, match="own"):
                    await compensate(actions)(fail)()

        asyncio.run(main())
        assert diary == ["plain", "slow"]


# Trio


class TrioWork:
    def __init__(self) -> None:
        self.diary: list[str] = []

    async def operation(self) -> None:
        import trio

        self.diary.append("operation")
        await trio.sleep_forever()

    async def slow(self) -> None:
        import trio

        await trio.sleep(2)
        self.diary.append("slow")

    def plain(self) -> None:
        self.diary.append("plain")


def test_trio_cancellation(clock: VirtualClock) -> None:
    """G15, S1: a call cancelled by a Trio scope is undone before the scope ends."""
    import trio

    work = TrioWork()
    times: list[float] = []

    async def main() -> None:
        began = clock.monotonic()
        with trio.move_on_after(3) as scope:
            await compensate([work.slow, work.plain])(work.operation)()
        assert scope.cancelled_caught
        times.append(clock.monotonic() - began)

    run_trio(main)
    assert work.diary == ["operation", "slow", "plain"]
    assert times == [pytest.approx(5)]


def test_trio_saga_timeout(clock: VirtualClock) -> None:
    """G15, S1: under Trio too an action is cut when `saga_timeout` is over."""
    import trio

    diary: list[str] = []

    async def fail() -> None:
        raise ValueError("own")

    async def hang() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        with pytest.raises(CompensationError) as caught:
            await compensate([hang, lambda: diary.append("late")], saga_timeout=4)(fail)()
        assert [type(each) for each in caught.value.failures] == [DeadlineExceeded, DeadlineExceeded]

    run_trio(main)
    assert diary == []


def test_trio_cancellation_while_undoing(clock: VirtualClock) -> None:
    """G15, S1: a cancellation that comes while undoing strikes at the caller's next wait."""
    import trio

    work = TrioWork()

    async def fail() -> None:
        raise ValueError("own")

    async def main() -> None:
        with trio.move_on_after(1) as scope:
            with pytest.raises(ValueError, match="own"):
                await compensate([work.slow, work.plain])(fail)()
            work.diary.append("still here")
            await trio.sleep(100)
        assert scope.cancelled_caught

    run_trio(main)
    assert work.diary == ["slow", "plain", "still here"]


def test_trio_saga(clock: VirtualClock) -> None:
    """G15, S1: a saga cancelled under Trio is undone, steps of a nursery included."""
    import trio

    work = TrioWork()

    @compensate(work.slow)
    async def step() -> None:
        await trio.sleep(1)
        work.diary.append("step")

    async def main() -> None:
        with trio.move_on_after(5):
            async with saga("order"):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(step)
                    nursery.start_soon(step)
                await trio.sleep_forever()

    run_trio(main)
    assert work.diary == ["step", "step", "slow", "slow"]


def test_virtual_run(clock: VirtualClock) -> None:
    """The whole works on the virtual loop that users get."""
    diary: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(100)
        diary.append("slow")

    async def fail() -> None:
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        run(compensate(slow)(fail)())
    assert diary == ["slow"]


# Deadlines


@pytest.mark.parametrize("inside", [True, False])
def test_a_deadline_of_the_same_stack(both: Both, clock: VirtualClock, inside: bool) -> None:
    """S1: a call whose time is up is undone, whichever layer stands outside, and its DeadlineExceeded comes out."""
    diary: list[str] = []

    def operation() -> Any:
        diary.append("operation")
        return both.pause(100)

    def slow() -> Any:
        diary.append("slow")
        return both.pause(20)

    undo = compensate([slow, lambda: diary.append("plain")])
    retrying = retry(max_attempts=1, attempt_timeout=3)
    call = both.wrap(operation)
    began = clock.monotonic()
    if not both.is_async:  # nobody interrupts plain code, and a result that comes late is returned
        both.call(undo(retrying(call)) if inside else retrying(undo(call)))
        assert diary == ["operation"]
        return
    with pytest.raises(DeadlineExceeded, match="attempt_timeout: not finished within 3 s"):
        both.call(undo(retrying(call)) if inside else retrying(undo(call)))
    assert diary == ["operation", "slow", "plain"]
    assert clock.monotonic() - began == pytest.approx(23)


async def test_a_deadline_that_strikes_while_undoing(clock: VirtualClock) -> None:
    """S1: a deadline outside that strikes while undoing interrupts nothing, and is reported afterwards."""
    work = Work()

    async def slow() -> None:
        await asyncio.sleep(20)
        work.diary.append("slow")

    decorated = retry(max_attempts=1, attempt_timeout=3)(compensate([slow, work.plain])(work.failing))
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded):
        await decorated()
    assert work.diary == ["slow", "plain"]
    assert clock.monotonic() - began == pytest.approx(20)
