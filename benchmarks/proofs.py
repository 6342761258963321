"""Nobody is timed who does not do the job: each pattern is proved on the library before its calls are counted."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.libraries.base import Missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.libraries.base import Colour, Function, Library

__all__ = ["Boom", "Probe", "outcome", "proved", "refuses"]

PATIENCE = 0.3


class Unproved(Exception):
    """The library does not do what the scenario is about."""


class Boom(Exception):
    """What the functions raise."""


class Probe:
    """A function of either colour that counts its calls, fails as it is told, and can be held up."""

    def __init__(self, colour: Colour, *, failures: float = 0, seconds: float = 0.0) -> None:
        self.calls = self.running = self.peak = 0
        self._failures = failures
        self._seconds = seconds
        self.function: Function = self._work_async() if colour == "async" else self._work()

    def _work(self) -> Function:
        def work(x: int) -> int:
            self._enter()
            try:
                time.sleep(self._seconds)
                return self._answer(x)
            finally:
                self.running -= 1

        return work

    def _work_async(self) -> Function:
        async def work(x: int) -> int:
            self._enter()
            try:
                await asyncio.sleep(self._seconds)
                return self._answer(x)
            finally:
                self.running -= 1

        return work

    def _enter(self) -> None:
        self.calls += 1
        self.running += 1
        self.peak = max(self.peak, self.running)

    def _answer(self, x: int) -> int:
        if self.calls <= self._failures:
            raise Boom
        return x


async def outcome(fn: Function, *args: Any) -> Any:
    """Call a function of either colour; an error is an outcome too."""
    try:
        result = fn(*args)
        return await result if hasattr(result, "__await__") else result
    except Exception as error:  # noqa: BLE001 - whatever a library raises
        return error


async def refuses(fn: Function, colour: Colour) -> bool:
    """Tell whether a call is refused at once; what waits instead is left waiting."""
    if colour == "async":
        try:
            return isinstance(await asyncio.wait_for(outcome(fn, 1), PATIENCE), Exception)
        except TimeoutError:
            return False
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(asyncio.run(outcome(fn, 1))), daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, PATIENCE)
    return bool(ended) and isinstance(ended[0], Exception)


def _asked(holds: object, text: str) -> None:
    if not holds:
        raise Unproved(text)


async def _retry(library: Library, colour: Colour) -> None:
    probe = Probe(colour, failures=2)
    answer = await outcome(library.retry(probe.function, colour, 3), 7)
    _asked((answer, probe.calls) == (7, 3), f"two failures in three attempts gave {answer!r} after {probe.calls} calls")
    probe = Probe(colour, failures=99)
    answer = await outcome(library.retry(probe.function, colour, 3), 7)
    _asked(isinstance(answer, Exception) and probe.calls == 3, f"did not give up after 3 but {probe.calls} calls")


async def _breaker(library: Library, colour: Colour) -> None:
    probe = Probe(colour, failures=10_000)
    fn = library.breaker(probe.function, colour, 5)
    for _ in range(200):
        await outcome(fn, 1)
    _asked(5 <= probe.calls <= 6, f"let {probe.calls} of 200 failing calls through, not 5")


async def _bulkhead(library: Library, colour: Colour) -> None:
    probe = Probe(colour, seconds=0.05)
    fn = library.bulkhead(probe.function, colour, 2)
    if colour == "async":
        await asyncio.gather(*(outcome(fn, 1) for _ in range(5)))
    else:
        threads = [threading.Thread(target=lambda: asyncio.run(outcome(fn, 1))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    _asked(probe.peak == 2, f"{probe.peak} calls ran at once, not 2")


async def _rate_limit(library: Library, colour: Colour) -> None:
    probe = Probe(colour)
    fn = library.rate_limit(probe.function, colour, 3, 3600.0)
    for _ in range(3):
        await outcome(fn, 1)
    await refuses(fn, colour)
    _asked(probe.calls == 3, f"let {probe.calls} calls through at once, not 3")


async def _fallback(library: Library, colour: Colour) -> None:
    answer = await outcome(library.fallback(Probe(colour, failures=1).function, colour, 42), 7)
    _asked(answer == 42, f"answered {answer!r}, not 42")


async def _cache(library: Library, colour: Colour) -> None:
    probe = Probe(colour)
    fn = library.cache(probe.function, colour)
    answers = [await outcome(fn, each) for each in (7, 7, 8)]
    _asked(answers == [7, 7, 8] and probe.calls == 2, f"called {probe.calls} times for {answers}, not twice")


async def _deadline(library: Library, colour: Colour) -> None:
    fn = library.deadline(Probe(colour, seconds=1.0).function, colour, 0.05)
    began = time.perf_counter()
    answer = await outcome(fn, 7)
    taken = time.perf_counter() - began
    _asked(
        isinstance(answer, Exception) and taken < 0.9, f"gave {answer!r} after {taken:.1f} s, not an error in 0.05 s"
    )


async def _stack(library: Library, colour: Colour) -> None:
    await _stacked(library.stack, colour)


async def _stack_deadline(library: Library, colour: Colour) -> None:
    await _stacked(library.stack_deadline, colour)


async def _stacked(make: Callable[[Function, Colour], Function], colour: Colour) -> None:
    probe = Probe(colour, failures=2)
    answer = await outcome(make(probe.function, colour), 7)
    _asked((answer, probe.calls) == (7, 3), f"two failures gave {answer!r} after {probe.calls} calls")
    answer = await outcome(make(Probe(colour, failures=99).function, colour), 7)
    _asked(answer == 42, f"answered {answer!r} when all failed, not 42")


PROOFS: dict[str, Callable[[Library, Colour], Awaitable[None]]] = {
    "retry": _retry,
    "breaker": _breaker,
    "bulkhead": _bulkhead,
    "rate_limit": _rate_limit,
    "fallback": _fallback,
    "cache": _cache,
    "deadline": _deadline,
    "stack": _stack,
    "stack_deadline": _stack_deadline,
}


async def proved(library: Library, pattern: str, colour: Colour) -> str | None:
    """Tell what is wrong with a library's pattern; empty if nothing is, `None` if it does not have it."""
    try:
        await PROOFS[pattern](library, colour)
    except Missing:
        return None
    except Unproved as reason:
        return str(reason)
    return ""
