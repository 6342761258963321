"""One workflow as executor and as decorator: an outage is answered, counted and recovered from."""

from __future__ import annotations

import asyncio

from recoup import (
    CircuitBreakerConfig,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    RetryConfig,
)

workflow = ErrorRecoveryWorkflow(
    ErrorRecoveryConfig(
        retry_config=RetryConfig(max_attempts=3, initial_delay=0.001, retry_on_exceptions=[ConnectionError]),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=6, success_threshold=1, timeout=0.05),
        fallback_config=FallbackConfig(fallback_value={"items": [], "degraded": True}),
        permanent_errors=[ValueError],
        global_timeout=5,
        log_errors=False,
    ),
    name="catalogue",
)


class Catalogue:
    """A service that is down for a while."""

    def __init__(self) -> None:
        self.down = False
        self.requests = 0

    async def items(self) -> dict[str, object]:
        """List what is for sale."""
        self.requests += 1
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionError("no route to host")
        return {"items": ["book"], "degraded": False}


async def main() -> None:
    service = Catalogue()
    assert (await workflow.execute(service.items))["degraded"] is False

    service.down = True
    answers = [await workflow.execute(service.items) for _ in range(20)]
    assert all(answer["degraded"] for answer in answers), "every caller got an answer"
    assert service.requests == 1 + 6, "the circuit opened at the sixth failure and spared the service"

    service.down = False
    await asyncio.sleep(0.06)
    protected = workflow(service.items)
    assert (await protected())["degraded"] is False, "one probe closed the circuit again"

    metrics = workflow.get_metrics()
    print({key: metrics[key] for key in ("attempts", "successes", "fallbacks", "calls", "retries", "rejections")})
    assert (metrics["attempts"], metrics["successes"], metrics["fallbacks"]) == (22, 2, 20)


if __name__ == "__main__":
    asyncio.run(main())
