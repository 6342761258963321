"""What a type checker knows of limits that adapt, of histograms, and of changing a bulkhead (B5-B7, G6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from recoup import AIMDLimit, Bulkhead, BulkheadConfig, Gradient2Limit, Histogram, VegasLimit, bulkhead, queue_as

guard = Bulkhead(BulkheadConfig(adaptive=VegasLimit(max_limit=50), histograms=True))
assert_type(guard.limit, int)
assert_type(guard.histograms, Mapping[str, Histogram])
assert_type(guard.histograms["ran"].quantile(0.99), float | None)
assert_type(guard.histograms["ran"].count, int)
assert_type(bulkhead(adaptive=Gradient2Limit()), Bulkhead)
assert_type(AIMDLimit(timeout=2).start(10).learn(0.1, 5, dropped=False), int)
guard.reconfigure(BulkheadConfig())
with queue_as(priority=3, key="tenant"):
    BulkheadConfig(queue_order="fair")
BulkheadConfig(queue_order="lifo")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
with queue_as(key=1.5):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pass
guard.reconfigure(max_concurrent=3)
BulkheadConfig(adaptive=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
guard.limit = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
