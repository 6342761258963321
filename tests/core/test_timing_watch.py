"""The one timer of a loop: what it costs, what it leaves behind, several loops and threads, frozen clocks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from freezegun import freeze_time

from recoup._core import scopes
from recoup._core.timing import Limit, time_left
from recoup.errors import DeadlineExceeded
from recoup.testing import VirtualClock, VirtualEventLoop
from tests.core.limited import Layer, hang, limited


def timers(loop: Any = None) -> list[asyncio.TimerHandle]:
    """The timers of a loop that are still going to ring."""
    loop = loop or asyncio.get_running_loop()
    return [handle for handle in loop._scheduled if not handle.cancelled()]


def watch() -> scopes.Watch:
    found = scopes._here.watch()
    assert found is not None
    return found


async def test_one_timer_serves_all_calls_of_a_loop() -> None:
    """However many calls are open, one timer is set, for the first of them."""
    calls = [asyncio.create_task(limited(hang, 60 + n)()) for n in range(50)]
    await asyncio.sleep(0)
    assert len(timers()) == 1
    first = watch().armed
    early = asyncio.create_task(limited(hang, 30)())
    await asyncio.sleep(0)
    assert len(timers()) == 1
    assert watch().armed < first - 29
    for call in [*calls, early]:
        call.cancel()
    await asyncio.wait([*calls, early])


async def test_real_time_passes() -> None:
    """On an ordinary loop and the real clock the timer rings when it should."""
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await limited(hang, 0.02)()
    assert 0.02 <= time.monotonic() - began < 5
    assert timers() == []


async def test_closed_deadlines_are_dropped_before_they_pile_up() -> None:
    """Calls that are over leave a bounded number of closed deadlines behind, whatever their order (G7)."""
    held: list[asyncio.Task[Any]] = []
    for n in range(2000):
        await limited(asyncio.sleep, 3600)(0)
        if n % 100 == 0:
            held.append(asyncio.create_task(limited(hang, 3600)()))
            await asyncio.sleep(0)
    kept = len(watch()._fresh) + len(watch()._heap)
    assert len(held) <= kept < 300
    for task in held:
        task.cancel()
    await asyncio.wait(held)


async def test_deadlines_that_survive_a_sweep_are_dropped_too_once_closed() -> None:
    """Also those that were open for long and went into the heap are dropped in time (G7)."""
    for _ in range(10):
        tasks = [asyncio.create_task(limited(hang, 3600)()) for _ in range(200)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert len(watch()._heap) < 700


async def test_a_timer_that_is_left_over_rings_once_for_nothing() -> None:
    """After the last call the timer stays set; it rings, hits nobody, and is gone."""
    await limited(asyncio.sleep, 0.02)(0)
    assert len(timers()) == 1
    await asyncio.sleep(0.05)
    assert timers() == []
    with pytest.raises(DeadlineExceeded):
        await limited(hang, 0.02)()


async def test_virtual_time_is_not_moved_by_a_timer_for_nobody(clock: VirtualClock) -> None:
    """On a virtual clock a timer that nobody waits for is taken back at once (G12)."""
    await limited(asyncio.sleep, 50)(1)
    assert timers() == []
    other = asyncio.create_task(limited(hang, 60)())
    await asyncio.sleep(0)
    await limited(asyncio.sleep, 50)(1)
    assert [round(handle.when()) for handle in timers()] == [1061]
    other.cancel()
    await asyncio.wait([other])
    assert timers() == []


async def test_a_struck_deadline_among_many(clock: VirtualClock) -> None:
    """When the timer rings, all that is due is cancelled and nothing else (D2)."""
    ended: list[tuple[float, float]] = []

    async def call(seconds: float) -> None:
        try:
            await limited(hang, seconds)()
        except DeadlineExceeded as error:
            ended.append((clock.monotonic() - 1000, error.seconds))

    dice = random.Random(7)
    lengths = [float(dice.randint(1, 40)) for _ in range(300)]
    await asyncio.gather(*map(call, lengths))
    assert ended == sorted((length, length) for length in lengths)


async def test_a_timer_that_rings_a_hair_early(clock: VirtualClock) -> None:
    """What the timer was set for is due when it rings, whatever the clock says: loops round, and clocks freeze (B2)."""
    tasks = [asyncio.create_task(limited(hang, seconds)()) for seconds in (5, 6)]
    await asyncio.sleep(0)
    watch()._ring()
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert clock.monotonic() == 1000
    assert isinstance(tasks[0].exception(), DeadlineExceeded)
    assert not tasks[1].done()
    tasks[1].cancel()
    await asyncio.wait(tasks)


async def test_an_awaitable_that_refuses_to_be_cancelled(clock: VirtualClock) -> None:
    """An error in somebody's `cancel()` goes to the loop's handler; the other calls are cancelled as ever (D2)."""

    class Stubborn(asyncio.Future[None]):
        def cancel(self, msg: object = None) -> bool:
            raise ValueError("mine")

    async def work() -> None:
        await future

    loop = asyncio.get_running_loop()
    future = Stubborn()
    handled: list[Any] = []
    loop.set_exception_handler(lambda _, context: handled.append(context))
    tasks = [asyncio.create_task(limited(work, 5)()), asyncio.create_task(limited(hang, 5)())]
    await asyncio.sleep(6)
    assert isinstance(tasks[1].exception(), DeadlineExceeded)
    assert [str(context["exception"]) for context in handled] == ["mine"]
    assert handled[0]["task"] is tasks[0]
    future.set_result(None)
    await asyncio.wait(tasks)


async def test_a_looser_deadline_inside_needs_no_timer(clock: VirtualClock) -> None:
    """Inside a tighter deadline of the same task there is nothing to time: the outer one cancels both (D1)."""
    terms: list[Any] = []

    async def work() -> None:
        term = scopes.enter_async(Limit(None, 50))
        terms.append(term)
        scopes.leave_async(term)

    await limited(work, 5)()
    assert terms[0].scope is None
    await limited(work, 500)()
    assert terms[1].scope is watch()


async def test_the_timer_keeps_no_context_alive() -> None:
    """The timer outlives the call, and must not keep the context variables of a request alive (G11)."""

    class Request:
        pass

    variable: contextvars.ContextVar[object] = contextvars.ContextVar("request")
    seen: list[weakref.ref[Request]] = []

    async def serve() -> None:
        request = Request()
        seen.append(weakref.ref(request))
        variable.set(request)
        await limited(asyncio.sleep, 60)(0)

    await asyncio.create_task(serve())
    await asyncio.sleep(0)
    gc.collect()
    assert len(timers()) == 1
    assert seen[0]() is None


async def test_closed_deadlines_keep_no_task_alive() -> None:
    """What a loop still remembers of a call is not its task (G11)."""
    task = asyncio.create_task(limited(asyncio.sleep, 60)(0))
    await task
    gone = weakref.ref(task)
    del task
    await asyncio.sleep(0)
    gc.collect()
    assert gone() is None


async def test_tasks_that_start_their_successors_keep_nothing_alive(clock: VirtualClock) -> None:
    """Each task opens its deadline inside the one before, which then closes: what is kept does not grow (G16)."""
    seen: list[weakref.ref[Layer]] = []
    alive: list[int] = []
    last: list[asyncio.Task[Any]] = []

    async def work(n: int) -> None:
        await asyncio.sleep(2)
        if n:
            last[:] = [asyncio.create_task(call(n - 1))]
        await asyncio.sleep(1)  # so long that the successor is inside before this one ends
        watch()._sweep()
        alive.append(sum(each() is not None for each in seen))

    async def call(n: int) -> None:
        owner = Layer()
        seen.append(weakref.ref(owner))
        await limited(work, 60, "link", owner)(n)

    await call(400)
    while not last[0].done():
        await asyncio.wait(last)
    assert len(seen) == 401
    assert max(alive) < 150


def test_several_loops_in_threads_at_the_same_time() -> None:
    """Deadlines of loops in different threads do not disturb each other (G7)."""
    failures: list[str] = []

    async def main(seconds: float) -> None:
        for _ in range(20):
            await limited(asyncio.sleep, 30)(0)
            try:
                await limited(hang, seconds)()
                failures.append("not cancelled")
            except DeadlineExceeded as error:
                if error.seconds != seconds:
                    failures.append(f"{error.seconds} instead of {seconds}")

    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(0.001 + n / 1000))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_two_loops_in_turn_in_one_thread(clock: VirtualClock) -> None:
    """Two loops that take turns in a thread each keep their own timers (G7)."""
    one, two = VirtualEventLoop(), VirtualEventLoop()
    tasks = [one.create_task(limited(hang, 5)()), two.create_task(limited(hang, 3)())]
    for _ in range(3):
        for loop in (one, two):
            loop.run_until_complete(asyncio.sleep(0))
            loop.run_until_complete(limited(asyncio.sleep, 1)(0))
    one.run_until_complete(asyncio.sleep(10))
    two.run_until_complete(asyncio.sleep(0.1))
    for task in tasks:
        assert isinstance(task.exception(), DeadlineExceeded)
    one.close()
    two.close()


def test_a_loop_is_not_kept_alive() -> None:
    """A loop that its program drops is not held by what recoup remembers (G11)."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(limited(asyncio.sleep, 60)(0))
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


async def test_a_coroutine_that_another_thread_closes(clock: VirtualClock) -> None:
    """The collector may close a suspended call in any thread; the loop's timers are not touched from there (G7)."""
    armed: list[float] = []

    async def main() -> None:
        await limited(hang, 50)()

    coroutine = main()
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    here = watch()
    armed.append(here.armed)
    thread = threading.Thread(target=coroutine.close)
    thread.start()
    thread.join()
    assert [here.armed] == armed == [1050]
    here.settle()
    assert timers() == []
    task.cancel()
    await asyncio.wait([task])


def test_under_freezegun_with_real_asyncio() -> None:
    """With `real_asyncio=True` the loop's time goes on: a deadline strikes by it, and nothing hangs (G12)."""
    with freeze_time("2024-01-01", real_asyncio=True):

        async def main() -> float | None:
            with pytest.raises(DeadlineExceeded):
                await limited(hang, 0.02)()
            assert await limited(asyncio.sleep, 30)(0, "value") == "value"
            return time_left()

        assert asyncio.run(main()) is None


def test_under_freezegun_the_timer_follows_the_frozen_clock() -> None:
    """Where the loop's clock is frozen as well, moving it strikes (G12)."""
    with freeze_time("2024-01-01") as frozen:

        async def main() -> None:
            task = asyncio.create_task(limited(hang, 60)())
            for _ in range(3):
                await asyncio.sleep(0)
            assert not task.done()
            frozen.tick(61)
            for _ in range(3):
                await asyncio.sleep(0)
            assert isinstance(task.exception(), DeadlineExceeded)

        asyncio.run(main())


def test_freezing_in_the_middle_of_a_call() -> None:
    """A call that began in real time ends well when the clock is frozen meanwhile (G12)."""

    async def main() -> str:
        async def work() -> str:
            with freeze_time("2024-01-01", real_asyncio=True):
                await asyncio.sleep(0)
            return "done"

        return str(await limited(work, 30)())

    assert asyncio.run(main()) == "done"


class OtherClockLoop(asyncio.SelectorEventLoop):
    """A loop whose time is not ours, as uvloop's."""

    def time(self) -> float:
        return super().time() + 1_000_000


def test_a_loop_with_a_clock_of_its_own() -> None:
    """Timers are set by the loop's own clock (G12)."""
    with asyncio.Runner(loop_factory=OtherClockLoop) as runner:
        with pytest.raises(DeadlineExceeded):
            runner.run(limited(hang, 0.02)())
        assert runner.run(limited(asyncio.sleep, 30)(0, "value")) == "value"


async def test_outside_any_task_there_is_no_timer(clock: VirtualClock) -> None:
    """A coroutine that a callback steps by hand has an ambient deadline and no timer."""
    seen: list[float | None] = []

    async def work() -> None:
        seen.append(time_left())

    def step() -> None:
        with pytest.raises(StopIteration):
            limited(work, 5)().send(None)

    asyncio.get_running_loop().call_soon(step)
    await asyncio.sleep(0)
    assert seen == [5]
    assert timers() == []


def test_asyncio_is_not_imported_before_it_is_needed() -> None:
    """Importing and using deadlines in plain code does not import asyncio, and Trio not at all (G15)."""
    code = (
        "import sys\n"
        "from recoup._core import limiting, scopes, timing\n"
        "with timing.queueing(): assert scopes.running_task() is None\n"
        "from recoup.strategies.deadline.strategy import deadline\n"
        "print(deadline(5, mode='cooperative')(lambda: round(timing.time_left()))())\n"
        "print([name for name in ('asyncio', 'trio', 'wrapt') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["5", "[]"]


def test_the_running_task() -> None:
    """Outside a loop there is none, inside it is asyncio's."""
    assert scopes.running_task() is None

    async def main() -> bool:
        return scopes.running_task() is asyncio.current_task()

    assert asyncio.run(main())


def test_nothing_is_left_open_without_a_loop() -> None:
    """Opened and closed outside any loop, a deadline has nobody to blame."""
    term = scopes.enter_async(Limit(None, 5))
    assert term is not None
    assert scopes.leave_async(term, asyncio.CancelledError()) is None
    assert scopes.leave_async(None) is None
