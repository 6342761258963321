"""Other arguments for the next attempt (rule R11).

A call with `before_retry` is a retrying pump made for this call alone, round a `Call` that holds the arguments of the
next attempt. So the pumps of everybody else need not know that arguments can change.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isawaitable, iscoroutine
from types import MappingProxyType

from recoup._core import clock
from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any

    from recoup._core.arguments import Parameters
    from recoup.strategies.retry.state import RetryRun

    Make = Callable[["Call", Callable[..., Any]], Callable[[], Any]]
    Begin = Callable[..., "Call"]
    Decide = Callable[[RetryRun | None, Exception], RetryRun]

__all__ = ["FACTORIES", "begun", "changing", "changing_async", "changing_stream", "changing_stream_async"]


class Call:
    """One call, whose arguments may change.

    Args:
        make: Makes the retrying pump of this call, of it.
        decide: Takes note of a failure.
        args: The positional arguments.
        kwargs: The keyword arguments.
    """

    __slots__ = ("_args", "_before_retry", "_decide", "_error", "_kwargs", "_make", "_number")

    def __init__(
        self,
        make: Make,
        decide: Decide,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self._make = make
        self._before_retry: Callable[..., Any] | None = None  # the run knows it
        self._decide = decide
        self._args = args
        self._kwargs = kwargs
        self._error: Exception | None = None
        self._number = 0

    def run(self, fn: Callable[..., Any]) -> Any:
        """Call a function, of whatever colour, until it succeeds or the run says stop."""
        # The pump is not kept: it holds this object, and the two would keep the arguments alive (rule G11).
        return self._make(self, lambda: fn(*self._args, **self._kwargs))()

    def decide(self, run: RetryRun | None, error: Exception) -> RetryRun:
        """Take note of a failure, and keep it for `before_retry`."""
        run = self._decide(run, error)
        self._before_retry = run.plan.config.before_retry
        self._error, self._number = error, run.attempts
        return run

    def sleep(self, seconds: float) -> None:
        """Wait, then ask for the next arguments."""
        clock.pause(seconds)
        self._take(self._changed())

    async def sleep_async(self, seconds: float) -> None:
        """Do what `sleep` does, awaiting an asynchronous `before_retry`."""
        await clock.pause_async(seconds)
        changed = self._changed()
        self._take(await changed if isawaitable(changed) else changed)

    def end(self) -> None:
        """Drop the last error: the frames in its traceback hold this call (rule G11)."""
        self._error = None

    def _changed(self) -> Any:
        """Ask the user's function."""
        assert self._before_retry is not None  # noqa: S101 - a failure was decided about, and it is settled that there is one
        return self._before_retry(self._number, self._error, self._args, MappingProxyType(dict(self._kwargs)))

    def _take(self, changed: object) -> None:
        self._error = None
        match changed:
            case None:
                return
            case (tuple() | list() as args, Mapping() as kwargs) if isinstance(changed, tuple):
                self._args, self._kwargs = tuple(args), kwargs
                return
            case _:
                pass
        if iscoroutine(changed):
            changed.close()
        raise TypeError(  # without the value: arguments may be private (rule G10)
            "before_retry must return None or a pair (args, kwargs): a tuple of positional arguments and a mapping of "
            f"keyword arguments; it returned {type(changed).__qualname__}"
        )


def begun(
    parameters: Parameters | None,
    make: Make,
    decide: Decide,
    /,
    *args: Any,
    **kwargs: Any,
) -> Call:
    """Begin a call; its arguments are put in their places, so that `before_retry` sees every call the same way."""
    if parameters is not None:
        args, kwargs = parameters.normal(args, kwargs)
    return Call(make, decide, args, kwargs)


def changing(fn: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    """Call a function, with arguments that may change from one attempt to the next."""

    def changing(*args: Any, **kwargs: Any) -> Any:
        call = begin(*args, **kwargs)
        try:
            return call.run(fn)
        finally:
            call.end()

    return changing


def changing_async(fn: Callable[..., Awaitable[Any]], begin: Begin) -> Callable[..., Awaitable[Any]]:
    """Call an async function, with arguments that may change."""

    async def changing(*args: Any, **kwargs: Any) -> Any:
        call = begin(*args, **kwargs)
        try:
            return await call.run(fn)
        finally:
            call.end()

    return changing


def changing_stream(
    fn: Callable[..., Generator[Any, Any, Any]], begin: Begin
) -> Callable[..., Generator[Any, Any, Any]]:
    """Start a generator, with arguments that may change from one start to the next."""

    def changing(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = begin(*args, **kwargs)
        cursor = Cursor(call.run(fn))
        try:
            while cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
            return cursor.value
        finally:
            call.end()

    return changing


def changing_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]], begin: Begin
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Start an async generator, with arguments that may change."""

    async def changing(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = begin(*args, **kwargs)
        cursor = AsyncCursor(call.run(fn))
        try:
            while await cursor.advance():
                try:
                    cursor.sent = yield cursor.item
                except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                    cursor.thrown = thrown
            return
        finally:
            call.end()

    return changing


FACTORIES = {  # by whether the function is asynchronous, and whether it is a generator function
    (False, False): changing,
    (True, False): changing_async,
    (False, True): changing_stream,
    (True, True): changing_stream_async,
}
