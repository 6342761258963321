"""What the plugin's fixtures give, and that a failure shows what recoup did."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.testing.plugin.conftest import Run

pytest_plugins = ["pytester"]

SHOP = """
import asyncio
from recoup import circuit_breaker, retry
from recoup.events import RetryScheduled
from recoup.testing import VirtualEventLoop, active_clock, fail

class Shop:
    @retry(max_attempts=3, backoff_strategy="fixed", initial_delay=60)
    def price(self):
        return 7

    @retry(max_attempts=3, backoff_strategy="fixed", initial_delay=60)
    async def offer(self):
        await asyncio.sleep(3600)
        return 5

shop = Shop()
"""


def test_virtual_time_in_plain_tests(run: Run) -> None:
    """A plain test with `virtual_time` waits for nothing; behind it the clock is the real one again."""
    result = run(
        SHOP
        + """
def test_virtual(virtual_time, faults):
    faults(shop, "price", fail(ConnectionError, on=(1, 2)))
    assert shop.price() == 7
    assert virtual_time.sleeps == [60, 60]
    assert active_clock() is virtual_time

def test_loops_of_ones_own_follow(virtual_time):
    assert asyncio.run(shop.offer()) == 5
    assert asyncio.new_event_loop().close() is None
    assert virtual_time.elapsed == 3600

def test_real():
    assert active_clock() is None
    loop = asyncio.new_event_loop()
    assert not isinstance(loop, VirtualEventLoop)
    loop.close()
"""
    )
    result.assert_outcomes(passed=3)


def test_faults_end_with_the_test(run: Run) -> None:
    """Faults of the fixture are in force until the test ends, and filed."""
    result = run(
        SHOP
        + """
import pytest

def test_faulty(virtual_time, faults):
    calls = faults(shop, "price", fail(ConnectionError))
    with pytest.raises(ConnectionError):
        shop.price()
    assert len(calls) == 3
    assert faults.all == [calls]

def test_sound():
    assert shop.price() == 7
"""
    )
    result.assert_outcomes(passed=2)


def test_events_are_recorded(run: Run) -> None:
    """`recovery_events` has the events of its test and no others."""
    result = run(
        SHOP
        + """
def test_first(virtual_time, faults, recovery_events):
    faults(shop, "price", fail(ConnectionError, on=1))
    shop.price()
    recovery_events.expect(RetryScheduled, times=1, delay=60)

def test_second(recovery_events):
    shop.price()
    recovery_events.expect_none()
"""
    )
    result.assert_outcomes(passed=2)


def test_failures_show_what_happened(run: Run) -> None:
    """The report of a failing test lists the events and calls that were recorded, that of a passing one does not."""
    result = run(
        SHOP
        + """
def test_wrong(virtual_time, faults, recovery_events):
    faults(shop, "price", fail(ConnectionError, on=1))
    assert shop.price() == 8

def test_right(recovery_events):
    pass

def test_wrong_without():
    assert shop.price() == 8
"""
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- recoup -*",
            "2 events:",
            "  +0.000 s  FaultInjected(name='Shop.price', fault='error', call=1)",
            "  +0.000 s  RetryScheduled(name='Shop.price', attempt=1, delay=60.0, error_type='ConnectionError')",
            "*- recoup -*",
            "2 calls of Shop.price:",
            "  1: Shop.price() raised ConnectionError, injected: fail(ConnectionError)",
            "  2: Shop.price() returned 7",
        ]
    )


def test_unittest_cases(run: Run) -> None:
    """Test cases of `unittest` ask for the fixtures by `usefixtures`; their loops are virtual, too."""
    result = run(
        SHOP
        + """
import unittest
import pytest

@pytest.mark.usefixtures("virtual_time")
class Case(unittest.IsolatedAsyncioTestCase):
    async def test_offer(self):
        self.assertEqual(await shop.offer(), 5)
        self.assertEqual(active_clock().elapsed, 3600)
"""
    )
    result.assert_outcomes(passed=1)


def test_fixtures_are_documented(run: Run) -> None:
    """`--fixtures` and `--markers` say what there is, and strict markers know ours."""
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines(["virtual_time*", "*Let time move*", "faults*", "recovery_events*"])
    result = run("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.recovery(off=False, instant=False, isolate=None): turn recovery off*"])
