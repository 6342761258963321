"""The plugin as its users have it: found by its entry point, beside other plugins, with nothing set up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shop import breaker, shop

import recoup
from recoup.events import RetryScheduled
from recoup.testing import fail

if TYPE_CHECKING:
    from recoup.testing import Events, Faults, VirtualClock


def test_recoup_is_the_one_from_the_wheel() -> None:
    """Nothing here proves anything about the wheel if the sources are in the way."""
    assert "site-packages" in Path(recoup.__file__).parts


def test_virtual_time(virtual_time: VirtualClock, faults: Faults, recovery_events: Events) -> None:
    """Two minutes of waiting take none."""
    calls = faults(shop, "price", fail(ConnectionError, on=(1, 2)))
    assert shop.price("tea") == 3
    assert len(calls) == 3
    assert virtual_time.elapsed == 120
    recovery_events.expect(RetryScheduled, times=2)


@pytest.mark.asyncio
async def test_asyncio(virtual_time: VirtualClock, faults: Faults) -> None:
    """An hour passes on a loop of pytest-asyncio."""
    faults(shop, "offer", fail(ConnectionError, on=1))
    assert await shop.offer("tea") == 2
    assert virtual_time.elapsed == 3660


@pytest.mark.anyio
async def test_both_backends(virtual_time: VirtualClock, faults: Faults) -> None:
    """And with anyio's plugin on either backend."""
    faults(shop, "offer", fail(ConnectionError, on=1))
    assert await shop.offer("tea") == 2
    assert virtual_time.elapsed == 3660


@pytest.mark.recovery(off=True)
def test_without_recovery(faults: Faults) -> None:
    """What the project itself does with an error."""
    calls = faults(shop, "price", fail(ConnectionError))
    with pytest.raises(ConnectionError):
        shop.price("tea")
    assert len(calls) == 1


@pytest.mark.parametrize("_", range(2))
def test_isolation(faults: Faults, _: int) -> None:
    """The state of a breaker is put back after a test."""
    assert breaker.state.value == "closed"
    faults(shop, "order", fail(ConnectionError))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            shop.order("tea")
    assert breaker.state.value == "open"
