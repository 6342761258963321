"""The two clients. They make the same call to the same service; all that differs is what stands above it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

import aiohttp

from recoup import bulkhead, circuit_breaker, deadline, fallback, retry
from recoup.demo.script import CLIENT_HEADER

__all__ = ["ATTEMPT", "PATIENCE", "Fetch", "Price", "ask", "bare", "protected", "session", "transient"]

PATIENCE = 2.0
"""Seconds that a caller waits for a price, whichever client it uses."""

ATTEMPT = 0.5
"""Seconds for one attempt: twice as long as the slowest answer worth waiting for; three fit into the patience."""


class Price(NamedTuple):
    """Tell what an item costs. Each answer of the service has a serial number of its own; 0: nobody knows the price."""

    item: int
    cents: int
    serial: int


Fetch: TypeAlias = Callable[[int], Awaitable[Price]]


def session(name: str, url: str, t: float) -> aiohttp.ClientSession:
    """Open what a client needs: its own connections, its name on every request, and a timeout as everybody sets one."""
    return aiohttp.ClientSession(url, headers={CLIENT_HEADER: name}, timeout=aiohttp.ClientTimeout(total=PATIENCE * t))


async def ask(http: aiohttp.ClientSession, item: int) -> Price:
    """Ask the service for a price: the call that both clients make."""
    async with http.get(f"/prices/{item}") as response:
        response.raise_for_status()
        return Price(**await response.json())


def bare(http: aiohttp.ClientSession) -> Fetch:
    """Make the client that most programs have: a call with a timeout."""

    async def fetch(item: int) -> Price:
        return await ask(http, item)

    return fetch


def protected(http: aiohttp.ClientSession, t: float) -> Fetch:
    """Make the client that recoup protects.

    Read the stack from the outside in: whatever fails inside is answered with the last known price; all attempts
    together have a caller's patience; each attempt asks the circuit first, and has a time limit that a hanging
    connection cannot outlive; a slow service gets at most so many calls at once. `t` is 1 but for a faster demo.

    Sixteen of twenty: a service that fails three times in ten must not open the circuit (by chance that happens once
    in 180 000 attempts), one that is down must at once.
    """

    @fallback(use_cache=True, cache_ttl=60.0, fallback_function=unknown_price)
    @deadline(PATIENCE * t, name="patience")
    @retry(max_attempts=4, initial_delay=0.05 * t, max_delay=0.5 * t, on=transient)
    @circuit_breaker(failure_threshold=16, window_size=20, timeout=2.0 * t, half_open_max=1, on=transient)
    @deadline(ATTEMPT * t, name="attempt")
    @bulkhead(max_concurrent=25, max_queue_size=100)
    async def fetch(item: int) -> Price:
        return await ask(http, item)

    return fetch


def transient(error: BaseException) -> bool:
    """Tell whether another try may help: there was no answer, or one which says that the service is at fault."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status >= 500
    return isinstance(error, (aiohttp.ClientError, TimeoutError))


def unknown_price() -> Price:
    """Answer when there is no price, not even an old one."""
    return Price(item=0, cents=0, serial=0)
