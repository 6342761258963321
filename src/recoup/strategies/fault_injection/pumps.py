"""The pumps of fault injection, one in each colour and kind.

`armed` is empty nearly always, and then a call pays for nothing else. `judge` gives what is done to a call; `inflict`
does what comes before it and raises if it is not to be made; `finish` changes or loses its result.
"""

from __future__ import annotations

from recoup._core.chain import Pending
from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
    from typing import Any

    from recoup.strategies.fault_injection.state import Fault

    Armed = Mapping[object, object]
    Judge = Callable[..., Fault | None]
    Inflict = Callable[[Fault], None]
    InflictAsync = Callable[[Fault], Awaitable[None]]
    HandOver = Callable[[Fault, Pending], None]

__all__ = ["injecting", "injecting_async", "injecting_stream", "injecting_stream_async"]


def injecting(
    fn: Callable[..., Any],
    armed: Armed,
    judge: Judge,
    inflict: Inflict,
    finish: Callable[[Fault, Any], Any],
    hand_over: HandOver,
) -> Callable[..., Any]:
    """Do to a call what is to be done to it."""

    def injecting(*args: Any, **kwargs: Any) -> Any:
        if not armed:
            return fn(*args, **kwargs)
        fault = judge(*args, **kwargs)
        if fault is None:
            return fn(*args, **kwargs)
        inflict(fault)
        try:
            result = fn(*args, **kwargs)
        except Pending as pending:
            hand_over(fault, pending)
            raise
        return finish(fault, result)

    return injecting


def injecting_async(
    fn: Callable[..., Awaitable[Any]],
    armed: Armed,
    judge: Judge,
    inflict: InflictAsync,
    finish: Callable[[Fault, Any], Awaitable[Any]],
    hand_over: HandOver,
) -> Callable[..., Awaitable[Any]]:
    """Do to an async call what is to be done to it."""

    async def injecting(*args: Any, **kwargs: Any) -> Any:
        if not armed:
            return await fn(*args, **kwargs)
        fault = judge(*args, **kwargs)
        if fault is None:
            return await fn(*args, **kwargs)
        await inflict(fault)
        try:
            result = await fn(*args, **kwargs)
        except Pending as pending:
            hand_over(fault, pending)
            raise
        return await finish(fault, result)

    return injecting


def injecting_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    armed: Armed,
    judge: Judge,
    inflict: Inflict,
    alter: Callable[[Fault, Generator[Any, Any, Any], Any], Any],
    end: Inflict,
) -> Callable[..., Generator[Any, Any, Any]]:
    """Do to a generator what is to be done to it: before it begins, to each item, or at its end."""

    def injecting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        fault = judge(*args, **kwargs) if armed else None
        if fault is not None:
            inflict(fault)
        stream = fn(*args, **kwargs)
        cursor = Cursor(stream)
        while cursor.advance():
            if fault is not None:
                cursor.item = alter(fault, stream, cursor.item)
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown
        if fault is not None:
            end(fault)
        return cursor.value

    return injecting


def injecting_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    armed: Armed,
    judge: Judge,
    inflict: InflictAsync,
    alter: Callable[[Fault, AsyncGenerator[Any, Any], Any], Awaitable[Any]],
    end: InflictAsync,
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Do to an async generator what is to be done to it: before it begins, to each item, or at its end."""

    async def injecting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        fault = judge(*args, **kwargs) if armed else None
        if fault is not None:
            await inflict(fault)
        stream = fn(*args, **kwargs)
        cursor = AsyncCursor(stream)
        while await cursor.advance():
            if fault is not None:
                cursor.item = await alter(fault, stream, cursor.item)
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown
        if fault is not None:
            await end(fault)

    return injecting
