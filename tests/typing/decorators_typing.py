"""What a type checker knows of a decorated function: just what it knew before (G6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, assert_type

from recoup import (
    Bulkhead,
    BulkheadConfig,
    Cache,
    CacheConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    Compensation,
    CompensationConfig,
    DeadlineConfig,
    RetryConfig,
    RetryExecutor,
    Strategy,
    TimeLimiter,
    bulkhead,
    cached,
    circuit_breaker,
    compensate,
    deadline,
    retry,
    when,
)
from recoup._core.conditions import Condition
from recoup.typing import AsyncPredicate, Callback, ConditionSpec, Decorated, Predicate, Seconds


def undo(state: object) -> None:
    del state


# Objects that decorate

assert_type(retry(max_attempts=5, on=ConnectionError), RetryExecutor)
assert_type(retry(RetryConfig(max_attempts=5), name="prices"), RetryExecutor)
assert_type(retry(RetryExecutor()), RetryExecutor)
assert_type(circuit_breaker(failure_threshold=3, on=OSError), CircuitBreaker)
assert_type(circuit_breaker(CircuitBreakerConfig(), name="prices"), CircuitBreaker)
assert_type(circuit_breaker(CircuitBreaker()), CircuitBreaker)
assert_type(bulkhead(max_concurrent=5), Bulkhead)
assert_type(bulkhead(BulkheadConfig()), Bulkhead)
assert_type(bulkhead(Bulkhead()), Bulkhead)
assert_type(deadline(2), TimeLimiter)
assert_type(deadline(seconds=2, mode="thread"), TimeLimiter)
assert_type(deadline(DeadlineConfig(2)), TimeLimiter)
assert_type(cached(60), Cache)
assert_type(cached(ttl=60, stale_if_error=3600), Cache)
assert_type(cached(CacheConfig()), Cache)
assert_type(compensate(undo), Compensation)
assert_type(compensate([undo], raise_original=True), Compensation)
assert_type(compensate(CompensationConfig(compensation_actions=[undo])), Compensation)


# Functions


@retry
def bare(key: str, *, times: int = 1) -> str:
    return key * times


@retry(max_attempts=5)
@circuit_breaker
@bulkhead(max_concurrent=5)
@deadline(2, mode="cooperative")
@compensate(undo)
@cached
def stacked(key: str) -> str:
    return key


@circuit_breaker
@retry
async def later(key: str) -> str:
    return key


@deadline(2)
@bulkhead
@cached(60)
@compensate(undo)
async def stacked_later(key: str) -> str:
    return key


@retry
def stream(key: str) -> Generator[str, int, bool]:
    yield key
    return True


@circuit_breaker
async def stream_later(key: str) -> AsyncGenerator[str, None]:
    yield key


async def awaited() -> None:
    coroutine: Coroutine[Any, Any, str] = later("a")
    assert_type(await coroutine, str)
    assert_type(await later("a"), str)
    assert_type(await stacked_later("a"), str)


assert_type(bare("a", times=2), str)
assert_type(stacked("a"), str)
assert_type(stream("a"), Generator[str, int, bool])
assert_type(stream_later("a"), AsyncGenerator[str, None])


# Methods


class Client:
    @retry
    def get(self, key: str) -> str:
        return key

    @circuit_breaker(failure_threshold=3)
    async def get_later(self, key: str) -> str:
        return key

    @classmethod
    @retry(max_attempts=2)
    def below(cls, key: str) -> str:
        return key

    @staticmethod
    @bulkhead
    def still(key: str) -> str:
        return key

    @retry
    @classmethod
    def above(cls, key: str) -> str:
        return key


async def awaited_method() -> None:
    assert_type(await Client().get_later("a"), str)


assert_type(Client().get("a"), str)
assert_type(Client.below("a"), str)
assert_type(Client.still("a"), str)
assert_type(Client.above("a"), str)


# Everything that decorates has one base, and a function keeps its type behind any of them


def protect(target: Decorated, layers: list[Strategy]) -> Decorated:
    for layer in layers:
        target = layer(target)
    return target


def count(key: str) -> int:
    return len(key)


counted: Callable[[str], int] = protect(count, [RetryExecutor(), CircuitBreaker(), TimeLimiter(DeadlineConfig(1))])


# What options take

seconds: list[Seconds] = [1, 0.5]
conditions: list[ConditionSpec] = [OSError, [OSError, ValueError], (OSError,), lambda error: bool(error.args)]
predicate: Predicate = bool


async def asked(error: Exception) -> bool:
    return bool(error.args)


asynchronous: list[AsyncPredicate] = [bool, asked]
assert_type(retry(on=asked, abort_on=when(OSError) & when(asked), retry_on_result=asked), RetryExecutor)
assert_type(when(OSError, asked, lambda error: bool(error.args)), Condition)
callback: Callback = undo


# Mistakes that a checker reports; mypy and pyright agree that the ignores are needed

bare(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry(max_attempt=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
bulkhead(max_concurrent="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
deadline()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
retry(3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
