"""What the shelf of a cache does without being asked: hits take no lock, and what is too old makes room (F6, G7)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Cache, CacheConfig
from recoup.testing import run

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


def made(both: Both, cache: Cache, calls: list[Any]) -> Any:
    def load(key: object) -> object:
        calls.append(key)
        return key

    async def load_later(key: object) -> object:
        calls.append(key)
        return key

    return cache(load_later if both.is_async else load)


@pytest.mark.parametrize("key", ["an atom", ("a", "tuple")])
@pytest.mark.parametrize("age", [0, 9])
def test_a_hit_takes_no_lock(both: Both, clock: VirtualClock, key: object, age: float) -> None:
    """G7: somebody who changes the cache never holds up those who only read, easy key or not."""
    cache, calls = Cache(CacheConfig(ttl=10)), list[Any]()
    load = made(both, cache, calls)
    both.call(load, key)
    clock.advance(age)
    taken, end = threading.Event(), threading.Event()

    def hold() -> None:
        with cache._shelf.store._lock:
            taken.set()
            end.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    reader = threading.Thread(target=both.call, args=(load, key), daemon=True)
    reader.start()
    reader.join(5)
    waited = reader.is_alive()
    end.set()
    holder.join()
    reader.join()
    assert not waited
    assert calls == [key]


def test_what_is_too_old_makes_room(both: Both, clock: VirtualClock) -> None:
    """F6: results that can answer nobody any more are dropped as new ones come, not only when the cache is full."""
    cache, calls = Cache(CacheConfig(ttl=10, stale_if_error=5)), list[Any]()
    load = made(both, cache, calls)
    for key in range(4):
        both.call(load, key)
    clock.advance(14)
    both.call(load, 4)
    assert len(cache) == 5
    clock.advance(1)
    for key in (5, 6):
        both.call(load, key)
    assert len(cache) == 3


def test_what_lasts_for_ever_makes_no_room(both: Both, clock: VirtualClock) -> None:
    """F6: with `ttl=None` nothing is too old."""
    cache, calls = Cache(CacheConfig(ttl=None)), list[Any]()
    load = made(both, cache, calls)
    for key in range(4):
        both.call(load, key)
        clock.advance(1e9)
    assert len(cache) == 4


def test_what_came_of_a_coroutine_lasts_as_long_as_any_result(clock: VirtualClock) -> None:
    """G5, F6: a plain function that returns coroutines is cached for `ttl`, not a moment longer."""
    cache, calls = Cache(CacheConfig(ttl=10)), list[Any]()

    async def fetch(key: int) -> int:
        calls.append(key)
        return key

    @cache
    def load(key: int) -> Any:
        return fetch(key)

    for key, seconds in ((1, 0), (2, 9), (1, 1), (1, 0), (3, 0)):
        assert run(load(key)) == key
        clock.advance(seconds)
    assert calls == [1, 2, 1, 3]


def test_only_complete_calls_are_glanced_at(both: Both, clock: VirtualClock) -> None:
    """F6: an easy hit is the same call: arguments left out, given by name, or too many are looked at closely."""
    calls: list[Any] = []

    def load(a: object, b: object = 2, *rest: object) -> object:
        calls.append((a, b, *rest))
        return calls[-1]

    async def load_later(a: object, b: object = 2, *rest: object) -> object:
        calls.append((a, b, *rest))
        return calls[-1]

    call = Cache(CacheConfig(ttl=10))(load_later if both.is_async else load)
    for _ in range(2):
        for args, kwargs in (((1,), {}), ((1, 2), {}), ((), {"a": 1}), ((1,), {"b": 2})):
            assert both.call(call, *args, **kwargs) == (1, 2)
        assert both.call(call, 1, 2, 3) == (1, 2, 3)
        assert both.call(call, True, 2) == (True, 2)
        with pytest.raises(TypeError, match="argument"):
            both.call(call, 1, a=1)
        with pytest.raises(TypeError, match="argument"):
            both.call(call)
    assert calls == [(1, 2), (1, 2, 3), (True, 2)]
