"""What the workflow promises in its corners: watching outside an execution, forks, re-entrance, async streams."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from recoup import ErrorRecoveryConfig, ErrorRecoveryWorkflow, compensate, create_circuit_breaker_workflow
from recoup._core import waiting
from recoup.workflow import metrics, watch
from recoup.workflow.record import ExecutionRecord, current


def test_what_watches_outside_an_execution_sees_nothing() -> None:
    """A layer that is called when no record is open changes nothing and fails nothing (G16)."""
    assert current.get() is None
    outcome = watch.Outcome(lambda _: None, lambda _: None)
    outcome._succeeded()
    watch.Undoing(compensate(print))._failed(OSError())
    tries = watch.Tries()
    tries._begun()
    tries._failed(OSError())
    watch.Calls()._begun()
    assert current.get() is None


def counted(*, times: int) -> metrics.Metrics:
    """Make counters that have seen some successes."""
    made = metrics.Metrics(enabled=True, alert_threshold=1)
    for _ in range(times):
        record = ExecutionRecord(0.0, keeps=False)
        record.answered_by = "function"
        made.ended(record)
    return made


def test_a_forked_child_has_a_lock_that_nobody_holds() -> None:
    """Whatever the parent's threads were doing (G18)."""
    made = counted(times=3)
    held = made._lock
    made._folding = True
    waiting._after_fork()
    assert made._lock is not held
    assert made.snapshot()["attempts"] == 3


def test_a_look_while_folding_sees_what_is_folded_in() -> None:
    """A signal handler that looks in the middle neither waits nor counts twice (G7)."""
    made = counted(times=2)
    made._folding = True
    assert made.snapshot()["attempts"] == 0
    made._folding = False
    assert made.snapshot()["attempts"] == 2


def test_records_do_not_pile_up() -> None:
    """Nobody needs to look for the memory to stay bounded."""
    made = counted(times=5_000)
    assert len(made._ended) <= metrics._MOST_WAITING
    assert made.snapshot()["successes"] == 5_000


def test_a_value_that_is_not_given_says_so() -> None:
    """In the signature that help() shows."""
    assert "<not given>" in str(inspect.signature(create_circuit_breaker_workflow))


@pytest.mark.parametrize("caught", [True, False])
def test_what_a_consumer_throws_into_an_async_stream_is_its_own(caught: bool) -> None:
    """Caught inside or not, it is no failure of the function (R8, W4)."""
    errors: list[Any] = []
    flow = ErrorRecoveryWorkflow(ErrorRecoveryConfig(log_errors=False))
    flow.on_error = errors.append

    @flow
    async def stream() -> Any:
        try:
            yield 1
        except KeyError:
            if not caught:
                raise
            yield 2

    async def main() -> None:
        items = stream()
        assert await anext(items) == 1
        if caught:
            assert await items.athrow(KeyError("mine")) == 2
            with pytest.raises(StopAsyncIteration):
                await anext(items)
        else:
            with pytest.raises(KeyError):
                await items.athrow(KeyError("mine"))

    asyncio.run(main())
    assert errors == []
    metrics_now = flow.get_metrics()
    assert (metrics_now["successes"], metrics_now["failures"]) == (int(caught), 0)
