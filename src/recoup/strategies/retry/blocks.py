"""Attempts as blocks: `for attempt in executor: with attempt: ...` (rule R9).

The loop gives an attempt after another until one block ends without an error, or the error is not to be retried:
then it comes out of the block. A block cannot see its result and, in plain code, cannot be interrupted, so the options
that would need this are refused here.
"""

from __future__ import annotations

from recoup._core import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType
    from typing import Self

    from recoup.strategies.retry.state import RetryRun
    from recoup.strategies.retry.strategy import RetryExecutor

__all__ = ["AsyncAttempt", "Attempt", "attempts", "attempts_async"]


class _Tries:
    """What the attempts of one loop share; a loop belongs to one thread or task."""

    __slots__ = ("executor", "number", "run", "state")

    def __init__(self, executor: RetryExecutor) -> None:
        self.executor = executor
        self.run: RetryRun | None = None
        self.number = 0
        self.state = "over"  # "over" (or not begun), "given" to the loop, "entered", "again"

    def give(self) -> None:
        """Begin an attempt."""
        self.number += 1
        self.state = "given"

    def enter(self, number: int) -> None:
        """Use the attempt that was given last, once."""
        if self.state != "given" or number != self.number:
            raise RuntimeError("an attempt is used once, inside the loop that gave it")
        self.state = "entered"

    def wait(self) -> float | None:
        """Give the seconds until the next attempt; None if the loop is over."""
        if self.state in ("given", "entered"):
            raise RuntimeError("the attempt was not used: write `with attempt:` (or `async with`) inside the loop")
        return None if self.state == "over" or self.run is None else self.run.delay


class Attempt:
    """One attempt of a block in plain code.

    Attributes:
        number: Which attempt this is, from 1.
    """

    __slots__ = ("_tries", "number")

    def __init__(self, tries: _Tries) -> None:
        self._tries = tries
        self.number = tries.number

    def __enter__(self) -> Self:
        self._tries.enter(self.number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        tries = self._tries
        tries.state = "over"
        if not isinstance(error, Exception):
            return False
        tries.run = tries.executor._decide(tries.run, error)
        try:
            tries.executor._tell(tries.run, error)
        finally:
            tries.run.forget()
        if tries.run.delay is None:
            return False
        tries.state = "again"
        return True


class AsyncAttempt:
    """One attempt of a block in async code.

    Attributes:
        number: Which attempt this is, from 1.
    """

    __slots__ = ("_tries", "number")

    def __init__(self, tries: _Tries) -> None:
        self._tries = tries
        self.number = tries.number

    async def __aenter__(self) -> Self:
        self._tries.enter(self.number)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        tries = self._tries
        tries.state = "over"
        if not isinstance(error, Exception):
            return False
        tries.run = tries.executor._decide(tries.run, error)
        try:
            await tries.executor._tell_async(tries.run, error)
        finally:
            tries.run.forget()
        if tries.run.delay is None:
            return False
        tries.state = "again"
        return True

    def __enter__(self) -> Self:
        raise TypeError("write `async with attempt:` inside `async for`: callbacks may have to be awaited")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to leave: `__enter__` refuses."""


def attempts(executor: RetryExecutor) -> Iterator[Attempt]:
    """Check the options and begin a loop in plain code."""
    _refuse(executor, asynchronous=False)
    return _attempts(_Tries(executor))


def _attempts(tries: _Tries) -> Iterator[Attempt]:
    while True:
        tries.give()
        yield Attempt(tries)
        delay = tries.wait()
        if delay is None:
            return
        clock.pause(delay)


def attempts_async(executor: RetryExecutor) -> AsyncIterator[AsyncAttempt]:
    """Check the options and begin a loop in async code."""
    _refuse(executor, asynchronous=True)
    return AsyncAttempts(_Tries(executor))


class AsyncAttempts:
    """The loop itself: no async generator, which would have to be closed by somebody when the loop is left early."""

    __slots__ = ("_tries",)

    def __init__(self, tries: _Tries) -> None:
        self._tries = tries

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncAttempt:
        tries = self._tries
        if tries.number:
            delay = tries.wait()
            if delay is None:
                raise StopAsyncIteration
            await clock.pause_async(delay)
        tries.give()
        return AsyncAttempt(tries)


def _refuse(executor: RetryExecutor, *, asynchronous: bool) -> None:
    """Refuse options that a block cannot honour."""
    config = executor.config
    if config.retry_on_result is not None:
        raise TypeError(
            "retry_on_result cannot work round a block, which has no result: raise inside the block instead"
        )
    for option in ("attempt_timeout", "max_elapsed"):
        if getattr(config, option) is not None:
            raise TypeError(
                f"{option} cannot interrupt a block: decorate a function, or write a deadline block round the loop"
            )
    if not asynchronous and executor._async_callbacks:
        raise TypeError(f"{executor._async_callbacks[0]} is an async function: use `async for`")
