"""Quick looks for fresh results: what they must not get wrong for being quick (F6, G5, G12, G16)."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Cache, CacheConfig, subscribe
from recoup.events import CacheHit
from recoup.testing import disabled

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Service:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.error: Exception | None = None

    def load(self, key: object) -> Any:
        self.calls.append(key)
        if self.error is not None:
            raise self.error
        return key, len(self.calls)

    def pair(self, first: object, second: object = 2) -> Any:
        return self.load((first, second))


@pytest.fixture
def service() -> Service:
    return Service()


class Colour(enum.StrEnum):
    """Equal to a string, and not the same."""

    RED = "red"


def made(both: Both, cache: Cache, service: Service) -> Any:
    """Decorate a function of one parameter, which is found by that alone."""

    def load(key: object = "default") -> Any:
        return service.load(key)

    async def load_later(key: object = "default") -> Any:
        return service.load(key)

    return cache(load_later if both.is_async else load)


def quick(load: Any, both: Both, *keys: object) -> None:
    """Ask until the answers come at a glance."""
    for _ in range(4):
        for key in keys:
            both.call(load, key)


def eased(cache: Cache) -> int:
    """Count the results that have a short cut."""
    return sum(slot.eased is not None for row in cache._shelf.store.rows.values() for slot in row)


@pytest.mark.parametrize("kind", ["one parameter", "more"])
def test_types_are_told_apart(both: Both, service: Service, kind: str, clock: VirtualClock) -> None:
    """1, True and 1.0, a string and an enum member that equals it, are different calls, however quick (F6)."""
    cache = Cache(CacheConfig(ttl=10))
    load: Any = made(both, cache, service) if kind == "one parameter" else cache(both.wrap(service.pair))
    quick(load, both, 1, "red")
    for key in (True, 1.0, Colour.RED, b"red", [1], object):
        both.call(load, key)
    quick(load, both, None)
    seen = [type(key[0] if isinstance(key, tuple) else key) for key in service.calls]
    assert seen == [int, str, bool, float, Colour, bytes, list, type, type(None)]


def test_a_call_may_be_written_as_ever(both: Both, service: Service, clock: VirtualClock) -> None:
    """By position, by name, by default or wrongly: a glance takes the calls that the function takes (G6)."""
    cache = Cache(CacheConfig(ttl=10))
    load = made(both, cache, service)
    quick(load, both, "default")
    assert both.call(load) == both.call(load, key="default") == both.call(load, "default") == ("default", 1)
    for args, kwargs in (((1, 2), {}), ((), {"kye": 1}), ((1,), {"key": 1})):
        with pytest.raises(TypeError, match=r"load(_later)?\(\)"):
            both.call(load, *args, **kwargs)


def test_positional_only(both: Both, service: Service, clock: VirtualClock) -> None:
    """A parameter that has no name for callers has none for the glance either (G6)."""
    cache = Cache(CacheConfig(ttl=10))

    def load(key: object, /) -> Any:
        return service.load(key)

    call = cache(both.wrap(load) if both.is_async else load)
    quick(call, both, 1)
    assert both.call(call, 1) == (1, 1)
    with pytest.raises(TypeError, match="positional-only"):
        both.call(call, key=1)


@pytest.mark.parametrize("name", ["arg", "entry", "find", "shelf"])
def test_names_of_its_own_variables(both: Both, name: str, clock: VirtualClock) -> None:
    """The parameter may be called like a variable of the glance."""
    space: dict[str, Any] = {}
    asynchronous = "async " if both.is_async else ""
    exec(f"{asynchronous}def load({name}): return {name} * 2", space)  # noqa: S102 - names are the subject
    call = Cache(CacheConfig(ttl=10))(space["load"])
    quick(call, both, 4)
    assert both.call(call, 4) == both.call(call, **{name: 4}) == 8


def test_time_counts_as_ever(both: Both, service: Service, clock: VirtualClock) -> None:
    """A result is fresh for exactly `ttl`, also a new one, and by the ttl that holds now (F6, B5)."""
    cache = Cache(CacheConfig(ttl=10))
    load = made(both, cache, service)
    quick(load, both, 1)
    clock.advance(9.5)
    assert both.call(load, 1) == (1, 1)
    clock.advance(0.5)
    assert both.call(load, 1) == both.call(load, 1) == (1, 2)
    clock.advance(5)
    cache.reconfigure(ttl=5)
    assert both.call(load, 1) == (1, 3)
    cache.reconfigure(ttl=None)
    clock.advance(1e9)
    assert both.call(load, 1) == (1, 3)
    assert eased(cache) == 1


def test_a_clock_that_goes_backwards_begins_anew(both: Both, service: Service, clock: VirtualClock) -> None:
    """What seems to come from the future is as old as if it had come now (G12)."""
    cache = Cache(CacheConfig(ttl=10))
    clock.advance(100)
    load = made(both, cache, service)
    quick(load, both, 1)
    clock.rewind(50)
    assert both.call(load, 1) == (1, 1)
    clock.advance(9)
    assert both.call(load, 1) == (1, 1)
    clock.advance(2)
    assert both.call(load, 1) == (1, 2)


def test_what_is_forgotten_is_not_found(both: Both, service: Service, clock: VirtualClock) -> None:
    """By hand, by a reset, for lack of room, or because an error has taken its place (F6)."""
    cache = Cache(CacheConfig(ttl=10, negative_ttl=5, max_size=2))
    load = made(both, cache, service)
    quick(load, both, 1)
    assert cache.invalidate(1)
    quick(load, both, 1)
    assert len(service.calls) == 2
    cache.reset()
    quick(load, both, 1)
    assert len(service.calls) == 3
    quick(load, both, 2)
    for key in (3, 4, 5, 6):
        both.call(load, key)
    assert both.call(load, 1)[1] == 9
    quick(load, both, 1)
    clock.advance(10)
    service.error = OSError("down")
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            both.call(load, 1)
    assert len(service.calls) == 10


def test_listeners_and_the_switch(both: Both, service: Service, clock: VirtualClock) -> None:
    """Whoever listens hears of quick hits, and where recovery is off there is no cache (G16)."""
    cache = Cache(CacheConfig(ttl=10))
    load = made(both, cache, service)
    quick(load, both, 1)
    heard: list[Any] = []
    with subscribe(heard.append):
        both.call(load, 1)
    assert [type(event) for event in heard] == [CacheHit]
    with disabled():
        assert both.call(load, 1) == (1, 2)
    assert both.call(load, 1) == (1, 1)


def test_a_quick_hit_saves_its_result(both: Both, service: Service, clock: VirtualClock) -> None:
    """What answers at a glance has answered: it is spared when room is needed (F6)."""
    cache = Cache(CacheConfig(ttl=10, max_size=2))
    load = made(both, cache, service)
    quick(load, both, 1)
    both.call(load, 2)
    both.call(load, 3)  # what was used before is spared once
    both.call(load, 1)
    both.call(load, 4)
    both.call(load, 5)  # and once more, for the quick hit
    both.call(load, 1)
    assert service.calls == [1, 2, 3, 4, 5]


def test_one_execution_takes_no_short_cut_from_others(both: Both, service: Service, clock: VirtualClock) -> None:
    """`execute` composes anew each time, and leaves the decorated function its quick hits."""
    cache = Cache(CacheConfig(ttl=10))

    def load(key: object) -> Any:
        return service.load(key)

    call = cache(load)
    for _ in range(4):
        call(1)
    (row,) = cache._shelf.store.rows.values()
    before = row[0].eased
    assert before is not None
    for _ in range(3):
        assert cache.execute_sync(load, 1) == (1, 1)
    assert row[0].eased is before


def test_a_function_that_turns_out_to_give_coroutines(service: Service) -> None:
    """Nothing is found at a glance then, because what is found would have to be awaited (G5)."""
    cache = Cache(CacheConfig(ttl=10))

    async def load(key: object) -> Any:
        return service.load(key)

    def plain(key: object) -> Any:
        return load(key)

    call: Any = cache(plain)

    async def main() -> list[Any]:
        return [await call(1) for _ in range(5)]

    assert asyncio.run(main()) == [(1, 1)] * 5
    assert eased(cache) == 0


def test_the_same_plain_function_decorated_twice(service: Service) -> None:
    """A result that came of a coroutine is something to await at its first hit already (G5)."""
    cache = Cache(CacheConfig(ttl=10))

    async def load(key: object) -> Any:
        return service.load(key)

    def made_anew() -> Any:
        def plain(key: object) -> Any:
            return load(key)

        return cache(plain)

    async def main() -> list[Any]:
        first, second = made_anew(), made_anew()
        other: Any = cache(lambda key: load([key]))
        assert await other(1) == await other(1) == ([1], 1)
        return [await first(1), await second(1), await second(1), await first(1)]

    assert asyncio.run(main()) == [(1, 2)] * 4
    assert eased(cache) == 0
