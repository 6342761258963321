"""Workflows that change and begin anew while functions are executed (issue 3; W3, W4, B5, G1)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    BulkheadConfig,
    CircuitBreakerConfig,
    CircuitBreakerError,
    CompensationConfig,
    DeadlineExceeded,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RateLimitConfig,
    RetryConfig,
)

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Service:
    """Fails until told otherwise."""

    def __init__(self) -> None:
        self.error: Exception | None = ConnectionError("down")
        self.calls = 0

    def call(self) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return "answer"


@pytest.fixture
def service() -> Service:
    return Service()


def whole(**changes: Any) -> ErrorRecoveryWorkflow:
    """Make a workflow with every strategy."""
    options: dict[str, Any] = {
        "retry_config": RetryConfig(max_attempts=2, initial_delay=0, attempt_timeout=20),
        "circuit_breaker_config": CircuitBreakerConfig(failure_threshold=100),
        "fallback_config": FallbackConfig(fallback_value="old"),
        "compensation_config": CompensationConfig(compensation_actions=[]),
        "bulkhead_config": BulkheadConfig(max_concurrent=3),
        "rate_limit_config": RateLimitConfig(rate=1000),
        "log_errors": False,
    }
    return ErrorRecoveryWorkflow(ErrorRecoveryConfig(**{**options, **changes}), name=None)


def test_every_layer_takes_over_its_part(both: Both, service: Service, clock: VirtualClock) -> None:
    """A function that is decorated already is executed under the new configuration, whole (B5)."""
    workflow = whole()
    fetch = workflow(both.wrap(service.call))
    assert (both.call(fetch), service.calls) == ("old", 2)
    undone: list[str] = []
    workflow.reconfigure(
        retry_config=RetryConfig(max_attempts=4, initial_delay=0, attempt_timeout=10),
        fallback_config=FallbackConfig(fallback_value="new"),
        compensation_config=CompensationConfig(compensation_actions=[lambda: undone.append("undone")]),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=7),
        bulkhead_config=BulkheadConfig(max_concurrent=5),
        rate_limit_config=RateLimitConfig(rate=500),
        global_timeout=50,
    )
    assert (both.call(fetch), service.calls, undone) == ("new", 6, ["undone"])
    assert workflow.get_metrics()["compensations"] == 1
    assert [getattr(layer, "config").seconds for layer in workflow.layers if layer.kind == "deadline"] == [50, 10]  # noqa: B009 - not all have one
    assert workflow.get_health_status()["circuit_breaker"] == "closed"
    both.call(fetch)
    assert workflow.get_health_status()["circuit_breaker"] == "open"
    bulkhead: Any = workflow.layers[-1]
    assert bulkhead.limit == 5


def test_what_is_not_named_goes_on(both: Both, service: Service, clock: VirtualClock) -> None:
    """A circuit that is open stays open when something else changes, and objects stay the same (B5)."""
    workflow = whole(circuit_breaker_config=CircuitBreakerConfig(failure_threshold=2), fallback_config=None)
    fetch = workflow(both.wrap(service.call))
    before = workflow.layers
    with pytest.raises(ConnectionError, match="down"):
        both.call(fetch)
    workflow.reconfigure(global_timeout=60)
    assert workflow.layers == before
    with pytest.raises(CircuitBreakerError):
        both.call(fetch)


def test_the_bounds_on_attempts(both: Both, service: Service, clock: VirtualClock) -> None:
    """The error says which of the two bounds it was, under the configuration that holds (W3)."""
    workflow = whole(fallback_config=None, max_total_attempts=3)
    fetch = workflow(both.wrap(service.call))
    for most, total, said in (
        (5, 3, "max_total_attempts is 3"),
        (2, 3, "max_attempts is 2"),
        (5, 3, "max_total_attempts"),
    ):
        workflow.reconfigure(
            retry_config=RetryConfig(max_attempts=most, initial_delay=0, attempt_timeout=20), max_total_attempts=total
        )
        with pytest.raises(ConnectionError) as caught:
            both.call(fetch)
        assert said in str(caught.value.__notes__)


def test_another_time(both: Both, clock: VirtualClock) -> None:
    """The limit of an execution is that of its begin (D1, B5)."""
    workflow = ErrorRecoveryWorkflow(ErrorRecoveryConfig(global_timeout=5, log_errors=False))

    def slow() -> Any:
        return both.pause(7)

    fetch = workflow(both.wrap(slow))
    workflow.reconfigure(global_timeout=10)
    both.call(fetch)
    workflow.reconfigure(global_timeout=6)
    if both.is_async:
        with pytest.raises(DeadlineExceeded):
            both.call(fetch)


def test_refused_whole(service: Service) -> None:
    """If one strategy refuses, none has changed (G1)."""

    async def later() -> None: ...

    workflow = whole()
    config, parts = workflow.config, [layer.config for layer in workflow.layers]  # type: ignore[attr-defined]
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"fallback_config": None}, ValueError, "^whether there is a fallback must stay as it is in <ErrorRecovery"),
        ({"rate_limit_config": None, "global_timeout": None}, ValueError, "^whether there is a deadline and whether"),
        ({"global_timeout": -1}, ValueError, "global_timeout must be"),
        ({"tiemout": 3}, TypeError, "tiemout"),
        (
            {
                "fallback_config": FallbackConfig(fallback_value="new"),
                "bulkhead_config": BulkheadConfig(histograms=True),
            },
            ValueError,
            "^histograms must stay as it is in <Bulkhead",
        ),
        (
            {"compensation_config": CompensationConfig(compensation_actions=[later])},
            ValueError,
            "^whether compensation_actions are async",
        ),
    ]
    for changes, kind, message in bad:
        with pytest.raises(kind, match=message):
            workflow.reconfigure(**changes)
    assert workflow.config is config
    assert [layer.config for layer in workflow.layers] == parts  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="a config or fields, not both"):
        workflow.reconfigure(ErrorRecoveryConfig(), global_timeout=3)


def test_a_reset_resets_all(both: Both, service: Service, clock: VirtualClock) -> None:
    """Counters are 0, the circuit is closed, the bulkhead counts anew, the alert is armed (W4)."""
    workflow = whole(circuit_breaker_config=CircuitBreakerConfig(failure_threshold=2), alert_threshold=1)
    alerts: list[int] = []
    workflow.on_alert = alerts.append
    fetch = workflow(both.wrap(service.call))
    both.call(fetch)
    both.call(fetch)
    assert alerts == [1]
    assert workflow.get_health_status()["status"] == "failing"
    workflow.reset()
    assert workflow.get_metrics()["bulkhead"]["executed"] == 0
    assert workflow.get_health_status() == {
        "status": "healthy",
        "error_rate": 0.0,
        "success_rate": 0.0,
        "attempts": 0,
        "circuit_breaker": "closed",
    }
    both.call(fetch)
    assert alerts == [1, 1]


def test_another_threshold(both: Both, service: Service) -> None:
    """It counts the failures that were before; one that is reached already alerts with the next one, once (W4)."""
    workflow = ErrorRecoveryWorkflow(
        ErrorRecoveryConfig(retry_config=RetryConfig(max_attempts=1), alert_threshold=10, log_errors=False)
    )
    alerts: list[int] = []
    workflow.on_alert = alerts.append
    fetch = workflow(both.wrap(service.call))

    def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(ConnectionError):
                both.call(fetch)

    fail(3)
    workflow.reconfigure(alert_threshold=2)
    fail(2)
    assert alerts == [4]
    workflow.reconfigure(alert_threshold=7)
    fail(4)
    assert alerts == [4, 7]
    workflow.reconfigure(global_timeout=4)
    fail(2)
    assert alerts == [4, 7]


def test_counting_can_be_turned_on(both: Both, service: Service) -> None:
    """`metrics_enabled` holds for executions that end from now on (W4)."""
    workflow = whole(metrics_enabled=False)
    fetch = workflow(both.wrap(service.call))
    both.call(fetch)
    workflow.reconfigure(metrics_enabled=True)
    both.call(fetch)
    assert workflow.get_metrics()["attempts"] == 1


def test_one_change_at_a_time() -> None:
    """Of two changes at the same time one comes last, with everything in it: they never mix (B5)."""
    workflow = whole()
    seen: list[bool] = []
    adopt = workflow._adopt

    def watched(config: ErrorRecoveryConfig) -> None:
        other = threading.Thread(target=lambda: seen.append(workflow._metrics.changing.acquire(blocking=False)))
        other.start()
        other.join()
        adopt(config)

    workflow._adopt = watched  # type: ignore[method-assign]
    workflow.reconfigure(global_timeout=40)
    assert seen == [False]
    assert workflow.config.global_timeout == 40


def test_while_32_threads_execute() -> None:
    """Every execution has an answer of the old configuration or the new one, and counts stay whole (W4, B5, G7)."""
    workflow = whole(
        bulkhead_config=BulkheadConfig(max_concurrent=4, max_queue_size=1000),
        rate_limit_config=RateLimitConfig(rate=10**6),
    )
    stop = threading.Event()
    odd: list[object] = []

    def fail() -> str:
        raise ConnectionError

    fetch = workflow(fail)

    def call() -> None:
        for _ in range(20):
            answer = fetch()
            if answer not in {"old", "new"}:
                odd.append(answer)

    def change() -> None:
        while not stop.is_set():
            workflow.reconfigure(
                fallback_config=FallbackConfig(fallback_value="new"),
                retry_config=RetryConfig(max_attempts=1, attempt_timeout=20),
            )
            workflow.reset()
            counts = workflow.get_metrics()
            if counts["attempts"] != counts["successes"] + counts["fallbacks"] + counts["failures"]:
                odd.append(counts)
            workflow.reconfigure(fallback_config=FallbackConfig(fallback_value="old"))

    callers = [threading.Thread(target=call) for _ in range(32)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    assert odd == []
    workflow.reset()
    fetch()
    assert (workflow.get_metrics()["attempts"], workflow.get_metrics()["fallbacks"]) == (1, 1)
