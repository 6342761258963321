"""Interrupts, signal handlers and destructors, as many as there can be; each a program of its own (G2, G7)."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from recoup import Bulkhead, BulkheadConfig, BulkheadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["alarms", "finalisers", "handlers", "interrupts", "interrupts_without_patience"]


class Alarm(BaseException):
    """What a signal handler raises, between any two steps."""


@contextlib.contextmanager
def alarms(handler: Callable[..., Any], every: float) -> Iterator[None]:
    """Have a handler called at real, irregular moments."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, every, every)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def made(**options: Any) -> Bulkhead:
    return Bulkhead(BulkheadConfig(**{"max_concurrent": 1, **options}))


def interrupts(queue_timeout: float = 0.5) -> None:
    """Thousands of exceptions out of nowhere: afterwards every place is free, and the bulkhead works (G2).

    In between, another thread takes and gives places, so that calls wait and are handed places as well. An interrupt
    right after a place came back may keep it from being handed on; who waits for it finds it when his time is up.
    """
    guard = made(queue_timeout=queue_timeout)
    protected = guard(sum)
    stop = threading.Event()
    armed = False
    interrupts = 0

    def ring(*_: Any) -> None:
        nonlocal armed
        if armed:
            armed = False  # one for each call: an interrupt in the midst of clean-up after another is hopeless
            raise Alarm

    def call() -> None:
        nonlocal armed
        armed = True
        with contextlib.suppress(BulkheadTimeoutError):
            protected((1, 2))
        armed = False

    def others() -> None:
        while not stop.is_set():
            with contextlib.suppress(BulkheadTimeoutError):
                protected((1, 2))

    other = threading.Thread(target=others)
    other.start()
    try:
        with alarms(ring, 0.0002):
            while interrupts < 3000:
                try:
                    call()
                except Alarm:
                    interrupts += 1
    finally:
        stop.set()
        other.join(10)
    gc.collect()
    assert (guard.running, guard.waiting) == (0, 0)
    assert protected((1, 2)) == 3
    assert guard.metrics["peak"] == 1


def interrupts_without_patience() -> None:
    """The same with calls that are refused at once."""
    interrupts(queue_timeout=0)


def handlers() -> None:
    """A handler that interrupts any step of a call, and makes calls itself, gets an answer and blocks nothing (G7)."""
    guard = made(max_concurrent=2, queue_timeout=0)
    outcomes: list[str] = []

    def handle(*_: Any) -> None:
        try:
            outcomes.append(guard.execute_sync(str, "ran"))
        except BulkheadTimeoutError as error:
            outcomes.append(type(error).__name__)

    handle()  # what is imported lazily must not be imported in a handler that interrupts the same import
    with alarms(handle, 0.0002):
        while len(outcomes) < 500:
            with contextlib.suppress(BulkheadTimeoutError), guard, guard:
                pass
    assert set(outcomes) <= {"ran", "BulkheadFullError", "BulkheadTimeoutError"}
    assert "ran" in outcomes
    assert (guard.running, guard.waiting) == (0, 0)


def finalisers() -> None:
    """A destructor that makes a call of its own, while the bulkhead is at work, gets a place or a refusal (G7)."""
    guard = made(queue_timeout=0)
    outcomes: list[str] = []

    class Calls:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                outcomes.append(guard.execute_sync(str, "ran"))
            except BulkheadTimeoutError as error:
                outcomes.append(type(error).__name__)

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Calls()
            with contextlib.suppress(BulkheadTimeoutError), guard, guard:
                pass
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(outcomes) == 300
    assert (guard.running, guard.waiting) == (0, 0)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("over")  # noqa: T201 - the sign that it came to its end
