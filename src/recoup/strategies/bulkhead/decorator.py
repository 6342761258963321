"""The decorator `@bulkhead`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from recoup._core.options import decorating
from recoup.strategies.bulkhead.config import BulkheadConfig
from recoup.strategies.bulkhead.strategy import Bulkhead

if TYPE_CHECKING:
    from typing import Unpack

    from recoup.strategies.bulkhead.config import BulkheadOptions
    from recoup.typing import Decorated

__all__ = ["bulkhead"]


@overload
def bulkhead(target: Decorated, /) -> Decorated: ...
@overload
def bulkhead(target: BulkheadConfig | Bulkhead, /, *, name: str | None = None) -> Bulkhead: ...
@overload
def bulkhead(**options: Unpack[BulkheadOptions]) -> Bulkhead: ...
def bulkhead(target: Any = None, /, **options: Any) -> Any:
    """Let only so many calls of a function run at once; let some wait, and turn the others away.

    Write `@bulkhead`, `@bulkhead(max_concurrent=5)`, `@bulkhead(config)` or `@bulkhead(shared)`. Without configuration:
    10 calls run, 100 wait, none for longer than 30 seconds.

    Args:
        target: The function (`@bulkhead` alone), a `BulkheadConfig`, or a `Bulkhead` to share.
        options: The fields of `BulkheadConfig`; `name` is what errors and events call it.

    Returns:
        The decorated function, or a `Bulkhead` that decorates.

    Raises:
        TypeError: For an unknown keyword or a function that cannot be protected.
        ValueError: For a value out of range.

    The decorated function raises `BulkheadFullError` when the queue is full, `BulkheadTimeoutError` when it got no
    place in time, and `DeadlineExceeded` when its deadline struck in the queue; in all three it was not called. Of a
    generator function the place is held from the first item asked for until the generator ends, is closed or dropped.

    >>> @bulkhead(max_concurrent=2)
    ... def report(month: str) -> str:
    ...     return "report of " + month
    >>> report("May")
    'report of May'
    """
    return decorating(Bulkhead, BulkheadConfig, target, options)
