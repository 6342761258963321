"""The switch that turns recovery off, or makes it instant, for tests (rule G16).

It is scoped to the current context: other threads and tasks do not see it, scopes nest and restore, and a background
task that outlives the scope which set it goes back to normal. `recoup.testing` is the public door. Behind all scopes
stands what holds everywhere: nothing, unless a test runner has set it for one test or a whole run.

Strategies ask on their slow paths only: `if mode.active and mode.off():`.
"""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal

    Kind = Literal["off", "instant", "on"]

__all__ = ["Scope", "active", "everywhere", "instant", "off"]

active = 0
"""How many scopes are open anywhere in the process, the one round everything included: 0 nearly always, so that the
question costs nothing."""

_everywhere: Kind = "on"
_lock = Lock()
_scope: ContextVar[Scope | None] = ContextVar("recoup_mode", default=None)


class Scope:
    """One `with` block in which recovery is off or instant. A scope is entered once."""

    __slots__ = ("_kind", "_open", "_outer")

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._open = False
        self._outer: Scope | None = None

    def __enter__(self) -> None:
        global active  # noqa: PLW0603 - the one process-wide hint
        self._outer = _scope.get()
        self._open = True
        with _lock:
            active += 1
        _scope.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global active  # noqa: PLW0603 - the one process-wide hint
        self._open = False
        with _lock:
            active -= 1
        _scope.set(self._outer)


def everywhere(kind: Kind) -> Kind:
    """Set what holds where no scope is open, in every thread and task; give what has held so far."""
    global active, _everywhere  # noqa: PLW0603 - the one setting of the process, and the hint
    with _lock:
        before, _everywhere = _everywhere, kind
        active += (kind != "on") - (before != "on")
    return before


def _current() -> str:
    scope = _scope.get()
    while scope is not None and not scope._open:
        scope = scope._outer
    return _everywhere if scope is None else scope._kind


def off() -> bool:
    """Tell whether recovery is switched off in this context."""
    return _current() == "off"


def instant() -> bool:
    """Tell whether waits are skipped in this context."""
    return _current() == "instant"


def after_fork() -> None:
    """Have a lock that nobody holds in the child: a thread of the parent may have held it (G18, waiting.py)."""
    global _lock  # noqa: PLW0603 - the one of the module
    _lock = Lock()
