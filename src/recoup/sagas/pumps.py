"""The pumps of a step in a durable saga, one in each colour.

`enter` decides what the call is: a new step, one that began before a crash, or one that is over and remembered. `ready`
returns when the journal knows that the step begins: not before does the effect (rule 1). What ends with an error is
undone at once, as everywhere under `@compensate`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from recoup.sagas.stepping import Begun

__all__ = ["stepping", "stepping_async"]


def stepping(
    fn: Callable[..., Any],
    pack: Callable[..., Any],
    enter: Callable[[Any], Begun],
    ready: Callable[[Begun], None],
    undo: Callable[[Begun, BaseException], None],
    keep: Callable[[Begun, Any], None],
) -> Callable[..., Any]:
    """Run a function as a step of a durable saga."""

    def stepping(*args: Any, **kwargs: Any) -> Any:
        step = enter(pack(*args, **kwargs))
        if step.remembered:
            return step.answer()
        try:
            ready(step)
            result = fn(*args, **kwargs)
        except BaseException as error:
            undo(step, error)
            raise
        keep(step, result)
        return result

    return stepping


def stepping_async(
    fn: Callable[..., Awaitable[Any]],
    pack: Callable[..., Any],
    enter: Callable[[Any], Begun],
    ready: Callable[[Begun], Awaitable[None]],
    undo: Callable[[Begun, BaseException], Awaitable[None]],
    keep: Callable[[Begun, Any], Awaitable[None]],
) -> Callable[..., Awaitable[Any]]:
    """Run an async function as a step of a durable saga."""

    async def stepping(*args: Any, **kwargs: Any) -> Any:
        step = enter(pack(*args, **kwargs))
        if step.remembered:
            return step.answer()
        try:
            await ready(step)
            result = await fn(*args, **kwargs)
        except BaseException as error:
            await undo(step, error)
            raise
        await keep(step, result)
        return result

    return stepping
