"""A game day: break a stack of layers on purpose, before an outage does it, and see what its callers get."""

from __future__ import annotations

from collections import Counter

from recoup import (
    FaultInjection,
    FaultInjectionConfig,
    circuit_breaker,
    events,
    fallback,
    inject_faults,
    retry,
    subscribe,
)

outage = inject_faults(error=ConnectionError, name="outage")
flaky = FaultInjection(FaultInjectionConfig(error=ConnectionError, rate=0.3, seed=7), name="flaky network")
lost = inject_faults(error=TimeoutError, after_call=True, schedule=[1], name="lost answer")

asked: list[str] = []


@fallback(fallback_value=0.0)
@retry(max_attempts=3, initial_delay=0)
@circuit_breaker(failure_threshold=5, timeout=3600)
@outage
@flaky
@lost
def price(article: str) -> float:
    """Ask the shop for a price."""
    asked.append(article)
    return {"tea": 3.2}[article]


def main() -> None:
    told: Counter[str] = Counter()

    def count(event: events.Event) -> None:
        told[type(event).__name__] += 1

    with subscribe(count):
        assert price("tea") == 3.2
        assert not told, "nothing is injected unarmed"

        with lost.armed():
            assert price("tea") == 3.2
        print(f"a lost answer: the shop was asked {len(asked) - 1} times for one price")
        assert len(asked) == 3

        with flaky.armed():
            answers = [price("tea") for _ in range(20)]
        print(
            f"a flaky network: {told['FaultInjected'] - 1} faults, {answers.count(3.2)} of 20 callers got their price"
        )
        assert answers == [3.2] * 20

        asked.clear()
        with outage.armed():
            assert {price("tea") for _ in range(20)} == {0.0}
        print(f"an outage: {told['CircuitOpened']} circuit opened, the shop was asked {len(asked)} times")
        assert (told["CircuitOpened"], asked) == (1, [])


if __name__ == "__main__":
    main()
