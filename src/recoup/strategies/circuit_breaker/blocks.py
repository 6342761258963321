"""A circuit breaker round a block: `with breaker:`, `async with breaker:`.

Each entry has its own permit, so that one breaker serves any number of threads and tasks at once. `breaker.guard()`
keeps it in an object; `with breaker:` keeps that object in the context (a context variable), innermost entry last.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self, TypeVar

    from recoup.strategies.circuit_breaker.calls import Calls
    from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
    from recoup.strategies.circuit_breaker.permits import Permit
    from recoup.strategies.circuit_breaker.strategy import CircuitBreaker

    B = TypeVar("B", bound="CircuitBreaker")

__all__ = ["Guard", "enter", "enter_async", "leave", "leave_async"]

_entered: ContextVar[tuple[Guard, ...]] = ContextVar("recoup_circuit_breaker_blocks", default=())


class Guard:
    """One entry into a circuit breaker as a block; made by `guard()`.

    It may be entered again after it was left, but not twice at once.
    """

    __slots__ = ("_calls", "_find", "_permit", "breaker")

    def __init__(self, breaker: CircuitBreaker | KeyedCircuitBreaker, find: Callable[[], Calls]) -> None:
        self.breaker = breaker
        self._find = find
        self._calls = find()
        self._permit: Permit | None = None

    def __enter__(self) -> Self:
        _refuse(self.breaker, asynchronous=False)
        if not self._asked():
            self._calls.tell()
            self._permit = self._calls.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settled(error):
            self._calls.tell()

    async def __aenter__(self) -> Self:
        _refuse(self.breaker, asynchronous=True)
        if not self._asked():
            await self._calls.tell_async()
            self._permit = self._calls.admit()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settled(error):
            await self._calls.tell_async()

    def _asked(self) -> bool:
        """Take a permit; False if there is news to tell first."""
        if self._permit is not None:
            raise RuntimeError("this guard is entered already: call breaker.guard() for each block")
        self._calls = self._find()
        self._permit = self._calls.ask()
        return self._permit is not None

    def _settled(self, error: BaseException | None) -> bool:
        """Say how the block went; True if there is something to tell."""
        permit, self._permit = self._permit, None
        if permit is None:
            raise RuntimeError("this guard was left without being entered")
        if error is None:
            tick = permit.tick
            return tick is not None and next(tick, None) is None and self._calls.returned(permit, None)
        return self._calls.failed(permit, error, ())


def enter(self: B) -> B:
    """Enter a block that is protected like a function.

    Raises:
        CircuitBreakerError: If the circuit refuses.
        TypeError: If an option is set that a block cannot honour.
    """
    _entered.set((*_entered.get(), self.guard().__enter__()))
    return self


def leave(
    self: CircuitBreaker, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> None:
    """Leave the block; what it raises comes out."""
    guard = _left(self, error)
    if guard is not None:
        guard.__exit__(kind, error, trace)


async def enter_async(self: B) -> B:
    """Enter a block that is protected like an async function; raises as `__enter__` does."""
    _entered.set((*_entered.get(), await self.guard().__aenter__()))
    return self


async def leave_async(
    self: CircuitBreaker, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> None:
    """Leave the block; what it raises comes out."""
    guard = _left(self, error)
    if guard is not None:
        await guard.__aexit__(kind, error, trace)


def _left(breaker: CircuitBreaker, error: BaseException | None) -> Guard | None:
    """Find the guard that `with breaker:` entered last in this context, and forget it.

    Raises:
        RuntimeError: If there is none, and no error of the user's is on its way.
    """
    entered = _entered.get()
    for index in range(len(entered) - 1, -1, -1):
        guard = entered[index]
        if guard.breaker is breaker:
            _entered.set(entered[:index] + entered[index + 1 :])
            return guard
    if error is not None:
        return None
    raise RuntimeError(
        f"the block of circuit breaker {breaker.name!r} was left in another context than it was entered in "
        "(a generator or a fixture?): keep the entry in an object, `with breaker.guard():`"
    )


def _refuse(breaker: CircuitBreaker | KeyedCircuitBreaker, *, asynchronous: bool) -> None:
    """Refuse options that a block cannot honour."""
    if breaker.config.failure_on_result is not None:
        raise TypeError(
            "failure_on_result cannot work round a block, which has no result: raise inside the block instead"
        )
    callbacks = breaker._async_callbacks
    if callbacks and not asynchronous:
        raise TypeError(f"{callbacks[0]} is an async function: use `async with`")
