"""What the project is about: prices from a service that fails now and then."""

from __future__ import annotations

import anyio

from recoup import CircuitBreaker, CircuitBreakerConfig, retry

breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2, timeout=60), name="shop")


class Shop:
    """Ask for prices."""

    @retry(max_attempts=3, initial_delay=60, backoff_strategy="fixed")
    def price(self, article: str) -> int:
        """Give a price."""
        return len(article)

    @retry(max_attempts=3, initial_delay=60, backoff_strategy="fixed")
    async def offer(self, article: str) -> int:
        """Give a better one, an hour later."""
        await anyio.sleep(3600)
        return len(article) - 1

    @breaker
    def order(self, article: str) -> str:
        """Take an order."""
        return article


shop = Shop()
