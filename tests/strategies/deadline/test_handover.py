"""Deadlines where context variables do not reach: other services, threads and processes (D4)."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from recoup import Deadline, DeadlineExceeded, circuit_breaker, current_deadline, deadline, subscribe
from recoup._core.timing import time_left
from recoup.events import DeadlineStruck
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both


def opened(both: Both, handed: Deadline, body: Any) -> Any:
    """Run `body` in a block of a deadline that came from elsewhere."""
    if not both.is_async:
        with handed:
            return body()

    async def main() -> Any:
        async with handed:
            result = body()
            return await result if asyncio.iscoroutine(result) else result

    return both.run(main)


def test_from_service_to_service(both: Both, clock: VirtualClock) -> None:
    """What is left travels, the time elapsed here deducted, and counts in the service that is called (D4)."""

    @deadline(5, mode="cooperative")
    def client() -> tuple[str, float | None]:
        clock.advance(2)
        ambient = current_deadline()
        assert ambient is not None
        header = ambient.to_header()
        return header, opened(Both("sync"), Deadline.from_header(header), time_left)

    assert client() == ("3", 3.0)
    samples: list[tuple[Any, str]] = [("milliseconds", "1500"), ("grpc", "1500m")]
    for form, text in samples:
        assert opened(both, Deadline.from_header(text, form), time_left) == 1.5
    assert current_deadline() is None


def naive_header(clock: VirtualClock, seconds: float) -> float:
    """Send the time of day at which the caller gives up, as some do."""
    return clock.wall() + seconds


@pytest.mark.parametrize("skew", [-300, 300])
def test_the_clocks_of_two_machines_need_not_agree(clock: VirtualClock, skew: int) -> None:
    """A receiver whose clock is minutes wrong has the time that was sent; with a time of day it would not (D4)."""
    header = Deadline.from_header("10").to_header()
    moment = naive_header(clock, 10)
    clock.jump_wall(skew)
    assert Deadline.from_header(header).remaining() == 10
    assert moment - clock.wall() == 10 - skew  # five minutes too much, or over before it began


def test_a_deadline_that_is_over_is_refused_before_work_starts(both: Both, clock: VirtualClock) -> None:
    """Nothing of the block runs, the error is a refusal, and a circuit breaker outside ignores it (D4, G13)."""
    ran: list[int] = []

    @circuit_breaker(failure_threshold=1, name="mine")
    def handler() -> None:
        with Deadline.from_header("2", elapsed=2):
            ran.append(1)

    told: list[Any] = []
    for _ in range(2):
        with subscribe(told.append), pytest.raises(DeadlineExceeded, match="caller's deadline: 2 s were") as caught:
            handler()
        assert caught.value.started is False
    assert told == [DeadlineStruck("caller's deadline", 2.0, started=False)] * 2
    late = Deadline.from_header("0", name="gateway")
    with pytest.raises(DeadlineExceeded, match="gateway: 0 s were used up before the call could start"):
        opened(both, late, lambda: ran.append(1))
    assert ran == []


def test_a_block_that_takes_too_long_is_cancelled(clock: VirtualClock) -> None:
    """`async with` cancels, like any deadline, and names the caller's deadline (D2, D4)."""

    async def main() -> None:
        async with Deadline.from_header("1.5"):
            await asyncio.sleep(10)

    with pytest.raises(DeadlineExceeded, match=r"caller's deadline: not finished within 1\.5 s") as caught:
        Both("asyncio").run(main)
    assert caught.value.started is True
    assert clock.monotonic() == 1001.5


def test_an_outer_deadline_that_is_over_refuses_too(both: Both, clock: VirtualClock) -> None:
    """A block inside a deadline that is over is refused for that one (D1, G13)."""

    @deadline(1, mode="cooperative", name="outer")
    def outer() -> None:
        clock.advance(2)
        with Deadline.from_header("60"):
            raise AssertionError("reached")

    with pytest.raises(DeadlineExceeded, match="outer") as caught:
        outer()
    assert caught.value.started is False


def test_a_caller_without_a_deadline(both: Both, clock: VirtualClock) -> None:
    """Without a header there is no deadline, or the longest one that is granted (D4)."""
    endless = Deadline.from_header(None)
    assert endless.remaining() == math.inf
    assert opened(both, endless, current_deadline) is None
    assert opened(both, Deadline.from_header(None, longest=30), time_left) == 30
    with pytest.raises(ValueError, match="this deadline never strikes, so there is nothing to tell"):
        endless.to_header()


def test_a_caller_gets_no_more_than_is_granted(clock: VirtualClock) -> None:
    """`longest` bounds what a caller may ask for, and `elapsed` is deducted from that (D4)."""
    assert Deadline.from_header("86400", longest=30).remaining() == 30
    assert Deadline.from_header("10", longest=30, elapsed=4).remaining() == 6
    assert Deadline.from_header("86400", longest=30, elapsed=4).remaining() == 26


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"longest": 0}, ValueError, "longest must be greater than 0 and finite, not 0"),
        ({"longest": math.inf}, ValueError, "longest must be greater than 0 and finite, not inf"),
        ({"elapsed": -1}, ValueError, "elapsed must be at least 0 and finite, not -1"),
        ({"elapsed": math.nan}, ValueError, "elapsed must be at least 0 and finite, not nan"),
        ({"elapsed": True}, TypeError, "elapsed must be seconds"),
        ({"form": "hours"}, ValueError, "form must be one of"),
        ({"form": None}, TypeError, "form must be one of"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each message names the argument, the value and the range (G1)."""
    with pytest.raises(error, match=message):
        Deadline.from_header("1", **options)


def test_without_time_no_header_is_written(clock: VirtualClock) -> None:
    """When nothing is left there is no use in making the call: that is a refusal (D4, G13)."""
    over = Deadline.from_header("2", elapsed=2)
    for form in ("seconds", "milliseconds", "grpc"):
        with pytest.raises(DeadlineExceeded, match="used up before the call could start") as caught:
            over.to_header(form)
        assert caught.value.started is False


def test_to_a_thread(clock: VirtualClock) -> None:
    """A thread that was not given the context is given the deadline, and it counts there alone (D4)."""
    seen: list[Any] = []

    def thread(handed: Deadline) -> None:
        seen.append(time_left())
        with handed:
            seen.append(time_left())
        seen.append(time_left())

    @deadline(5, mode="cooperative")
    def work() -> None:
        clock.advance(1)
        ambient = current_deadline()
        assert ambient is not None
        worker = threading.Thread(target=thread, args=(ambient,))
        worker.start()
        worker.join()

    work()
    assert seen == [None, 4.0, None]


def test_one_deadline_in_many_tasks_at_once(clock: VirtualClock) -> None:
    """A deadline is a value: any number of blocks may be open at the same time, and nest (G8)."""
    handed = Deadline.from_header("5")
    ends: list[float] = []

    async def work(seconds: float) -> None:
        try:
            async with handed, handed:
                await asyncio.sleep(seconds)
        finally:
            ends.append(clock.monotonic() - 1000)

    async def main() -> list[Any]:
        return await asyncio.gather(*(work(seconds) for seconds in (1, 3, 9, 9)), return_exceptions=True)

    results = Both("asyncio").run(main)
    assert [type(result) for result in results] == [type(None), type(None), DeadlineExceeded, DeadlineExceeded]
    assert ends == [1, 3, 5, 5]


def test_recovery_off(both: Both, clock: VirtualClock) -> None:
    """While recovery is switched off nothing is limited or refused (G16)."""
    with disabled():
        assert opened(both, Deadline.from_header("0"), current_deadline) is None


def test_pickling_takes_what_is_left(clock: VirtualClock) -> None:
    """A copy has what is left by value; time that the pickle spent in a queue of this machine counts (D4)."""

    @deadline(10, mode="cooperative", name="report")
    def work() -> bytes:
        clock.advance(4)
        return pickle.dumps(current_deadline())

    pickled = work()
    clock.advance(3)
    arrived = pickle.loads(pickled)  # noqa: S301 - ours
    assert (arrived.remaining(), arrived.seconds, arrived.name) == (3, 10, "report")
    assert type(arrived) is Deadline
    clock.advance(4)
    assert pickle.loads(pickled).expired  # noqa: S301 - ours


@pytest.mark.parametrize("change", ["jump_wall", "rewind"])
def test_on_another_machine_nothing_is_deducted(clock: VirtualClock, change: str) -> None:
    """Where the two clocks do not agree on how much time has passed, what was left counts in full (D4, G12)."""
    pickled = pickle.dumps(Deadline.from_header("10"))
    clock.advance(3)
    getattr(clock, change)(100)
    assert pickle.loads(pickled).remaining() == 10  # noqa: S301 - ours


def test_a_copy_is_equal(clock: VirtualClock) -> None:
    """`copy` and `deepcopy` give a deadline for the same moment (D4)."""
    handed = Deadline.from_header("10")
    for made in (copy.copy(handed), copy.deepcopy(handed)):
        assert made.at == handed.at


def left_in(handed: Deadline) -> float | None:
    """Run in another process."""
    with handed:
        return time_left()


def test_to_a_process() -> None:
    """What is left goes with the arguments into a process pool, and counts there (D4)."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        left = pool.submit(left_in, Deadline.from_header("600")).result()
        with pytest.raises(DeadlineExceeded, match="caller's deadline: 5 s were used up") as caught:
            pool.submit(left_in, Deadline.from_header("5", elapsed=5)).result()
    assert caught.value.started is False
    assert left is not None
    assert 400 < left < 600


class TestReserve:
    """A part of the time may be kept for those outside (D1)."""

    def test_it_strikes_early_enough(self, both: Both, clock: VirtualClock) -> None:
        """Inside an outer deadline the call ends a reserve before it, and the error says how long it had (D1)."""
        seen: list[Any] = []

        def work() -> Any:
            ambient = current_deadline()
            assert ambient is not None
            seen.append((ambient.name, ambient.remaining(), ambient.seconds))
            return both.pause(0)

        inner = deadline(60, mode="cooperative", reserve=0.5, name="inner")(both.wrap(work))
        outer = deadline(3, mode="cooperative", name="outer")(inner)
        both.call(outer)
        assert seen == [("inner", 2.5, 2.5)]
        both.call(inner)
        assert seen[1:] == [("inner", 60, 60)]

    def test_it_leaves_a_tighter_limit_alone(self, both: Both, clock: VirtualClock) -> None:
        """A limit that ends before that anyway stays as it is (D1)."""
        inner = deadline(2, mode="cooperative", reserve=0.5)(both.wrap(time_left))
        assert both.call(deadline(3, mode="cooperative")(inner)) == 2

    def test_the_one_outside_has_time_left(self, clock: VirtualClock) -> None:
        """What the reserve is for can run when the call was cut off (D1)."""

        @deadline(60, reserve=0.5, name="primary")
        async def primary() -> str:
            await asyncio.sleep(100)
            return "late"

        @deadline(3)
        async def request() -> str:
            try:
                return await primary()
            except DeadlineExceeded as error:
                assert str(error) == "primary: not finished within 2.5 s"  # noqa: PT017 - and what follows is the point
                await asyncio.sleep(0.4)
                return "fallback"

        assert Both("asyncio").run(request) == "fallback"

    def test_without_more_than_the_reserve_the_call_is_not_made(self, both: Both, clock: VirtualClock) -> None:
        """If the reserve is all that is left, the call is refused for the outer deadline (D1, G13)."""
        inner = deadline(60, mode="cooperative", reserve=0.5)(both.wrap(lambda: pytest.fail("called")))
        outer = deadline(0.5, mode="cooperative", name="outer")(inner)
        with pytest.raises(DeadlineExceeded, match="outer") as caught:
            both.call(outer)
        assert caught.value.started is False

    def test_in_streams(self, both: Both, clock: VirtualClock) -> None:
        """The reserve counts from the first item on, not anew for each (D1, G17)."""

        def items() -> Any:
            for _ in range(3):
                clock.advance(1)
                yield time_left()

        inner = deadline(60, mode="cooperative", reserve=0.5)(both.wrap(items))
        assert both.call(deadline(10, mode="cooperative")(inner)) == [8.5, 7.5, 6.5]

    @pytest.mark.parametrize("value", [-1, math.nan, math.inf])
    def test_a_reserve_out_of_range_is_refused(self, value: float) -> None:
        """The message names it (G1)."""
        with pytest.raises(ValueError, match="reserve must be at least 0 and finite"):
            deadline(1, reserve=value)
