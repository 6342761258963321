"""What type checkers know of the options of retry: mypy and pyright check this file, nobody runs it."""

from __future__ import annotations

from typing import assert_type

from recoup import BackoffStrategy, RetryAfter, RetryConfig, RetryExecutor, retry

assert_type(retry(retry_after=RetryAfter.CLAMP), RetryExecutor)
assert_type(retry(retry_after="ignore", backoff_strategy=BackoffStrategy.SMOOTH_JITTER), RetryExecutor)
assert_type(RetryConfig().retry_after, RetryAfter | str)
