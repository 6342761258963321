"""The pytest plugin of recoup: virtual time, faults and events as fixtures, and recovery off or instant by marker.

pytest finds it by its entry point. It does nothing to a test that uses none of its fixtures and markers, except with
the option `--recovery-instant` or the ini setting `recoup_isolate = true`, and imports next to nothing before that.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

    from recoup.testing import Events, Faults, VirtualClock

__all__: list[str] = []

_FIXTURES = {"virtual_time", "faults", "recovery_events"}
_MARKER = (
    "recovery(off=False, instant=False, isolate=None): turn recovery off, or its waits, while this test runs, in the "
    "whole process; isolate: whether the state of strategy objects is put back afterwards"
)
_KNOWN = {"off", "instant", "isolate"}
_stack = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--recovery-instant` and `recoup_isolate`."""
    group = parser.getgroup("recoup", "recovery")
    group.addoption(
        "--recovery-instant",
        action="store_true",
        help="skip the waits of recovery in all tests but those in virtual time",
    )
    parser.addini("recoup_isolate", "put the state of strategy objects back after every test", "bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Take note of strategy objects from here on: conftest files make some."""
    _watch(early_config)


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker; let a run that is instant begin."""
    config.addinivalue_line("markers", _MARKER)
    _watch(config)
    if config.getoption("--recovery-instant"):
        from recoup._core import mode  # noqa: PLC0415 - not before it is needed

        config.add_cleanup(_restoring(mode.everywhere("instant")))


def _watch(config: pytest.Config) -> None:
    from recoup.testing import isolation  # noqa: PLC0415 - not before it is needed

    if isolation.watch():
        config.add_cleanup(isolation.unwatch)


def _restoring(kind: Any) -> Any:
    from recoup._core import mode  # noqa: PLC0415 - not before it is needed

    return lambda: mode.everywhere(kind) and None


def _asked(item: pytest.Item) -> bool:
    """Tell whether a test uses the plugin."""
    used = _FIXTURES.intersection(getattr(item, "fixturenames", ()))
    return bool(used) or item.get_closest_marker("recovery") is not None


def _isolates(item: pytest.Item) -> bool:
    """Tell whether state is put back after a test."""
    for marker in item.iter_markers("recovery"):
        if marker.kwargs.get("isolate") is not None:
            return bool(marker.kwargs["isolate"])
    return _asked(item) or bool(item.config.getini("recoup_isolate"))


def _kind(item: pytest.Item) -> Any:
    """Give what a test's markers say of recovery; None if nothing. The closest one that says something decides."""
    for marker in item.iter_markers("recovery"):
        off, instant = marker.kwargs.get("off"), marker.kwargs.get("instant")
        if off is not None or instant is not None:
            return "off" if off else "instant" if instant else "on"
    return None


def _mistake(item: pytest.Item) -> str | None:
    """Say what is wrong with a test's markers."""
    for marker in item.iter_markers("recovery"):
        given = marker.kwargs
        if marker.args or not given or not _KNOWN.issuperset(given) or (given.get("off") and given.get("instant")):
            return (
                f"{item.nodeid}: recovery takes off=, instant= (not both true) and isolate=, each True or False, not "
                f"{marker.args or given}"
            )
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let go of the names that only this test has used, when all of it is over."""
    if not _isolates(item):
        return (yield)
    from recoup.testing import isolation  # noqa: PLC0415 - not before it is needed

    with isolation.forgetting():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Prepare what holds for the whole test, fixtures included."""
    stack = item.stash[_stack] = ExitStack()
    mistake = _mistake(item)
    if mistake is not None:
        yield  # others have begun with this test, or end with it in vain
        raise pytest.UsageError(mistake)
    timed = "virtual_time" in getattr(item, "fixturenames", ())
    kind: Any = _kind(item) or ("on" if timed else None)  # waits that cost nothing need not be skipped by the option
    if _isolates(item):
        from recoup.testing import isolation  # noqa: PLC0415 - not before it is needed

        stack.enter_context(isolation.isolated())
    if kind is not None:
        from recoup._core import mode  # noqa: PLC0415 - not before it is needed

        stack.callback(mode.everywhere, mode.everywhere(kind))
    if timed:
        from recoup.testing.loop import virtual_loops  # noqa: PLC0415 - not before it is needed
        from recoup.testing.trio_runs import virtual_runs  # noqa: PLC0415 - as above

        stack.enter_context(virtual_loops())
        stack.enter_context(virtual_runs(wanted="anyio_backend" in getattr(item, "fixturenames", ())))
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Put everything back, behind the fixtures."""
    with item.stash.get(_stack, ExitStack()):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what recoup did: the events and the calls that were recorded."""
    report = yield
    if report.when == "call" and report.failed:
        given = getattr(item, "funcargs", {})
        recorded = [given["recovery_events"]] if "recovery_events" in given else []
        recorded += given["faults"].all if "faults" in given else []
        report.sections += [("recoup", str(each)) for each in recorded]
    return report


@pytest.fixture
def virtual_time() -> Iterator[VirtualClock]:
    """Let time move only when the test says so, or by itself when nothing can run; give the clock.

    Event loops that are made for the test follow it, too: those of pytest-asyncio with the scope of a function, those
    of anyio, and that of `asyncio.run`; so do runs of Trio, by anyio, pytest-trio or `trio.run`. The clock begins at
    the next whole second of the real one, so that what an open breaker or a limiter has counted before means the same;
    `virtual_time.elapsed` tells the time since then.
    """
    from recoup._core import clock as seam  # noqa: PLC0415 - not before it is needed
    from recoup.testing.clock import VirtualClock  # noqa: PLC0415 - not before it is needed

    with VirtualClock(start=math.ceil(seam.monotonic())) as clock:
        yield clock


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Inject faults until the test ends.

    `calls = faults(client, "fetch", fail(ConnectionError, on=1))` is `recoup.testing.inject` without a block.
    """
    from recoup.testing.injecting import Faults  # noqa: PLC0415 - not before it is needed

    with ExitStack() as stack:
        yield Faults(stack)


@pytest.fixture
def recovery_events() -> Iterator[Events]:
    """Record what recoup does during the test; a failure shows it."""
    from recoup.testing.recording import record  # noqa: PLC0415 - not before it is needed

    with record() as events:
        yield events
