"""Attempts as blocks: `for attempt in executor: with attempt: ...` (rule R9).

The loop gives an attempt after another until one block ends without an error, or the error is not to be retried:
then it comes out of the block. A block cannot see its result and, in plain code, cannot be interrupted, so the options
that would need this are refused here.

In async code `attempt_timeout` and `max_elapsed` are deadlines that are opened and closed with each block: a loop may
be left without a word, so nothing may stay open between two blocks. `max_elapsed` is opened again at its first moment.
"""

from __future__ import annotations

from recoup._core import clock
from recoup._core.notes import cause_of
from recoup._core.timing import exceeded
from recoup.strategies.retry import telling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType
    from typing import Self

    from recoup._core.timing import Limit, Term
    from recoup.strategies.retry.state import RetryRun
    from recoup.strategies.retry.strategy import RetryExecutor

__all__ = ["AsyncAttempt", "Attempt", "attempts", "attempts_async"]


class _Tries:
    """What the attempts of one loop share; a loop belongs to one thread or task."""

    __slots__ = ("elapsed", "executor", "number", "run", "state", "until")

    def __init__(self, executor: RetryExecutor) -> None:
        self.executor = executor
        self.elapsed = None if executor._elapsed is None else executor._elapsed.limit
        self.until: float | None = None  # when max_elapsed strikes; not before the first attempt
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

    def forget(self) -> None:
        """Drop the last error: the frames in its traceback hold the loop, and the two would keep each other alive."""
        if self.run is not None:
            self.run.forget()

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
        if error is None:
            tries.executor._succeeded(tries.run)
        if not isinstance(error, Exception):
            return False
        tries.run = tries.executor._decide(tries.run, error)
        try:
            telling.tell(tries.executor, tries.run, error)
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

    __slots__ = ("_attempt", "_elapsed", "_tries", "number")

    def __init__(self, tries: _Tries) -> None:
        self._tries = tries
        self.number = tries.number
        self._attempt: Term | None = None
        self._elapsed: Term | None = None

    async def __aenter__(self) -> Self:
        tries = self._tries
        tries.enter(self.number)
        if tries.elapsed is not None:
            self._elapsed = _open(tries.elapsed, tries.until)
            tries.until = None if self._elapsed is None else self._elapsed.at
        attempt = tries.executor._attempt
        if attempt is not None:
            try:
                self._attempt = _open(attempt.limit)
            except BaseException:
                _closed(self._elapsed, None)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        tries = self._tries
        tries.state = "over"
        failure = _closed(self._attempt, error)
        failed = isinstance(failure, Exception)
        try:
            if isinstance(failure, Exception):
                tries.run = tries.executor._decide(tries.run, failure)
            elif failure is None:
                tries.executor._succeeded(tries.run)
            elif tries.run is not None:
                tries.run.ended(failure)
        finally:
            failure = _closed(self._elapsed, failure)
            if not failed:
                tries.forget()
        if failed and isinstance(failure, Exception) and await _again(tries, failure):
            return True
        if failure is None or failure is error:
            return False
        assert error is not None  # noqa: S101 - a deadline that strikes answers a cancellation
        raise failure from cause_of(error)

    def __enter__(self) -> Self:
        raise TypeError("write `async with attempt:` inside `async for`: callbacks may have to be awaited")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to leave: `__enter__` refuses."""


async def _again(tries: _Tries, failure: Exception) -> bool:
    """Tell of a failure; say whether another attempt follows."""
    run = tries.run
    assert run is not None  # noqa: S101 - the decision has just made it
    try:
        await telling.tell_async(tries.executor, run, failure)
        if run.delay is None:
            return False
        tries.state = "again"
    finally:
        if tries.state == "over" or tries.until is None:  # else max_elapsed may want it as a cause (rule R3)
            run.forget()
    return True


def _open(limit: Limit, at: float | None = None) -> Term | None:
    """Open a deadline for one block."""
    from recoup._core.scopes import enter_async  # noqa: PLC0415 - nobody pays for timers who sets no limit

    return enter_async(limit, at=at)


def _closed(deadline: Term | None, error: BaseException | None) -> BaseException | None:
    """Close a deadline; give the error that comes out, which is its own if it has struck."""
    if deadline is None:
        return error
    from recoup._core.scopes import leave_async  # noqa: PLC0415 - as above

    blamed = leave_async(deadline, error)
    return error if blamed is None else exceeded(blamed)


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
            try:
                await clock.pause_async(delay)
            except BaseException:
                tries.forget()
                raise
        tries.give()
        return AsyncAttempt(tries)


def _refuse(executor: RetryExecutor, *, asynchronous: bool) -> None:
    """Refuse options that a block cannot honour."""
    config = executor.config
    if config.retry_on_result is not None:
        raise TypeError(
            "retry_on_result cannot work round a block, which has no result: raise inside the block instead"
        )
    if config.before_retry is not None:
        raise TypeError("before_retry cannot change the arguments of a block, which has none: change them in the loop")
    if config.replay is not None:
        raise TypeError("replay is for generators, and a block is none: leave replay out")
    if asynchronous:
        return
    for option in ("attempt_timeout", "max_elapsed"):
        if getattr(config, option) is not None:
            raise TypeError(
                f"{option} cannot interrupt a block in plain code: decorate a function, write a deadline block round "
                "the loop, or use `async for`"
            )
    if executor._async_callbacks:
        raise TypeError(f"{executor._async_callbacks[0]} is an async function: use `async for`")
