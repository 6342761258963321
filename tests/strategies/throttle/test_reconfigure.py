"""A throttle that changes, or begins anew, while calls are made (L2, B5, G1)."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from recoup import AdaptiveThrottle, AdaptiveThrottleConfig, ThrottledError
from recoup._core import clock as seam
from recoup.strategies.throttle.state import SLICES, Balance

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


@pytest.fixture
def lucky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every lot be the best: nobody is held back."""
    monkeypatch.setattr(seam, "random", lambda: 0.999)


def made(**options: Any) -> AdaptiveThrottle:
    return AdaptiveThrottle(AdaptiveThrottleConfig(**options), name="search")


def fails(error: type[Exception] = OSError) -> None:
    raise error


def test_another_multiplier(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds at once, for the calls that were counted before, and for functions that were decorated before (L2)."""
    monkeypatch.setattr(seam, "random", lambda: 0.0)
    throttle = made(multiplier=10)
    work = throttle(both.wrap(lambda: 1))
    for _ in range(2):
        assert both.call(work) == 1
    for _ in range(6):
        with pytest.raises(OSError):  # noqa: PT011 - it has no message
            both.execute(throttle, both.wrap(fails))
    assert throttle.odds == 0.0
    throttle.reconfigure(multiplier=2)
    assert throttle.config.multiplier == 2.0
    assert throttle.odds == pytest.approx(4 / 9)
    with pytest.raises(ThrottledError):
        both.call(work)
    throttle.reconfigure(multiplier=10)
    assert both.call(work) == 1


@pytest.mark.usefixtures("lucky")
def test_other_conditions(both: Both) -> None:
    """Calls are judged by the conditions that hold when they end (L2)."""
    throttle = made(failure_on=OSError)

    @throttle
    @both.wrap
    def work() -> None:
        throttle.reconfigure(on=ValueError)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        both.call(work)
    assert throttle.metrics["requests"] == 0
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        both.execute(throttle, both.wrap(lambda: fails(ValueError)))
    assert throttle.metrics["requests"] == 1
    throttle.reconfigure(ignore_on=ValueError)
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        both.execute(throttle, both.wrap(lambda: fails(ValueError)))
    assert throttle.metrics["requests"] == 1


@pytest.mark.usefixtures("lucky")
def test_another_predicate_of_results(both: Both) -> None:
    """A predicate may change, but not come or go: streams were refused or let pass because of it."""
    throttle = made(failure_on_result=lambda result: result == 1)
    assert both.execute(throttle, both.wrap(lambda: 1)) == 1
    throttle.reconfigure(failure_on_result=lambda result: result == 2)
    assert both.execute(throttle, both.wrap(lambda: 1)) == 1
    assert throttle.metrics == {"requests": 2, "accepts": 1, "held_back": 0}
    for one, other in ((throttle, None), (made(), bool)):
        with pytest.raises(ValueError, match="failure_on_result must stay as it is in <AdaptiveThrottle 'search'"):
            one.reconfigure(failure_on_result=other)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"multiplier": 0.5}, ValueError, "multiplier must be at least 1"),
        ({"multiplier": 3, "window_duration": 0}, ValueError, "window_duration must be"),
        ({"multiplyer": 3}, TypeError, "unexpected keyword argument 'multiplyer'; did you mean 'multiplier'"),
    ],
)
def test_bad_values_change_nothing(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    """A mistake in one field leaves all of them as they were (G1)."""
    throttle = made()
    before = throttle.config
    with pytest.raises(error, match=message):
        throttle.reconfigure(**changes)
    assert throttle.config is before


def counted(window: float, calls: dict[float, int], new: float, now: float) -> tuple[int, int]:
    """Count accepted calls at moments, change the window, and give what counts then."""
    balance = Balance(2.0, window, 0.0)
    for moment, times in calls.items():
        for _ in range(times):
            balance.record(moment, accepted=True)
    balance.reconfigure(2.0, new, now)
    return balance.requests, balance.accepts


def test_another_window() -> None:
    """What is in the window and would be in the new one counts on, and each call until the new window is over."""
    calls = {0.0: 1, 10.0: 2, 20.0: 4, 23.5: 8}
    assert counted(24.0, calls, 24.0, 23.5) == (15, 15)
    assert counted(24.0, calls, 48.0, 23.5) == (15, 15)
    assert counted(24.0, calls, 6.0, 23.5) == (12, 12)
    assert counted(24.0, calls, 1.0, 23.5) == (8, 8)
    assert counted(24.0, calls, 1e-300, 23.5) == (8, 8)
    balance = Balance(2.0, 24.0, 0.0)
    balance.record(0.0, accepted=False)
    balance.record(20.0, accepted=False)
    balance.reconfigure(2.0, 240.0, 20.0)
    assert balance.requests == 2
    balance.odds(250.0)
    assert balance.requests == 1
    balance.odds(260.0)
    assert balance.requests == 0


def test_a_window_without_length() -> None:
    """The shortest window there is divides by nothing (G1)."""
    balance = Balance(2.0, 5e-324, 100.0)
    balance.record(100.0, accepted=False)
    assert balance.odds(100.0) == 0.5
    assert balance.odds(100.1) == 0.0


def test_begin_anew(both: Both, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reset nothing was counted and nobody is held back; what runs counts when it ends (B5's way)."""
    monkeypatch.setattr(seam, "random", lambda: 0.0)
    throttle = made()
    work = throttle(both.wrap(fails))
    for _ in range(5):
        with suppress(OSError, ThrottledError):
            both.call(work)
    assert throttle.odds > 0
    throttle.reset()
    assert throttle.metrics == {"requests": 0, "accepts": 0, "held_back": 0}
    assert throttle.odds == 0.0
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        both.call(work)
    assert throttle.metrics == {"requests": 1, "accepts": 0, "held_back": 0}
    throttle.reset()
    resetting = throttle(both.wrap(throttle.reset))
    both.call(resetting)
    assert throttle.metrics == {"requests": 1, "accepts": 1, "held_back": 0}


def test_calls_that_only_tick_are_forgotten(clock: VirtualClock) -> None:
    """Accepted calls that were counted without the lock are forgotten as well, and not added later (G7)."""
    throttle = made()
    for _ in range(9):
        throttle.execute_sync(int)
    throttle.reset()
    clock.advance(6)
    assert throttle.metrics == {"requests": 0, "accepts": 0, "held_back": 0}


def test_changes_while_threads_call() -> None:
    """While 32 threads call, the throttle changes and begins anew all the time, and counts stay sane (G7, B5)."""
    throttle = made()
    over = threading.Event()

    def call() -> None:
        for number in range(200):
            with suppress(OSError, ThrottledError):
                throttle.execute_sync(int if number % 3 else fails)

    def change() -> None:
        for seconds, multiplier in zip(itertools.cycle((1, 120, 7)), itertools.cycle((1, 5)), strict=False):
            throttle.reconfigure(window_duration=seconds, multiplier=multiplier)
            throttle.reset()
            if over.is_set():
                return

    threads = [threading.Thread(target=call) for _ in range(32)]
    changing = threading.Thread(target=change)
    for thread in (changing, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    changing.join()
    balance = throttle._calls._balance
    balance.odds(seam.monotonic())
    assert len(balance._requested) == len(balance._accepted) == SLICES
    assert (balance.requests, balance.accepts) == (sum(balance._requested), sum(balance._accepted))
    assert all(
        0 <= accepted <= requested for accepted, requested in zip(balance._accepted, balance._requested, strict=True)
    )
    throttle.reset()
    assert throttle.metrics == {"requests": 0, "accepts": 0, "held_back": 0}
