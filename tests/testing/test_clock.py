"""What the virtual clock promises."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import TYPE_CHECKING

import pytest

from recoup._core import clock as seam
from recoup._core import waiting
from recoup.testing import VirtualClock, active_clock, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def test_sleep_costs_no_real_time(clock: VirtualClock) -> None:
    """A pause of recoup moves the clock by what was asked, and is remembered (G12)."""
    began, real = seam.monotonic(), time.monotonic()
    seam.pause(3600)
    assert seam.monotonic() - began == 3600
    assert time.monotonic() - real < 1
    assert clock.sleeps == [3600]


def test_sync_and_async_pauses_are_recorded_alike(clock: VirtualClock) -> None:
    """The same pauses give the same record in both colours; pauses of zero are left out of it."""

    async def main() -> None:
        for seconds in (1, 0, 2.5):
            await seam.pause_async(seconds)

    for seconds in (1, 0, 2.5):
        seam.pause(seconds)
    run(main())
    assert clock.sleeps == [1, 2.5, 1, 2.5]


def test_ten_tenths_are_one_second(clock: VirtualClock) -> None:
    """Time does not drift with the last bit of a float; what a float cannot hold is rounded to the nanosecond."""
    began = clock.monotonic()
    for _ in range(10):
        clock.sleep(0.1)
    assert clock.monotonic() == began + 1
    for _ in range(1000):
        clock.sleep(0.001009)  # times 1e9 it is 1008999.9999999999
    assert clock.monotonic() == began + 1 + 1.009


def test_pause_on_a_common_loop_is_virtual() -> None:
    """Under any other event loop recoup's own pauses still cost nothing, and let other tasks run."""
    seen: list[str] = []

    async def other() -> None:
        seen.append("other")

    async def main() -> None:
        task = asyncio.ensure_future(other())
        await seam.pause_async(3600)
        seen.append("main")
        await task

    real = time.monotonic()
    with VirtualClock() as clock:
        began = clock.monotonic()
        asyncio.run(main())
        assert clock.monotonic() - began == 3600
    assert seen == ["other", "main"]
    assert time.monotonic() - real < 5


def test_leaving_restores_the_real_clock() -> None:
    """The seam is the real one again after the scope, also after an error, and inner scopes give back to outer ones."""
    real = [seam.monotonic, seam.wall, seam.sleep, seam.sleep_async]
    outer, inner = VirtualClock(start=1), VirtualClock(start=2)

    def scopes() -> None:
        with outer:
            with inner:
                assert (seam.monotonic(), active_clock()) == (2, inner)
            assert (seam.monotonic(), active_clock()) == (1, outer)
            raise KeyError("the way out")

    with pytest.raises(KeyError, match="the way out"):
        scopes()
    assert [seam.monotonic, seam.wall, seam.sleep, seam.sleep_async] == real
    assert active_clock() is None


def test_waits_that_somebody_may_end(clock: VirtualClock) -> None:
    """A wait for somebody is virtual and remembered as pauses are, and ends early for a task that is woken (G12)."""
    began = seam.monotonic()

    async def main() -> list[bool]:
        waiter = waiting.for_task()
        asyncio.get_running_loop().call_later(2, waiter.wake)
        return [await seam.rest_async(waiter, 60), await seam.rest_async(waiting.for_task(), 3)]

    assert seam.rest(waiting.for_thread(), 3600) is False
    assert run(main()) == [True, False]
    assert seam.monotonic() - began == 3605
    assert asyncio.run(main()) == [False, False]  # its timers are real, and pauses of recoup are not
    assert seam.monotonic() - began == 3668
    assert clock.sleeps == [3600, 60, 3, 60, 3]


def test_entering_twice_is_refused(clock: VirtualClock) -> None:
    """A clock cannot be its own inner scope."""
    with pytest.raises(RuntimeError, match="active already"):
        clock.__enter__()
    assert active_clock() is clock


def test_wall_clock_follows_and_jumps_alone(clock: VirtualClock) -> None:
    """The time of day passes with the clock, and can be set without the monotonic clock noticing."""
    began = clock.monotonic()
    assert seam.wall() == 1_700_000_000
    clock.advance(5)
    assert seam.wall() == 1_700_000_005
    clock.jump_wall(-3600)
    assert seam.wall() == 1_699_996_405
    assert clock.monotonic() == began + 5


def test_rewind_goes_back(clock: VirtualClock) -> None:
    """A clock that goes backwards can be played (G12)."""
    clock.rewind(10)
    assert seam.monotonic() == 990


def test_reach_never_goes_back(clock: VirtualClock) -> None:
    """Reaching a moment that has passed changes nothing."""
    clock.reach(1010)
    clock.reach(1005)
    assert clock.monotonic() == 1010


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
@pytest.mark.parametrize(
    "act", [VirtualClock.sleep, VirtualClock.advance, VirtualClock.rewind], ids=["sleep", "advance", "rewind"]
)
def test_nonsense_is_refused(act: Callable[[VirtualClock, float], None], seconds: float) -> None:
    """A negative, infinite or undefined time is an error that names the argument, and the clock stands still (G1)."""
    clock = VirtualClock()
    with pytest.raises(ValueError, match=rf"^{act.__name__} must be .*, not {seconds}"):
        act(clock, seconds)
    assert clock.monotonic() == 1000
    assert clock.sleeps == []


@pytest.mark.parametrize("kwargs", [{"start": math.nan}, {"wall": math.inf}])
def test_start_must_be_finite(kwargs: dict[str, Any]) -> None:
    """A clock that starts nowhere is refused (G1)."""
    with pytest.raises(ValueError, match=f"{next(iter(kwargs))} must be a finite number of seconds"):
        VirtualClock(**kwargs)


def test_threads_lose_no_time(clock: VirtualClock) -> None:
    """Sleeps of many threads all count."""

    def work() -> None:
        for _ in range(500):
            seam.pause(0.001)

    began = clock.monotonic()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == began + 2
    assert len(clock.sleeps) == 2000


def test_repr_tells_time_and_sleeps(clock: VirtualClock) -> None:
    """A failing test shows where the clock stood."""
    clock.sleep(1)
    assert repr(clock) == "<VirtualClock at 1001.0 s, 1 sleeps>"


class Leader:
    """A clock to follow."""

    def __init__(self) -> None:
        self.now = 50.0

    def current_time(self) -> float:
        return self.now

    def jump(self, seconds: float) -> None:
        self.now += seconds


def test_following_goes_both_ways(clock: VirtualClock) -> None:
    """A leader moves the clock, the clock moves its leader, and nothing is lost when they part."""
    leader = Leader()
    with clock.following(leader):
        assert clock.monotonic() == 1000
        leader.now += 5
        clock.advance(2)
        clock.sleep(3)
        clock.reach(1100)
        clock.reach(1090)
        assert (clock.monotonic(), leader.now) == (1100, 150)
        assert clock.wall() == 1_700_000_100
        clock.rewind(50)
        assert (clock.monotonic(), leader.now) == (1050, 150)
    leader.now += 1000
    assert clock.monotonic() == 1050


def test_following_two_is_refused(clock: VirtualClock) -> None:
    """A clock has at most one leader."""
    with clock.following(Leader()), pytest.raises(RuntimeError, match="follows another clock already"):
        clock.following(Leader()).__enter__()


def test_pause_under_trio_without_a_leader_is_virtual(clock: VirtualClock) -> None:
    """On Trio's real clock recoup's own pauses still cost nothing."""
    trio = pytest.importorskip("trio")
    real = time.monotonic()
    trio.run(seam.pause_async, 3600)
    assert time.monotonic() - real < 5
    assert clock.monotonic() == 4600


def test_parallel_pauses_under_trio_overlap(clock: VirtualClock) -> None:
    """With Trio's clock as the leader, tasks that recoup lets wait a second wait a second together."""
    trio = pytest.importorskip("trio")
    testing = pytest.importorskip("trio.testing")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(seam.pause_async, 1)

    leader = testing.MockClock(autojump_threshold=0)
    with clock.following(leader):
        trio.run(main, clock=leader)
    assert clock.monotonic() == 1001
    assert clock.sleeps == [1] * 10


def test_elapsed_counts_from_the_beginning() -> None:
    """`elapsed` tells exactly how much time has passed on the clock, wherever it began and whatever moved it."""
    clock = VirtualClock(start=123456789.125)
    assert clock.elapsed == 0
    clock.sleep(0.1)
    clock.advance(59.9)
    clock.rewind(10)
    assert clock.elapsed == 50
