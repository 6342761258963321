"""Faults that a review found in the workflow, pinned (W1-W5, G1, G2, G7, G11, G18)."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    CircuitBreakerConfig,
    CompensationConfig,
    DeadlineExceeded,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RetryConfig,
    subscribe,
)
from recoup.events import ExecutionFinished
from recoup.testing import disabled
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recoup.testing import VirtualClock

PROGRAM = """
import faulthandler, os, signal, sys, threading, time
from recoup import ErrorRecoveryConfig, ErrorRecoveryWorkflow
faulthandler.dump_traceback_later(20, exit=True)
flow = ErrorRecoveryWorkflow(ErrorRecoveryConfig(log_errors=False))
counted = flow(lambda: 1)
"""

FORKING = """
stop = False
def work():
    while not stop:
        counted(); flow.get_metrics()
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
[thread.start() for thread in threads]
sys.setswitchinterval(1e-6)
for _ in range(60):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        before = flow.get_metrics()["attempts"]
        counted()
        os._exit(0 if flow.get_metrics()["attempts"] == before + 1 else 3)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop = True
[thread.join() for thread in threads]
print("done")
"""

SIGNALLED = """
heard = 0
def handler(*_):
    global heard
    heard += 1
    flow.get_metrics()
    counted()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
done, end = 0, time.monotonic() + 1
while time.monotonic() < end:
    counted(); flow.get_metrics()
    done += 1
signal.setitimer(signal.ITIMER_REAL, 0)
metrics = flow.get_metrics()
assert heard > 10, heard
assert metrics["attempts"] == metrics["successes"] == metrics["calls"] == done + heard, (metrics, done, heard)
print("done")
"""


def run_program(text: str) -> str:
    """Run a program in a Python of its own and give what it prints."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + text]
    # a tracer's own locks do not survive a fork among threads that are traced
    untraced = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=untraced)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_can_execute_and_count() -> None:
    """Whatever the threads of the parent were at, the child waits for none of their locks (G18)."""
    assert run_program(FORKING) == "done"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_a_signal_handler_can_look_and_execute() -> None:
    """It never waits for the code that it interrupted, and no count is lost (G7)."""
    assert run_program(SIGNALLED) == "done"


def workflow(**options: Any) -> ErrorRecoveryWorkflow:
    """Make a workflow that retries at once and keeps quiet."""
    options.setdefault("retry_config", RetryConfig(max_attempts=2, initial_delay=0))
    return ErrorRecoveryWorkflow(ErrorRecoveryConfig(log_errors=False, **options), name="flow")


def failing() -> None:
    """Raise what is retried."""
    raise ConnectionError("down")


def counts(flow: ErrorRecoveryWorkflow) -> dict[str, int]:
    """Give the counters that are not 0."""
    keys = ("attempts", "successes", "fallbacks", "failures", "compensations", "calls", "retries", "rejections")
    metrics = flow.get_metrics()
    return {key: metrics[key] for key in keys if metrics[key]}


@pytest.mark.parametrize(("total", "calls"), [({}, 20), ({"max_total_attempts": 4}, 4)])
def test_a_default_of_max_total_attempts_yields(
    both: Both, clock: VirtualClock, total: dict[str, Any], calls: int
) -> None:
    """What was given beats what was not (G1); the note names the limit that ended it (G3)."""
    flow = workflow(retry_config=RetryConfig(max_attempts=20, initial_delay=0), **total)
    with pytest.raises(ConnectionError, match="down") as caught:
        both.execute(flow, both.wrap(failing))
    assert flow.get_metrics()["calls"] == calls
    name = "max_total_attempts" if total else "max_attempts"
    assert f"{name} is {calls}" in caught.value.__notes__[0]


@pytest.mark.parametrize("limit", ["attempt_timeout", "max_elapsed"])
def test_a_limit_longer_than_a_given_global_timeout_is_refused(limit: str) -> None:
    """It could never strike (G1)."""
    retrying = RetryConfig(**{limit: 10})  # type: ignore[arg-type]  # a name of a time limit
    with pytest.raises(ValueError, match=rf"{limit} of retry_config \(10 s\).*global_timeout \(5 s\)"):
        ErrorRecoveryConfig(retry_config=retrying, global_timeout=5)


@pytest.mark.parametrize("limit", ["attempt_timeout", "max_elapsed"])
def test_a_default_global_timeout_yields(limit: str) -> None:
    """A longer limit that was given widens it (G1)."""
    retrying = RetryConfig(**{limit: 400})  # type: ignore[arg-type]  # a name of a time limit
    assert ErrorRecoveryConfig(retry_config=retrying).global_timeout == 400
    assert ErrorRecoveryConfig(retry_config=retrying, global_timeout=None).global_timeout is None


def test_transient_errors_without_retry_are_refused() -> None:
    """Nothing would retry them (G1, W3)."""
    with pytest.raises(ValueError, match="transient_errors says what to retry, but nothing retries"):
        ErrorRecoveryConfig(primary_strategy="circuit_breaker", transient_errors=[ConnectionError])


def test_the_breaker_counts_what_the_attempt_timeout_cuts(clock: VirtualClock) -> None:
    """An attempt that hangs is a failure of the dependency (W2, G2)."""
    flow = workflow(
        retry_config=RetryConfig(max_attempts=2, initial_delay=0, attempt_timeout=1),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=2),
    )

    async def hang() -> None:
        await asyncio.sleep(100)

    async def main() -> None:
        record = await flow.execute(hang, result=True)
        assert [type(error) for error in record.errors] == [DeadlineExceeded, DeadlineExceeded]
        assert record.calls == 2

    Both("asyncio").run(main)
    assert flow.get_metrics()["circuit_breaker"] == {"state": "open"}
    assert [layer.kind for layer in flow.layers] == ["deadline", "retry", "circuit_breaker", "deadline"]


def test_a_consumers_error_is_no_failure_of_the_stream() -> None:
    """What a `with` block raises into the generator is the caller's own (W4, G2)."""
    flow = workflow(
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1),
        fallback_config=FallbackConfig(fallback_value=["answer"]),
    )
    errors: list[Exception] = []
    flow.on_error = errors.append

    @contextmanager
    @flow
    def connection() -> Iterator[str]:
        yield "connection"

    with pytest.raises(KeyError, match="mine"), connection():
        raise KeyError("mine")
    assert errors == []
    assert counts(flow) == {"calls": 1}
    assert flow.get_metrics()["circuit_breaker"] == {"state": "closed"}


def test_nothing_is_counted_as_undone_while_recovery_is_off(both: Both) -> None:
    """The counter tells what ran (G16, W4)."""
    undone: list[int] = []
    flow = workflow(compensation_config=CompensationConfig(compensation_actions=[lambda: undone.append(1)]))
    with disabled():
        record = both.execute(flow, both.wrap(failing), result=True)
    assert (undone, record.compensated) == ([], False)
    assert counts(flow) == {"attempts": 1, "failures": 1, "calls": 1}


def cancel(flow: ErrorRecoveryWorkflow) -> None:
    """Execute something endless and cancel it after a second."""

    async def main() -> None:
        task = asyncio.create_task(flow.execute(asyncio.Event().wait))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    Both("asyncio").run(main)


def test_a_cancelled_execution_counts_what_it_did(clock: VirtualClock) -> None:
    """It has no outcome, but its calls and its undoing took place (W4, S1)."""
    undone: list[int] = []
    flow = workflow(compensation_config=CompensationConfig(compensation_actions=[lambda: undone.append(1)]))
    cancel(flow)
    assert undone == [1]
    assert counts(flow) == {"calls": 1, "compensations": 1}


def test_a_record_of_a_failure_makes_no_cycle() -> None:
    """Whoever drops it frees what the function held, without a collector (G11, W5)."""

    class Witness:
        """Something held."""

    def run() -> weakref.ref[Witness]:
        held = Witness()

        def work() -> None:
            raise ConnectionError(id(held))

        record = workflow().execute_sync(work, result=True)
        assert record.attempts == 2
        del record
        return weakref.ref(held)

    gc.collect()
    gc.disable()
    try:
        assert run()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("outcome", ["function", "fallback", "failed", "cancelled"])
def test_each_execution_tells_its_outcome(outcome: str, clock: VirtualClock) -> None:
    """One event says what it came to, and after how much (W4)."""
    answers: dict[str, Callable[[], object]] = {"function": lambda: 1}
    options = {"fallback_config": FallbackConfig(fallback_value=0)} if outcome == "fallback" else {}
    flow = workflow(**options)
    heard: list[Any] = []
    with subscribe(heard.append):
        if outcome == "cancelled":
            cancel(flow)
        else:
            flow.execute_sync(answers.get(outcome, failing), result=True)
    tries = 2 if outcome in ("fallback", "failed") else 1
    seconds = 1.0 if outcome == "cancelled" else 0.0
    finished = [event for event in heard if isinstance(event, ExecutionFinished)]
    assert finished == [ExecutionFinished("flow", outcome, tries, tries, seconds)]
