"""The pump of hedge. It has no synchronous twin: plain functions are refused."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from recoup.strategies.hedge.race import Race

__all__ = ["hedging_async"]


def hedging_async(
    fn: Callable[..., Awaitable[Any]], enter: Callable[[Callable[..., Awaitable[Any]]], Race]
) -> Callable[..., Awaitable[Any]]:
    """Have several attempts of an async function race."""

    async def hedging(*args: Any, **kwargs: Any) -> Any:
        race = enter(fn)
        return await race.run(*args, **kwargs)

    return hedging
