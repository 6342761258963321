"""The decorator `@isolate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from recoup._core.options import decorating
from recoup.strategies.isolation.config import IsolationConfig
from recoup.strategies.isolation.strategy import Isolation

if TYPE_CHECKING:
    from typing import Unpack

    from recoup.strategies.isolation.config import IsolationOptions
    from recoup.typing import Decorated

__all__ = ["isolate"]


@overload
def isolate(target: Decorated, /) -> Decorated: ...
@overload
def isolate(target: IsolationConfig | Isolation, /, *, name: str | None = None) -> Isolation: ...
@overload
def isolate(**options: Unpack[IsolationOptions]) -> Isolation: ...
def isolate(target: Any = None, /, **options: Any) -> Any:
    """Run a plain function in worker processes, where it can crash or hang without harm to anybody else.

    Write `@isolate`, `@isolate(workers=2, timeout=30)`, `@isolate(config)` or `@isolate(isolation)`. The decorated
    function blocks its caller; async code shares an `Isolation` and awaits `isolation.execute(function, ...)`.

    Arguments, results and exceptions are pickled. The function is found by its module and name, so both have to stand
    at module level, and a program has to start its work under `if __name__ == "__main__":`.

    Args:
        target: The function (`@isolate` alone), an `IsolationConfig`, or an `Isolation` to share.
        options: The fields of `IsolationConfig`; `name` is what errors and events call it.

    Returns:
        The decorated function, or an `Isolation` that decorates.

    Raises:
        TypeError: For an unknown keyword, and for an async function, a generator, a lambda or a local function.
        ValueError: For a value out of range.

    The decorated function raises `DeadlineExceeded` when its time was up (its worker is killed), `WorkerCrashed` when
    the process is gone, `UnpicklableError` for what cannot cross, `IsolationBusyError` when no worker took the call,
    and its own exceptions, with a note of where they were raised in the worker.

    >>> @isolate(workers=2, timeout=30)
    ... def render(page: int) -> str:
    ...     return f"page {page}"
    >>> from recoup import layers_of
    >>> layers_of(render)
    (<Isolation 'render' running=0/2 waiting=0/100>,)
    """
    return decorating(Isolation, IsolationConfig, target, options)
