"""Let a compensation run to its end whatever happens to its caller (rule S1).

* asyncio: it runs in a task of its own, and the caller waits for that task. Each cancellation of the caller wakes it
  once, is kept, and goes on afterwards. Where AnyIO is loaded the wait stands in a shielded scope: AnyIO cancels again
  in every round of the loop, and waiting again each time would be a busy loop.
* Trio: a shielded cancel scope.
* Neither (somebody steps the coroutine by hand): what is thrown in is kept and goes on afterwards.

Who holds the task: while it is suspended, the timer that limits its action does, and the loop holds the timer. So it
lives as long as its loop, whatever becomes of the caller, and goes with it: when a loop is closed under it, the
collector closes the coroutine, and what needs no waiting is still done (see `performing_async`). A set of tasks in this
module would keep both for ever instead, and nothing would be done.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext

from recoup._core import clock
from recoup.strategies.compensation import perform, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup.strategies.compensation.state import Ledger, Task

__all__ = ["shielded"]


async def shielded(ledger: Ledger) -> None:
    """Run a compensation to its end."""
    if clock.in_trio():
        with sys.modules["trio"].CancelScope(shield=True):
            await _here(ledger, perform.attempt_async)
    elif (asyncio := _running()) is not None:
        await _in_task(ledger, asyncio)
    else:
        await _here(ledger, perform.attempt_async)


def _running() -> Any:
    """Give the module asyncio if one of its loops runs this code."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio if asyncio is None or asyncio.get_running_loop() else None
    except RuntimeError:
        return None


async def _here(ledger: Ledger, attempt: perform.Attempt) -> None:
    """Run it in the current task."""
    hidden = steps.hide()
    try:
        await perform.performing_async(ledger, attempt)
    finally:
        steps.unhide(*hidden)


async def _in_task(ledger: Ledger, asyncio: Any) -> None:
    """Run it in a task of its own, and wait for that whatever comes."""
    anyio = sys.modules.get("anyio")
    cancelled: BaseException | None = None
    try:
        with nullcontext() if anyio is None else anyio.CancelScope(shield=True):
            task = None
            while task is None or task.cancelled():  # before its first step, by a loop that shuts down: it never ran
                task = asyncio.create_task(_own_task(ledger, asyncio), name="recoup compensation")
                while not task.done():
                    try:
                        await asyncio.wait((task,))
                    except asyncio.CancelledError as error:
                        cancelled = cancelled or error
        task.result()
        if cancelled is not None:
            ledger.interrupted(cancelled)
    finally:
        cancelled = None  # this frame is in its traceback: they would keep each other


async def _own_task(ledger: Ledger, asyncio: Any) -> None:
    async def attempt(task: Task, wait: float, seconds: float) -> None:
        try:
            await perform.attempt_async(task, wait, seconds)
        except asyncio.CancelledError:
            # The loop is being shut down, or the action awaited something that was cancelled. Only this action has
            # failed: a cancellation of the caller never comes here. The count is cleared for `asyncio.TaskGroup`s in
            # the actions that follow.
            own = asyncio.current_task()
            while own.cancelling():
                own.uncancel()
            raise

    await _here(ledger, attempt)
    if isinstance(ledger.interrupt, asyncio.CancelledError):
        ledger.interrupt = None
