"""`@retry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from recoup._core.options import decorating
from recoup.strategies.retry.config import RetryConfig
from recoup.strategies.retry.strategy import RetryExecutor

if TYPE_CHECKING:
    from typing import Unpack

    from recoup.strategies.retry.config import RetryOptions
    from recoup.typing import Decorated

__all__ = ["retry"]


@overload
def retry(target: Decorated, /) -> Decorated: ...
@overload
def retry(target: RetryConfig | RetryExecutor, /, *, name: str | None = None) -> RetryExecutor: ...
@overload
def retry(**options: Unpack[RetryOptions]) -> RetryExecutor: ...
def retry(target: Any = None, /, **options: Any) -> Any:
    """Call a failing function again, after a wait, a limited number of times.

    Write `@retry`, `@retry(max_attempts=5, on=ConnectionError)`, `@retry(config)` or `@retry(executor)`. Without
    configuration: three attempts, waits of about 1 and 2 seconds with jitter, every `Exception` but our own refusals.

    Args:
        target: The function (`@retry` alone), a `RetryConfig`, or a `RetryExecutor` to share.
        options: The fields of `RetryConfig`; `on` is short for `retry_on_exceptions`; `name` is what errors and
            events call it.

    Returns:
        The decorated function, or a `RetryExecutor` that decorates.

    Raises:
        TypeError: For an unknown keyword or a function that cannot be protected.
        ValueError: For a value out of range.

    Synchronous functions block their thread while waiting, async ones only their task. It does not make a function
    safe to repeat: a call that failed may have had its effect all the same.

    >>> @retry(max_attempts=3, on=ConnectionError, initial_delay=0)
    ... def fetch(path: str) -> str:
    ...     return "contents of " + path
    >>> fetch("/etc/motd")
    'contents of /etc/motd'
    """
    return decorating(RetryExecutor, RetryConfig, target, options)
