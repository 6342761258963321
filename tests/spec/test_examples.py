"""Blocks 22 to 27 of the specification: the complete examples on real input, and the best practices."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web

from recoup import ErrorRecoveryWorkflow, FallbackConfig
from recoup.testing import VirtualClock, instant
from tests.spec.document import run_async

pytestmark = pytest.mark.asyncio


class Api:
    """A real HTTP server on a free loopback port, whose answers a test sets."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.failing = False
        self.slow = False

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert self._runner.addresses
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if self.slow:
            await asyncio.sleep(5)
        if self.failing:
            return web.json_response({"error": "down"}, status=503)
        return web.json_response({"path": request.path, "number": len(self.requests)})


async def test_block_22_resilient_api_client(capsys: pytest.CaptureFixture[str]) -> None:
    """Example 1 against a real server: answers, retries of timeouts, a cache per endpoint, an opening circuit.

    FallbackConfig and aiohttp, which the example forgets to import, are given.
    """
    async with Api() as api:
        left = await run_async(
            22,
            mended=('"https://api.example.com/data"', "base + '/data'"),
            base=api.base,
            aiohttp=aiohttp,
            FallbackConfig=FallbackConfig,
        )
        assert left["result"] == {"path": "/data", "number": 1}
        client = left["client"]
        assert await client.call_api(api.base + "/other") == {"path": "/other", "number": 2}

        api.failing = True
        earlier = await client.call_api(api.base + "/data")
        assert earlier == {"path": "/data", "number": 1}, "answered by its own earlier success, not by another's"
        assert await client.call_api(api.base + "/new") == {"cached": True, "data": "fallback_data"}
        assert api.requests == ["/data", "/other", "/data", "/new"], "an HTTP error is no ConnectionError: not retried"

        api.slow = True
        short = aiohttp.ClientTimeout(total=0.1)
        with instant():
            answer = await client.call_api(api.base + "/slow", timeout=short)
        assert answer == {"cached": True, "data": "fallback_data"}
        assert api.requests.count("/slow") == 3, "a timeout is retried"
        printed = capsys.readouterr().out.splitlines()
        assert [line.split(" after")[0] for line in printed] == [
            "Retry attempt 1",
            "Retry attempt 2",
            "API circuit opened - using fallback",
        ], "two errors and three timeouts are five failures"


class Book:
    """A real in-process service with a book of what is held, so that it can be checked."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.made = 0
        self.error: Exception | None = None

    async def _make(self, *facts: Any) -> str:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.made += 1
        key = f"{self.made}"
        self.held[key] = facts
        return key

    async def _undo(self, key: str) -> None:
        await asyncio.sleep(0)
        del self.held[key]

    reserve = charge = create = _make
    release = refund = cancel = _undo


@pytest.mark.parametrize("failing", [None, "inventory_service", "payment_service", "shipping_service"])
async def test_block_23_order_saga(failing: str | None) -> None:
    """Example 2: a failing step leaves nothing reserved, charged or shipped; success leaves all three."""
    services: dict[str, Any] = {name: Book() for name in ("inventory_service", "payment_service", "shipping_service")}
    if failing is not None:
        services[failing].error = OSError(f"{failing} is down")
    left = await run_async(23, **services)
    order = {"items": ["book"], "customer_id": "c1", "amount": 12, "address": "here"}
    answer = await asyncio.wait_for(instantly(left["process_order_with_compensation"], order), timeout=30)
    held = {name: len(book.held) for name, book in services.items()}
    if failing is None:
        assert answer == {"status": "success", "reservation_id": "1", "payment_id": "1", "shipment_id": "1"}
        assert held == dict.fromkeys(services, 1)
    else:
        assert answer == {"status": "failed", "error": f"{failing} is down", "compensated": True}
        assert held == dict.fromkeys(services, 0)


async def instantly(function: Any, *args: Any) -> Any:
    """Run a function without its waits."""
    with instant():
        return await function(*args)


async def test_block_24_bulkheads_under_real_concurrency() -> None:
    """Example 3: no endpoint ever runs more than its limit, none starves another, nothing is lost."""
    running = dict.fromkeys(("compute", "io", "database"), 0)
    peak = dict(running)

    def service(name: str) -> Any:
        async def work(data: Any) -> Any:
            running[name] += 1
            peak[name] = max(peak[name], running[name])
            await asyncio.sleep(0.001)
            running[name] -= 1
            return (name, data)

        return work

    left = await run_async(
        24,
        perform_computation=service("compute"),
        fetch_external_data=service("io"),
        execute_query=service("database"),
    )
    endpoint = left["MicroserviceEndpoint"]()
    answers = await asyncio.gather(
        *(endpoint.handle_compute_request(n) for n in range(25)),
        *(endpoint.handle_io_request(n) for n in range(120)),
        *(endpoint.handle_database_request(n) for n in range(60)),
    )
    assert answers[:25] == [("compute", n) for n in range(25)]
    assert len(answers) == 205
    assert peak == {"compute": 5, "io": 20, "database": 10}
    metrics = endpoint.get_metrics()
    assert {name: metrics[name]["executed"] for name in metrics} == {"compute": 25, "io": 120, "database": 60}
    refused = await asyncio.gather(*(endpoint.handle_compute_request(n) for n in range(30)), return_exceptions=True)
    assert sum(isinstance(answer, Exception) for answer in refused) == 5
    assert endpoint.get_metrics()["compute"]["rejected"] == 5


async def test_block_25_sensible_timeouts(clock: VirtualClock) -> None:
    """A configuration without a primary strategy retries, within its overall timeout and longest delay."""
    config = (await run_async(25))["config"]
    assert config.primary_strategy.value == "retry"
    assert (config.global_timeout, config.retry_config.max_delay) == (30.0, 5.0)
    assert config.circuit_breaker_config.timeout == 60.0

    async def hangs() -> None:
        await asyncio.sleep(1000)

    started = clock.monotonic()
    with pytest.raises(asyncio.TimeoutError):
        await ErrorRecoveryWorkflow(config).execute(hangs)
    assert clock.monotonic() - started == pytest.approx(30.0)


async def test_block_26_monitor_and_alert(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """on_error and on_alert may be set at any time; the health status says when to investigate."""
    from recoup import ErrorRecoveryConfig

    errors: list[Exception] = []
    investigated: list[int] = []
    names: dict[str, Any] = {
        "config": ErrorRecoveryConfig(alert_threshold=2),
        "log_error": errors.append,
        "send_alert": investigated.append,
        "trigger_investigation": lambda: investigated.append(-1),
    }
    left = await run_async(26, **names)
    workflow = left["workflow"]
    assert left["health"]["error_rate"] == 0
    assert investigated == []

    async def failing() -> None:
        raise LookupError("gone")

    with caplog.at_level(logging.WARNING, logger="recoup"):
        for _ in range(3):
            with pytest.raises(LookupError):
                await workflow.execute(failing)
    assert [str(error) for error in errors] == ["gone"] * 3
    assert investigated == [2]
    assert workflow.get_health_status() == {
        "status": "failing",
        "error_rate": 1.0,
        "success_rate": 0.0,
        "attempts": 3,
        "circuit_breaker": None,
    }
    assert "execution failed: LookupError: gone" in caplog.text


async def test_block_27_the_documents_own_test(clock: VirtualClock) -> None:
    """The test in the document passes."""
    left = await run_async(27)
    await left["test_retry_on_transient_error"]()
