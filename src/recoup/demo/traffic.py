"""The traffic: callers who come when they come, and the same ones for both clients."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from recoup.demo.figures import Account, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recoup.demo.clients import Fetch
    from recoup.demo.script import Phase
    from recoup.demo.stage import Stage

__all__ = ["Arrival", "Side", "arrivals", "drive"]

ITEMS = 40
"""How many different prices there are to ask for: few, so that a last known price exists for nearly all."""

TOLERANCE = 0.1
"""Seconds that a call may be late without stopping the time of the script: a handful of calls at once is no burst."""


class Arrival(NamedTuple):
    """One caller: when it comes, in seconds from the start of the phase, and the item it asks for."""

    at: float
    item: int


def arrivals(seconds: float, rate: float, luck: random.Random) -> list[Arrival]:
    """Draw the callers of one phase: independent of one another, `rate` a second on average.

    The traffic is open-loop: callers do not wait for those before them, as real ones do not, so a service that
    hangs meets more and more calls at once.
    """
    drawn = []
    at = luck.expovariate(rate)
    while at < seconds:
        drawn.append(Arrival(at, luck.randrange(ITEMS)))
        at += luck.expovariate(rate)
    return drawn


@dataclass(slots=True)
class Side:
    """One client at work: how it asks, and what comes of it."""

    fetch: Fetch
    account: Account
    delivered: set[int] = field(default_factory=lambda: {0})

    async def call(self, phase: str, item: int, at: float) -> None:
        """Make one call, `at` seconds after the start, and enter into the account what the caller got.

        Both clients are judged alike, from outside: an answer is a success if its serial number is new, which means
        that the service gave it to this call. One seen before was remembered; zero is a placeholder.
        """
        now = asyncio.get_running_loop().time
        started = now()
        self.account.begin()
        try:
            price = await self.fetch(item)
        except Exception:  # noqa: BLE001 - whatever it was, this caller has no price
            outcome = Outcome.FAILED
        else:
            outcome = Outcome.DEGRADED if price.serial in self.delivered else Outcome.SUCCESS
            self.delivered.add(price.serial)
        self.account.end(phase, outcome, at=at, seconds=now() - started)


async def drive(
    stage: Stage, sides: Sequence[Side], *, rate: float, seed: int, enter: Callable[[Phase], object]
) -> None:
    """Send the same callers to every side through all phases, and wait until the last one has its answer."""
    luck = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    start = 0.0
    async with asyncio.TaskGroup() as calls:
        for phase in stage.script:
            enter(phase)
            for arrival in arrivals(phase.seconds, rate, luck):
                await _until(stage, start + arrival.at)
                for side in sides:
                    calls.create_task(side.call(phase.name, arrival.item, stage.elapsed()))
            start += phase.seconds
            await _until(stage, start)


async def _until(stage: Stage, at: float) -> None:
    """Wait until a moment of the script.

    If this process was kept from running, the time of the script stops for as long: to make up for it by a burst of
    calls would test how many calls the machine can begin at once, which no part of the script asks for.
    """
    await asyncio.sleep(max(0.0, at - stage.elapsed()))
    late = stage.elapsed() - at
    if late > TOLERANCE:
        stage.hold(late)
