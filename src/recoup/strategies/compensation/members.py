"""What a saga is told of a function that may be a step of it."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup._core.colour import Colour
    from recoup.strategies.compensation.strategy import Compensation

__all__ = ["Member"]


class Member(NamedTuple):
    """A function under `@compensate`.

    Attributes:
        strategy: What undoes it; `config` says how.
        target: The user's function.
        colour: How it gives its answer.
        pack: Keeps the arguments of a call, the same way however it was written.
        undo: Undoes a call that failed, in a saga that lives in memory.
        keep: Reports a completed call to such a saga.
    """

    strategy: Compensation
    target: Callable[..., Any]
    colour: Colour
    pack: Callable[..., Any]
    undo: Callable[..., Any]
    keep: Callable[..., Any]
