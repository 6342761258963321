"""Let a little asynchronous work be done although its task is cancelled already.

Trio and AnyIO cancel a task again at each of its awaits, so a callback that is awaited on the way out of a cancelled
call would end at its first await. asyncio cancels once, which the call has had by then: nothing has to be done there.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from math import inf

from recoup._core import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

__all__ = ["spared"]


def spared(seconds: float) -> AbstractContextManager[object]:
    """Make a scope for `with` in which a task that is cancelled may await for so many seconds more.

    It does nothing where the task is not cancelled: who cancels it from now on cancels what is in the scope too.
    """
    library: Any = sys.modules.get("trio" if clock.in_trio() else "anyio")
    try:
        if library is None or library.current_effective_deadline() > -inf:
            return nullcontext()
    except RuntimeError:  # somebody steps the coroutine by hand
        return nullcontext()
    scope: AbstractContextManager[object] = library.CancelScope(deadline=library.current_time() + seconds, shield=True)
    return scope
