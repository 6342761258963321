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

    def unused(self) -> None:
        """Refuse an attempt that was given and not used: the loop would go on for ever."""
        if self.state in ("given", "entered"):
            raise RuntimeError("the attempt was not used: write `with attempt:` (or `async with`) inside the loop")


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
        self._tries.state = "entered"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        tries = self._tries
        tries.state = "over"
        if not isinstance(error, Exception):
            return False
        tries.run = tries.executor._decide(tries.run, error)
        tries.executor._tell(tries.run, error)
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
        self._tries.state = "entered"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        tries = self._tries
        tries.state = "over"
        if not isinstance(error, Exception):
            return False
        tries.run = tries.executor._decide(tries.run, error)
        await tries.executor._tell_async(tries.run, error)
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
        tries.unused()
        if tries.state == "over" or tries.run is None or tries.run.delay is None:
            return
        clock.pause(tries.run.delay)


def attempts_async(executor: RetryExecutor) -> AsyncIterator[AsyncAttempt]:
    """Check the options and begin a loop in async code."""
    _refuse(executor, asynchronous=True)
    return _attempts_async(_Tries(executor))


async def _attempts_async(tries: _Tries) -> AsyncIterator[AsyncAttempt]:
    while True:
        tries.give()
        yield AsyncAttempt(tries)
        tries.unused()
        if tries.state == "over" or tries.run is None or tries.run.delay is None:
            return
        await clock.pause_async(tries.run.delay)


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
