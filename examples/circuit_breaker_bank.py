"""A bank that goes down and comes back: count what reaches it, and see the circuit find out by itself."""

from __future__ import annotations

import time

from recoup import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError

LOG: list[str] = []

breaker = CircuitBreaker(
    CircuitBreakerConfig(
        failure_threshold=3,
        success_threshold=2,
        timeout=0.2,
        failure_on=ConnectionError,
        on_open=lambda: LOG.append("open"),
        on_half_open=lambda: LOG.append("half-open"),
        on_close=lambda: LOG.append("closed"),
    ),
    name="bank",
)


class Bank:
    """A service with an outage."""

    def __init__(self) -> None:
        self.up = True
        self.requests = 0

    @breaker
    def balance(self, account: str) -> int:
        """Look an account up, through the circuit breaker."""
        self.requests += 1
        if not self.up:
            raise ConnectionError("the bank does not answer")
        return len(account)


def ask(bank: Bank) -> str:
    try:
        return f"balance {bank.balance('alice')}"
    except ConnectionError as error:
        return f"failed: {error}"
    except CircuitBreakerError as refused:
        return f"refused, try again in {refused.wait_time:.1f} s"


def main() -> None:
    bank = Bank()
    assert ask(bank) == "balance 5"

    bank.up = False
    answers = [ask(bank) for _ in range(100)]
    print(*answers[:5], "...", sep="\n")
    assert bank.requests == 1 + 3, "three failures, then the circuit kept the other 97 away"
    assert repr(breaker) == "<CircuitBreaker 'bank' open>"

    bank.up = True
    assert ask(bank).startswith("refused"), "nobody knows yet"
    time.sleep(0.25)
    assert [ask(bank) for _ in range(5)] == ["balance 5"] * 5
    print(LOG, breaker.metrics)
    assert LOG == ["open", "half-open", "closed"]
    assert breaker.metrics == {"opened": 1, "refused": 98, "late": 0}


if __name__ == "__main__":
    main()
