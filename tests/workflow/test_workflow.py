"""What the workflow promises (W1-W5)."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from typing import Any

import pytest

from recoup import (
    BulkheadConfig,
    BulkheadFullError,
    CircuitBreakerConfig,
    CircuitBreakerError,
    CompensationConfig,
    DeadlineExceeded,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    ExecutionRecord,
    FallbackConfig,
    RateLimitConfig,
    RateLimitExceeded,
    RetryConfig,
    explain,
    layers_of,
)
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_retry import Script

COUNTERS = ("attempts", "successes", "fallbacks", "failures", "compensations", "calls", "retries", "rejections")


def workflow(**options: Any) -> ErrorRecoveryWorkflow:
    """Make a workflow whose retries wait a fixed second."""
    options.setdefault("retry_config", RetryConfig(max_attempts=3, backoff_strategy="fixed"))
    options.setdefault("log_errors", False)
    return ErrorRecoveryWorkflow(ErrorRecoveryConfig(**options), name="flow")


def work(both: Both, script: Script) -> Any:
    """Make a function of the colour under test out of a script."""

    def operation(*args: Any, **kwargs: Any) -> Any:
        return script(*args, **kwargs)

    return both.wrap(operation)


def counts(flow: ErrorRecoveryWorkflow) -> dict[str, int]:
    """Give the counters that are not 0, and check that they add up."""
    metrics = flow.get_metrics()
    assert metrics["attempts"] == metrics["successes"] + metrics["fallbacks"] + metrics["failures"]
    return {key: metrics[key] for key in COUNTERS if metrics[key]}


def test_decorator_and_executor_share_one_state(both: Both, clock: VirtualClock) -> None:
    """One circuit, one count (W1)."""
    flow = workflow(circuit_breaker_config=CircuitBreakerConfig(failure_threshold=5))
    failing = work(both, Script(OSError("down")))
    protected = flow(failing)
    with pytest.raises(OSError, match="down"):
        both.execute(flow, failing)
    with pytest.raises(CircuitBreakerError):
        both.call(protected)
    with pytest.raises(CircuitBreakerError):
        both.execute(flow, failing)
    assert counts(flow) == {"attempts": 3, "failures": 3, "calls": 5, "retries": 4, "rejections": 2}
    assert layers_of(protected) == (flow,)
    assert flow.get_metrics()["circuit_breaker"] == {"state": "open"}


def test_arguments_are_passed_and_checked(both: Both) -> None:
    """A bare string or dict for args is a forgotten comma, not five arguments."""
    flow = workflow()
    script = Script("ok")
    function = work(both, script)
    assert both.execute(flow, function, (1,), {"b": 2}) == "ok"
    assert both.execute(flow, function, [1], None) == "ok"
    assert both.call(flow.execute if both.is_async else flow.execute_sync, func=function, args=(3,), kwargs={}) == "ok"
    assert script.calls == [((1,), {"b": 2}), ((1,), {}), ((3,), {})]
    for args in ("name", {"a": 1}, b"x", 5):
        with pytest.raises(TypeError, match=r"args must be a list or tuple of positional arguments, such as \(1,\)"):
            both.execute(flow, function, args)
    with pytest.raises(TypeError, match="kwargs must be a mapping of keyword arguments, not a list"):
        both.execute(flow, function, (), [("b", 2)])


def test_success_after_retries_is_a_success(both: Both, clock: VirtualClock) -> None:
    """attempts counts executions, calls invocations (W4)."""
    flow = workflow()
    assert both.execute(flow, work(both, Script(OSError(), OSError(), "ok"))) == "ok"
    assert counts(flow) == {"attempts": 1, "successes": 1, "calls": 3, "retries": 2}
    metrics = flow.get_metrics()
    assert metrics["last_execution_time"] == metrics["total_execution_time"] == 2.0
    assert metrics["bulkhead"] is metrics["circuit_breaker"] is None


def test_a_fallback_counts_as_fallback(both: Both, clock: VirtualClock) -> None:
    """Not as a success, and error_rate says so (W4)."""
    flow = workflow(fallback_config=FallbackConfig(fallback_value="plan b"))
    assert both.execute(flow, work(both, Script(OSError()))) == "plan b"
    assert both.execute(flow, work(both, Script("ok"))) == "ok"
    assert counts(flow) == {"attempts": 2, "successes": 1, "fallbacks": 1, "calls": 4, "retries": 2}
    assert flow.get_health_status() == {
        "status": "failing",
        "error_rate": 0.5,
        "success_rate": 0.5,
        "attempts": 2,
        "circuit_breaker": None,
    }


def test_permanent_wins_and_transient_narrows(both: Both, clock: VirtualClock) -> None:
    """An error in neither follows the retry config until transient_errors is given (W3)."""
    for options, error, calls in (
        ({"permanent_errors": [ConnectionError], "transient_errors": [OSError]}, ConnectionError(), 1),
        ({"permanent_errors": [ConnectionError], "transient_errors": [OSError]}, OSError(), 3),
        ({"transient_errors": [OSError]}, KeyError(), 1),
        ({"permanent_errors": [OSError]}, KeyError(), 3),
        ({"permanent_errors": [OSError], "retry_config": RetryConfig(abort_on=KeyError)}, KeyError(), 1),
        ({"permanent_errors": [OSError], "retry_config": RetryConfig(abort_on=KeyError)}, OSError(), 1),
    ):
        script = Script(error)
        with pytest.raises(type(error)):
            both.execute(workflow(**options), work(both, script))
        assert len(script.calls) == calls


def test_a_retry_without_a_limit_lifts_the_bound_on_calls(both: Both, clock: VirtualClock) -> None:
    """Its default yields, one that was given holds (W3, G1)."""
    endless = RetryConfig(max_attempts=None, initial_delay=0)
    script = Script(*[OSError("down")] * 40, "ok")
    flow = workflow(retry_config=endless)
    assert explain(flow).worst_calls == math.inf
    assert both.execute(flow, work(both, script)) == "ok"
    with pytest.raises(OSError, match="down") as caught:
        both.execute(workflow(retry_config=endless, max_total_attempts=4), work(both, Script(OSError("down"))))
    assert "4 attempts" in caught.value.__notes__[0]
    assert "max_total_attempts is 4" in caught.value.__notes__[0]


def test_max_total_attempts_bounds_all_calls(both: Both, clock: VirtualClock) -> None:
    """Of one execution (W3)."""
    script = Script(OSError())
    flow = workflow(retry_config=RetryConfig(max_attempts=50, initial_delay=0), max_total_attempts=4)
    with pytest.raises(OSError):  # noqa: PT011 - made above, without words
        both.execute(flow, work(both, script))
    assert len(script.calls) == 4


def test_the_global_timeout_bounds_the_waits(both: Both, clock: VirtualClock) -> None:
    """A wait that would cross it is not slept (D1)."""
    flow = workflow(
        retry_config=RetryConfig(max_attempts=9, backoff_strategy="fixed", initial_delay=4), global_timeout=10
    )
    with pytest.raises(OSError) as caught:  # noqa: PT011 - made below, without words
        both.execute(flow, work(both, Script(OSError())))
    assert clock.sleeps == [4.0, 4.0]
    assert "the next wait of 4 s does not fit flow.global_timeout (2 s left)" in caught.value.__notes__[0]


def test_the_global_timeout_cancels_and_a_fallback_may_answer(clock: VirtualClock) -> None:
    """asyncio.TimeoutError, unless somebody answers."""

    async def hangs() -> None:
        await asyncio.sleep(1000)

    both = Both("async")
    with pytest.raises(DeadlineExceeded, match="global_timeout: not finished within 5 s"):
        both.execute(workflow(global_timeout=5), hangs)
    flow = workflow(global_timeout=5, fallback_config=FallbackConfig(fallback_value="late"))
    assert both.execute(flow, hangs) == "late"
    unwilling = FallbackConfig(fallback_value="late", fallback_on_timeout=False)
    with pytest.raises(DeadlineExceeded):
        both.execute(workflow(global_timeout=5, fallback_config=unwilling), hangs)


def test_a_hanging_service_opens_the_circuit(clock: VirtualClock) -> None:
    """The timer of the same stack makes it a failure, the caller's cancellation does not (G2)."""

    async def hangs() -> None:
        await asyncio.sleep(1000)

    both = Both("async")
    flow = workflow(global_timeout=5, circuit_breaker_config=CircuitBreakerConfig(failure_threshold=2))
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            both.execute(flow, hangs)
    with pytest.raises(CircuitBreakerError):
        both.execute(flow, hangs)

    cancelled = workflow(circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1))

    async def main() -> None:
        task = asyncio.ensure_future(cancelled.execute(hangs))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    both.run(main)
    assert cancelled.get_metrics()["circuit_breaker"] == {"state": "closed"}
    assert counts(cancelled) == {"calls": 1}, "a cancelled execution has no outcome, but made its call"


def test_compensation_raises_the_operations_error(both: Both, clock: VirtualClock) -> None:
    """Failures of the actions are a note; the deadline does not govern the undoing (S2)."""
    done: list[str] = []

    def broken() -> None:
        raise RuntimeError("cannot undo")

    config = CompensationConfig(compensation_actions=[broken, lambda: done.append("undone")])
    flow = workflow(compensation_config=config, global_timeout=5)
    with pytest.raises(OSError, match="failed") as caught:
        both.execute(flow, work(both, Script(OSError("failed"))))
    assert done == ["undone"]
    assert "cannot undo" in str(caught.value.__notes__)
    assert counts(flow)["compensations"] == 1
    empty = workflow(compensation_config=CompensationConfig(compensation_actions=[]))
    with pytest.raises(OSError):  # noqa: PT011 - made below, without words
        both.execute(empty, work(both, Script(OSError())))
    assert "compensations" not in counts(empty), "nothing was undone"


def test_on_error_and_on_alert(both: Both, clock: VirtualClock) -> None:
    """For each failed execution, answered or not; once when the threshold is reached, until reset (W4)."""
    errors: list[Any] = []
    alerts: list[int] = []
    flow = workflow(fallback_config=FallbackConfig(fallback_value=1), alert_threshold=2)
    flow.on_error, flow.on_alert = errors.append, alerts.append
    for _ in range(4):
        both.execute(flow, work(both, Script(OSError("x"))))
    assert [str(error) for error in errors] == ["x"] * 4
    assert alerts == [2]
    flow.reset_metrics()
    assert counts(flow) == {}
    for _ in range(2):
        both.execute(flow, work(both, Script(OSError("x"))))
    assert alerts == [2, 2]


def test_callbacks_of_the_workflow_may_be_async_and_may_fail(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """They never change the outcome (G9)."""
    seen: list[Any] = []

    async def on_error(error: Exception) -> None:
        await asyncio.sleep(0)
        seen.append(str(error))
        raise RuntimeError("callback")

    async def on_alert(count: int) -> None:
        seen.append(count)

    flow = workflow(alert_threshold=1, retry_config=RetryConfig(max_attempts=1))
    flow.on_error, flow.on_alert = on_error, on_alert
    with pytest.raises(OSError, match="x"):
        Both("async").execute(flow, work(Both("async"), Script(OSError("x"))))
    assert seen == ["x", 1]


def test_errors_are_logged_when_asked(both: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """As a warning of the logger "recoup", without arguments or results (G10)."""
    with caplog.at_level(logging.WARNING, logger="recoup"):
        for log_errors in (True, False):
            flow = workflow(log_errors=log_errors)
            with pytest.raises(OSError, match="down"):
                both.execute(flow, work(both, Script(OSError("down"))), ("secret",))
    assert [record.getMessage() for record in caplog.records] == ["flow: execution failed: OSError: down"]


def test_metrics_can_be_switched_off(both: Both, clock: VirtualClock) -> None:
    """All keys stay, and stay 0."""
    flow = workflow(metrics_enabled=False, bulkhead_config=BulkheadConfig())
    both.execute(flow, work(both, Script("ok")))
    metrics = flow.get_metrics()
    assert {key: metrics[key] for key in COUNTERS} == dict.fromkeys(COUNTERS, 0)
    assert metrics["bulkhead"]["executed"] == 1
    assert flow.get_health_status()["status"] == "healthy"


def test_metrics_are_a_copy(both: Both) -> None:
    """Nobody changes them from outside."""
    flow = workflow()
    flow.get_metrics()["attempts"] = 99
    assert flow.get_metrics()["attempts"] == 0


def test_health_names_the_state_of_the_circuit(clock: VirtualClock) -> None:
    """An open circuit is failing, a half-open one degraded."""
    flow = workflow(
        primary_strategy="circuit_breaker",
        retry_config=None,
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1, timeout=10),
    )
    for _ in range(20):
        flow.execute_sync(len, ("x",))
    assert flow.get_health_status()["status"] == "healthy"
    with pytest.raises(ValueError, match="invalid literal"):
        flow.execute_sync(int, ("x",))
    assert flow.get_health_status()["status"] == "failing"
    clock.advance(10)
    assert flow.get_health_status() == {
        "status": "degraded",
        "error_rate": pytest.approx(1 / 21),
        "success_rate": pytest.approx(20 / 21),
        "attempts": 21,
        "circuit_breaker": "half_open",
    }
    flow.execute_sync(len, ("x",))
    flow.execute_sync(len, ("x",))
    assert flow.get_health_status()["status"] == "healthy"


def test_a_full_bulkhead_is_a_rejection_and_opens_nothing(clock: VirtualClock) -> None:
    """Local refusals are not evidence (G13; nopanic and interlock open the circuit)."""
    flow = workflow(
        bulkhead_config=BulkheadConfig(max_concurrent=1, max_queue_size=0),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1),
    )

    async def slow() -> str:
        await asyncio.sleep(1)
        return "ok"

    async def main() -> list[Any]:
        return await asyncio.gather(*(flow.execute(slow) for _ in range(3)), return_exceptions=True)

    answers = Both("async").run(main)
    assert answers[0] == "ok"
    assert [type(answer) for answer in answers[1:]] == [BulkheadFullError] * 2
    assert counts(flow) == {"attempts": 3, "successes": 1, "failures": 2, "calls": 1, "rejections": 2}
    assert flow.get_metrics()["circuit_breaker"] == {"state": "closed"}


def test_a_used_up_rate_is_a_rejection_and_opens_nothing(both: Both, clock: VirtualClock) -> None:
    """Each attempt asks the limit; what it refuses is neither retried nor a failure of the service (W2, G13)."""
    flow = workflow(
        retry_config=RetryConfig(max_attempts=3, initial_delay=0),
        rate_limit_config=RateLimitConfig(rate=2, per=60, max_wait=0),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=3),
    )
    script = Script(OSError("a"), OSError("b"), "ok")
    method = flow.execute if both.is_async else flow.execute_sync
    with pytest.raises(RateLimitExceeded):
        both.call(method, work(both, script))
    assert counts(flow) == {"attempts": 1, "failures": 1, "calls": 2, "retries": 2, "rejections": 1}
    assert flow.get_metrics()["circuit_breaker"] == {"state": "closed"}
    clock.advance(60)
    assert both.call(method, work(both, script)) == "ok"


def test_the_whole_record(both: Both, clock: VirtualClock) -> None:
    """Everything that happened, without raising (W5)."""
    flow = workflow(circuit_breaker_config=CircuitBreakerConfig(failure_threshold=5))
    method = flow.execute if both.is_async else flow.execute_sync
    good: ExecutionRecord = both.call(method, work(both, Script(OSError("a"), "ok")), result=True)
    assert (good.value, good.error, good.answered_by, good.succeeded) == ("ok", None, "function", True)
    assert (good.attempts, good.calls, good.retries, good.delays) == (2, 2, 1, [1.0])
    assert [str(error) for error in good.errors] == ["a"]
    assert (good.seconds, good.compensated, good.rejections) == (1.0, False, 0)
    assert repr(good) == "<ExecutionRecord answered by function, 2 attempts, 2 calls, 1 s>"

    bad: ExecutionRecord = both.call(method, work(both, Script(OSError("b"))), result=True)
    assert (bad.value, str(bad.error), bad.answered_by, bad.succeeded) == (None, "b", None, False)
    assert (bad.attempts, bad.calls, bad.delays) == (3, 3, [1.0, 1.0])
    assert repr(bad).startswith("<ExecutionRecord failed: OSError, 3 attempts")
    refused: ExecutionRecord = both.call(method, work(both, Script(OSError("c"))), result=True)
    assert (refused.attempts, refused.calls, refused.rejections) == (2, 1, 1)
    assert counts(flow)["attempts"] == 3


def test_the_record_is_for_outcomes_not_for_mistakes(both: Both) -> None:
    """What cannot be executed at all raises, also with result=True."""

    def stream() -> Any:
        yield

    flow = workflow()
    with pytest.raises(TypeError, match="generator function"):
        both.call(flow.execute if both.is_async else flow.execute_sync, stream, result=True)


def test_a_cancelled_record_raises(both: Both) -> None:
    """Control flow is never an outcome (G2)."""
    flow = workflow()
    with pytest.raises(KeyboardInterrupt):
        both.call(
            flow.execute if both.is_async else flow.execute_sync, work(both, Script(KeyboardInterrupt())), result=True
        )
    assert counts(flow) == {"calls": 1}


def test_generators_can_be_decorated(both: Both, clock: VirtualClock) -> None:
    """All layers but the judging of results work round them; nothing ambient spans a yield (G17)."""
    flow = workflow(circuit_breaker_config=CircuitBreakerConfig(), bulkhead_config=BulkheadConfig(max_concurrent=1))
    script = Script(OSError(), 3)

    def stream() -> Any:
        yield from range(script())

    protected = flow(both.wrap(stream))
    assert both.call(protected) == [0, 1, 2]
    assert counts(flow) == {"attempts": 1, "successes": 1, "calls": 2, "retries": 1}
    script.answers = [OSError("down")]
    with pytest.raises(OSError, match="down"):
        both.call(protected)
    assert counts(flow) == {"attempts": 2, "successes": 1, "failures": 1, "calls": 5, "retries": 3}


def test_what_a_layer_cannot_protect_is_refused() -> None:
    """By the workflow as by the layer itself (G5)."""

    async def on_retry(n: int, error: Exception) -> None: ...

    flow = workflow(retry_config=RetryConfig(on_retry=on_retry))
    with pytest.raises(TypeError, match="on_retry of retry is an async function"):
        flow(lambda: 1)
    with pytest.raises(TypeError, match="on_retry of retry is an async function"):
        flow.execute_sync(lambda: 1)
    with pytest.raises(TypeError, match="asynchronous: it cannot run in a synchronous call"):
        workflow().execute_sync(asyncio.sleep, (0,))  # type: ignore[unused-coroutine]


def test_counting_is_exact_under_threads() -> None:
    """No execution is lost or counted twice (G7)."""
    flow = workflow(retry_config=RetryConfig(max_attempts=2, initial_delay=0))

    def thread() -> None:
        for n in range(200):
            answers = iter([OSError(), n] if n % 2 else [n])

            def operation(answers: Any = answers) -> Any:
                answer = next(answers)
                if isinstance(answer, Exception):
                    raise answer
                return answer

            flow.execute_sync(operation)

    threads = [threading.Thread(target=thread) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert counts(flow) == {"attempts": 1600, "successes": 1600, "calls": 2400, "retries": 800}


def test_nested_workflows_keep_their_own_records(both: Both, clock: VirtualClock) -> None:
    """An inner execution is not counted by the outer one."""
    inner, outer = workflow(), workflow()
    operation = work(both, Script(OSError(), "ok"))
    if both.is_async:

        async def through() -> Any:
            return await inner.execute(operation)

        assert both.execute(outer, through) == "ok"
    else:
        assert outer.execute_sync(inner.execute_sync, (operation,)) == "ok"
    assert counts(outer) == {"attempts": 1, "successes": 1, "calls": 1}
    assert counts(inner) == {"attempts": 1, "successes": 1, "calls": 2, "retries": 1}


def test_repr_names_the_layers() -> None:
    """Outermost first."""
    flow = workflow(circuit_breaker_config=CircuitBreakerConfig())
    assert repr(flow) == "<ErrorRecoveryWorkflow 'flow' deadline, retry, circuit_breaker>"
    assert [layer.name for layer in flow.layers] == ["flow.global_timeout", "flow.retry", "flow.circuit_breaker"]
    nothing = ErrorRecoveryConfig(primary_strategy="cache", global_timeout=None)
    assert repr(ErrorRecoveryWorkflow(nothing)) == "<ErrorRecoveryWorkflow 'workflow' fallback>"
