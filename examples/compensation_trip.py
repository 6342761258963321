"""A trip in three bookings: when the last one fails, the others are cancelled, and the books balance."""

from __future__ import annotations

import asyncio
from typing import Any

from recoup import CompensationError, compensate, retry, saga


@retry(max_attempts=3, initial_delay=0.01, on=ConnectionError)
async def cancel(state: dict[str, Any]) -> None:
    if "result" in state:  # a booking that failed has no number
        await state["self"].cancel(state["result"])


class Agency:
    """Sells places, and keeps books of what is sold."""

    def __init__(self, name: str, *, places: int) -> None:
        self.name = name
        self.places = places
        self.sold: dict[int, str] = {}
        self.log: list[str] = []
        self.down = 0  # how many requests will fail

    @compensate(cancel)
    async def book(self, who: str) -> int:
        """Sell a place; the answer is a booking number."""
        await asyncio.sleep(0)
        if not self.places:
            raise LookupError(f"{self.name} is full")
        self.places -= 1
        number = 100 + len(self.log)
        self.sold[number] = who
        self.log.append(f"booked {number}")
        return number

    async def cancel(self, number: int) -> None:
        """Take a place back; cancelling what is not sold does nothing, so that it may be repeated."""
        await asyncio.sleep(0)
        if self.down:
            self.down -= 1
            raise ConnectionError(f"{self.name} does not answer")
        if self.sold.pop(number, None):
            self.places += 1
            self.log.append(f"cancelled {number}")


async def travel(who: str, *agencies: Agency) -> Exception | None:
    """Book everything or nothing; give the error of a trip that cannot be made."""
    try:
        async with saga("trip"):
            for agency in agencies:
                await agency.book(who)
    except (LookupError, CompensationError) as error:
        return error
    return None


async def main() -> None:
    flight, train, hotel = Agency("flight", places=2), Agency("train", places=2), Agency("hotel", places=1)
    assert await travel("Ada", flight, train, hotel) is None
    assert [len(agency.sold) for agency in (flight, train, hotel)] == [1, 1, 1]

    train.down = 2  # so cancelling has to be retried
    failed = await travel("Ben", flight, train, hotel)
    print(failed, getattr(failed, "__notes__", ()), flight.log, train.log, hotel.log, sep="\n")
    assert isinstance(failed, LookupError)
    assert [set(agency.sold.values()) for agency in (flight, train, hotel)] == [{"Ada"}] * 3, "nothing of Ben is left"

    train.down = 99  # cancelling is given up: the flight is cancelled all the same, and somebody is told
    failed = await travel("Cem", flight, train, hotel)
    print(failed)
    assert isinstance(failed, CompensationError)
    assert isinstance(failed.original, LookupError)
    assert (len(failed.failures), failed.undone) == (1, 1)
    assert [len(agency.sold) for agency in (flight, train, hotel)] == [1, 2, 1]


if __name__ == "__main__":
    asyncio.run(main())
