"""The completed steps of a saga, and which saga is open where.

    OPEN --commit--> COMMITTED   the steps are handed to the saga around it, if there is one
         --fail----> FAILED      the steps are to be undone; a step that completes later undoes itself

One short lock for all sagas, never held over user code. Steps of any thread or task may report. The lock is reentrant:
the collector may run inside it, and in the collector a `__del__` that makes a step.
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import Enum
from threading import RLock

from recoup._core.waiting import at_fork
from recoup.errors import RecoveryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.strategies.compensation.state import Task

    Plan = Callable[[BaseException], list[Task]]

__all__ = ["State", "Steps", "ambient", "hide", "joined", "leave", "show", "still_open", "too_late", "unhide"]

_ambient: ContextVar[Steps | None] = ContextVar("recoup_saga", default=None)
ambient = _ambient.get  # the saga entered last in this context; it may be closed
_lock = RLock()


class State(Enum):
    """What has become of a saga."""

    OPEN = "open"
    COMMITTED = "completed"
    FAILED = "failed"


class Steps:
    """What one saga has to undo if it fails.

    Args:
        name: What the saga is called.
        waits: Whether it can await an asynchronous action when it ends.
        outer: The saga around it, which takes over its steps when it has completed.

    A plan gives the tasks that undo one step, once it is known why.
    """

    __slots__ = ("_plans", "_state", "name", "outer", "waits")

    def __init__(self, name: str, *, waits: bool, outer: Steps | None = None) -> None:
        self.name = name
        self.waits = waits
        self.outer = outer
        self._plans: list[Plan] = []
        self._state = State.OPEN

    @property
    def state(self) -> State:
        """What has become of the saga."""
        return self._state

    def __len__(self) -> int:
        """Count the steps that would be undone."""
        return len(self._plans)

    def completed(self, *plans: Plan) -> bool:
        """Take note of completed steps; False if they come too late, because the saga has failed meanwhile."""
        with _lock:
            if self._state is State.OPEN:
                self._plans += plans
                return True
            failed, outer = self._state is State.FAILED, self.outer
        if failed:
            return False
        return outer is None or outer.completed(*plans)

    def commit(self) -> bool:
        """Close a saga that has completed; False if the one around it has failed meanwhile, and so this one has."""
        with _lock:
            self._state = State.COMMITTED
            plans, self._plans = self._plans, []
        if self.outer is None or self.outer.completed(*plans):
            self.outer = still_open(self.outer)
            return True
        with _lock:
            self._state = State.FAILED
            self._plans = plans
        return False

    def fail(self) -> list[Plan]:
        """Close a saga that has failed; give the plans of its steps, the last one first."""
        with _lock:
            self._state = State.FAILED
            plans, self._plans = self._plans, []
        self.outer = still_open(self.outer)
        return plans[::-1]


def joined() -> Steps | None:
    """Give the saga that a step which begins now belongs to: the innermost one that is still open (rule G16)."""
    return still_open(_ambient.get())


def show(steps: Steps) -> None:
    """Make a saga the innermost one of this context."""
    _ambient.set(steps)


def leave(steps: Steps) -> None:
    """Go back to the saga around, unless this context has another one by now."""
    if _ambient.get() is steps:
        _ambient.set(steps.outer)


def too_late(what: str, steps: Steps) -> RecoveryError:
    """Make the error of what completed after its saga had failed."""
    return RecoveryError(
        f"{what} completed after saga {steps.name!r} had failed, and was undone: wait inside the block for what is "
        "started there"
    )


def hide() -> tuple[Steps, Steps | None]:
    """Let no saga be open here: what undoes a step is no step itself."""
    around = _ambient.get()
    hidden = Steps("undoing", waits=False)
    hidden.commit()
    _ambient.set(hidden)
    return hidden, around


def unhide(hidden: Steps, around: Steps | None) -> None:
    """End what `hide` began; do nothing in the foreign context in which the collector closes a coroutine."""
    if _ambient.get() is hidden:
        _ambient.set(around)


def still_open(steps: Steps | None) -> Steps | None:
    """Give a saga, or the innermost one round it that is still open."""
    # Closed sagas forget the closed ones around them, so that a task which spawns its successor for ever keeps none.
    while steps is not None and steps.state is not State.OPEN:
        steps = steps.outer
    return steps


def _after_fork() -> None:
    """Take a new lock: the old one may be held by a thread that the child does not have (rule G18)."""
    global _lock  # noqa: PLW0603 - the one lock of the process
    _lock = RLock()


at_fork(_after_fork)
