"""The pumps of isolation: have a worker process run a plain function, for a thread or for a task."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from recoup.strategies.isolation.jobs import TaskCall, ThreadCall

__all__ = ["isolating", "isolating_async"]


def isolating(fn: Callable[..., Any], assign: Callable[[Callable[..., Any]], ThreadCall]) -> Callable[..., Any]:
    """Have a worker run a function, and wait for it in a thread."""
    job = assign(fn)

    def isolating(*args: Any, **kwargs: Any) -> Any:
        return job.run(*args, **kwargs)

    return isolating


def isolating_async(
    fn: Callable[..., Any], assign: Callable[[Callable[..., Any]], TaskCall]
) -> Callable[..., Awaitable[Any]]:
    """Have a worker run a plain function, and wait for it in a task."""
    job = assign(fn)

    async def isolating(*args: Any, **kwargs: Any) -> Any:
        return await job.run(*args, **kwargs)

    return isolating
