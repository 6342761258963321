"""The switch that turns recovery off, or takes the waiting out of it, for a while (rule G16)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from recoup._core import mode
from recoup._core.colour import Colour, colour_of
from recoup._core.streams import AsyncCursor, Cursor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import TracebackType
    from typing import Any, Literal

    Kind = Literal["off", "instant", "on"]

    from recoup.typing import Decorated

__all__ = ["Switch", "disabled", "enabled", "instant"]


class Switch:
    """What `disabled`, `instant` and `enabled` give: a block (`with`, `async with`) and a decorator.

    It may be entered again after it was left; a function that it decorates may be called any number of times at once.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self._scope: mode.Scope | None = None

    def __enter__(self) -> None:
        if self._scope is not None:
            raise RuntimeError("this scope is open already: make a new one for each with block")
        scope = mode.Scope(self._kind)
        scope.__enter__()
        self._scope = scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.__exit__(kind, error, trace)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, target: Decorated, /) -> Decorated:
        """Have a function run as inside the block: a test, a fixture or a helper of any colour.

        A generator is inside while it runs, and its consumer is not (rule G17).

        Raises:
            TypeError: For what is no function or method.
        """
        given: Any = target
        if isinstance(given, (classmethod, staticmethod)):
            again: Any = type(given)
            return again(self(given.__func__))  # type: ignore[no-any-return]  # the same kind of thing
        scoped = _SCOPED[colour_of(given)](given, functools.partial(mode.Scope, self._kind))
        decorated: Any = functools.update_wrapper(scoped, given)
        return decorated  # type: ignore[no-any-return]  # it has the parameters and the result of the target


def _scoped(fn: Callable[..., Any], scope: Callable[[], mode.Scope]) -> Callable[..., Any]:
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with scope():
            return fn(*args, **kwargs)

    return scoped


def _scoped_async(fn: Callable[..., Any], scope: Callable[[], mode.Scope]) -> Callable[..., Any]:
    async def scoped(*args: Any, **kwargs: Any) -> Any:
        with scope():
            return await fn(*args, **kwargs)

    return scoped


def _scoped_stream(fn: Callable[..., Any], scope: Callable[[], mode.Scope]) -> Callable[..., Any]:
    def scoped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        cursor = Cursor(fn(*args, **kwargs))
        while True:
            with scope():
                more = cursor.advance()
            if not more:
                break
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown
        return cursor.value

    return scoped


def _scoped_stream_async(fn: Callable[..., Any], scope: Callable[[], mode.Scope]) -> Callable[..., Any]:
    async def scoped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        cursor = AsyncCursor(fn(*args, **kwargs))
        while True:
            with scope():
                more = await cursor.advance()
            if not more:
                break
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown

    return scoped


_SCOPED = {
    Colour.SYNC: _scoped,
    Colour.ASYNC: _scoped_async,
    Colour.STREAM: _scoped_stream,
    Colour.ASYNC_STREAM: _scoped_stream_async,
}


def disabled() -> Switch:
    """Turn recovery off for a while: decorated functions behave as if they were not decorated.

    A retry gives up at the first failure, an open breaker and a full bulkhead let calls through, no fallback answers,
    no cached value is used, no deadline strikes and nothing is compensated.

    The scope is the current context: other threads and tasks are not affected (tasks started inside the block are), and
    a task that outlives the block goes back to normal. Blocks nest; the innermost one decides.

    Returns:
        For `with` and `async with`, and a decorator of functions, such as tests.

    Example:
        >>> from recoup.testing import disabled
        >>> with disabled():
        ...     pass  # test here what your own code does when the service fails
        >>> @disabled()
        ... def test_what_happens_then():
        ...     pass
    """
    return Switch("off")


def instant() -> Switch:
    """Take the waiting out of recovery for a while: everything is decided as usual, but no pause is slept.

    Retries still happen, as often as they would, one right after the other. Timers of deadlines and the open time of a
    breaker are not pauses and keep their length; to move those, use a `VirtualClock`. The scope is that of `disabled`.

    Returns:
        For `with` and `async with`, and a decorator of functions, such as tests.

    Example:
        >>> from recoup.testing import instant
        >>> with instant():
        ...     pass  # a retry that would take minutes takes microseconds here
    """
    return Switch("instant")


def enabled() -> Switch:
    """Turn recovery back on for a while, within an outer `disabled` or `instant`.

    Returns:
        For `with` and `async with`, and a decorator of functions, such as tests.

    Example:
        >>> from recoup.testing import disabled, enabled
        >>> with disabled(), enabled():
        ...     pass  # as if there were no `disabled` around
    """
    return Switch("on")
