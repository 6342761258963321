"""What undoes a call, as its configuration says.

A call takes one config and keeps it: a step that a saga has completed is undone as it was agreed then.
"""

from __future__ import annotations

from typing import cast

from recoup._core import checks
from recoup.strategies.compensation import actions, memory
from recoup.strategies.compensation.state import Undo, noticed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.compensation.config import CompensationConfig
    from recoup.strategies.compensation.memory import Packed
    from recoup.strategies.compensation.state import Task

__all__ = ["plan", "suited", "tasks"]


def suited(config: CompensationConfig) -> dict[str, bool]:
    """Give what decides which functions may be decorated."""
    return {
        "whether on_compensation_start is async": checks.awaitable_callback(config.on_compensation_start),
        "whether on_compensation_complete is async": checks.awaitable_callback(config.on_compensation_complete),
        "whether compensation_actions are async": bool(actions.known_async(config.compensation_actions)),
    }


def tasks(config: CompensationConfig, target: Callable[..., object], call: Packed, **facts: object) -> list[Task]:
    """List what there is to do, now that it is needed (rule S3)."""
    listed = list(config.compensation_actions)
    if not listed:
        return []
    if config.use_sagas:
        listed.reverse()
    args, kwargs = call
    state = memory.saved(target, args, kwargs, **facts) if config.save_state else {"error": facts["error"]}
    delay = cast("float", config.compensation_delay)  # the config made seconds of it
    undos = [Undo(action, state, config.compensation_attempts, delay) for action in listed]
    return noticed(undos, config.on_compensation_start, config.on_compensation_complete)


def plan(
    config: CompensationConfig, target: Callable[..., object], call: Packed, result: object
) -> Callable[[BaseException], list[Task]]:
    """Remember a completed step, as much of it as `save_state` allows."""
    if not config.save_state:
        return lambda error: tasks(config, target, memory.NOTHING, error=error)
    return lambda error: tasks(config, target, call, error=error, result=result)
