"""A cache under Trio: an old answer at once, and a new one fetched behind it (F6, G15)."""

from __future__ import annotations

import trio
import trio.testing

from recoup import cached
from recoup.testing import VirtualClock
from tests.conftest import run_trio


def test_an_old_answer_is_refreshed_behind_it(clock: VirtualClock) -> None:
    """The caller that finds an old answer does not wait; the next one has the new answer."""
    calls: list[float] = []

    @cached(10, stale_while_revalidate=60)
    async def price() -> int:
        calls.append(clock.monotonic())
        await trio.sleep(5)
        return len(calls)

    async def main() -> tuple[int, int, int]:
        first = await price()
        await trio.sleep(20)
        before = clock.monotonic()
        old = await price()
        assert clock.monotonic() == before
        await trio.sleep(6)
        return first, old, await price()

    assert run_trio(main) == (1, 1, 2)
    assert len(calls) == 2
