"""A worker that is restarted while the bank is down, and does not ask it again before its time.

At shutdown the worker writes the state of its breakers to a file, at start it reads it. The clock is a virtual one, so
that this takes no time.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path

from recoup import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError
from recoup.testing import VirtualClock

CONFIG = CircuitBreakerConfig(failure_threshold=3, timeout=60, failure_on=ConnectionError)


class Worker:
    """One process: it asks the bank, and keeps what it learned about it in a file."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.asked = 0
        self.breaker = CircuitBreaker(CONFIG, name="bank")
        with suppress(FileNotFoundError, ValueError):  # the first start; a file that somebody spoilt
            self.breaker.restore(json.loads(state.read_text()))

    def balance(self) -> None:
        """Ask the bank, which is down."""

        def ask() -> None:
            self.asked += 1
            raise ConnectionError("the bank does not answer")

        self.breaker.call_sync(ask)

    def stop(self) -> None:
        """End the process."""
        self.state.write_text(json.dumps(self.breaker.snapshot()))


def main() -> None:
    """Run two workers, one after the other."""
    with tempfile.TemporaryDirectory() as folder, VirtualClock() as clock:
        state = Path(folder) / "bank.json"
        first = Worker(state)
        for _ in range(3):
            with suppress(ConnectionError):
                first.balance()
        first.stop()

        clock.advance(20)  # the deployment takes its time
        second = Worker(state)
        left = 0.0
        try:
            second.balance()
        except CircuitBreakerError as refused:
            print(refused)
            left = refused.wait_time
        assert (second.asked, round(left)) == (0, 40)

        clock.advance(40)
        with suppress(ConnectionError):
            second.balance()  # a probe
        assert second.asked == 1

        state.write_text("{}")
        assert Worker(state).breaker.state.value == "closed"


if __name__ == "__main__":
    main()
