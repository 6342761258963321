"""recoup in the yardstick: its public decorators with their defaults."""

from __future__ import annotations

from adapters.base import Adapter, Unsupported  # the yardstick's own package; BENCH_ADAPTERS points here

import recoup


class A(Adapter):
    name = dist = module = "recoup"
    breaker_kind = "count-window"

    def make_retry(self, fn, mode, attempts=3):
        return recoup.retry(max_attempts=attempts, initial_delay=0)(fn)


_ = Unsupported
