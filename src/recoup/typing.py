"""Public aliases and protocols, for annotations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ForwardRef, TypeAlias, TypeVar

if TYPE_CHECKING:
    from recoup._core.conditions import Condition
    from recoup.events import Event
else:  # where `typing.get_type_hints` finds it; this module may not import it
    Condition = ForwardRef("Condition", module="recoup._core.conditions")

__all__ = ["AsyncPredicate", "Callback", "ConditionSpec", "Decorated", "Listener", "Predicate", "Seconds"]

Seconds: TypeAlias = float | timedelta
"""A duration: seconds as int or float, or a timedelta."""

Predicate: TypeAlias = Callable[[Any], bool]
"""A plain function that looks at an error (or a result) and answers yes or no."""

AsyncPredicate: TypeAlias = Callable[[Any], bool | Awaitable[bool]]
"""A `Predicate`, or a coroutine function that answers like one: where a strategy awaits it."""

ConditionSpec: TypeAlias = type[BaseException] | Sequence[type[BaseException] | Condition] | Predicate | Condition
"""What can be given wherever recoup asks which errors count."""

Callback: TypeAlias = Callable[..., object]
"""A callback: a plain function, or (round async functions only) an async one."""

Listener: TypeAlias = "Callable[[Event], object]"
"""A plain function that is told every event."""

Decorated = TypeVar("Decorated", bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]")
"""What goes into a recoup decorator and comes out again with the same type."""
