"""How one writes it first: each of these has a fault that was seen in a published library (in parentheses)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from recoup._core import clock

Fn = Callable[..., Any]


class Refused(Exception):
    """What a naive breaker or bulkhead raises."""


class Breaker:
    """Counts failures in a row; everybody may try once the time is up (circuitbreaker, aiobreaker, purgatory, ...)."""

    refusal = Refused("open")  # one object for ever; its traceback grows with each raise (purgatory)

    def __init__(self, threshold: int = 1, seconds: float = 10.0, now: Callable[[], float] = clock.monotonic) -> None:
        self.threshold, self.seconds, self.now = threshold, seconds, now
        self.failures, self.until = 0, 0.0

    @property
    def closed(self) -> bool:
        return self.failures < self.threshold

    def admit(self) -> None:
        if not self.closed and self.now() < self.until:
            raise self.refusal

    def failed(self) -> None:
        self.failures += 1
        self.until = self.now() + self.seconds

    async def call(self, fn: Fn) -> Any:
        self.admit()
        try:
            result = await fn()
        except Exception:
            self.failed()
            raise
        self.failures = 0  # whenever the call began (resilix, grelmicro, Polly)
        return result


class SlotBreaker(Breaker):
    """One probe at a time, and who takes the slot is trusted to come back (grit, Polly, SmallRye)."""

    probing = False

    async def call(self, fn: Fn) -> Any:
        self.admit()
        if not self.closed:
            if self.probing:
                raise Refused
            self.probing = True
        try:
            result = await fn()
        except Exception:
            self.probing = False
            self.failed()
            raise
        self.probing, self.failures = False, 0
        return result


class LockedBreaker(Breaker):
    """Holds its lock while the user's function runs (pybreaker)."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def call_sync(self, fn: Fn) -> Any:
        with self.lock:
            return fn()


class TimeWindow:
    """Forgets old failures only when a new one comes (fluxgate, cockatiel)."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.failures = seconds, deque[float]()

    def failed(self, now: float) -> None:
        while len(self.failures) > 1 and now - self.failures[0] > self.seconds:
            self.failures.popleft()
        self.failures.append(now)


class Bulkhead:
    """A counter and a queue of futures: bound to a loop; who is cancelled keeps what it was handed (aioresilience)."""

    def __init__(self, limit: int) -> None:
        self.free, self.queue = limit, deque[asyncio.Future[None]]()

    async def execute(self, fn: Fn) -> Any:
        if self.free:
            self.free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.queue.append(turn)
            await turn
        try:
            return await fn()
        finally:
            while self.queue:
                turn = self.queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break
            else:
                self.free += 1


class LoopBulkhead:
    """A semaphore for each loop, and none for threads (nopanic, resilix, pyresilience)."""

    def __init__(self, limit: int) -> None:
        self.limit, self.of = limit, dict[Any, asyncio.Semaphore]()

    async def execute(self, fn: Fn) -> Any:
        loop = asyncio.get_running_loop()
        async with self.of.setdefault(loop, asyncio.Semaphore(self.limit)):
            return await fn()


class RefusingBulkhead:
    """Refuses with an error like any other (nopanic, interlock)."""

    def __init__(self, limit: int) -> None:
        self.free = limit

    def __call__(self, fn: Fn) -> Fn:
        async def inside(*args: Any) -> Any:
            if not self.free:
                raise Refused
            self.free -= 1
            try:
                return await fn(*args)
            finally:
                self.free += 1

        return inside


def retry(attempts: int, *, total: float | None = None, catch: type[BaseException] = Exception) -> Callable[[Fn], Fn]:
    """Looks at the clock between attempts only (tenacity, stamina, backoff); may catch too much (interlock, grit)."""

    def decorate(fn: Fn) -> Fn:
        @functools.wraps(fn)
        async def retrying(*args: Any, **kwargs: Any) -> Any:
            began = clock.monotonic()
            for attempt in range(1, attempts + 1):
                try:
                    return await fn(*args, **kwargs)
                except catch:
                    if attempt == attempts or (total is not None and clock.monotonic() - began > total):
                        raise
            return None

        return retrying

    return decorate


class SharedRetry:
    """Keeps the attempts of one call on the policy that all calls share (tenacity, stamina), and the last error too."""

    def __init__(self, attempts: int) -> None:
        self.attempts, self.made = attempts, 0
        self.last: BaseException | None = None

    def __call__(self, fn: Fn) -> Fn:
        @functools.wraps(fn)
        async def retrying(*args: Any) -> Any:
            self.made = 0
            while True:
                try:
                    return await fn(*args)
                except Exception as error:
                    self.last = error
                    self.made += 1
                    if self.made >= self.attempts:
                        raise

        return retrying


def capped(attempt: int, cap: float) -> float:
    """Jitter first, cap afterwards (Polly, resilience4j): late waits are all the same."""
    return min(cap, 2.0**attempt * random.uniform(0.5, 1.5))


def timed(seconds: float) -> Callable[[Fn], Fn]:
    """Calls every TimeoutError its own (interlock, pyresilience)."""

    def decorate(fn: Fn) -> Fn:
        async def limited(*args: Any) -> Any:
            try:
                async with asyncio.timeout(seconds):
                    return await fn(*args)
            except TimeoutError:
                raise TimeoutError(f"not finished within {seconds} s") from None

        return limited

    return decorate


def threaded(seconds: float) -> Callable[[Fn], Fn]:
    """Runs in an executor: context variables stay behind, and exit waits for abandoned work (pyresilience, baldur)."""
    pool = concurrent.futures.ThreadPoolExecutor(1)

    def decorate(fn: Fn) -> Fn:
        return lambda *args: pool.submit(fn, *args).result(seconds)

    return decorate


class Stack:
    """Puts layers into an order of its own (resilix) and unwraps what it decorates to find its layers."""

    ORDER = ("timeout", "retry")

    def __init__(self, kind: str, seconds: float = 0.0, attempts: int = 0) -> None:
        self.kind, self.seconds, self.attempts = kind, seconds, attempts

    def __call__(self, fn: Any) -> Any:
        below = getattr(fn, "layers", [])  # functools.wraps copies it, so what stands in between is lost
        target = getattr(fn, "target", fn)
        layers = sorted([self, *below], key=lambda layer: self.ORDER.index(layer.kind))
        call = target
        for layer in reversed(layers):
            call = timed(layer.seconds)(call) if layer.kind == "timeout" else retry(layer.attempts)(call)

        @functools.wraps(target)
        async def stacked(*args: Any) -> Any:
            return await call(*args)

        stacked.layers, stacked.target = layers, target  # type: ignore[attr-defined]
        return stacked


def fallback(answer: Any) -> Callable[[Fn], Fn]:
    """Calls whatever can be called, awaits nothing, and swallows its errors (interlock, baldur, nopanic)."""

    def decorate(fn: Fn) -> Fn:
        async def falling(*args: Any) -> Any:
            try:
                return await fn(*args)
            except Exception:  # noqa: BLE001 - as one writes it first
                try:
                    return answer() if callable(answer) else answer
                except Exception:  # noqa: BLE001 - as above
                    return None

        return falling

    return decorate


def cached(fn: Fn) -> Fn:
    """Looks, calls, and calls again if the first call failed (resilience4j)."""
    kept: dict[Any, Any] = {}

    def caching(*args: Any) -> Any:
        if args not in kept:
            try:
                kept[args] = fn(*args)
            except Exception:  # noqa: BLE001 - as one writes it first
                return fn(*args)
        return kept[args]

    return caching
