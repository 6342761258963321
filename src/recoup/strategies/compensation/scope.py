"""`with saga():` a block whose completed steps are undone when a later one fails.

It lives in memory: a process that dies undoes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup._core import checks, mode
from recoup.strategies.compensation import perform, steps
from recoup.strategies.compensation.state import noticed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from recoup.errors import RecoveryError
    from recoup.strategies.compensation.state import Task
    from recoup.strategies.compensation.steps import Steps
    from recoup.typing import Callback, Seconds

__all__ = ["Saga", "saga"]


def saga(
    name: str = "saga",
    /,
    *,
    saga_timeout: Seconds = 300.0,
    on_compensation_start: Callback | None = None,
    on_compensation_complete: Callback | None = None,
) -> Saga:
    """Open a block in which every completed `@compensate` step is undone if the block fails.

    The steps are undone in reverse order of completion, whatever ends the block: an error, a cancellation, Ctrl-C. Then
    the block's own error goes on; if an action failed, a `CompensationError` with everything in it does. A step that
    fails undoes itself first, before the others (nobody knows how far it came). A saga that completes inside another
    one becomes a step of that one.

    Steps count from anywhere in the block's context: in tasks started in it and in `asyncio.to_thread`. One that
    completes after the block has failed undoes itself and raises `RecoveryError`. Steps that begin after the block are
    plain calls.

    Args:
        name: What errors, events and `repr` call it.
        saga_timeout: Seconds (or a timedelta) for all undoing together, more than 0; the steps' own limits do not count
            here. Default 300.0.
        on_compensation_start: Called without arguments before the first action, if there is any. May be async in
            `async with`.
        on_compensation_complete: Called without arguments after the last action, also when some failed. May be async
            in `async with`.

    Returns:
        A context manager for `with` (plain actions) and `async with` (plain and async ones), to be entered once.

    Raises:
        TypeError: If a value has the wrong type; also for `@saga`, which a saga in memory cannot mean.
        ValueError: If `saga_timeout` is out of range.

    Thread and loop safety: one block belongs to one thread or task; steps may complete in any.

    >>> from recoup import compensate, saga
    >>> books = []
    >>> @compensate(lambda state: books.remove(state["item"]))
    ... def reserve(item):
    ...     books.append(item)
    >>> try:
    ...     with saga("order"):
    ...         reserve("chair")
    ...         raise ConnectionError("no answer from the shipping service")
    ... except ConnectionError:
    ...     books
    []
    """
    return Saga(
        name,
        saga_timeout=saga_timeout,
        on_compensation_start=on_compensation_start,
        on_compensation_complete=on_compensation_complete,
    )


class Saga:
    """The block of `saga(...)`; see there."""

    __slots__ = ("_finish", "_seconds", "_start", "_steps", "name")

    def __init__(
        self,
        name: str,
        *,
        saga_timeout: Seconds,
        on_compensation_start: Callback | None,
        on_compensation_complete: Callback | None,
    ) -> None:
        if callable(name):
            raise TypeError(
                "saga is a block, not a decorator: write `with saga():` or `async with saga():` inside the function"
            )
        if not isinstance(name, str) or not name:
            raise TypeError(f"name must be a non-empty string, not {checks.shown(name)}")
        checks.callback("on_compensation_start", on_compensation_start)
        checks.callback("on_compensation_complete", on_compensation_complete)
        self.name = name
        self._seconds = checks.duration("saga_timeout", saga_timeout, zero=False)
        self._start = on_compensation_start
        self._finish = on_compensation_complete
        self._steps: Steps | None = None

    def __repr__(self) -> str:
        if self._steps is None:
            return f"<saga {self.name!r} not entered>"
        return f"<saga {self.name!r} {self._steps.state.value}, {len(self._steps)} steps to undo>"

    def __enter__(self) -> Self:
        for argument, callback in (("on_compensation_start", self._start), ("on_compensation_complete", self._finish)):
            if checks.awaitable_callback(callback):
                raise TypeError(f"{argument} is an async function: write `async with saga(...)`")
        self._enter(waits=False)
        return self

    async def __aenter__(self) -> Self:
        self._enter(waits=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late = self._close(error)
        try:
            perform.undo(self._job(error or late), error or late)
            if late is not None:
                raise late
        finally:
            late = None  # this frame is in its traceback: they would keep each other

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late = self._close(error)
        try:
            await perform.undo_async(self._job(error or late), error or late)
            if late is not None:
                raise late
        finally:
            late = None  # as above

    def _enter(self, *, waits: bool) -> None:
        if self._steps is not None:
            raise RuntimeError(f"saga {self.name!r} was entered before: make a new one for each block")
        self._steps = steps.Steps(self.name, waits=waits, outer=steps.joined())
        steps.show(self._steps)

    def _close(self, error: BaseException | None) -> RecoveryError | None:
        """Leave the block; give an error if it came too late for the saga around it."""
        mine = self._steps
        if mine is None:
            raise RuntimeError(f"saga {self.name!r} was left but never entered")
        steps.leave(mine)
        outer = mine.outer
        if error is not None or mine.commit() or outer is None:
            return None
        return steps.too_late(f"saga {self.name!r}", outer)

    def _job(self, error: BaseException | None) -> perform.Job | None:
        """Give what is to be undone, if anything."""
        if error is None or self._steps is None:
            return None
        plans = self._steps.fail()
        if mode.active and mode.off():
            return None
        tasks: list[Task] = [task for plan in plans for task in plan(error)]
        tasks = noticed(tasks, self._start, self._finish)
        return perform.Job(self.name, tasks, self._seconds) if tasks else None
