"""The plugin beside others: pytest-asyncio, anyio, pytest-xdist, pytest-randomly; and beside nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.testing.plugin.conftest import Run

pytest_plugins = ["pytester"]

ASYNC = """
import asyncio
import pytest
from recoup import deadline, retry
from recoup._core import mode
from recoup.testing import VirtualEventLoop, active_clock, fail, faulty, hang

@retry(max_attempts=3, backoff_strategy="fixed", initial_delay=60)
async def fetch():
    await asyncio.sleep(3600)
    return "page"

def on_virtual_loop():
    return isinstance(asyncio.get_running_loop(), VirtualEventLoop)
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_pytest_asyncio(run: Run, mode: str) -> None:
    """Async tests and fixtures of pytest-asyncio run in virtual time where it is asked for, and only there."""
    text = """
@MARK
async def test_virtual(virtual_time, recovery_events):
    shaky, calls = faulty(fetch, fail(ConnectionError, on=1))
    assert await shaky() == "page"
    assert virtual_time.elapsed == 60 + 3600
    assert len(recovery_events) == 2
    assert on_virtual_loop()

@MARK
async def test_real():
    assert not on_virtual_loop()
    assert active_clock() is None

@FIXTURE
async def opened():
    await asyncio.sleep(60)
    yield "opened"
    await asyncio.sleep(60)

@MARK
async def test_fixtures(virtual_time, opened):
    assert virtual_time.elapsed == 60

@MARK
async def test_deadline(virtual_time):
    async def quick(): pass

    hanging, _ = faulty(deadline(30)(quick), hang())
    with pytest.raises(TimeoutError):
        await hanging()
    assert virtual_time.elapsed == 30

@pytest.mark.recovery(off=True)
@MARK
async def test_off():
    assert mode.off()
"""
    text = text.replace("@MARK", "@pytest.mark.asyncio" if mode == "strict" else "")
    text = text.replace(
        "@FIXTURE", "import pytest_asyncio\n@pytest_asyncio.fixture" if mode == "strict" else "@pytest.fixture"
    )
    result = run(ASYNC + text, beside=("asyncio",), ini=f"asyncio_mode = {mode}\n")
    result.assert_outcomes(passed=5)


def test_loops_of_a_wider_scope(run: Run) -> None:
    """A loop that was made for a module stays as it is; markers hold on it all the same."""
    text = """
pytestmark = pytest.mark.asyncio(loop_scope="module")

async def test_first():
    assert not on_virtual_loop()

@pytest.mark.recovery(instant=True)
async def test_instant():
    assert mode.instant()
    shaky, calls = faulty(retry(abs), fail(ConnectionError, on=1))
    assert shaky(-1) == 1

async def test_second():
    assert not mode.instant()
"""
    result = run(ASYNC + text, beside=("asyncio",))
    result.assert_outcomes(passed=3)


def test_anyio(run: Run) -> None:
    """Async tests of anyio's own plugin run in virtual time where it is asked for, and only there."""
    text = """
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_virtual(virtual_time):
    assert await fetch() == "page"
    assert virtual_time.elapsed == 3600
    assert on_virtual_loop()

async def test_real():
    assert not on_virtual_loop()

@pytest.mark.recovery(off=True)
async def test_off():
    assert mode.off()
"""
    result = run(ASYNC + text, beside=("anyio",))
    result.assert_outcomes(passed=3)


STATE = """
import pytest
from recoup import CircuitBreaker, CircuitBreakerConfig
from recoup._core import mode

breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

@pytest.mark.parametrize("number", range(8))
def test_it(number, recovery_events):
    assert breaker.state.value == "closed"
    assert mode.instant()
    with pytest.raises(ValueError):
        breaker.call_sync(int, "x")
"""


def test_pytest_xdist(run: Run) -> None:
    """Each worker of pytest-xdist has the option, the fixtures, and state of its own."""
    result = run(STATE, "-n", "2", "--recovery-instant", beside=("xdist",), subprocess=True)
    result.assert_outcomes(passed=8)


def test_pytest_randomly(run: Run) -> None:
    """In whatever order tests run, none sees what another has done."""
    for seed in range(3):
        result = run(STATE, f"--randomly-seed={seed}", "--recovery-instant", beside=("randomly",))
        result.assert_outcomes(passed=8)


def test_nothing_heavy_is_imported() -> None:
    """A run that uses nothing of it pays for no strategy, no asyncio and no thread."""
    code = (
        "import sys, pytest; before = set(sys.modules); import recoup.testing.plugin; "
        "print(*(name for name in set(sys.modules) - before if name.startswith('recoup')), sep=' ')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(found) == ["recoup", "recoup.testing", "recoup.testing.plugin"]


def test_it_works_alone(run: Run) -> None:
    """Without any other plugin for async tests there is nothing that it misses."""
    result = run("def test_it(virtual_time, faults, recovery_events): pass\ndef test_nothing(): pass\n")
    result.assert_outcomes(passed=2)
