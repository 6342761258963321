"""What the tests of hedge set up: a hedge, a service that answers as it was told, callers that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from recoup.strategies.hedge.strategy import Hedge, hedge
from recoup.testing import VirtualClock
from tests.conftest import Both

__all__ = ["Closeable", "Service", "cancelled_after", "hedging", "until_cancelled"]


def hedging(**options: Any) -> Hedge:
    """Make a hedge that adds an attempt after a second, unless it is told otherwise."""
    return hedge(**{"idempotent": True, "delay": 1, "name": "api", **options})


class Service:
    """Answers call after call as it was told: after seconds, then with a value or an error.

    Attributes:
        log: What happened: (seconds since the start, attempt, "began", "ended" or "cancelled").
    """

    def __init__(self, clock: VirtualClock, library: Both, *answers: tuple[float, Any]) -> None:
        self.clock = clock
        self.library = library
        self.answers = list(answers)
        self.calls = 0
        self.log: list[tuple[float, int, str]] = []

    def note(self, attempt: int, what: str) -> None:
        self.log.append((round(self.clock.monotonic() - 1000, 6), attempt, what))

    async def __call__(self, *_: object) -> Any:
        attempt = self.calls = self.calls + 1
        seconds, answer = self.answers[attempt - 1]
        self.note(attempt, "began")
        try:
            await self.library.pause(seconds)
        except BaseException:
            self.note(attempt, "cancelled")
            raise
        self.note(attempt, "ended")
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Closeable:
    """Something that has to be closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


async def until_cancelled(library: Both, seconds: float) -> None:
    """Wait, and go on when that is cancelled, as careless code does."""
    try:
        await library.pause(seconds)
    except BaseException as error:
        if type(error).__name__ not in ("CancelledError", "Cancelled"):
            raise


def cancelled_after(library: Both, seconds: float, fn: Callable[[], Any]) -> Callable[[], Any]:
    """Call a function, and have its caller cancelled after some seconds; tell whether that came out."""

    async def main_asyncio() -> bool:
        task = asyncio.ensure_future(fn())
        asyncio.get_running_loop().call_later(seconds, task.cancel)
        await asyncio.wait([task])
        return bool(task.cancelled())

    async def main_trio() -> bool:
        import trio

        with trio.move_on_after(seconds) as scope:
            await fn()
        return bool(scope.cancelled_caught)

    return main_asyncio if library.library == "asyncio" else main_trio
