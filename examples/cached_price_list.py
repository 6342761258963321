"""A slow price list: one call for many customers, old prices while new ones are fetched, old ones in an outage."""

from __future__ import annotations

import asyncio

from recoup import Cache, CacheConfig

cache = Cache(CacheConfig(ttl=0.1, stale_while_revalidate=0.2, stale_if_error=60), name="prices")


class Shop:
    """A service that answers slowly, and not at all during an outage."""

    def __init__(self) -> None:
        self.requests = 0
        self.up = True

    @cache
    async def prices(self, currency: str = "EUR") -> dict[str, int]:
        """Ask for the price list."""
        self.requests += 1
        number = self.requests
        await asyncio.sleep(0.02)
        if not self.up:
            raise ConnectionError("the shop does not answer")
        return {"tea": 3, "edition": number, currency: 1}


async def main() -> None:
    shop = Shop()
    lists = await asyncio.gather(*(shop.prices() for _ in range(100)))
    assert shop.requests == 1
    assert all(each is lists[0] for each in lists)
    print("100 customers,", shop.requests, "request")

    await asyncio.sleep(0.15)
    assert (await shop.prices())["edition"] == 1  # old, at once, and refreshed behind its back
    await asyncio.sleep(0.05)
    assert (await shop.prices())["edition"] == 2
    print("refreshed in the background:", shop.requests, "requests")

    shop.up = False
    await asyncio.sleep(0.4)
    assert (await shop.prices())["edition"] == 2
    print("old prices during the outage:", shop.requests, "requests")

    assert cache.invalidate(shop)
    try:
        await shop.prices()
    except ConnectionError as error:
        print("nothing left to answer with:", error)


if __name__ == "__main__":
    asyncio.run(main())
