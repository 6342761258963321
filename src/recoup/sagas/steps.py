"""What the code inside a step can know about it: its key, the same for doing and undoing, over every crash."""

from __future__ import annotations

from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["UNKNOWN", "Step", "Unknown", "current", "in_step", "step"]


class Unknown(Enum):
    """The type of `UNKNOWN`."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False  # so that `state.get("result") or look_it_up()` asks


UNKNOWN: Final = Unknown.UNKNOWN
"""The result of a step of which nobody knows whether it had its effect: the process died in the middle of it."""

_current: ContextVar[Step | None] = ContextVar("recoup_step", default=None)


class Step:
    """One step of a saga, while it runs or is undone.

    Attributes:
        key: What makes it unique, the same for doing and undoing it, and after a crash. Hand it to the service as its
            idempotency key.
        n: Which step of its saga, 1 or more; 0 outside any saga.
        saga: What the saga is called; empty outside any.
        saga_id: The saga's identity in its journal; empty outside any.
    """

    __slots__ = ("_open", "_outer", "key", "n", "saga", "saga_id")

    def __init__(self, key: str, n: int = 0, saga: str = "", saga_id: str = "") -> None:
        self.key = key
        self.n = n
        self.saga = saga
        self.saga_id = saga_id
        self._open = False
        self._outer: Step | None = None

    def __repr__(self) -> str:
        return f"<step {self.n} of saga {self.saga!r} {self.key}>" if self.n else f"<step outside any saga {self.key}>"

    def __enter__(self) -> Self:
        self._outer = current()
        self._open = True
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        if _current.get() is self:  # not in the foreign context in which the collector closes a coroutine
            _current.set(self._outer)


def in_step(key: str, n: int, saga: str, saga_id: str) -> Step:
    """Make what `step()` gives inside a `with` block; entered once."""
    return Step(key, n, saga, saga_id)


def step() -> Step:
    """Give the step that is running, or being undone, here.

    Returns:
        The innermost step of a durable saga. Outside any, a step with a new key each time: the same code works in a
        saga and alone.

    >>> from recoup import step
    >>> step().saga
    ''
    """
    found = current()
    return Step(uuid4().hex) if found is None else found


def current() -> Step | None:
    """Give the innermost step that is open here."""
    found = _current.get()
    while found is not None and not found._open:
        found = found._outer
    return found
