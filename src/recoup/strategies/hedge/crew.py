"""The tasks in which the attempts of one call run, under asyncio; `recoup.ext.trio` has the same for Trio.

    async with crew:                    whatever ends the block, all tasks are cancelled then, and waited for
        crew.start(work, lost)
        await crew.wait(seconds)        until a task calls `crew.wake()`

Each attempt has a task of its own, so that one that does not react to its cancellation holds up nobody for longer than
the grace. (Tried and left: the first attempt in the task of its caller, which saves a task when it is quick. A loser
that is slow to go would then hold up the winner for as long as it likes.)
"""

from __future__ import annotations

import sys
from typing import Protocol

from recoup._core import clock, emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType
    from typing import Any, Self

    Work = Callable[[], Coroutine[Any, Any, None]]

__all__ = ["AsyncioCrew", "Crew", "crew_here", "dispose"]


class Crew(Protocol):
    """Tasks that end with a block."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, work: Work, lost: Callable[[BaseException], None]) -> None:
        """Run an async function in a task of its own; `lost` hears of one that was cancelled before it began."""
        ...

    def passes(self, error: BaseException) -> bool:
        """Tell whether a task must let an error pass."""
        ...

    def wake(self) -> None:
        """End the waiting of the one who waits."""
        ...

    async def wait(self, seconds: float | None) -> bool:
        """Wait to be woken; False when `seconds` are over."""
        ...

    async def dispose(self, value: object) -> None:
        """Close a value that nobody takes, in a task of the crew."""
        ...

    async def leave_behind(self, value: object) -> None:
        """Close a value that nobody takes, when the one who had it has no time left."""
        ...


class AsyncioCrew:
    """Tasks of one asyncio loop.

    Args:
        loop: The running loop.
        grace: Seconds that cancelled tasks are waited for.
    """

    def __init__(self, loop: Any, grace: float) -> None:
        self._loop = loop
        self._grace = grace
        self._tasks: dict[Any, Callable[[BaseException], None]] = {}
        self._closing: set[Any] = set()  # those that close a value: nobody else would, if they were cancelled
        self._future: Any = None  # what the one who waits waits for

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in tuple(self._tasks):
            if task.done():  # the winner's, whose callback has not run yet
                self._ended(task)
            elif task not in self._closing:
                task.cancel()
        try:
            if self._tasks and self._grace > 0 and not isinstance(error, GeneratorExit):
                await self._gone()
        finally:
            if self._tasks:
                _leave_behind(self._tasks)

    async def _gone(self) -> None:
        """Wait for all tasks to end, for as long as the grace lasts."""
        until = clock.monotonic() + self._grace
        while self._tasks and await self.wait(max(until - clock.monotonic(), 0.0)):
            pass

    def start(self, work: Work, lost: Callable[[BaseException], None]) -> None:
        """Run an async function in a task of its own; `lost` hears of one that was cancelled before it began."""
        task = self._loop.create_task(work(), name="recoup-hedge")
        self._tasks[task] = lost
        task.add_done_callback(self._ended)

    def _ended(self, task: Any) -> None:
        lost = self._tasks.pop(task, None)
        if lost is None:
            return
        self._closing.discard(task)
        _left_behind.discard(task)
        if task.cancelled():
            lost(sys.modules["asyncio"].CancelledError())
        self.wake()

    def passes(self, error: BaseException) -> bool:  # noqa: ARG002 - protocol
        """Tell that no error has to pass: a task of asyncio may end as it likes."""
        return False

    def wake(self) -> None:
        """End the waiting of the one who waits; called in the thread of the loop only."""
        if self._future is not None:
            _answer(self._future, True)

    async def wait(self, seconds: float | None) -> bool:
        """Wait to be woken; False when `seconds` are over."""
        self._future = future = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, _answer, future, False)
        try:
            woken: bool = await future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()
        return woken

    async def dispose(self, value: object) -> None:
        """Close a value that nobody takes."""
        self._closing.add(sys.modules["asyncio"].current_task())
        await dispose(value)

    async def leave_behind(self, value: object) -> None:
        """Close a value that nobody takes, in a task that nobody waits for."""
        self.start(lambda: dispose(value), _nobody)
        _leave_behind(self._tasks)


def _answer(future: Any, woken: bool) -> None:  # noqa: FBT001 - loops call it with positional arguments
    if not future.done():
        future.set_result(woken)


_left_behind: set[Any] = set()
"""Tasks that outlived their crew. A loop holds its tasks weakly: without this they could vanish half way."""


def _leave_behind(tasks: Iterable[Any]) -> None:
    """Keep tasks until they end; forget those of loops that were closed over them, which never will."""
    for task in tuple(_left_behind):
        if task.get_loop().is_closed():
            _left_behind.discard(task)
    _left_behind.update(tasks)


def _nobody(error: BaseException) -> None:
    """Hear of what concerns nobody."""


async def dispose(value: Any) -> None:
    """Close a value with its `aclose`, or its `close`, if it has one; what that raises is logged once."""
    await emit.call_async(_close, value)


def _close(value: Any) -> object:
    close = getattr(value, "aclose", None) or getattr(value, "close", None)
    return close() if callable(close) else None


def crew_here(grace: float) -> Crew | None:
    """Make a crew for the running task; `None` outside any loop, where a coroutine is stepped by hand."""
    if clock.in_trio():
        from recoup.ext.trio import TrioCrew  # noqa: PLC0415 - only if the running task is Trio's

        return TrioCrew(grace, dispose)
    try:
        loop = sys.modules["asyncio"].get_running_loop()
    except (KeyError, RuntimeError):
        return None
    return AsyncioCrew(loop, grace)
