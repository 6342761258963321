"""A blocking client that may hang: its callers get control back on time, and no more than two threads ever hang."""

from __future__ import annotations

import threading
import time
from collections import Counter

from recoup import DeadlineExceeded, Refusal, deadline, fallback

REPAIRED = threading.Event()


def legacy_client(query: str) -> str:
    """Stand for a library that blocks and knows no timeout."""
    if query == "broken":
        REPAIRED.wait(timeout=30)
    return f"answer to {query}"


@fallback(fallback_value="try again later", on=(DeadlineExceeded, Refusal))
@deadline(0.05, mode="thread", thread_workers=2)
def ask(query: str) -> str:
    return legacy_client(query)


def main() -> None:
    assert ask("good") == "answer to good"

    began = time.monotonic()
    answers = Counter(ask("broken") for _ in range(20))
    took = time.monotonic() - began
    print(f"20 calls of a client that hangs took {took:.2f} s; threads alive: {threading.active_count()}")
    assert answers == {"try again later": 20}
    assert took < 10, "only the first two waited, for 0.05 s each; the others were refused at once"
    assert threading.active_count() <= 3

    REPAIRED.set()
    until = time.monotonic() + 10
    while (answer := ask("good")) == "try again later":  # the threads that hung come back when their work ends
        assert time.monotonic() < until
        time.sleep(0.01)
    assert answer == "answer to good"


if __name__ == "__main__":
    main()
