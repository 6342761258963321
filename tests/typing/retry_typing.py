"""What type checkers know of the options of retry: mypy and pyright check this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
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
