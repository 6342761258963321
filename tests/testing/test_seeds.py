"""What a seed promises: other orders of tasks, and the same ones each time."""

from __future__ import annotations

import asyncio
import socket

import pytest

from recoup._core import clock as seam
from recoup.testing import VirtualClock, run


def _order(seed: int | None, names: str = "abcdef") -> str:
    """Tell in which order tasks that start together run."""
    seen: list[str] = []

    async def step(name: str) -> None:
        seen.append(name)

    async def main() -> None:
        await asyncio.gather(*map(step, names))

    run(main(), seed=seed)
    return "".join(seen)


def test_a_seed_orders_tasks_and_repeats_itself() -> None:
    """Tasks that are ready together run in an order drawn from the seed, the same each time; without one, as ever."""
    assert _order(None) == "abcdef"
    assert {_order(7) for _ in range(5)} == {_order(7)}
    assert {_order(seed, "abc") for seed in range(100)} == {"abc", "acb", "bac", "bca", "cab", "cba"}


def test_a_seed_reorders_in_every_pass() -> None:
    """The order is drawn anew for each pass, also for tasks that a timer or another task woke."""
    rounds: list[list[int]] = [[] for _ in range(8)]

    async def worker(number: int) -> None:
        for one in rounds:
            await asyncio.sleep(1)
            one.append(number)

    async def main() -> None:
        await asyncio.gather(*(worker(number) for number in range(6)))

    with VirtualClock() as clock:
        run(main(), seed=1)
        assert clock.monotonic() == 1008
    assert all(sorted(one) == list(range(6)) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 4


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_keeps_what_asyncio_promises(seed: int) -> None:
    """Plain callbacks run in the order in which they were scheduled, whatever the seed."""
    seen: list[int] = []

    async def schedule(first: int) -> None:
        for number in range(first, first + 5):
            asyncio.get_running_loop().call_soon(seen.append, number)

    async def main() -> None:
        running = asyncio.get_running_loop()
        tasks = [asyncio.create_task(schedule(100)), asyncio.create_task(schedule(200))]
        for number in range(50):
            running.call_soon(seen.append, number)
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)

    run(main(), seed=seed)
    assert [number for number in seen if number < 100] == list(range(50))
    for first in (100, 200):
        assert [number for number in seen if first <= number < first + 5] == list(range(first, first + 5))


def test_a_seed_finds_what_the_usual_order_hides() -> None:
    """A read, a pause and a write of a shared number: right in the usual order, wrong in others."""

    def wrong(seed: int | None) -> bool:
        state = {"opened": False, "used": False}

        async def opens() -> None:
            state["opened"] = True

        async def uses() -> None:
            state["used"] = state["opened"]

        async def main() -> None:
            await asyncio.gather(opens(), uses())

        run(main(), seed=seed)
        return not state["used"]

    assert not wrong(None)
    found = [seed for seed in range(20) if wrong(seed)]
    assert found
    assert wrong(found[0])


def test_a_seed_keeps_transports_working() -> None:
    """Streams over sockets work with a seed: the inner callbacks of transports keep their order."""

    async def main() -> bytes:
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        _, answering = await asyncio.open_connection(sock=right)
        answering.write(b"over the wire\n")
        line = await reader.readline()
        for one in (writer, answering):
            one.close()
            await one.wait_closed()
        return line

    for seed in range(20):
        assert run(main(), seed=seed) == b"over the wire\n"


def test_a_seed_throws_the_dice_of_recoup() -> None:
    """With a seed the jitter of retries is the same each time; behind the run it is chance again."""

    async def draws() -> list[float]:
        return [seam.uniform(0, 1) for _ in range(3)]

    dice = seam.random
    assert run(draws(), seed=3) == run(draws(), seed=3) != run(draws(), seed=4)
    assert seam.random is dice
    assert run(draws()) != run(draws())
