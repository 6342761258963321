"""An outage: three functions share a budget of retries, and the service is hardly asked more often than without any."""

from __future__ import annotations

from recoup import RetryBudget, retry

BUDGET = RetryBudget(ratio=0.1, minimum_rate=1, capacity=5, name="shop budget")
ASKED: list[str] = []


def service(what: str) -> str:
    ASKED.append(what)
    raise ConnectionError("down")


@retry(on=ConnectionError, initial_delay=0, budget=BUDGET)
def orders() -> str:
    return service("orders")


@retry(on=ConnectionError, initial_delay=0, budget=BUDGET)
def prices() -> str:
    return service("prices")


@retry(on=ConnectionError, initial_delay=0, budget=BUDGET)
def stock() -> str:
    return service("stock")


def main() -> None:
    notes = []
    for _ in range(30):
        for function in (orders, prices, stock):
            try:
                function()
            except ConnectionError as error:
                notes.extend(error.__notes__)
    print(f"90 calls, {len(ASKED)} requests (270 without a budget): {BUDGET}")
    print(notes[-1])
    assert 90 <= len(ASKED) < 120
    assert "shop budget is used up" in notes[-1]


if __name__ == "__main__":
    main()
