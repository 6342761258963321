"""Plain threads and event loops that all work at the same time: small in every run, large with `make stress`."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import random
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["FULL", "Crowd", "Inside"]

FULL = os.environ.get("RECOUP_STRESS") == "full"
PATIENCE = 540.0  # real seconds until a thread counts as asleep for ever: less than a test may take in all


class Inside:
    """Counts who is inside, and how often; exact under threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = self.ever = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.ever += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.now -= 1


class Crowd:
    """Callers in plain threads, and in tasks of event loops in threads of their own.

    The work is bounded by calls, never by seconds: a slow machine takes longer and does the same.

    Attributes:
        threads: Threads with plain callers.
        loops: Threads with an event loop each.
        tasks: Tasks in each loop.
        calls: Calls that each caller makes.
        cancelled: Calls that were cancelled.
    """

    def __init__(self, *, calls: int = 20) -> None:
        self.threads, self.loops, self.tasks = (32, 8, 16) if FULL else (6, 2, 4)
        self.calls = calls * 10 if FULL else calls
        self.cancelled = 0
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []

    @property
    def callers(self) -> int:
        """How many callers there are."""
        return self.threads + self.loops * self.tasks

    @property
    def all_calls(self) -> int:
        """How many calls are made in all."""
        return self.callers * self.calls

    def work(
        self,
        plain: Callable[[random.Random], object],
        coloured: Callable[[random.Random], Coroutine[Any, Any, object]],
        *,
        cancel: float = 0.0,
    ) -> None:
        """Have every caller make its calls, all at once.

        Args:
            plain: Makes one call, in a thread.
            coloured: Makes one call, in a task.
            cancel: The share of the calls in tasks that are cancelled at a random moment.
        """
        start = threading.Barrier(self.threads + self.loops)

        def thread(number: int) -> None:
            dice = random.Random(number)
            start.wait()
            for _ in range(self.calls):
                plain(dice)

        def loop(number: int) -> None:
            start.wait()
            asyncio.run(self._tasks(number, coloured, cancel))

        bodies = [(thread, number) for number in range(self.threads)]
        bodies += [(loop, number) for number in range(self.loops)]
        threads = [threading.Thread(target=self._watched, args=body, daemon=True) for body in bodies]
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE)
            if each.is_alive():
                faulthandler.dump_traceback()
                raise AssertionError("somebody sleeps for ever")
        if self._errors:
            raise self._errors[0]

    def _watched(self, body: Callable[[int], None], number: int) -> None:
        try:
            body(number)
        except BaseException as error:  # noqa: BLE001 - handed on to the test
            self._errors.append(error)

    async def _tasks(self, number: int, coloured: Any, cancel: float) -> None:
        callers = [self._caller(random.Random(1000 * number + each), coloured, cancel) for each in range(self.tasks)]
        await asyncio.gather(*callers)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left)

    async def _caller(self, dice: random.Random, coloured: Any, cancel: float) -> None:
        for _ in range(self.calls):
            if dice.random() >= cancel:
                await coloured(dice)
                continue
            task = asyncio.ensure_future(coloured(dice))
            for _ in range(dice.randrange(5)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                with self._lock:
                    self.cancelled += 1
