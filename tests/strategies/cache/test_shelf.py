"""What the shelf of a cache does without being asked: hits take no lock, and what is too old makes room (F6, G7)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Cache, CacheConfig
from recoup.testing import run

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_times_are_changed_while_results_are_kept(both: Both, clock: VirtualClock) -> None:
    """Issue 3, live reconfiguration: what is kept is judged by the new times, longer or shorter."""
    cache, calls = Cache(CacheConfig(ttl=10)), list[Any]()
    load = made(both, cache, calls)
    both.call(load, 1)
    clock.advance(8)
    cache.reconfigure(ttl=5)
    both.call(load, 1)
    assert calls == [1, 1]
    clock.advance(20)
    cache.reconfigure(ttl=100)
    both.call(load, 1)
    both.call(load, (1, 2))
    assert calls == [1, 1, (1, 2)]
    clock.advance(79)
    cache.reconfigure(CacheConfig(ttl=None))
    clock.advance(1e9)
    both.call(load, 1)
    both.call(load, (1, 2))
    assert len(calls) == 3
    assert repr(cache).endswith("2 of 1024 results, for ever>")


def test_a_smaller_cache_drops_what_is_too_much(both: Both, clock: VirtualClock) -> None:
    """Issue 3, B5's sense: the least recently used results go at once, and what is under way is kept afterwards."""
    cache, calls = Cache(CacheConfig(ttl=10)), list[Any]()
    load = made(both, cache, calls)
    for key in (1, 2, 3, 1):
        both.call(load, key)
    cache.reconfigure(max_size=2)
    assert len(cache) == 2
    for key in (1, 3, 2):
        both.call(load, key)
    assert calls == [1, 2, 3, 2]
    cache.reconfigure(max_size=5)
    for key in (1, 3, 2):
        both.call(load, key)
    assert len(cache) == 3


def test_a_bad_reconfiguration_changes_nothing() -> None:
    """G1: it is refused whole."""
    config = CacheConfig(ttl=10)
    cache = Cache(config, name="c")
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"ttl": 0}, ValueError, "ttl must be greater than 0"),
        ({"ttl": 5, "max_size": 0}, ValueError, "max_size must be at least 1"),
        ({"ttl": None, "stale_if_error": 5}, ValueError, "no meaning with ttl=None"),
        ({"size": 5}, TypeError, "size"),
        ({"key": len}, ValueError, "^key must stay as it is in <Cache 'c'"),
    ]
    for changes, kind, message in bad:
        with pytest.raises(kind, match=message):
            cache.reconfigure(**changes)
    with pytest.raises(TypeError, match="a config or fields, not both: ttl given"):
        cache.reconfigure(CacheConfig(), ttl=3)
    odd: Any = 3
    with pytest.raises(TypeError, match="config must be a CacheConfig, not 3"):
        cache.reconfigure(odd)
    assert cache.config is config
    assert cache._shelf.ttl == 10


def test_a_reset_forgets_everything(both: Both) -> None:
    """Results go, and what was warned of or logged once is said again (F6)."""
    cache = Cache(CacheConfig(ttl=10), name="c")
    calls: list[Any] = []
    load = made(both, cache, calls)
    both.call(load, 1)
    both.call(load, 1)
    cache._lost("OSError")
    with pytest.warns(RuntimeWarning, match="it got something"):
        cache._complain("something")
    cache._complain("something")
    cache.reset()
    assert (len(cache), cache._told) == (0, set())
    both.call(load, 1)
    assert calls == [1, 1]
    with pytest.warns(RuntimeWarning, match="it got something"):
        cache._complain("something")


def test_a_reset_drops_what_comes_of_calls_under_way(both: Both) -> None:
    """A call that is under way answers its caller, and its result is not kept (F6)."""
    cache = Cache(CacheConfig(ttl=10), name="c")

    def load(number: int) -> int:
        cache.reset()
        return number

    loaded = cache(both.wrap(load))
    assert both.call(loaded, 7) == 7
    assert len(cache) == 0


def test_changes_while_32_threads_call() -> None:
    """Every call gets its own result, whatever is changed and forgotten meanwhile (B5, F6, G7)."""
    cache = Cache(CacheConfig(max_size=8))
    stop = threading.Event()
    wrong: list[object] = []

    @cache
    def load(number: int) -> int:
        return number * 2

    def call() -> None:
        wrong.extend(number for number in range(300) if load(number % 16) != number % 16 * 2)

    def change() -> None:
        while not stop.is_set():
            cache.reconfigure(max_size=2, ttl=0.001)
            cache.reset()
            cache.reconfigure(max_size=16, ttl=None)

    callers = [threading.Thread(target=call) for _ in range(32)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    assert wrong == []
    assert len(cache) <= 16


def test_two_changes_at_once() -> None:
    """Of two changes at the same time one comes last, with everything in it: they never mix (B5)."""
    cache = Cache()
    shelf = cache._shelf
    second = CacheConfig(ttl=30, stale_if_error=30, max_size=30)
    adopted = shelf.reconfigure

    def overtaken(config: Callable[[], CacheConfig]) -> None:
        def held() -> CacheConfig:
            assert shelf.store._lock._is_owned()
            return config()

        cache.config = second  # another thread has come so far
        adopted(held)

    shelf.reconfigure = overtaken  # type: ignore[method-assign]
    cache.reconfigure(ttl=10)
    assert (shelf.ttl, shelf.if_error, shelf.store.max_size, shelf.store.lifetime) == (30, 30, 30, 60)
