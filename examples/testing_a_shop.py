"""Test a client that recovers: faults on chosen calls, minutes in no time, and a look at what happened.

With pytest the fixtures `faults`, `virtual_time` and `recovery_events` stand for the blocks below.
"""

from __future__ import annotations

import asyncio

from recoup import DeadlineExceeded, circuit_breaker, deadline, fallback, layers_of, retry
from recoup.events import CircuitOpened, FallbackUsed, RetryScheduled
from recoup.testing import VirtualClock, disabled, fail, hang, inject, record, run


class Shop:
    """What is to be tested."""

    @fallback(fallback_value=0.0)
    @retry(max_attempts=3, backoff_strategy="fixed", initial_delay=5)
    @circuit_breaker(failure_threshold=5, timeout=3600)
    def price(self, article: str) -> float:
        """Ask for a price."""
        return {"tea": 3.2, "coffee": 7.5}[article]

    @deadline(5)
    async def stock(self, article: str) -> int:
        """Ask how many there are."""
        await asyncio.sleep(0.01)
        return len(article)


def test_a_price_comes_through_two_failures(shop: Shop) -> None:
    with VirtualClock() as clock, record() as events, inject(shop, "price", fail(ConnectionError, on=(1, 2))) as calls:
        assert shop.price("tea") == 3.2
    assert clock.sleeps == [5, 5]
    events.expect(RetryScheduled, times=2, error_type="ConnectionError")
    print(calls)


def test_an_outage_is_survived(shop: Shop) -> None:
    with VirtualClock() as clock, record() as events, inject(shop, "price", fail(ConnectionError)) as calls:
        assert [shop.price("tea") for _ in range(10)] == [0.0] * 10
    assert len(calls) == 5, "the breaker has kept the rest away"
    events.expect_order(RetryScheduled, CircuitOpened, FallbackUsed)
    print(f"an outage of {clock.elapsed:g} s, {len(calls)} calls, {events.count(FallbackUsed)} answers all the same")


def test_a_shop_that_hangs_costs_five_seconds(shop: Shop) -> None:
    with VirtualClock() as clock, inject(shop, "stock", hang(on=1)):
        try:
            run(shop.stock("tea"))
        except DeadlineExceeded as error:
            print(error)
        assert clock.elapsed == 5
        assert run(shop.stock("tea")) == 3


def test_what_is_wrong_is_seen_without_recovery(shop: Shop) -> None:
    with disabled(), inject(shop, "price", fail(ConnectionError("down"))) as calls:
        try:
            shop.price("tea")
        except ConnectionError as error:
            print(f"{error!r}, {len(calls)} call")
        else:
            raise AssertionError("nobody may answer")


def main() -> None:
    tests = [
        test_a_price_comes_through_two_failures,
        test_an_outage_is_survived,
        test_a_shop_that_hangs_costs_five_seconds,
        test_what_is_wrong_is_seen_without_recovery,
    ]
    shop = Shop()
    for test in tests:
        test(shop)
        for layer in layers_of(shop.price):
            layer.reset()  # a breaker is shared by all who call; the pytest plugin puts it back after each test


if __name__ == "__main__":
    main()
