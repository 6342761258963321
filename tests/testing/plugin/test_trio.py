"""Tests under Trio, in virtual time where it is asked for: by anyio's plugin, in the way of pytest-trio, by hand."""

from __future__ import annotations

import sys
import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from recoup.testing import VirtualClock, active_clock
from recoup.testing.loop import GRACE
from recoup.testing.trio_runs import virtual_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.testing.plugin.conftest import Run

trio = pytest.importorskip("trio")
pytest_plugins = ["pytester"]

SHOP = """
import pytest
import trio
from recoup import deadline, retry
from recoup._core import mode
from recoup.testing import active_clock, fail, faulty, hang

@retry(max_attempts=3, backoff_strategy="fixed", initial_delay=60)
async def fetch():
    await trio.sleep(3600)
    return "page"

@deadline(30)
async def quick():
    pass

def in_real_time():
    return active_clock() is None and not hasattr(trio.lowlevel.current_clock(), "jump")
"""

TESTS = """
async def test_virtual(virtual_time, recovery_events):
    shaky, calls = faulty(fetch, fail(ConnectionError, on=1))
    began = trio.current_time()
    assert await shaky() == "page"
    assert virtual_time.elapsed == trio.current_time() - began == 60 + 3600
    assert virtual_time.sleeps == [60]
    assert len(recovery_events) == 2

async def test_real():
    assert in_real_time()

async def test_deadline(virtual_time):
    hanging, _ = faulty(quick, hang())
    with pytest.raises(TimeoutError):
        await hanging()
    assert virtual_time.elapsed == 30

async def test_by_hand(virtual_time):
    with trio.move_on_after(100) as scope:
        virtual_time.advance(99)
        await trio.lowlevel.checkpoint()
        virtual_time.advance(2)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught

async def test_threads(virtual_time):
    with trio.move_on_after(1e6) as scope:
        assert await trio.to_thread.run_sync(sum, [1, 2]) == 3
    assert not scope.cancelled_caught

@pytest.mark.recovery(off=True)
async def test_off():
    assert mode.off()
"""

ANYIO = """
@pytest.fixture
def anyio_backend():
    return "trio"

pytestmark = pytest.mark.anyio
"""

PYTEST_TRIO = """
import functools, inspect

# What pytest-trio does, as far as it matters: each async test is one run, begun in pytest_runtest_call.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if inspect.iscoroutinefunction(item.obj):
        item.obj = functools.partial(lambda test, **given: trio.run(functools.partial(test, **given)), item.obj)
    return (yield)
"""


def test_anyio(run: Run) -> None:
    """Tests of anyio's plugin with its backend for Trio run in virtual time where it is asked for, and only there."""
    run(SHOP + ANYIO + TESTS, beside=("anyio",)).assert_outcomes(passed=6)


def test_anyio_on_both(run: Run) -> None:
    """One test for both backends needs to know of neither; nor does Trio have to be imported by the test (G12)."""
    text = """
import sys
import anyio, pytest
from recoup import retry
from recoup.testing import fail, faulty

@pytest.mark.anyio
async def test_it(virtual_time, anyio_backend):
    @retry(max_attempts=2, backoff_strategy="fixed", initial_delay=60)
    async def fetch():
        await anyio.sleep(3600)
        return anyio_backend

    shaky, _ = faulty(fetch, fail(ConnectionError, on=1))
    assert await shaky() == anyio_backend
    assert virtual_time.elapsed == 3660
"""
    run(text, beside=("anyio",), subprocess=True).assert_outcomes(passed=2)


def test_the_way_of_pytest_trio(run: Run, pytester: pytest.Pytester) -> None:
    """A plugin that calls `trio.run` for each test needs to know nothing of virtual time."""
    pytester.makeconftest("import pytest, trio\n" + PYTEST_TRIO)
    run(SHOP + TESTS).assert_outcomes(passed=6)


def test_trio_by_hand(run: Run) -> None:
    """A plain test that calls `trio.run` has its runs in virtual time, unless they bring a clock of their own."""
    text = """
from trio.testing import MockClock

async def main():
    await trio.sleep(60)
    return trio.current_time()

def test_it(virtual_time):
    for _ in range(2):
        trio.run(fetch)
    assert virtual_time.elapsed == 7200
    own = MockClock(autojump_threshold=0)
    assert trio.run(main, clock=own) == 60
    assert virtual_time.elapsed == 7200
    import asyncio
    asyncio.run(asyncio.sleep(5))
    assert virtual_time.elapsed == 7205

def test_real():
    async def look():
        assert in_real_time()
    trio.run(look)
"""
    run(SHOP + text).assert_outcomes(passed=2)


def test_runners_of_a_wider_scope(run: Run) -> None:
    """A runner that a fixture of the module has begun keeps real time; recoup's own pauses on it are virtual."""
    text = """
@pytest.fixture(scope="module")
def anyio_backend():
    return "trio"

@pytest.fixture(scope="module")
async def opened():
    yield "opened"

@pytest.mark.anyio
async def test_virtual(virtual_time, opened):
    shaky, _ = faulty(retry(initial_delay=60, backoff_strategy="fixed")(trio.lowlevel.checkpoint), fail(OSError, on=1))
    await shaky()
    assert virtual_time.elapsed == 60
    assert not hasattr(trio.lowlevel.current_clock(), "jump")
"""
    run(SHOP + ANYIO + text, beside=("anyio",)).assert_outcomes(passed=1)


def test_a_run_that_goes_on() -> None:
    """A run that is not over when virtual time is goes on in real time, and ends as it would have."""
    todo: Queue[Callable[[], object]] = Queue()
    ended: list[Any] = []
    told: list[float] = []
    go_on = trio.Event()

    async def main() -> str:
        told.append(trio.current_time())
        await trio.sleep(3600)
        told.append(trio.current_time())
        await go_on.wait()
        await trio.sleep(0.01)
        told.append(trio.current_time())
        return "done"

    with VirtualClock() as clock:
        with virtual_runs():
            trio.lowlevel.start_guest_run(
                main, run_sync_soon_threadsafe=todo.put, done_callback=ended.append, host_uses_signal_set_wakeup_fd=True
            )
            while len(told) < 2:
                todo.get()()
            assert clock.elapsed == told[1] - told[0] == 3600
        clock.advance(5)
        assert clock.elapsed == 3605
    go_on.set()
    while not ended:
        todo.get(timeout=60)()
    assert ended[0].unwrap() == "done"
    assert told[2] - told[1] >= 0.01


def test_everything_is_put_back() -> None:
    """Behind it Trio is as it was, also after runs that failed to begin or to end."""
    before = trio.run, trio.lowlevel.start_guest_run
    with VirtualClock() as clock, virtual_runs():
        assert trio.run is not before[0]
        with pytest.raises(ZeroDivisionError):
            trio.run(_divide)
        with pytest.raises(TypeError, match="unexpected keyword"):
            trio.run(_divide, color="red")
        with pytest.raises(TypeError):
            trio.lowlevel.start_guest_run(_divide, done_callback=print, color="red")
        trio.run(trio.sleep, 60)
        assert clock.elapsed == 60
    assert (trio.run, trio.lowlevel.start_guest_run) == before
    with VirtualClock() as clock:
        clock.advance(5)
        assert clock.elapsed == 5


async def _divide() -> float:
    return 1 / 0


def test_a_second_run_at_once() -> None:
    """A clock follows one run; one in another thread meanwhile keeps real time, and a run without any clock too."""
    told: list[bool] = []

    async def look() -> None:
        told.append(hasattr(trio.lowlevel.current_clock(), "jump"))

    async def both() -> None:
        await look()
        await trio.to_thread.run_sync(trio.run, look)

    with virtual_runs():
        trio.run(look)
        with VirtualClock():
            trio.run(both)
    assert told == [False, True, False]
    assert active_clock() is None


def test_threads_get_a_moment() -> None:
    """While there are other threads, Trio's clock waits a little before it jumps, as our loop does."""
    graces: list[float] = []
    go_on = threading.Event()

    async def look() -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            graces.append(trio.lowlevel.current_clock().autojump_threshold)
        thread = threading.Thread(target=go_on.wait)
        thread.start()
        try:
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            graces.append(trio.lowlevel.current_clock().autojump_threshold)
        finally:
            go_on.set()
            thread.join()

    others = threading.active_count() > 1  # of other tests, which nobody has joined
    with VirtualClock(), virtual_runs():
        trio.run(look)
    assert graces[-1] == GRACE
    assert others or graces[1] == 0.0


def test_nothing_happens_without_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not imported Trio does not pay for it."""
    before = trio.run
    monkeypatch.delitem(sys.modules, "trio")
    with virtual_runs():
        assert "trio" not in sys.modules
        assert trio.run is before
