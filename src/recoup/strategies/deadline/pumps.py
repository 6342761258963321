"""The pumps of `mode="thread"`; all other calls go through `recoup._core.limiting`."""

from __future__ import annotations

from functools import partial

from recoup._core.limiting import limiting_async
from recoup.strategies.deadline.jobs import TaskJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from recoup._core.deadlines import Live
    from recoup.strategies.deadline.jobs import ThreadJob
    from recoup.strategies.deadline.workers import Workers

__all__ = ["bridging", "delegating", "delegating_async"]


def delegating(fn: Callable[..., Any], enlist: Callable[[Callable[..., Any]], ThreadJob]) -> Callable[..., Any]:
    """Have a function run by a worker and wait for it in a thread."""

    def delegating(*args: Any, **kwargs: Any) -> Any:
        job = enlist(fn)
        return job.run(*args, **kwargs)

    return delegating


def delegating_async(
    fn: Callable[..., Any], enlist: Callable[[Callable[..., Any]], TaskJob]
) -> Callable[..., Awaitable[Any]]:
    """Have a plain function run by a worker and wait for it in a task."""

    async def delegating(*args: Any, **kwargs: Any) -> Any:
        job = enlist(fn)
        return await job.run(*args, **kwargs)

    return delegating


def bridging(fn: Callable[..., Any], workers: Workers, live: Live) -> Callable[..., Awaitable[Any]]:
    """Make a plain function asynchronous: a worker runs it, a cancel scope limits the waiting."""
    return limiting_async(delegating_async(fn, partial(TaskJob, workers, live)), live)
