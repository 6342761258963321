"""Deadlines under Trio: the same meaning as under asyncio (G15)."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from recoup import DeadlineExceeded, current_deadline, deadline
from recoup._core import scopes, timing
from recoup._core.colour import Colour
from recoup._core.timing import struck_in, time_left
from recoup.testing import VirtualClock
from tests.conftest import run_trio
from tests.core.limited import Layer, limited


def passed(clock: VirtualClock) -> float:
    return round(clock.monotonic() - 1000, 6)


def test_too_late(clock: VirtualClock) -> None:
    """The work is cancelled when the time is up, and DeadlineExceeded has that as its cause (D2)."""
    log: list[str] = []

    async def work() -> None:
        try:
            await trio.sleep(50)
        except trio.Cancelled:
            log.append("cancelled")
            raise

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match="test: not finished within 5 s") as caught:
            await limited(work, 5)()
        assert caught.value.started is True
        assert isinstance(caught.value.__cause__, trio.Cancelled)
        await trio.sleep(50)

    run_trio(main)
    assert log == ["cancelled"]
    assert passed(clock) == 55


def test_in_time_and_errors(clock: VirtualClock) -> None:
    """Values and the user's own errors come out themselves (G3)."""
    error = trio.TooSlowError("mine")

    async def work(fail: bool) -> float | None:
        await trio.sleep(1)
        if fail:
            raise error
        return time_left()

    async def main() -> None:
        assert await limited(work, 5)(False) == 4
        with pytest.raises(trio.TooSlowError) as caught:
            await limited(work, 5)(True)
        assert caught.value is error
        assert error.__context__ is None

    run_trio(main)


def test_a_value_in_spite_of_the_cancellation(clock: VirtualClock) -> None:
    """Shielded work delays its caller, and its value is returned (D2)."""

    async def stubborn() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(8)
        return "all the same"

    async def main() -> None:
        assert await limited(stubborn, 5)() == "all the same"
        assert passed(clock) == 8
        await trio.sleep(50)

    run_trio(main)


def test_the_callers_cancellation_wins(clock: VirtualClock) -> None:
    """Cancelled by the caller, before our timer or in the same tick, the call ends with the caller's (D2)."""

    async def main() -> None:
        for seconds in (2, 5, 7):
            with trio.move_on_after(2) as scope:
                await limited(trio.sleep, seconds)(50)
            assert scope.cancelled_caught

    run_trio(main)


def test_nested(clock: VirtualClock) -> None:
    """The tightest is to blame, at the same moment the outer one (D1)."""

    async def main() -> None:
        for outer, inner, blamed in ((5, 3, "inner"), (3, 5, "outer"), (4, 4, "outer")):
            with pytest.raises(DeadlineExceeded) as caught:
                await limited(limited(trio.sleep_forever, inner, "inner"), outer, "outer")()
            assert caught.value.name == blamed

    run_trio(main)
    assert passed(clock) == 10


def test_cut_to_the_very_same_moment() -> None:
    """A looser scope strikes in the same instant as the tighter one round it, not a rounding error earlier (D1)."""

    async def work() -> None:
        for _ in range(200):
            term = scopes.enter_async(timing.Limit(None, 70.1))
            assert term is not None
            moments.append((term.scope.moment, term.tighter.scope.moment))  # type: ignore[union-attr]  # both are Trio's
            scopes.leave_async(term)

    moments: list[tuple[float, float]] = []
    trio.run(limited(work, 60.3))
    assert all(inner == outer for inner, outer in moments)


def test_both_due_in_one_tick(clock: VirtualClock) -> None:
    """When a blocked loop finds both over, the outer one wins (D2)."""

    async def work() -> None:
        clock.advance(100)  # the loop was blocked
        await trio.sleep_forever()

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match="outer"):
            await limited(limited(work, 3, "inner"), 5, "outer")()

    run_trio(main)


def test_nurseries(clock: VirtualClock) -> None:
    """Children are cancelled with the call; a child's own failure stays one (D2)."""
    cancelled: list[int] = []

    async def child(n: int) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(n)

    async def group(fail: bool) -> None:
        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(child, n)
            if fail:
                await trio.sleep(1)
                raise ValueError("mine")

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await limited(group, 5)(False)
        assert sorted(cancelled) == [0, 1, 2]
        with pytest.raises(ExceptionGroup) as caught:
            await limited(group, 5)(True)
        assert caught.group_contains(ValueError, match="mine")

    run_trio(main)


def test_a_failure_beside_the_cancellation(clock: VirtualClock) -> None:
    """What a child raises while it is cancelled by our timer comes out, without the cancellations (G3)."""

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("mine")

    async def group() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(trio.sleep_forever)

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await limited(group, 5)()
        assert caught.group_contains(ValueError, match="mine")
        assert not caught.group_contains(trio.Cancelled)

    run_trio(main)


def test_struck_in(clock: VirtualClock) -> None:
    """What is cancelled can tell a timer of its own stack from the caller (G2)."""
    layer = Layer()
    answers: list[bool] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            answers.append(struck_in((layer,)))

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await limited(work, 5, owner=layer)()
        with trio.move_on_after(1):
            await limited(work, 5, owner=layer)()
        with pytest.raises(DeadlineExceeded):
            await limited(limited(work, 50, owner=layer), 5)()

    run_trio(main)
    assert answers == [True, False, False]


def test_a_background_task_is_cut_while_the_scope_is_open(clock: VirtualClock) -> None:
    """A task started inside a tighter scope, in a nursery outside it, is cut to it while it is open (D1, G16)."""
    outcomes: list[str] = []

    async def child() -> None:
        try:
            await limited(trio.sleep_forever, 20, "child")()
        except DeadlineExceeded as error:
            outcomes.append(f"{error.name} at {passed(clock)}")

    async def parent(nursery: trio.Nursery, stay: float) -> None:
        nursery.start_soon(child)
        with trio.CancelScope(shield=True):
            await trio.sleep(stay)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await limited(parent, 5, "parent")(nursery, 8)

    run_trio(main)
    assert outcomes == ["parent at 5.0"]


def test_waiting_in_a_queue_of_ours(clock: VirtualClock) -> None:
    """A deadline that strikes while the call waits in a queue is a refusal (G13)."""

    async def queues() -> None:
        with timing.queueing():
            await trio.sleep_forever()

    async def main() -> None:
        assert scopes.running_task() is trio.lowlevel.current_task()
        with pytest.raises(DeadlineExceeded) as caught:
            await limited(queues, 5)()
        assert caught.value.started is False

    run_trio(main)


def test_streams(clock: VirtualClock) -> None:
    """Each step of an async generator has its own cancel scope, and none spans a yield (G17)."""
    log: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            await trio.sleep(1)
            yield 2
            await trio.sleep(50)
        finally:
            log.append("cleaned")

    pump = timing.limit(Colour.ASYNC_STREAM, timing.Live(timing.Limit(None, 5, "test")))

    async def main() -> None:
        stream = pump.factory(items, *pump.cells)()
        for n in (1, 2):
            assert await anext(stream) == n
            with trio.move_on_after(1):  # a scope of the consumer's, open and closed between two steps
                await trio.sleep_forever()
        with pytest.raises(DeadlineExceeded):
            await anext(stream)

    run_trio(main)
    assert log == ["cleaned"]
    assert passed(clock) == 5


def test_blocks_and_decorators(clock: VirtualClock) -> None:
    """`async with` and `@deadline` work as under asyncio."""

    @deadline(5)
    async def fetch() -> float | None:
        left = time_left()
        await trio.sleep(1)
        async with deadline(2):
            await trio.sleep_forever()
        return left

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match="deadline: not finished within 2 s"):
            await fetch()
        assert passed(clock) == 3

    run_trio(main)


def test_a_thread_for_a_plain_function() -> None:
    """`await limiter.execute(plain)` with `mode="thread"` works in a Trio task, on time, context included (D3)."""
    limiter = deadline(30, mode="thread")
    late = deadline(0.2, mode="thread")
    release = threading.Event()

    def work() -> bool:
        return current_deadline() is not None and threading.current_thread() is not threading.main_thread()

    async def main() -> None:
        assert await limiter.execute(work) is True
        with pytest.raises(DeadlineExceeded):
            await late.execute(release.wait, 30)

    trio.run(main)
    release.set()


def test_the_time_left_goes_by_trios_clock() -> None:
    """Under Trio's own MockClock the time left is Trio's, and seen from another thread it is still bounded (G12)."""
    seen: list[float | None] = []

    async def work() -> None:
        await trio.sleep(20)
        seen.append(time_left())
        copy = contextvars.copy_context()
        thread = threading.Thread(target=lambda: seen.append(copy.run(time_left)))
        thread.start()
        thread.join()
        await trio.sleep_forever()

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await limited(work, 60)()
        assert trio.current_time() - began == pytest.approx(60, abs=1)  # our clock goes on a little before Trio's stops

    mock = trio.testing.MockClock(autojump_threshold=0)
    began = mock.current_time()
    trio.run(main, clock=mock)
    assert seen[0] == pytest.approx(40, abs=1)
    assert seen[1] is not None
    assert 40 <= seen[1] <= 60


@pytest.mark.parametrize("ahead", [0, 1_000_000])
def test_a_run_in_a_thread_of_another_run(ahead: int) -> None:
    """A run inside a deadline of another run is bound by it, though their clocks have nothing in common (D1, G7)."""
    seen: list[Any] = []
    clock = trio.testing.MockClock(autojump_threshold=0)  # begins at 0; the other one somewhere above 10,000
    clock.jump(ahead)

    async def looser() -> None:
        seen.append(time_left())
        await trio.sleep_forever()

    def thread() -> None:
        try:
            trio.run(limited(looser, 90, "inner"), clock=clock)
        except DeadlineExceeded as error:
            seen.append(error.name)

    async def main() -> None:
        await trio.to_thread.run_sync(thread)

    trio.run(limited(main, 60, "outer"))
    assert seen == [pytest.approx(60, abs=30), "outer"]


def test_a_deadline_is_read_from_another_thread(clock: VirtualClock) -> None:
    """Whether it has struck can be asked from any thread (G7)."""
    seen: list[Any] = []

    async def work() -> None:
        ambient = current_deadline()
        assert ambient is not None
        for _ in range(2):
            thread = threading.Thread(target=lambda: seen.append((ambient.struck, repr(ambient))))
            thread.start()
            thread.join()
            clock.advance(5)
        await trio.sleep_forever()

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await limited(work, 5)()

    run_trio(main)
    assert seen == [(False, "<Deadline 'test': 5 s left of 5 s>"), (True, "<Deadline 'test': struck of 5 s>")]


def test_a_call_that_the_run_leaves_behind() -> None:
    """A call that was stepped by hand and closed after the run has ended does no harm (G2)."""

    class Hold:
        def __await__(self) -> Any:
            return (yield "held")

    held: list[Any] = []

    async def main() -> None:
        coroutine = limited(hold, 5)()
        assert coroutine.send(None) == "held"
        held.append(coroutine)

    async def hold() -> None:
        await Hold()

    trio.run(main)
    held[0].close()
    assert time_left() is None


@pytest.mark.parametrize("steps", range(5))
def test_a_caller_may_cancel_at_every_checkpoint(steps: int) -> None:
    """Wherever the caller's cancellation arrives, it passes, the scope is closed and the clean-up has run (D2, G2)."""
    log: list[str] = []
    terms: list[Any] = []

    async def work(cancel: Callable[[], None]) -> None:
        terms.append(current_deadline())
        try:
            for n in range(5):
                if n == steps:
                    cancel()
                await trio.lowlevel.checkpoint()
        finally:
            log.append("cleaned")

    async def main() -> None:
        with trio.CancelScope() as scope:
            await limited(limited(work, 30), 60)(scope.cancel)
        assert scope.cancelled_caught

    trio.run(main)
    assert log == ["cleaned"]
    assert not any(term.open for term in terms)
