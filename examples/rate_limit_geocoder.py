"""A geocoder that allows five calls in a second: a batch keeps to it, and a request in a hurry is told when to come."""

from __future__ import annotations

import asyncio
import time

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded, deadline

geocoder = RateLimiter(RateLimitConfig(rate=5, per=0.2, mode="window"), name="geocoder")
BEGUN: list[float] = []


@geocoder
async def locate(place: str) -> str:
    BEGUN.append(time.monotonic())
    await asyncio.sleep(0.01)
    return f"{place} is at {len(place)}"


@deadline(0.05)
async def locate_quickly(place: str) -> str:
    return await locate(place)


async def main() -> None:
    places = [f"place {number}" for number in range(12)]
    batch = asyncio.gather(*(locate(place) for place in places))
    await asyncio.sleep(0)
    [refusal] = await asyncio.gather(locate_quickly("home"), return_exceptions=True)
    assert isinstance(refusal, RateLimitExceeded)
    print("a request in a hurry was refused at once:", refusal)
    assert refusal.retry_after > 0.05
    answers = await batch
    assert answers == [f"{place} is at {len(place)}" for place in places]
    for first, sixth in zip(BEGUN, BEGUN[5:], strict=False):
        assert sixth - first > 0.19, "six calls within 0.2 s"  # a timer may fire a little early
    print(f"12 calls began within {BEGUN[-1] - BEGUN[0]:.2f} s; {geocoder.metrics['waited']} of them waited")
    assert geocoder.metrics == {"waited": 7, "refused": 1, "slowed": 0, "drained": 0}


if __name__ == "__main__":
    asyncio.run(main())
