"""Fixtures of the whole suite: virtual time, and every behaviour in both colours."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from recoup._core import clock as seam
from recoup._core import waiting
from recoup.strategies.deadline.workers import Workers
from recoup.testing import VirtualClock, VirtualEventLoop, active_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


# No limit on the time of an example: the machine may be busy. In CI the same examples each time, so that a change is
# judged by itself; everywhere else new ones.
settings.register_profile("recoup", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("recoup")

# A process that a shell started in the background ignores Ctrl-C, and so would its children; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """Replace recoup's clock, and the timers of the event loops of the test, by virtual time."""
    with VirtualClock() as virtual:
        yield virtual


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run `async def` tests on a loop that follows the `clock` fixture; it is a common loop for tests without it."""
    virtual = "clock" in getattr(item, "fixturenames", ())
    return {"virtual": VirtualEventLoop} if virtual else {"asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _idle_threads_go_home() -> Iterator[None]:
    """End the idle threads of deadlines after each test: virtual clocks are slower while other threads live."""
    yield
    if threading.active_count() > 1:
        for holder in list(waiting._forkable):
            if isinstance(holder, Workers):
                holder.retire()


class Both:
    """One way to write a test for sync and async functions.

    Attributes:
        colour: "sync" or "async".
        library: "asyncio" or "trio" in the async colour, "" in the sync one.
    """

    def __init__(self, param: str) -> None:
        self.library = "" if param == "sync" else param
        self.colour = "async" if self.library else "sync"

    def __repr__(self) -> str:
        return f"<Both {self.library or self.colour}>"

    @property
    def is_async(self) -> bool:
        """Tell whether this run of the test is the async one."""
        return bool(self.library)

    def wrap(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function of this colour out of a plain function or generator function; names are kept.

        In the async colour a coroutine that the body returns is awaited, so a body may `return both.pause(1)`.
        """
        if not self.is_async:
            return body
        if inspect.isgeneratorfunction(body):

            async def stream(*args: Any, **kwargs: Any) -> Any:
                for item in body(*args, **kwargs):
                    yield item

            return _named(stream, body)

        async def coloured(*args: Any, **kwargs: Any) -> Any:
            result = body(*args, **kwargs)
            return await result if inspect.iscoroutine(result) else result

        return _named(coloured, body)

    def call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `fn` and run what it returns to completion: a coroutine, or an async generator into a list."""
        if not self.is_async:
            result = fn(*args, **kwargs)
            return list(result) if inspect.isgenerator(result) else result
        return self.run(fn, *args, **kwargs)

    def execute(self, strategy: Any, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `fn` through the strategy's (or workflow's) `execute_sync` or `execute`."""
        method = strategy.execute if self.is_async else strategy.execute_sync
        return self.call(method, fn, *args, **kwargs)

    def pause(self, seconds: float) -> Any:
        """Let user code take `seconds`: at once in the sync colour; async, a coroutine to be returned or awaited."""
        if self.library == "trio":
            import trio

            return trio.sleep(seconds)  # noqa: ASYNC105 - the caller awaits it
        return asyncio.sleep(seconds) if self.is_async else seam.sleep(seconds)

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `fn` inside a fresh event loop, on virtual time while a clock is active, and await what it returns."""

        async def main() -> Any:
            result = fn(*args, **kwargs)
            if inspect.isasyncgen(result):
                return [item async for item in result]
            return await result if inspect.isawaitable(result) else result

        if self.library == "trio":
            return run_trio(main)
        with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
            return runner.run(main())


def run_trio(main: Callable[[], Any]) -> Any:
    """Run an async function under Trio, on virtual time while a clock is active."""
    import trio
    import trio.testing

    clock = active_clock()
    if clock is None:
        return trio.run(main)
    # As in VirtualEventLoop: other threads, while there are any, get a moment of real time before the clock jumps.
    leader = trio.testing.MockClock(autojump_threshold=0.02 if threading.active_count() > 1 else 0)
    with clock.following(leader):
        return trio.run(main, clock=leader)


def _named(function: Callable[..., Any], body: Callable[..., Any]) -> Callable[..., Any]:
    # Not functools.wraps whole: its __wrapped__ would make the async function look like the sync body to `inspect`.
    functools.update_wrapper(function, body)
    del function.__wrapped__  # type: ignore[attr-defined]  # set by update_wrapper a line above
    function.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]  # read by inspect.signature
    return function


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--trio`."""
    parser.addoption("--trio", action="store_true", help="run the async colour of the suite under Trio as well")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `both` its colours; `@pytest.mark.asyncio_only` spares a test that is about asyncio from Trio."""
    if "both" in metafunc.fixturenames:
        spared = not metafunc.config.getoption("--trio") or metafunc.definition.get_closest_marker("asyncio_only")
        colours = ["sync", "async"] if spared else ["sync", "async", "trio"]
        params = ["asyncio" if colour == "async" else colour for colour in colours]
        metafunc.parametrize("both", params, ids=colours, indirect=True)


@pytest.fixture
def both(request: pytest.FixtureRequest) -> Both:
    """Run the test once for sync and once for async functions."""
    return Both(request.param)
