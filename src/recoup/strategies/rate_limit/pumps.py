"""The pumps of the rate limit, one in each colour and kind.

`admit` takes the permits of a call if they are there; else `wait` waits for them, or refuses the call. `..._each` are
for limits that look at the arguments of a call: `weigh` tells what it needs. A generator takes its permits when its
first item is asked for. Nothing is given back at the end: a call that began has counted.
"""

from __future__ import annotations

from recoup._core.chain import Pending
from recoup._core.streams import AsyncCursor, Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from typing import Any, Protocol

    from recoup.strategies.rate_limit.turns import Demand

    class Clock(Protocol):
        """The seam to time: a module, asked anew at each call, because tests replace what is in it."""

        @property
        def monotonic(self) -> Callable[[], float]:
            """Tell the time."""
            ...

    Admit = Callable[[float], bool]
    AdmitEach = Callable[[Demand, float], bool]
    Weigh = Callable[..., Demand]
    HandOver = Callable[[Pending], None]

__all__ = [
    "limiting",
    "limiting_async",
    "limiting_each",
    "limiting_each_async",
    "limiting_stream",
    "limiting_stream_async",
]


def limiting(
    fn: Callable[..., Any], clock: Clock, admit: Admit, wait: Callable[[], None], hand_over: HandOver
) -> Callable[..., Any]:
    """Let a function begin when there is a permit."""

    def limiting(*args: Any, **kwargs: Any) -> Any:
        if not admit(clock.monotonic()):
            wait()
        try:
            return fn(*args, **kwargs)
        except Pending as pending:
            hand_over(pending)
            raise

    return limiting


def limiting_async(
    fn: Callable[..., Awaitable[Any]],
    clock: Clock,
    admit: Admit,
    wait: Callable[[], Awaitable[None]],
    hand_over: HandOver,
) -> Callable[..., Awaitable[Any]]:
    """Let an async function begin when there is a permit."""

    async def limiting(*args: Any, **kwargs: Any) -> Any:
        if not admit(clock.monotonic()):
            await wait()
        try:
            return await fn(*args, **kwargs)
        except Pending as pending:
            hand_over(pending)
            raise

    return limiting


def limiting_each(
    fn: Callable[..., Any],
    clock: Clock,
    weigh: Weigh,
    admit: AdmitEach,
    wait: Callable[[Demand], None],
    hand_over: HandOver,
) -> Callable[..., Any]:
    """Let a function begin when there are the permits that this call needs."""

    def limiting(*args: Any, **kwargs: Any) -> Any:
        demand = weigh(*args, **kwargs)
        if not admit(demand, clock.monotonic()):
            wait(demand)
        try:
            return fn(*args, **kwargs)
        except Pending as pending:
            hand_over(pending)
            raise

    return limiting


def limiting_each_async(
    fn: Callable[..., Awaitable[Any]],
    clock: Clock,
    weigh: Weigh,
    admit: AdmitEach,
    wait: Callable[[Demand], Awaitable[None]],
    hand_over: HandOver,
) -> Callable[..., Awaitable[Any]]:
    """Let an async function begin when there are the permits that this call needs."""

    async def limiting(*args: Any, **kwargs: Any) -> Any:
        demand = weigh(*args, **kwargs)
        if not admit(demand, clock.monotonic()):
            await wait(demand)
        try:
            return await fn(*args, **kwargs)
        except Pending as pending:
            hand_over(pending)
            raise

    return limiting


def limiting_stream(
    fn: Callable[..., Generator[Any, Any, Any]],
    clock: Clock,
    weigh: Weigh,
    admit: AdmitEach,
    wait: Callable[[Demand], None],
) -> Callable[..., Generator[Any, Any, Any]]:
    """Let a generator begin when there are the permits that it needs."""

    def limiting(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        demand = weigh(*args, **kwargs)
        if not admit(demand, clock.monotonic()):
            wait(demand)
        cursor = Cursor(fn(*args, **kwargs))
        while cursor.advance():
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown
        return cursor.value

    return limiting


def limiting_stream_async(
    fn: Callable[..., AsyncGenerator[Any, Any]],
    clock: Clock,
    weigh: Weigh,
    admit: AdmitEach,
    wait: Callable[[Demand], Awaitable[None]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Let an async generator begin when there are the permits that it needs."""

    async def limiting(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        demand = weigh(*args, **kwargs)
        if not admit(demand, clock.monotonic()):
            await wait(demand)
        cursor = AsyncCursor(fn(*args, **kwargs))
        while await cursor.advance():
            try:
                cursor.sent = yield cursor.item
            except BaseException as thrown:  # noqa: BLE001 - handed on to the generator
                cursor.thrown = thrown

    return limiting
