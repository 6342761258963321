"""What type checkers know of the options of retry: mypy and pyright check this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_type

from recoup import BackoffStrategy, RetryAfter, RetryBudget, RetryConfig, RetryExecutor, retry

assert_type(retry(retry_after=RetryAfter.CLAMP), RetryExecutor)
assert_type(retry(retry_after="ignore", backoff_strategy=BackoffStrategy.SMOOTH_JITTER), RetryExecutor)
assert_type(RetryConfig().retry_after, RetryAfter | str)

assert_type(RetryBudget.grpc(max_tokens=10), RetryBudget)
assert_type(RetryBudget(ratio=0.1).tokens, float)
assert_type(RetryBudget.botocore().metrics, Mapping[str, int])
assert_type(retry(budget=RetryBudget()), RetryExecutor)
assert_type(retry(nested="once", idempotent=False), RetryExecutor)
assert_type(retry().metrics, Mapping[str, int])
assert_type(retry(before_retry=lambda n, error, args, kwargs: (args, kwargs)), RetryExecutor)
assert_type(retry(replay="resume"), RetryExecutor)
assert_type(retry(max_attempts=None, max_elapsed=60), RetryExecutor)


def by_number(n: int) -> float:
    return 0.5 * n


def by_error(n: int, error: Exception) -> float:
    return n if isinstance(error, OSError) else 0.0


def one_by_one() -> Iterator[float]:
    yield 0.5


for delays in (by_number, by_error, one_by_one, [0.5, 1]):
    assert_type(retry(backoff_strategy=delays), RetryExecutor)
