"""What happens to one call that a test has injected faults into, in either colour."""

from __future__ import annotations

import asyncio
import sys
import threading
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING

from recoup._core import clock as seam
from recoup._core import emit
from recoup._core.chain import Pending
from recoup.testing.clock import let_pass, let_pass_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence
    from types import TracebackType
    from typing import Any, Self

    from recoup.testing.calls import Call
    from recoup.testing.faults import Fault
    from recoup.testing.injection import Injection

__all__ = ["AsyncVisit", "PlainVisit", "Visit"]

_SLICE = 0.1  # real seconds between two looks of a hanging thread at whether the program ends


class Visit:
    """One call, from its beginning to its end.

    Args:
        injection: Whose it is.
        call: What is filed of it.
        faults: What is done to it, in order; nothing comes behind what keeps it from being made.
        begun: Whether what comes before the call has happened, in the synchronous pass.
    """

    __slots__ = ("_begun", "_error", "_faults", "_injection", "_items", "call", "result")

    def __init__(self, injection: Injection, call: Call, faults: Sequence[Fault], *, begun: bool = False) -> None:
        self._injection = injection
        self._faults = faults
        self._begun = begun
        self._error: Fault | None = None  # the one that comes after some items
        self._items = 0
        self.call = call
        self.result: Any = None

    def _close(self, error: BaseException | None) -> None:
        if isinstance(error, Pending):  # the function gave a coroutine: the asynchronous pass goes on with this call
            error.spent[id(self._injection)] = self.call.number
            return
        self.call.result, self.call.error = self.result, error
        self.call.done = True

    def _prepare(self, fault: Fault) -> bool:
        """Take note of an error that comes later; tell whether that was all."""
        if fault.after_items is None:
            if emit.listeners:
                from recoup import events  # noqa: PLC0415 - nobody pays for events who does not listen

                emit.tell(events.FaultInjected(self.call.name, fault.does, self.call.number))
            return False
        self._error = fault
        return True

    def _raise(self, fault: Fault) -> None:
        raise fault.error(self.call.number, self.call.name)

    def _due(self) -> Fault | None:
        """Count an item; give the error that comes in its place."""
        fault, self._items = self._error, self._items + 1
        return (
            fault if fault is not None and fault.after_items is not None and self._items > fault.after_items else None
        )


class PlainVisit(Visit):
    """For plain functions and generators."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(error)

    def reached(self) -> bool:
        """Do what comes before the call; tell whether it is to be made."""
        for fault in self._faults:
            if self._prepare(fault):
                continue
            if fault.does == "delay":
                let_pass(fault.what)
            elif fault.does == "hang":
                self._injection.hang()
            elif fault.does == "error":
                self._raise(fault)
            elif fault.does == "result":
                self.result = fault.what
                return False
            else:
                self.result = _ready(fault.what(*self.call.args, **self.call.kwargs))
                return False
        self.call.reached = True
        return True

    def stream(self) -> Generator[Any, Any, Any]:
        """Give the items that come instead of the function's."""
        items, self.result = self.result, None
        yield from items

    def item(self, stream: Generator[Any, Any, Any]) -> None:
        """Raise the error in the place of an item, if it is its turn."""
        fault = self._due()
        if fault is not None:
            stream.close()
            self._raise(fault)

    def end(self, value: object) -> None:
        """Take the value of a generator, or raise the error that had to wait for more items than there are."""
        if self._error is not None:
            self._raise(self._error)
        self.result = value


class AsyncVisit(Visit):
    """For async functions and generators."""

    __slots__ = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(error)

    async def reached(self) -> bool:
        """Do what comes before the call, unless the synchronous pass has; tell whether it is to be made."""
        for fault in () if self._begun else self._faults:
            if self._prepare(fault):
                continue
            if fault.does == "delay":
                await let_pass_async(fault.what)
            elif fault.does == "hang":
                await _for_ever()
            elif fault.does == "error":
                self._raise(fault)
            elif fault.does == "result":
                self.result = fault.what
                return False
            else:
                given = fault.what(*self.call.args, **self.call.kwargs)
                self.result = await given if isawaitable(given) else given
                return False
        self.call.reached = True
        return True

    async def stream(self) -> AsyncGenerator[Any, Any]:
        """Give the items that come instead of the function's."""
        items, self.result = self.result, None
        if hasattr(type(items), "__aiter__"):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item

    async def item(self, stream: AsyncGenerator[Any, Any]) -> None:
        """Raise the error in the place of an item, if it is its turn."""
        fault = self._due()
        if fault is not None:
            await stream.aclose()
            self._raise(fault)

    async def end(self, value: None) -> None:
        """Raise the error that had to wait for more items than there are; an async generator has no value."""
        if self._error is not None:
            self._raise(self._error)
        self.result = value


def _ready(given: Any) -> Any:
    """Pass on what a replacement gave; refuse what a plain function cannot await."""
    if isawaitable(given):
        if iscoroutine(given):
            given.close()
        raise TypeError("the function given to instead() is asynchronous, and the one that it replaces is not")
    return given


async def _for_ever() -> None:
    if seam.in_trio():
        await sys.modules["trio"].sleep_forever()
    await asyncio.get_running_loop().create_future()


def hang_in(home: int, released: threading.Event) -> None:
    """Block this thread until it is released or the program ends.

    Raises:
        RuntimeError: At once in the thread `home`, which is the one that would have to release it; later, on release.
    """
    if threading.get_ident() == home:
        raise RuntimeError(
            "hang() would block this test for ever: nothing can stop a plain function that hangs in the thread of the "
            'test. Have it run in another one (@deadline(..., mode="thread")), or say slow(seconds)'
        )
    while not released.wait(_SLICE) and threading.main_thread().is_alive():
        pass
    raise RuntimeError("a call that a test had made hang was let go: the block of its inject() is over")
