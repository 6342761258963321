"""Tell listeners and run the user's callbacks: neither ever changes the outcome of a call.

Events are built only when somebody listens: `if emit.listeners: emit.tell(RetryScheduled(...))`.
"""

from __future__ import annotations

from functools import partial
from inspect import isawaitable, iscoroutine
from threading import Lock

from recoup._core.waiting import at_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from recoup.events import Event
    from recoup.typing import Listener

__all__ = ["Subscription", "call", "call_async", "listeners", "subscribe", "tell"]

listeners: tuple[Listener, ...] = ()
"""Who listens; replaced as a whole, so reading it needs no lock."""

_lock = Lock()
_logged: set[tuple[str, tuple[object, ...], str]] = set()
_MOST_LOGGED = 1000  # a bound on memory if somebody makes callbacks and error types without end


class Subscription:
    """A listener at work, until `cancel()` or the end of its `with` block."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def cancel(self) -> None:
        """Stop listening; a second call does nothing."""
        global listeners  # noqa: PLW0603 - the one list of the process
        with _lock:
            listeners = tuple(each for each in listeners if each is not self._listener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


def subscribe(listener: Listener) -> Subscription:
    """Have every event of every strategy told to a function.

    Args:
        listener: Called with one event (see `recoup.events`), in the thread or task in which it happens, outside all
            locks. It must be a plain function and should be quick. An exception in it is logged once and ignored.

    Returns:
        A subscription, with `cancel()`; also a context manager.

    Raises:
        TypeError: If the listener is not callable or is a coroutine function.

    Thread safety: may be called from any thread at any time.

    >>> seen = []
    >>> with subscribe(seen.append):
    ...     pass
    >>> seen
    []
    """
    global listeners  # noqa: PLW0603 - the one list of the process
    from recoup._core import checks  # noqa: PLC0415 - only needed here, and emit is imported by everybody

    if not callable(listener) or checks.awaitable_callback(listener):
        raise TypeError(f"listener must be a plain callable that takes one event, not {checks.shown(listener)}")

    def own(event: Event) -> object:  # one object a subscription, so that the same function may subscribe twice
        return listener(event)

    own.__qualname__ = getattr(listener, "__qualname__", type(listener).__qualname__)
    own.__module__ = getattr(listener, "__module__", None) or own.__module__
    with _lock:
        listeners = (*listeners, own)
    return Subscription(own)


def tell(event: Event) -> None:
    """Tell every listener one event."""
    for listener in listeners:
        call(listener, event)


def call(callback: Callable[..., object], *args: object) -> None:
    """Run a user's callback; log what it raises, once per callback and type."""
    try:
        result = callback(*args)
        if isawaitable(result):
            if iscoroutine(result):
                result.close()
            raise TypeError("an asynchronous callback cannot run in a synchronous call")  # noqa: TRY301 - logged below
    except Exception as error:  # noqa: BLE001 - rule G9: it must not change the outcome
        _log(callback, error)


async def call_async(callback: Callable[..., object], *args: object) -> None:
    """Run a user's callback, awaiting it if it is asynchronous; log what it raises, once per callback and type."""
    try:
        result = callback(*args)
        if isawaitable(result):
            await result
    except Exception as error:  # noqa: BLE001 - rule G9: it must not change the outcome
        _log(callback, error)


def _log(callback: Callable[..., object], error: Exception) -> None:
    while isinstance(callback, partial):
        callback = callback.func
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    place = f"{getattr(callback, '__module__', '?')}.{name}"
    code = getattr(callback, "__code__", None)
    # Lambdas share their names, and perhaps their line; the closures of one factory count as one callback.
    where = () if code is None else (code.co_firstlineno, *code.co_positions())
    key = (place, where, type(error).__qualname__)
    if key in _logged or len(_logged) >= _MOST_LOGGED:
        return
    _logged.add(key)
    import logging  # noqa: PLC0415 - most programs never get here

    logging.getLogger("recoup").warning(
        "callback %s raised %s; the call goes on, and this is logged only once", place, key[2], exc_info=error
    )


def _after_fork() -> None:
    """Have a lock that nobody holds in the child: a thread of the parent may have held it (G18)."""
    global _lock  # noqa: PLW0603 - the one of the module
    _lock = Lock()


at_fork(_after_fork)
