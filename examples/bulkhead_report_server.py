"""A slow report and a quick look-up share a server: the bulkhead keeps the one from starving the other."""

from __future__ import annotations

import asyncio
import time

from recoup import Bulkhead, BulkheadConfig, BulkheadFullError

reports = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=4, queue_timeout=5), name="reports")
RUNNING: list[int] = []
PEAK = 0


@reports
async def report(number: int) -> str:
    global PEAK  # noqa: PLW0603 - a counter for the assertion below
    RUNNING.append(number)
    PEAK = max(PEAK, len(RUNNING))
    await asyncio.sleep(0.02)
    RUNNING.remove(number)
    return f"report {number}"


async def look_up(number: int) -> str:
    await asyncio.sleep(0.001)
    return f"row {number}"


async def main() -> None:
    began = time.monotonic()
    burst = [asyncio.ensure_future(report(number)) for number in range(20)]
    rows = await asyncio.gather(*(look_up(number) for number in range(50)))
    assert len(rows) == 50
    print(f"50 look-ups took {time.monotonic() - began:.3f} s beside a burst of 20 reports")

    answers = await asyncio.gather(*burst, return_exceptions=True)
    done = [answer for answer in answers if isinstance(answer, str)]
    refused = [answer for answer in answers if isinstance(answer, BulkheadFullError)]
    print(len(done), "reports were made,", len(refused), "were refused at once:", refused[0])
    assert done == [f"report {number}" for number in range(6)], "two at once, four waited, in order"
    assert len(refused) == 14
    assert PEAK == 2
    assert reports.metrics["executed"] == 6


if __name__ == "__main__":
    asyncio.run(main())
