"""Blocks 8 to 21 of the specification: the workflow, the patterns, classification, metrics, factories."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from recoup import BulkheadTimeoutError, CircuitBreaker, CircuitBreakerConfig, ErrorRecoveryWorkflow, RetryConfig
from recoup.testing import VirtualClock
from tests.spec.document import run, run_async
from tests.spec.test_configs import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.asyncio


def configs(**others: Any) -> dict[str, Any]:
    """Give the configurations of blocks 3 to 5, as the later blocks use them."""
    names = {
        "retry_config": RetryConfig(max_attempts=3, initial_delay=1.0),
        "circuit_config": CircuitBreakerConfig(failure_threshold=5),
    }
    return {**names, **others}


async def test_block_8_basic_usage(clock: VirtualClock) -> None:
    """The workflow calls the function with args and kwargs, and retries transient errors."""
    calls: list[Any] = []

    async def unreliable_function(*args: Any, **kwargs: Any) -> str:
        calls.append((args, kwargs))
        if len(calls) < 3:
            raise ConnectionError("lost")
        return "done"

    left = await run_async(8, unreliable_function=unreliable_function, arg1=1, arg2=2, **configs())
    assert left["result"] == "done"
    assert calls == [((1, 2), {"timeout": 10})] * 3
    config = left["config"]
    assert (config.max_total_attempts, config.global_timeout) == (10, 300.0)


async def test_block_8_a_permanent_error_is_not_retried(clock: VirtualClock) -> None:
    """permanent_errors are raised at once."""
    calls = 0

    async def unreliable_function(*args: Any, **kwargs: Any) -> str:
        nonlocal calls
        calls += 1
        raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        await run_async(8, unreliable_function=unreliable_function, arg1=1, arg2=2, **configs())
    assert calls == 1


async def test_block_9_retry_pattern(clock: VirtualClock) -> None:
    """RetryExecutor retries; the retry_on_result of block 3, which reads status_code of a string, is left out."""
    left = await run_async(9, random=random.Random(5), **configs(retry_config=RetryConfig(max_attempts=20)))
    assert left["result"] == "success"


async def test_block_9_as_the_document_has_it() -> None:
    """The document's own predicate fails on the string it is given: the error comes out at once, unretried."""
    config = run_in_thread(3)["retry_config"]
    with pytest.raises(AttributeError, match="status_code"):
        await run_async(9, random=random.Random(7), retry_config=config)


def run_in_thread(number: int) -> dict[str, Any]:
    """Run a block that needs no loop from inside one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, number).result()


class Client:
    """An HTTP client that answers or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.urls: list[str] = []

    async def get(self, url: str) -> Client:
        """Answer with itself as the response."""
        self.urls.append(url)
        if self.error is not None:
            raise self.error
        return self

    def json(self) -> dict[str, str]:
        """Give the body."""
        return {"from": "api"}


async def test_block_10_circuit_breaker_pattern(clock: VirtualClock, capsys: pytest.CaptureFixture[str]) -> None:
    """A closed circuit calls; an open one raises CircuitBreakerError with its wait time."""
    client = Client()
    left = await run_async(10, http_client=client, use_fallback=lambda: "fallback", **configs())
    assert left["result"] == {"from": "api"}

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, timeout=30.0))
    with pytest.raises(OSError, match="down"):
        await breaker.call(Client(OSError("down")).get, "https://api.example.com")
    clock.advance(10.0)
    left = await run_async(
        10,
        mended=("CircuitBreaker(circuit_config)", "breaker"),
        breaker=breaker,
        http_client=client,
        use_fallback=lambda: "fallback",
    )
    assert left["result"] == "fallback"
    assert capsys.readouterr().out == "Circuit is open, wait 20.0s\n"


async def test_block_11_fallback_pattern(clock: VirtualClock) -> None:
    """A failing function is answered by the fallback function, which gets the error."""

    async def primary_function() -> None:
        raise ConnectionError("gone")

    left = await run_async(11, primary_function=primary_function, get_cached_data=lambda: [1, 2])
    assert left["result"] == {"status": "degraded", "data": [1, 2], "error": "gone"}


@pytest.mark.parametrize("shape", ["state argument", "named arguments"])
async def test_block_12_compensation_pattern(shape: str) -> None:
    """The actions find the payment and the items in the state, however the function took them."""
    done: list[Any] = []
    left = await run_async(
        12,
        cancel_payment=lambda payment: done.append(("payment", payment)),
        release_inventory=lambda items: done.append(("items", items)),
    )
    workflow = ErrorRecoveryWorkflow(left["config"])

    async def by_state(state: dict[str, Any]) -> None:
        raise OSError("no stock")

    async def by_name(payment_id: str, reserved_items: list[str]) -> None:
        raise OSError("no stock")

    if shape == "state argument":
        execution = workflow.execute(by_state, args=({"payment_id": "p1", "reserved_items": ["i1"]},))
    else:
        execution = workflow.execute(by_name, args=("p1",), kwargs={"reserved_items": ["i1"]})
    with pytest.raises(OSError, match="no stock"):
        await execution
    assert done == [("payment", "p1"), ("items", ["i1"])]
    assert workflow.get_metrics()["compensations"] == 1


async def test_block_13_bulkhead_isolation(capsys: pytest.CaptureFixture[str], clock: VirtualClock) -> None:
    """A free bulkhead runs the operation; one without a place says so after its queue timeout."""
    from recoup import Bulkhead, BulkheadConfig

    done: list[int] = []

    async def process_data() -> None:
        done.append(1)

    await run_async(13, bulkhead_config=BulkheadConfig(max_concurrent=1), process_data=process_data)
    assert done == [1]

    bulkhead = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue_size=0))
    async with bulkhead:
        await run_async(13, mended=("Bulkhead(bulkhead_config)", "taken"), taken=bulkhead, process_data=process_data)
    assert capsys.readouterr().out == "Too many concurrent requests\n"
    assert issubclass(BulkheadTimeoutError, TimeoutError)


async def test_block_14_layered_recovery(clock: VirtualClock) -> None:
    """Retry, then the circuit, then the fallback if all else fails."""
    from recoup import FallbackConfig

    names = configs(
        retry_config=RetryConfig(max_attempts=3, initial_delay=1.0, backoff_strategy="fixed"),
        circuit_config=CircuitBreakerConfig(failure_threshold=5, timeout=60.0),
        fallback_config=FallbackConfig(fallback_value="fallback"),
    )
    workflow = ErrorRecoveryWorkflow((await run_async(14, **names))["config"])
    calls = 0

    async def failing() -> str:
        nonlocal calls
        calls += 1
        raise ConnectionError("lost")

    assert await workflow.execute(failing) == "fallback"
    assert calls == 3
    assert await workflow.execute(failing) == "fallback"
    assert calls == 5, "the circuit opened at the fifth failure and stopped the retrying"
    assert await workflow.execute(failing) == "fallback"
    assert calls == 5
    metrics = workflow.get_metrics()
    assert (metrics["attempts"], metrics["fallbacks"], metrics["calls"], metrics["rejections"]) == (3, 3, 5, 2)
    assert metrics["circuit_breaker"] == {"state": "open"}


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, "done"), (31.0, "timed out")])
async def test_block_15_deadline(clock: VirtualClock, seconds: float, expected: str) -> None:
    """A task that is too slow ends in a TimeoutError, which the caller may handle."""

    async def long_running_task() -> str:
        await asyncio.sleep(seconds)
        return "done"

    handled: list[str] = []

    def handle_timeout() -> str:
        handled.append("x")
        return "timed out"

    left = await run_async(
        15,
        mended=("result = handle_timeout()", "result = handle_timeout()\n    return result"),  # so that we see it
        long_running_task=long_running_task,
        handle_timeout=handle_timeout,
    )
    assert await left["deadline_execution"]() == expected
    assert handled == ([] if expected == "done" else ["x"])


async def test_block_16_cache(clock: VirtualClock) -> None:
    """A failure is answered with the earlier success; a success is never answered from the cache."""
    answers: Iterator[Any] = iter(["fresh", OSError("down"), "newer"])

    async def fetch_data() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    left = await run_async(16, fetch_data=fetch_data)
    assert (left["result1"], left["result2"]) == ("fresh", "fresh")
    assert await left["workflow"].execute(fetch_data) == "newer"


async def test_block_17_classification(clock: VirtualClock) -> None:
    """Transient errors are retried and permanent ones are not; `transient_errors`, undefined there, is defined."""

    class RateLimitError(Exception):
        pass

    class AuthenticationError(Exception):
        pass

    class NotFoundError(Exception):
        pass

    transient = [ConnectionError, TimeoutError, ServiceUnavailable, RateLimitError]
    left = await run_async(
        17,
        transient_errors=transient,
        ServiceUnavailable=ServiceUnavailable,
        RateLimitError=RateLimitError,
        AuthenticationError=AuthenticationError,
        NotFoundError=NotFoundError,
    )
    for error, calls_expected in [
        (RateLimitError("slow down"), 3),
        (AuthenticationError("who are you"), 1),
        (KeyError("neither"), 1),
    ]:
        workflow = ErrorRecoveryWorkflow(left["config"])

        async def operation(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            await workflow.execute(operation)
        assert workflow.get_metrics()["calls"] == calls_expected


async def test_block_18_metrics(clock: VirtualClock, capsys: pytest.CaptureFixture[str]) -> None:
    """The success rate of a flaky service that always recovers is 1."""
    from recoup import ErrorRecoveryConfig

    answers: Iterator[Any] = iter([ConnectionError("lost"), "ok"])

    async def operation() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    await run_async(18, config=ErrorRecoveryConfig(), operation=operation)
    assert capsys.readouterr().out == "Total attempts: 1\nSuccess rate: 1.0\nFallback usage: 0\nCompensations: 0\n"


async def test_block_19_alert(clock: VirtualClock) -> None:
    """on_alert is called once, when the tenth execution has failed."""
    alerts: list[str] = []
    workflow = (await run_async(19, send_alert=alerts.append))["workflow"]

    async def failing() -> None:
        raise ValueError("no")

    for _ in range(25):
        with pytest.raises(ValueError, match="no"):
            await workflow.execute(failing)
    assert alerts == ["Error count: 10"]


async def test_block_20_create_retry_workflow(clock: VirtualClock) -> None:
    """The factory's workflow retries with exactly exponential delays."""
    answers: Iterator[Any] = iter([OSError("a"), OSError("b"), "ok"])

    async def operation() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    started = clock.monotonic()
    left = await run_async(20, operation=operation)
    assert left["result"] == "ok"
    assert clock.monotonic() - started == pytest.approx(3.0)


async def test_block_21_create_circuit_breaker_workflow() -> None:
    """The factory's workflow answers failures and an open circuit with the value."""
    workflow = (await run_async(21))["workflow"]
    calls = 0

    async def failing() -> None:
        nonlocal calls
        calls += 1
        raise OSError("down")

    assert [await workflow.execute(failing) for _ in range(7)] == ["service_unavailable"] * 7
    assert calls == 5
