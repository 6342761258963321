"""Tenants with databases of their own: one that is slow or down loses its circuit, and nobody else's."""

from __future__ import annotations

import asyncio

from recoup import CircuitBreakerConfig, CircuitBreakerError, KeyedCircuitBreaker

per_tenant = KeyedCircuitBreaker(
    CircuitBreakerConfig(
        failure_rate=0.5,
        slow_call_rate=0.5,
        slow_call_duration=0.1,
        minimum_calls=4,
        window_size=20,
        timeout=[0.5, 1, 2],
        success_threshold=1,
    ),
    key="tenant",
    name="databases",
)

DELAYS = {"quick": 0.0, "slow": 0.15}
DOWN = {"down"}


@per_tenant
async def load(tenant: str, item: int) -> str:
    """Read an item from the tenant's database."""
    await asyncio.sleep(DELAYS.get(tenant, 0.0))
    if tenant in DOWN:
        raise ConnectionError(tenant)
    return f"{tenant}/{item}"


async def ask(tenant: str, item: int) -> str:
    try:
        return await load(tenant, item)
    except ConnectionError:
        return "failed"
    except CircuitBreakerError as refused:
        return f"refused: {refused.last_error_text}"


async def main() -> None:
    answers = {tenant: [await ask(tenant, item) for item in range(5)] for tenant in ("quick", "slow", "down")}
    for tenant, answered in answers.items():
        print(f"{tenant:>6}: {per_tenant.state(tenant).value:<6} {answered[-1]}")

    assert answers["quick"][-1] == "quick/4"
    assert answers["slow"][3:] == ["slow/3", "refused: 4 of 4 calls took 0.1 s or longer"]
    assert answers["down"][3:] == ["failed", "refused: down"]
    assert [per_tenant.state(tenant).value for tenant in answers] == ["closed", "open", "open"]

    DOWN.clear()
    await asyncio.sleep(0.55)
    assert await ask("down", 5) == "down/5", "its database is back, and one probe was enough to tell"
    assert per_tenant.state("down").value == "closed"
    assert per_tenant.metrics["refused"] == 2


if __name__ == "__main__":
    asyncio.run(main())
