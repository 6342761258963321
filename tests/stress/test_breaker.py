"""The circuit breaker under threads and tasks that switch as often as they can (C5, C10, G7, G9)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 8


@pytest.fixture(autouse=True)
def frantic() -> Iterator[None]:
    """Have threads switch every few bytecodes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(body: Callable[[int], None]) -> None:
    """Run it in some threads at once; an error in one of them fails the test."""
    start, errors = threading.Barrier(THREADS), []

    def run(number: int) -> None:
        start.wait()
        try:
            body(number)
        except BaseException as error:  # noqa: BLE001 - handed on to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def answer(*, fail: bool) -> None:
    if fail:
        raise OSError("down")


def test_no_outcome_is_lost_or_counted_twice() -> None:
    """Of so many failures the last one opens, not the one before, whatever the successes beside them (C10)."""
    each = 200
    breaker = CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=THREADS * each + 1, window_size=10**6, window_duration=3600)
    )
    guarded = breaker(answer)
    era = breaker._calls.circuit.era
    assert era is not None

    def body(number: int) -> None:
        dice = random.Random(number)
        fails = [True] * each + [False] * 3 * each
        dice.shuffle(fails)
        for fail in fails:
            try:
                guarded(fail=fail)
            except OSError:
                assert fail

    together(body)
    assert breaker.state.value == "closed"
    with pytest.raises(OSError, match="down"):
        guarded(fail=True)
    assert breaker.state.value == "open"
    assert breaker.metrics == {"opened": 1, "refused": 0, "late": 0, "would_open": 0}


def test_every_success_after_a_failure_is_counted_once() -> None:
    """However many threads take them, so many push it out of the window, and not one fewer (C2, C10)."""
    each = 1000
    for others in (0, 1):
        breaker = CircuitBreaker(
            CircuitBreakerConfig(failure_threshold=2, window_size=THREADS * each + 2 - others, window_duration=3600)
        )
        guarded = breaker(answer)
        with pytest.raises(OSError, match="down"):
            guarded(fail=True)

        def body(_: int, guarded: Callable[..., None] = guarded) -> None:
            for _ in range(each):
                guarded(fail=False)

        together(body)
        with pytest.raises(OSError, match="down"):
            guarded(fail=True)
        assert breaker.state.value == ("closed" if others else "open")


def test_counting_begins_anew_with_every_failure() -> None:
    """While successes of other threads end it as often as they can, no failure is forgotten (C2, C10)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=3, window_size=3, timeout=1e-6))
    guarded = breaker(answer)
    done = threading.Event()

    def body(number: int) -> None:
        if number:
            while not done.is_set():
                with contextlib.suppress(CircuitBreakerError):
                    guarded(fail=False)
            return
        for _ in range(3000):
            with contextlib.suppress(OSError, CircuitBreakerError):
                guarded(fail=True)
        done.set()

    together(body)
    breaker.reset()
    for expected in ("closed", "closed", "open"):
        with pytest.raises(OSError, match="down"):
            guarded(fail=True)
        assert breaker._calls.circuit.phase.state.value == expected


def test_refusals_are_counted_exactly() -> None:
    """Without a lock (C7, C10)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, timeout=3600))
    guarded = breaker(answer)
    with pytest.raises(OSError, match="down"):
        guarded(fail=True)

    def body(number: int) -> None:
        for _ in range(500):
            with pytest.raises(CircuitBreakerError):
                guarded(fail=False)
            assert breaker.metrics["refused"] > 0

    together(body)
    assert breaker.metrics["refused"] == THREADS * 500


def test_thousands_of_rounds_keep_every_rule() -> None:
    """Never more probes than allowed, transitions told in a legal order, never stuck (C5, G9)."""
    told: list[str] = []
    most = [0]
    breaker = CircuitBreaker(
        CircuitBreakerConfig(
            failure_threshold=3,
            success_threshold=2,
            half_open_max=2,
            timeout=1e-5,
            half_open_timeout=60,
            on_open=lambda: told.append("open"),
            on_half_open=lambda: told.append("half open"),
            on_close=lambda: told.append("close"),
        )
    )
    calls = breaker._calls

    def work(dice: random.Random) -> None:
        most[0] = max(most[0], len(getattr(calls.circuit.phase, "out", ())))
        roll = dice.random()
        if roll < 0.4:
            raise OSError("down")
        if roll < 0.5:
            raise KeyboardInterrupt

    guarded = breaker(work)

    def body(number: int) -> None:
        dice = random.Random(number)
        for _ in range(2000):
            with contextlib.suppress(OSError, CircuitBreakerError, KeyboardInterrupt):
                guarded(dice)

    together(body)
    assert most[0] <= 2
    assert breaker.metrics["opened"] == told.count("open") > 20
    following = {"open": {"half open"}, "half open": {"open", "close"}, "close": {"open"}}
    assert told[0] == "open"
    assert all(later in following[earlier] for earlier, later in itertools.pairwise(told))
    dice = random.Random()
    dice.random = lambda: 1.0  # type: ignore[method-assign]
    for _ in range(1000):
        try:
            guarded(dice)
        except CircuitBreakerError:
            continue
    assert breaker.state.value == "closed"


def test_one_circuit_serves_threads_and_loops_together() -> None:
    """Half the callers are plain, half are tasks of a loop in each thread (G7)."""
    breaker = CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=THREADS * 100 + 1, window_size=10**6, window_duration=3600)
    )
    plain: Any = breaker(answer)

    @breaker
    async def coloured(*, fail: bool) -> None:
        await asyncio.sleep(0)
        answer(fail=fail)

    async def tasks() -> None:
        results = await asyncio.gather(
            *(coloured(fail=number % 2 == 0) for number in range(200)), return_exceptions=True
        )
        assert sum(isinstance(result, OSError) for result in results) == 100

    def body(number: int) -> None:
        if number % 2:
            asyncio.run(tasks())
            return
        for step in range(200):
            try:
                plain(fail=step % 2 == 0)
            except OSError:
                assert step % 2 == 0

    together(body)
    assert breaker.state.value == "closed"
    with pytest.raises(OSError, match="down"):
        plain(fail=True)
    assert breaker.state.value == "open"
