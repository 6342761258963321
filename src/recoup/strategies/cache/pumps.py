"""The pumps of the cache, in two colours.

A hit ends at the first `if`: `glance` answers what is easy to answer. The run decides about the rest (see `run.py`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable
    from typing import Any

    from recoup._core.store import Entry
    from recoup.strategies.cache.desk import Desk
    from recoup.strategies.cache.run import Run

    Glance = Callable[..., Entry | None]
    Keyed = Callable[..., Hashable | None]
    Look = Callable[[Hashable | None], Any]  # a Hit, a Run or None

__all__ = ["caching", "caching_async", "refreshing", "refreshing_async"]


def caching(
    fn: Callable[..., Any], glance: Glance, keyed: Keyed, look: Look, wait: Callable[[Run], None], desk: Desk
) -> Callable[..., Any]:
    """Answer from the cache; else call the function, or wait for somebody who does."""

    def caching(*args: Any, **kwargs: Any) -> Any:
        hit = glance(*args, **kwargs)
        if hit is not None:
            return hit.value
        run = look(keyed(*args, **kwargs))
        if run is None:
            return fn(*args, **kwargs)
        if run.stale is not None:
            desk.refreshed(run, fn)(*args, **kwargs)
        if run.waiter is not None:
            wait(run)
        if run.answer is not None:
            return run.take()
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            old = desk.failed(run, error)
            if old is None:
                raise
            return old.value
        except BaseException:
            desk.abandoned(run)
            raise
        desk.done(run, result)
        return result

    return caching


def caching_async(
    fn: Callable[..., Awaitable[Any]],
    glance: Glance,
    keyed: Keyed,
    look: Look,
    wait: Callable[[Run], Awaitable[None]],
    desk: Desk,
) -> Callable[..., Awaitable[Any]]:
    """Answer from the cache; else call the async function, or wait for somebody who does."""

    async def caching(*args: Any, **kwargs: Any) -> Any:
        hit = glance(*args, **kwargs)
        if hit is not None:
            return hit.value
        run = look(keyed(*args, **kwargs))
        if run is None:
            return await fn(*args, **kwargs)
        if run.stale is not None:
            desk.refreshed(run, fn)(*args, **kwargs)
        if run.waiter is not None:
            await wait(run)
        if run.answer is not None:
            return run.take()
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:
            old = desk.failed(run, error)
            if old is None:
                raise
            return old.value
        except BaseException:
            desk.abandoned(run)
            raise
        desk.done(run, result)
        return result

    return caching


def refreshing(fn: Callable[..., Any], run: Run, desk: Desk) -> Callable[..., Any]:
    """Call the function for a new result that nobody waits for."""

    def refreshing(*args: Any, **kwargs: Any) -> None:
        run.begin()
        try:
            result = fn(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - nobody is there to raise it to; the desk tells
            desk.lost(run, error)
        except BaseException:
            run.abandoned()
            raise
        else:
            desk.done(run, result)

    return refreshing


def refreshing_async(
    fn: Callable[..., Awaitable[Any]], run: Run, desk: Desk
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Call the async function for a new result that nobody waits for."""

    async def refreshing(*args: Any, **kwargs: Any) -> None:
        run.begin()
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - nobody is there to raise it to; the desk tells
            desk.lost(run, error)
        except BaseException:
            run.abandoned()
            raise
        else:
            desk.done(run, result)

    return refreshing
