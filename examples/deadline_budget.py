"""One deadline for a whole request: every step sees what is left, and the slow mirror is cut off in time."""

from __future__ import annotations

import asyncio
import time

from recoup import DeadlineExceeded, current_deadline, deadline, retry

MIRRORS = {"fast": 0.01, "slow": 30.0}
ASKED: list[tuple[str, float]] = []


def left() -> float:
    """Say how much time the current call has."""
    ambient = current_deadline()
    assert ambient is not None
    return ambient.remaining()


@retry(max_attempts=3, initial_delay=0.01, attempt_timeout=0.3, on=TimeoutError)
async def download(mirror: str) -> str:
    """Ask a mirror; an attempt that takes longer than 0.3 s is cut off and made again."""
    ASKED.append((mirror, left()))
    await asyncio.sleep(MIRRORS[mirror])
    return f"page from {mirror}"


@deadline(0.7)
async def page(mirror: str) -> str:
    """Serve a page within 0.7 seconds, whatever happens below."""
    return await download(mirror)


async def main() -> None:
    assert await page("fast") == "page from fast"

    began = time.monotonic()
    try:
        await page("slow")
    except DeadlineExceeded as error:
        print(f"gave up after {time.monotonic() - began:.2f} s: {error}")
    assert time.monotonic() - began < 5, "30 seconds were not waited for"

    attempts = [time_left for mirror, time_left in ASKED if mirror == "slow"]
    print("attempts began with", ", ".join(f"{time_left:.2f} s" for time_left in attempts), "left")
    assert 1 <= len(attempts) <= 3
    assert all(time_left <= 0.3 for time_left in attempts), "each attempt has its own 0.3 s, or less"
    assert current_deadline() is None


if __name__ == "__main__":
    asyncio.run(main())
