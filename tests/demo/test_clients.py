"""The clients: what is worth another try, and what is answered when nothing helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest

from recoup import DeadlineExceeded, layers_of
from recoup.demo.clients import PATIENCE, Price, bare, protected, session, transient
from recoup.demo.script import CLIENT_HEADER, SCRIPT, scaled
from recoup.demo.server import Shop, listening

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def answer(status: int) -> aiohttp.ClientResponseError:
    """Make the error of an HTTP status."""
    return aiohttp.ClientResponseError(cast("Any", None), (), status=status)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (answer(500), True),
        (answer(503), True),
        (answer(404), False),
        (aiohttp.ServerDisconnectedError(), True),
        (TimeoutError(), True),
        (DeadlineExceeded(seconds=0.5, started=True), True),
        (ValueError(), False),
    ],
)
def test_only_what_may_go_away_is_worth_another_try(error: Exception, helps: bool) -> None:
    """No answer, and answers that say the service is at fault, are transient; what the caller did wrong is not."""
    assert transient(error) is helps


@pytest.fixture
async def shop() -> AsyncGenerator[tuple[Shop, aiohttp.ClientSession], None]:
    """Give a shop and a session with it."""
    shop = Shop(scaled(SCRIPT, 4.0), speed=4.0, seed=1)
    async with listening(shop) as port, session("me", f"http://127.0.0.1:{port}", 0.25) as http:
        yield shop, http


async def test_the_protected_client_retries_what_the_bare_one_raises(
    shop: tuple[Shop, aiohttp.ClientSession],
) -> None:
    """Of the same luck the bare client makes errors, the protected one answers."""
    shop[0].enter("errors")
    plain, guarded = bare(shop[1]), protected(shop[1], 0.25)
    failed = 0
    for item in range(20):
        try:
            await plain(item)
        except aiohttp.ClientResponseError:
            failed += 1
    assert failed > 0
    assert [(await guarded(item)).item for item in range(20)] == list(range(20))


async def test_without_any_price_there_is_a_placeholder(shop: tuple[Shop, aiohttp.ClientSession]) -> None:
    """In an outage a price that was known is given again, one that was never known is the placeholder with serial 0."""
    guarded = protected(shop[1], 0.25)
    known = await guarded(7)
    shop[0].enter("outage")
    assert await guarded(7) == known
    assert (await guarded(8)).serial == 0
    assert known == Price(7, 149, 1)


async def test_the_stack_is_in_the_canonical_order(shop: tuple[Shop, aiohttp.ClientSession]) -> None:
    """The model for users: fallback, total deadline, retry, breaker, attempt deadline, bulkhead (W2)."""
    kinds = [layer.kind for layer in layers_of(protected(shop[1], 1.0))]
    assert kinds == ["fallback", "deadline", "retry", "circuit_breaker", "deadline", "bulkhead"]


async def test_every_request_names_its_client_and_has_a_timeout() -> None:
    """Both clients send their name, and wait no longer than a caller's patience."""
    async with session("me", "http://127.0.0.1:1", 0.5) as http:
        assert http.headers[CLIENT_HEADER] == "me"
        assert http.timeout.total == PATIENCE / 2
