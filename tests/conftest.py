"""Fixtures of the whole suite: virtual time, and every behaviour in both colours."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING

import pytest

from recoup.testing import VirtualClock, VirtualEventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


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


class Both:
    """One way to write a test for sync and async functions.

    Attributes:
        colour: "sync" or "async".
    """

    def __init__(self, colour: str) -> None:
        self.colour = colour

    def __repr__(self) -> str:
        return f"<Both {self.colour}>"

    @property
    def is_async(self) -> bool:
        """Tell whether this run of the test is the async one."""
        return self.colour != "sync"

    def wrap(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function of this colour out of a plain function or generator function; names are kept.

        In the async colour a coroutine that the body returns is awaited, so a body may `return asyncio.sleep(1)`.
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

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `fn` inside a fresh event loop, on virtual time while a clock is active, and await what it returns."""

        async def main() -> Any:
            result = fn(*args, **kwargs)
            if inspect.isasyncgen(result):
                return [item async for item in result]
            return await result if inspect.isawaitable(result) else result

        with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
            return runner.run(main())


def _named(function: Callable[..., Any], body: Callable[..., Any]) -> Callable[..., Any]:
    # Not functools.wraps whole: its __wrapped__ would make the async function look like the sync body to `inspect`.
    functools.update_wrapper(function, body)
    del function.__wrapped__  # type: ignore[attr-defined]  # set by update_wrapper a line above
    function.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]  # read by inspect.signature
    return function


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Both:
    """Run the test once for sync and once for async functions."""
    return Both(request.param)
