"""One mirror in ten is slow; a second attempt after 50 ms cuts the slow calls and adds a tenth more."""

from __future__ import annotations

import asyncio
import time

from recoup import Hedge, HedgeConfig

REQUESTS: list[float] = []


async def download(name: str) -> str:
    """Every tenth request meets a slow server."""
    seconds = 1.0 if len(REQUESTS) % 10 == 9 else 0.01
    REQUESTS.append(seconds)
    await asyncio.sleep(seconds)
    return f"{name} in {seconds:g} s"


async def main() -> None:
    hedge = Hedge(HedgeConfig(delay=0.05, idempotent=True, budget=0.2), name="mirrors")
    longest = 0.0
    for number in range(40):
        began = time.monotonic()
        await hedge.execute(download, f"file {number}")
        longest = max(longest, time.monotonic() - began)
    metrics = hedge.metrics
    print(f"40 calls, {len(REQUESTS)} requests, {metrics['wins']} won by the second; the longest took {longest:.2f} s")
    assert metrics["hedges"] == metrics["wins"] == 4
    assert len(REQUESTS) == 44
    assert longest < 0.9, "without a hedge the slow ones take a second"


if __name__ == "__main__":
    asyncio.run(main())
