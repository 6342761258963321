"""Calls that wake up late, and calls that leave the line: the rate holds, the order holds, nobody is forgotten (L1)."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded, deadline
from recoup._core import clock as seam
from recoup.strategies.rate_limit.desk import Demand
from recoup.strategies.rate_limit.state import LATE, Bucket
from recoup.strategies.rate_limit.window import Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recoup.testing import VirtualClock
    from tests.conftest import Both

Starts = list[tuple[float, int]]  # moment, weight

SMOOTH: dict[str, Any] = {"rate": 10, "burst": 1}
BURSTS: dict[str, Any] = {"rate": 10, "burst": 4}
WINDOW: dict[str, Any] = {"rate": 4, "mode": "window"}


def made(**options: Any) -> RateLimiter:
    return RateLimiter(RateLimitConfig(**{"max_wait": 600, **options}))


def check_every_time(config: RateLimitConfig, starts: Starts) -> None:
    """Look at every stretch of time between two starts: no more permits were taken in it than may be."""
    per: Any = config.per
    for first in range(len(starts)):
        total = 0
        for moment, weight in starts[first:]:
            took = moment - starts[first][0] + 1e-6
            total += weight
            if config.mode == "window":
                assert total <= config.rate or took > per
            else:
                assert total <= config.most + took * config.rate / per


class Promised:
    """Tells each call its moment once and for all, and has it sleep until then (the naive way, and ours before)."""

    def __init__(self, **options: Any) -> None:
        self.config = RateLimitConfig(**options)
        per: Any = self.config.per
        self.step, self.taken, self.since = per / self.config.rate, 0, seam.monotonic()

    async def acquire_async(self, weight: int = 1) -> None:
        self.taken += weight
        moment = self.since + (self.taken - self.config.most) * self.step
        await seam.pause_async(max(0.0, moment - seam.monotonic()))


async def stand_still(clock: VirtualClock, take: Callable[[int], Awaitable[object]], weight: int = 1) -> Starts:
    """Have 20 calls wait in a loop that is blocked for 5 s; give when they really began, in order of arrival."""
    starts: Starts = []
    order: list[int] = []

    async def call(number: int) -> None:
        await take(weight)
        starts.append((clock.monotonic(), weight))
        order.append(number)

    tasks = [asyncio.ensure_future(call(number)) for number in range(21)]
    await asyncio.sleep(0.01)
    clock.advance(5)  # nothing else runs meanwhile: the loop is blocked
    await asyncio.gather(*tasks)
    assert order == list(range(21)), "first come, first served"
    return starts


@pytest.mark.parametrize("options", [SMOOTH, BURSTS, WINDOW], ids=["smooth", "bursts", "window"])
@pytest.mark.parametrize("weight", [1, 2])
@pytest.mark.parametrize("keyed", [False, True])
async def test_a_blocked_loop(clock: VirtualClock, options: dict[str, Any], weight: int, keyed: bool) -> None:
    """What was due while the loop was blocked does not begin all at once, but at the rate, and in order (L1)."""
    if options is SMOOTH and weight > 1:
        options = {"rate": 10, "burst": 2}
    limiter = made(**options, **({"key": str} if keyed else {}))
    names: dict[str, Any] = {"key": "a"} if keyed else {}
    began = clock.monotonic()
    starts = await stand_still(clock, lambda weight: limiter.acquire_async(weight, **names), weight)
    check_every_time(limiter.config, starts)
    # It is not slower than it has to be, either: from the end of the block on, permits are taken as they come in.
    left = [moment for moment, _ in starts if moment > began + 5]
    assert left[-1] - left[0] <= (len(left) - 1) * weight * (0.1 if limiter.config.mode == "smooth" else 0.25) + 0.001


async def test_a_blocked_loop_and_a_naive_limiter(clock: VirtualClock) -> None:
    """Moments that are promised once and for all come due together, and the rate is exceeded many times over."""
    naive = Promised(**SMOOTH)
    starts = await stand_still(clock, naive.acquire_async)
    with pytest.raises(AssertionError):
        check_every_time(naive.config, starts)


def test_a_blocked_loop_in_trio(clock: VirtualClock) -> None:
    """The same for tasks of Trio (G15)."""
    import trio

    from tests.conftest import run_trio

    limiter = made(**SMOOTH)
    starts: Starts = []

    async def call() -> None:
        await limiter.acquire_async()
        starts.append((clock.monotonic(), 1))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(21):
                nursery.start_soon(call)
            await trio.sleep(0.01)
            clock.advance(5)

    run_trio(main)
    assert len(starts) == 21
    check_every_time(limiter.config, starts)


class Bell:
    """Somebody who can be woken, and does not mind."""

    def wake(self) -> bool:
        return True


def stopped(limiter: RateLimiter, clock: VirtualClock, late: float) -> tuple[Starts, list[int]]:
    """Have 20 calls of plain threads come at once, and all wake up so much late, each time; give starts and order."""
    desk, demand = limiter._desk, Demand(1)
    starts: Starts = []
    order: list[int] = []
    sleeping: list[tuple[float, int, Any]] = []
    for number in range(20):
        turn: Any = desk.claim(demand, 600, 600, Bell)
        if turn is None:
            starts.append((clock.monotonic(), 1))
            order.append(number)
        else:
            heapq.heappush(sleeping, (turn.due + late, number, turn))
    while sleeping:
        moment, number, turn = heapq.heappop(sleeping)
        clock.reach(moment)
        if desk.look(turn, 600, Bell, woken=False):
            heapq.heappush(sleeping, (turn.due + late, number, turn))
        else:
            starts.append((clock.monotonic(), 1))
            order.append(number)
    return starts, order


@pytest.mark.parametrize("late", [0.0, 0.0004, 0.03, 0.3, 7.0])
@pytest.mark.parametrize("options", [SMOOTH, BURSTS, WINDOW], ids=["smooth", "bursts", "window"])
def test_threads_that_wake_up_late(clock: VirtualClock, options: dict[str, Any], late: float) -> None:
    """Threads that wake up late, a little or for ever so long, begin at the rate, each once (L1)."""
    limiter = made(**options)
    starts, order = stopped(limiter, clock, late)
    assert sorted(order) == list(range(20))
    if late < 0.05:
        assert order == list(range(20)), "first come, first served"
    assert limiter._desk.only.queued == 0
    forgiven = LATE if limiter.config.mode == "smooth" else 0.0
    check_every_time(
        limiter.config, [(moment + forgiven * (number > 0), 1) for number, (moment, _) in enumerate(starts)]
    )


def test_a_timer_that_is_a_little_late_costs_nothing(clock: VirtualClock) -> None:
    """A call that begins less than LATE after its moment does not push back those behind it: the rate is reached."""
    began = clock.monotonic()
    starts, _ = stopped(made(**SMOOTH), clock, 0.0004)
    assert starts[-1][0] - began == pytest.approx(1.9004, abs=1e-6)


async def waiting_calls(limiter: RateLimiter, clock: VirtualClock, calls: int) -> tuple[list[Any], dict[int, float]]:
    """Have calls wait, the first of which begins at once; give their tasks, and when each began."""
    begun: dict[int, float] = {}
    start = clock.monotonic()

    async def call(number: int) -> None:
        await limiter.acquire_async()
        begun[number] = round(clock.monotonic() - start, 6)

    tasks = [asyncio.ensure_future(call(number)) for number in range(calls)]
    await asyncio.sleep(0.5)
    return tasks, begun


@pytest.mark.parametrize("mode", ["smooth", "window"])
@pytest.mark.parametrize("leave", [[1], [3], [2, 3, 4], [4, 3, 2], [1, 3, 5], [6]])
async def test_those_behind_move_up(clock: VirtualClock, mode: Any, leave: list[int]) -> None:
    """When calls leave the line, wherever they stand, those behind begin earlier, in order (L1)."""
    limiter = made(rate=1, burst=1 if mode == "smooth" else None, mode=mode)
    tasks, begun = await waiting_calls(limiter, clock, 7)
    for number in leave:
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    stayed = [number for number in range(7) if number not in leave]
    assert begun == {number: float(place) for place, number in enumerate(stayed)}
    assert limiter._desk.only.queued == 0


@pytest.mark.parametrize("mode", ["smooth", "window"])
async def test_newcomers_are_told_of_those_who_left(clock: VirtualClock, mode: Any) -> None:
    """A call that comes after others have left waits for those only that still wait (L1)."""
    limiter = made(rate=1, burst=1 if mode == "smooth" else None, mode=mode, max_wait=4)
    tasks, _ = await waiting_calls(limiter, clock, 5)
    with pytest.raises(RateLimitExceeded) as caught:
        await limiter.acquire_async()
    assert caught.value.retry_after == pytest.approx(4.5)
    for task in tasks[2:4]:
        task.cancel()
    await asyncio.sleep(0)
    began = clock.monotonic()
    await limiter.acquire_async()
    assert clock.monotonic() - began == pytest.approx(2.5)
    await asyncio.gather(*tasks, return_exceptions=True)


def steps_to_leave(calls: int) -> float:
    """Count the lines that run when one of so many calls leaves, on average."""
    limiter = made(rate=1, burst=1, max_wait=10**6)
    turns: list[Any] = [limiter._desk.claim(Demand(1), 10**6, 10**7, Bell) for _ in range(calls + 1)]
    lines = itertools.count()

    def tracing(*_: object) -> Any:
        next(lines)
        return tracing

    before = sys.gettrace()
    sys.settrace(tracing)
    for turn in turns[1::2] + turns[-1 - calls % 2 : 0 : -2]:
        limiter._desk.give_back(turn)
    sys.settrace(before)
    assert limiter._desk.only.queued == 0
    return next(lines) / calls


def test_to_leave_costs_the_same_whatever_the_line() -> None:
    """Of 10,000 calls that wait each may leave at the cost of one of 100 (L1)."""
    assert steps_to_leave(10_000) < 1.5 * steps_to_leave(100)


async def test_a_call_that_was_passed_over_is_first_again(clock: VirtualClock) -> None:
    """A call whose loop is blocked holds up the others for a moment only, and when it comes it is the next (L1)."""
    limiter = made(**SMOOTH)
    assert limiter.try_acquire()
    blocked: Any = limiter._desk.claim(Demand(1), 600, 600, Bell)  # nobody looks for this one
    tasks, begun = await waiting_calls(limiter, clock, 3)
    assert begun == {0: 0.25, 1: 0.35, 2: 0.45}
    assert not blocked.standing
    for _ in range(3):
        tasks.append(asyncio.ensure_future(limiter.acquire_async()))
    await asyncio.sleep(0)
    assert limiter._desk.look(blocked, 600, Bell, woken=False) == pytest.approx(0.05)
    assert blocked.standing
    assert not tasks[3].done()
    await asyncio.sleep(0.051)
    assert limiter._desk.look(blocked, 600, Bell, woken=False) == 0.0
    assert not tasks[3].done()
    await asyncio.gather(*tasks)


async def test_a_call_that_was_passed_over_may_leave(clock: VirtualClock) -> None:
    """It was counted out when it was passed over, and is not counted out again (G2)."""
    limiter = made(**SMOOTH)
    assert limiter.try_acquire()
    blocked: Any = limiter._desk.claim(Demand(1), 600, 600, Bell)
    await limiter.acquire_async()
    assert not blocked.standing
    for _ in range(2):
        limiter._desk.give_back(blocked)
    assert limiter._desk.only.queued == 0
    clock.advance(1)
    assert limiter.try_acquire()


class Broken(Bell):
    """Somebody whose loop is closed."""

    def wake(self) -> bool:
        return False


@pytest.mark.parametrize("keyed", [False, True])
def test_nobody_is_there_to_be_called(clock: VirtualClock, keyed: bool) -> None:
    """When the one who is called is not there, the next one is called at once (G7)."""
    limiter = made(rate=1, burst=1, **({"key": str} if keyed else {}))
    demand = Demand(1, "a" if keyed else None)
    desk = limiter._desk
    turns: list[Any] = [desk.claim(demand, 600, 600, kind) for kind in (Bell, Bell, Broken, Broken, Bell)]
    assert turns[0] is None
    desk.give_back(turns[1])
    assert [turn.over for turn in turns[1:]] == [True, True, True, False]
    assert turns[4].due == clock.monotonic()
    assert desk.look(turns[4], 600, Bell, woken=True) == 1.0


@pytest.mark.parametrize("keyed", [False, True])
def test_left_while_another_decides(clock: VirtualClock, keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves while the lock is held is taken out by the one who holds it, when he lets go (G7)."""
    limiter = made(rate=1, mode="window", **({"key": str} if keyed else {}))
    demand = Demand(1, "a" if keyed else None)
    desk = limiter._desk
    assert desk.claim(demand, 600, 600, Bell) is None
    turn: Any = desk.claim(demand, 600, 600, Bell)
    real = Window.take

    def interrupted(self: Window, weight: int, now: float) -> bool:
        desk.give_back(turn)  # a finaliser that runs in the midst of this
        assert not turn.over
        return real(self, weight, now)

    monkeypatch.setattr(Window, "take", interrupted)
    assert not (desk.admit(demand, clock.monotonic()) if keyed else desk.admit_one(clock.monotonic()))
    assert turn.over
    assert turn.line._permits.queued == 0


def test_left_while_another_thread_decides(clock: VirtualClock) -> None:
    """The same for two threads: who cannot have the lock leaves the matter to the one who has it (G7)."""
    limiter = made(rate=1, burst=1)
    desk = limiter._desk
    assert desk.claim(Demand(1), 600, 600, Bell) is None
    turns: list[Any] = [desk.claim(Demand(1), 600, 600, Bell) for _ in range(2)]
    with desk._lock:
        other = threading.Thread(target=desk.give_back, args=(turns[0],))
        other.start()
        other.join()
        assert not turns[0].over
    assert limiter.available() == 0
    assert turns[0].over
    assert turns[1].due == clock.monotonic(), "it was called"


def test_left_and_not_taken_out_yet(clock: VirtualClock) -> None:
    """Who comes takes out first who has left, and wakes the one who is called by that (G7)."""
    limiter = made(rate=1, burst=1, max_wait=600)
    desk = limiter._desk
    assert desk.claim(Demand(1), 600, 600, Bell) is None
    turns: list[Any] = [desk.claim(Demand(1), 600, 600, Bell) for _ in range(2)]
    desk._returned.append(turns[0])
    last: Any = desk.claim(Demand(1), 600, 600, Bell)
    assert turns[0].over
    assert turns[1].due == clock.monotonic(), "it was called"
    assert not desk._called
    assert last.due == clock.monotonic() + 2


def test_the_last_bit_of_a_float(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permit that is there by one sum and not by another is there: nobody waits for no time (L1)."""
    limiter = made(**SMOOTH)
    monkeypatch.setattr(Bucket, "take", lambda *_: False)
    assert limiter._desk.claim(Demand(1), 0, 600, Bell) is None
    assert limiter.available() == 0


def test_calls_of_a_closed_loop_hold_up_nobody() -> None:
    """Whoever waits in a loop that is closed is skipped when its turn comes (G7)."""
    limiter = made(rate=20, burst=1)
    loop = asyncio.new_event_loop()
    tasks: list[Any] = [loop.create_task(limiter.acquire_async()) for _ in range(4)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def several() -> None:
        await asyncio.wait_for(asyncio.gather(*(limiter.acquire_async() for _ in range(3))), 60)

    asyncio.run(several())
    assert limiter._desk.only.queued == 0
    for task in tasks:
        task._log_destroy_pending = False  # it is what this test is about
        with pytest.raises(RuntimeError):
            task.get_coro().throw(RuntimeError)


@pytest.mark.parametrize("mode", ["smooth", "window"])
def test_a_frozen_clock(both: Both, mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under freezegun the timers of loops and locks go on, and waits end with them (G12)."""
    limiter = made(rate=1, per=0.01, burst=1 if mode == "smooth" else None, mode=mode)
    monkeypatch.setattr(seam, "monotonic", lambda: 1000.0)
    work = limiter(both.wrap(lambda: 1))
    began = time.monotonic()
    assert [both.call(work) for _ in range(4)] == [1] * 4
    assert time.monotonic() - began >= 0.03


def test_a_clock_that_freezes_later(clock: VirtualClock) -> None:
    """A timer that runs out is believed, if the clock has not moved since the call looked last (G12)."""
    limiter = made(**SMOOTH)
    assert limiter.try_acquire()
    turn: Any = limiter._desk.claim(Demand(1), 600, 600, Bell)
    clock.advance(0.05)
    assert limiter._desk.look(turn, 600, Bell, woken=True) == pytest.approx(0.05)
    assert limiter._desk.look(turn, 600, Bell, woken=False) == 0.0


@pytest.mark.parametrize("mode", ["smooth", "window"])
async def test_a_clock_that_goes_backwards_while_calls_wait(clock: VirtualClock, mode: Any) -> None:
    """Those who wait begin nevertheless, in order, and nobody holds them up for the time that was lost (G12)."""
    limiter = made(rate=10, per=10, burst=1 if mode == "smooth" else None, mode=mode)
    for _ in range(10 if mode == "window" else 1):
        assert limiter.try_acquire()
    turns: list[Any] = [limiter._desk.claim(Demand(1), 600, 600, Bell) for _ in range(3)]
    waits = [turn.due - clock.monotonic() for turn in turns]
    clock.rewind(500)
    assert [limiter._desk.look(turn, 600, Bell, woken=True) for turn in turns] == pytest.approx(waits)
    assert [turn.due - clock.monotonic() for turn in turns] == pytest.approx(waits)
    clock.advance(waits[0])
    assert limiter._desk.look(turns[0], 600, Bell, woken=False) == 0.0


def test_a_deadline_that_late_starts_leave_no_time_for(clock: VirtualClock) -> None:
    """Whoever cannot begin before its deadline any more, because others began late, is refused then (D1)."""
    limiter = made(**SMOOTH)

    @deadline(0.25, mode="cooperative")
    def work() -> None:
        limiter.acquire()

    assert limiter.try_acquire()
    first: Any = limiter._desk.claim(Demand(1), 600, 600, Bell)
    real = seam.rest

    with pytest.MonkeyPatch.context() as patched:

        def late(waiter: Any, seconds: float) -> bool:
            patched.undo()
            real(waiter, seconds)
            assert limiter._desk.look(first, 600, Bell, woken=False) == 0.0
            return False

        patched.setattr(seam, "rest", late)
        with pytest.raises(RateLimitExceeded, match=r"its own in 0\.1 s"):
            work()
    assert limiter.metrics == {"waited": 2, "refused": 1, "slowed": 0, "drained": 0}
    assert limiter._desk.only.queued == 0


def test_threads_and_loops_in_one_line() -> None:
    """Threads, tasks and calls that leave, all at once: everybody who stays gets in, and nothing is left over (G7)."""
    limiter = made(rate=2000, burst=1)
    done: list[int] = []

    @limiter
    def work() -> None:
        done.append(1)

    @limiter
    async def work_later() -> None:
        done.append(1)

    async def several() -> None:
        tasks = [asyncio.ensure_future(work_later()) for _ in range(40)]
        await asyncio.sleep(0.001)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=lambda: [work() for _ in range(10)]) for _ in range(6)]
    threads += [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 + 2 * 20 <= len(done) <= 60 + 2 * 40
    assert limiter._desk.only.queued == 0
    assert not limiter._desk._returned
    assert not limiter._desk._called
