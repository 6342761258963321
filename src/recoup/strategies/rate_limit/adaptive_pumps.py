"""The pumps of a rate limit that adapts.

They are those in `pumps.py`, but that `follow` is told of a call that begins, and gives what is told how it ended.
"""

from __future__ import annotations

from recoup._core.chain import Pending
from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, TypeAlias

    from recoup.strategies.rate_limit.pumps import HandOver, Weigh
    from recoup.strategies.rate_limit.turns import Demand

    Follow: TypeAlias = Callable[[Demand], Callable[[Exception | None], None]]

__all__ = ["adapting", "adapting_async", "adapting_stream", "adapting_stream_async"]


def adapting(
    fn: Callable[..., Any],
    weigh: Weigh,
    admit: Callable[[Demand], bool],
    wait: Callable[[Demand], None],
    hand_over: HandOver,
    follow: Follow,
) -> Callable[..., Any]:
    """Let a function begin when there are the permits that this call needs, and learn from it."""

    def adapting(*args: Any, **kwargs: Any) -> Any:
        demand = weigh(*args, **kwargs)
        if not admit(demand):
            wait(demand)
        learn = follow(demand)
        try:
            result = fn(*args, **kwargs)
        except Pending as pending:
            hand_over(pending)
            raise
        except Exception as error:
            learn(error)
            raise
        learn(None)
        return result

    return adapting


def adapting_async(
    fn: Callable[..., Awaitable[Any]],
    weigh: Weigh,
    admit: Callable[[Demand], bool],
    wait: Callable[[Demand], Awaitable[None]],
    hand_over: HandOver,
    follow: Follow,
) -> Callable[..., Awaitable[Any]]:
    """Let an async function begin when there are the permits that this call needs, and learn from it."""

    async def adapting(*args: Any, **kwargs: Any) -> Any:
        demand = weigh(*args, **kwargs)
        if not admit(demand):
            await wait(demand)
        learn = follow(demand)
        try:
            result = await fn(*args, **kwargs)
        except Pending as pending:
            hand_over(pending)
            raise
        except Exception as error:
            learn(error)
            raise
        learn(None)
        return result

    return adapting


def adapting_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    weigh: Weigh,
    admit: Callable[[Demand], bool],
    wait: Callable[[Demand], None],
    follow: Follow,
) -> Callable[..., Generator[Any, Any, Any]]:
    """Let a generator begin when there are the permits that it needs, and learn from its end."""

    def adapting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        demand = weigh(*args, **kwargs)
        if not admit(demand):
            wait(demand)
        learn = follow(demand)
        cursor = Cursor(fn(*args, **kwargs))
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except Exception as error:
            if not cursor.threw(error):
                learn(error)
            raise
        learn(None)
        return cursor.value

    return adapting


def adapting_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    weigh: Weigh,
    admit: Callable[[Demand], bool],
    wait: Callable[[Demand], Awaitable[None]],
    follow: Follow,
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Let an async generator begin when there are the permits that it needs, and learn from its end."""

    async def adapting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        demand = weigh(*args, **kwargs)
        if not admit(demand):
            await wait(demand)
        learn = follow(demand)
        cursor = AsyncCursor(fn(*args, **kwargs))
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
        except Exception as error:
            if not cursor.threw(error):
                learn(error)
            raise
        learn(None)

    return adapting
