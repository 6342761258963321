"""What happens round a breaker: frozen clocks, wall clocks, forks (G12, G18)."""

from __future__ import annotations

import os
import threading
from typing import Any

import freezegun
import pytest

from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded


@pytest.mark.parametrize("moment", ["2026-01-01", "2026-01-01 12:34:56.789012", "1999-12-31 23:59:59.999999"])
@pytest.mark.parametrize("timeout", [60, 0.1, 0.3, 1 / 3])
@pytest.mark.asyncio_only
def test_a_frozen_test_moves_the_clock_past_the_open_time(both: Both, moment: str, timeout: float) -> None:
    """By exactly that time, too: nothing in recoup holds on to the real clock (G12)."""
    with freezegun.freeze_time(moment, real_asyncio=True) as frozen:
        made = Guarded(both, timeout=timeout)
        made.fail()
        for _ in range(3):
            with pytest.raises(CircuitBreakerError):
                made.call()
        frozen.tick(timeout / 2)
        with pytest.raises(CircuitBreakerError):
            made.call()
        frozen.tick(timeout / 2)
        assert made.call() == "ok"
        assert made.state == "closed"


@pytest.mark.asyncio_only
def test_freezing_an_open_breaker_restarts_its_timer(both: Both) -> None:
    """The frozen clock counts from another year: that is a clock that jumps, and nobody waits for ever (G12)."""
    made = Guarded(both, timeout=60)
    with freezegun.freeze_time("2040-01-01", real_asyncio=True):
        made.fail()
        with pytest.raises(CircuitBreakerError):
            made.call()
    with freezegun.freeze_time("2020-01-01", real_asyncio=True) as frozen:
        with pytest.raises(CircuitBreakerError) as refused:
            made.call()
        assert refused.value.wait_time == 60
        frozen.tick(60)
        assert made.call() == "ok"


def test_the_time_of_day_changes_nothing(both: Both, clock: VirtualClock) -> None:
    """Clock corrections neither prolong nor end an open time (G12)."""
    made = Guarded(both)
    made.fail()
    for jump in (-86_400, 86_400 * 365):
        clock.jump_wall(jump)
        with pytest.raises(CircuitBreakerError) as refused:
            made.call()
        assert refused.value.wait_time == 60


def test_a_clock_that_goes_backwards_does_not_lock_anybody_out(both: Both, clock: VirtualClock) -> None:
    """The timer begins again, once (G12)."""
    made = Guarded(both)
    made.fail()
    clock.rewind(100_000)
    with pytest.raises(CircuitBreakerError) as refused:
        made.call()
    assert refused.value.wait_time == 60
    clock.advance(60)
    assert made.call() == "ok"
    assert made.state == "closed"


def in_child(body: Any) -> bool:
    """Run something in a forked child; tell whether it ended well."""
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:  # noqa: BLE001 - the child must not go on with the parent's tests
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on_although_a_thread_of_the_parent_held_the_lock(clock: VirtualClock) -> None:
    """The lock of the child is new (G18)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with breaker._calls.circuit._lock:
            held.set()
            go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def child() -> None:
        for _ in range(2):
            try:
                breaker.call_sync(int, "no number")
            except ValueError:
                assert breaker.state.value == "open"
            except CircuitBreakerError:
                return
        raise AssertionError("it did not open")

    try:
        assert in_child(child)
    finally:
        go.set()
        thread.join()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_ignores_the_probes_of_the_parent(clock: VirtualClock) -> None:
    """They run elsewhere; the child sends its own, and what returns twice counts in the parent only (G18)."""
    answers: list[Any] = [OSError("down")]

    @circuit_breaker(failure_threshold=1, success_threshold=1, half_open_max=1, name="forked")
    def work() -> Any:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer()

    with pytest.raises(OSError, match="down"):
        work()
    clock.advance(60)
    children: list[int] = []

    def forks() -> str:
        child = os.fork()
        children.append(child)
        return "child" if child == 0 else "parent"

    answers[:] = [forks]
    who = work()
    if who == "child":
        try:
            # the probe that this very process brought back from its parent decided nothing, and blocks nobody
            answers[:] = [lambda: "own probe"]
            good = work() == "own probe"
        except BaseException:  # noqa: BLE001 - as above
            good = False
        os._exit(0 if good else 1)
    _, status = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(status) == 0
    answers[:] = [lambda: "closed"]
    assert work() == "closed"
