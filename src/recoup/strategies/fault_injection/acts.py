"""What is done to a call that is hit, in either colour.

An error is made anew for each call and raised by this file, with a note that tells it from a real one.
"""

from __future__ import annotations

from inspect import isawaitable, iscoroutine

from recoup._core import checks, clock, emit
from recoup._core.notes import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any

    from recoup.strategies.fault_injection.state import Fault
    from recoup.strategies.fault_injection.strategy import FaultInjection

__all__ = ["Acts", "AsyncActs", "PlainActs"]


class Acts:
    """What both colours have in common."""

    __slots__ = ("_injection",)

    def __init__(self, injection: FaultInjection) -> None:
        self._injection = injection

    def _delay(self, fault: Fault) -> float | None:
        """Give the seconds to wait."""
        delay: Any = fault.config.delay
        if delay is None:
            return None
        self._tell(fault, "delay")
        return checks.duration("delay", delay() if callable(delay) else delay)

    def _fails_first(self, fault: Fault) -> bool:
        """Tell whether the error comes instead of the call."""
        config = fault.config
        return config.error is not None and not config.after_call and config.after_items is None

    def _fails_last(self, fault: Fault) -> bool:
        """Tell whether the error comes at the end."""
        config = fault.config
        return config.after_call or config.after_items is not None

    def _fail(self, fault: Fault) -> None:
        """Raise the error."""
        make: Any = fault.config.error
        error = make()
        if not isinstance(error, Exception):
            raise TypeError(f"error must make an exception, an Exception, not {checks.shown(error)}")
        self._tell(fault, "error")
        note(error, f"injected by {self._injection.name!r} into call {fault.number}")
        try:
            raise error.with_traceback(None)  # of somebody's one error the traceback would grow for ever
        finally:
            del error  # this frame is in its traceback: they would keep each other

    def _tell(self, fault: Fault, what: str) -> None:
        if emit.listeners:
            from recoup import events  # noqa: PLC0415 - nobody pays for events who does not listen

            emit.tell(events.FaultInjected(self._injection.name, what, fault.number))


class PlainActs(Acts):
    """For plain functions."""

    __slots__ = ()

    def inflict(self, fault: Fault) -> None:
        """Do what comes before a call."""
        if fault.config.run is not None:
            self._tell(fault, "run")
            _ready("run", fault.config.run())
        seconds = self._delay(fault)
        if seconds is not None:
            clock.pause(seconds)
        if self._fails_first(fault):
            self._fail(fault)

    def finish(self, fault: Fault, result: Any) -> Any:
        """Lose or change what a call has returned."""
        self.end(fault)
        return self._changed(fault, result)

    def end(self, fault: Fault) -> None:
        """Raise the error that comes at the end, if it does."""
        if self._fails_last(fault):
            self._fail(fault)

    def alter(self, fault: Fault, stream: Generator[Any, Any, Any], item: Any) -> Any:
        """Change an item, or raise the error in its place."""
        if fault.item():
            stream.close()
            self._fail(fault)
        return self._changed(fault, item)

    def _changed(self, fault: Fault, result: Any) -> Any:
        change = fault.config.change_result
        if change is None:
            return result
        self._tell(fault, "result")
        return _ready("change_result", change(result))


class AsyncActs(Acts):
    """For async functions."""

    __slots__ = ()

    async def inflict(self, fault: Fault) -> None:
        """Do what comes before a call, unless the synchronous pass has done it."""
        if fault.begun:
            return
        if fault.config.run is not None:
            self._tell(fault, "run")
            await _settled(fault.config.run())
        seconds = self._delay(fault)
        if seconds is not None:
            await clock.pause_async(seconds)
        if self._fails_first(fault):
            self._fail(fault)

    async def finish(self, fault: Fault, result: Any) -> Any:
        """Lose or change what a call has returned."""
        await self.end(fault)
        return await self._changed(fault, result)

    async def end(self, fault: Fault) -> None:
        """Raise the error that comes at the end, if it does."""
        if self._fails_last(fault):
            self._fail(fault)

    async def alter(self, fault: Fault, stream: AsyncGenerator[Any, Any], item: Any) -> Any:
        """Change an item, or raise the error in its place."""
        if fault.item():
            await stream.aclose()
            self._fail(fault)
        return await self._changed(fault, item)

    async def _changed(self, fault: Fault, result: Any) -> Any:
        change = fault.config.change_result
        if change is None:
            return result
        self._tell(fault, "result")
        return await _settled(change(result))


def _ready(argument: str, given: Any) -> Any:
    """Pass on what a callback gave; refuse what a plain function cannot await."""
    if isawaitable(given):
        if iscoroutine(given):
            given.close()
        raise TypeError(
            f"{argument} returned something to await, which a synchronous call cannot do: give a plain function, or "
            "make the decorated function async"
        )
    return given


async def _settled(given: Any) -> Any:
    return await given if isawaitable(given) else given
