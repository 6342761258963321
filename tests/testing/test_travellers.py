"""freezegun and time-machine keep working with the library and with its testing kit (G12)."""

from __future__ import annotations

import asyncio
import types
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import freezegun
import pytest

from recoup import CircuitBreaker, CircuitBreakerConfig, deadline, retry
from recoup._core import clock as seam
from recoup.events import RetryScheduled
from recoup.testing import VirtualClock, fail, faulty, instant, record, run, slow

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.conftest import Both

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _freezegun() -> AbstractContextManager[Any]:
    return freezegun.freeze_time(NOW, real_asyncio=True, ignore=["trio"])  # as real_asyncio does for asyncio


def _time_machine() -> AbstractContextManager[Any]:
    travel: Any = pytest.importorskip("time_machine").travel
    return travel(NOW, tick=False)  # type: ignore[no-any-return]  # it gives a traveller


TRAVELLERS = pytest.mark.parametrize("travel", [_freezegun, _time_machine], ids=["freezegun", "time-machine"])


class Busy(Exception):
    """What a client raises for an answer that says when to come again."""

    def __init__(self) -> None:
        again = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
        self.response = types.SimpleNamespace(status_code=503, headers={"Retry-After": again})


@TRAVELLERS
def test_dates_are_read_by_the_travelled_time(both: Both, travel: Callable[[], AbstractContextManager[Any]]) -> None:
    """A service that names a date is waited for until that date, as the test has set it (R6)."""
    shaky, _ = faulty(retry(both.wrap(lambda: "page")), fail(Busy, on=1))
    with travel(), instant(), record() as events:
        assert both.call(shaky) == "page"
    (scheduled,) = events.expect(RetryScheduled, times=1)
    assert 30 <= scheduled.delay < 60  # by the real time the date would have passed, or be far away


@TRAVELLERS
def test_recovery_goes_on(both: Both, travel: Callable[[], AbstractContextManager[Any]]) -> None:
    """Nothing hangs while the time of day stands still: retries, deadlines and breakers do their work."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    limited = deadline(60, mode=None if both.is_async else "cooperative")(both.wrap(lambda: "page"))
    shaky, calls = faulty(retry(max_attempts=3, initial_delay=0.001)(limited), fail(OSError, on=1))
    with travel():
        assert both.call(shaky) == "page"
        with pytest.raises(ValueError, match="invalid literal"):
            breaker.call_sync(int, "x")
        assert breaker.state.value == "open"
    assert len(calls) == 2


def test_freezegun_moves_durations_and_time_machine_does_not() -> None:
    """`tick` of freezegun takes a breaker past its open time; time-machine moves the time of day alone."""
    machine: Any = pytest.importorskip("time_machine")
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, timeout=3600))
    with freezegun.freeze_time(NOW) as frozen:
        with pytest.raises(ValueError, match="invalid literal"):
            breaker.call_sync(int, "x")
        frozen.tick(3601)
        assert breaker.state.value == "half_open"
    breaker.reset()
    with machine.travel(NOW, tick=False) as traveller:
        with pytest.raises(ValueError, match="invalid literal"):
            breaker.call_sync(int, "x")
        traveller.shift(3601)
        assert seam.wall() == NOW.timestamp() + 3601
        assert breaker.state.value == "open"


@TRAVELLERS
def test_virtual_clocks_work_in_frozen_tests(travel: Callable[[], AbstractContextManager[Any]]) -> None:
    """A `VirtualClock` inside a frozen block moves by itself, and the real time is back behind both."""
    late, _ = faulty(_page, slow(60))
    before = seam.monotonic, seam.wall
    with travel(), VirtualClock() as clock:
        assert run(late()) == "page"
        assert (clock.elapsed, seam.monotonic()) == (60, 1060)
    assert (seam.monotonic, seam.wall) == before


@TRAVELLERS
def test_frozen_blocks_work_under_virtual_clocks(travel: Callable[[], AbstractContextManager[Any]]) -> None:
    """A frozen block inside a `VirtualClock` leaves that alone, then and afterwards, whatever was frozen before.

    freezegun has the clocks of a module by heart once it has seen it, and would put its own in their places.
    """
    late, _ = faulty(_page, slow(60))
    before = seam.monotonic, seam.wall
    for _ in range(2):
        with travel():
            seam.monotonic()
        with VirtualClock() as clock:
            with travel():
                assert run(late()) == "page"
                assert (clock.elapsed, seam.monotonic(), seam.wall()) == (60, 1060, 1_700_000_060)
                assert datetime.now(UTC) == NOW
                with VirtualClock(start=5):
                    assert seam.monotonic() == 5
                assert seam.monotonic() == 1060
            assert run(late()) == "page"
            assert (clock.elapsed, seam.monotonic()) == (120, 1120)
        assert (seam.monotonic, seam.wall) == before


def test_marked_tests_have_virtual_time(virtual_time: VirtualClock) -> None:
    """A function that freezegun decorates runs under the clock of the fixture, which was there before it."""

    @retry(max_attempts=2, initial_delay=60, backoff_strategy="fixed")
    def fetch() -> str:
        return datetime.now(UTC).isoformat()

    @freezegun.freeze_time(NOW)
    def body() -> str:
        shaky, _ = faulty(fetch, fail(OSError, on=1))
        return shaky()

    for minutes in (1, 2, 3):
        assert body() == NOW.isoformat()
        assert virtual_time.elapsed == 60 * minutes


async def _page() -> str:
    await asyncio.sleep(0)
    return "page"
