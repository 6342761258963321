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

__all__ = ["Arrival", "Side", "arrivals", "drive"]

ITEMS = 40
"""How many different prices there are to ask for: few, so that a last known price exists for nearly all."""


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

    async def call(self, phase: str, arrival: Arrival, begin: float) -> None:
        """Make one call, and enter into the account what the caller got.

        Both clients are judged alike, from outside: an answer is a success if its serial number is new, which means
        that the service gave it to this call. One seen before was remembered; zero is a placeholder.
        """
        now = asyncio.get_running_loop().time
        started = now()
        self.account.begin()
        try:
            price = await self.fetch(arrival.item)
        except Exception:  # noqa: BLE001 - whatever it was, this caller has no price
            outcome = Outcome.FAILED
        else:
            outcome = Outcome.DEGRADED if price.serial in self.delivered else Outcome.SUCCESS
            self.delivered.add(price.serial)
        self.account.end(phase, outcome, at=started - begin, seconds=now() - started)


async def drive(
    script: Sequence[Phase], sides: Sequence[Side], *, rate: float, seed: int, enter: Callable[[Phase], object]
) -> None:
    """Send the same callers to every side through all phases, and wait until the last one has its answer."""
    luck = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    now = asyncio.get_running_loop().time
    begin = start = now()
    async with asyncio.TaskGroup() as calls:
        for phase in script:
            enter(phase)
            for arrival in arrivals(phase.seconds, rate, luck):
                await asyncio.sleep(max(0.0, start + arrival.at - now()))
                for side in sides:
                    calls.create_task(side.call(phase.name, arrival, begin))
            start += phase.seconds
            await asyncio.sleep(max(0.0, start - now()))
