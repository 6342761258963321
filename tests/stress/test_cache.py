"""Many threads and loops at one cache, with errors and cancellations: right answers, one call each, nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Cache, CacheConfig, Fallback, FallbackConfig
from recoup.strategies.cache import leading

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

KEYS = 7


@pytest.fixture(autouse=True)
def _restless() -> Iterator[None]:
    """Have threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Oops(Exception):
    pass


class Watched:
    """A function that knows how many of its calls for one key run at once."""

    def __init__(self, *, failing: float = 0.0) -> None:
        self.lock = threading.Lock()
        self.running: Counter[int] = Counter()
        self.most = 0
        self.calls = 0
        self.failing = failing

    def begin(self, key: int) -> None:
        with self.lock:
            self.calls += 1
            self.running[key] += 1
            self.most = max(self.most, self.running[key])

    def end(self, key: int) -> None:
        with self.lock:
            self.running[key] -= 1

    def __call__(self, key: int) -> str:
        self.begin(key)
        try:
            if random.random() < self.failing:
                raise Oops(key)
            return f"value {key}"
        finally:
            self.end(key)

    async def later(self, key: int) -> str:
        self.begin(key)
        try:
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            if random.random() < self.failing:
                raise Oops(key)
            return f"value {key}"
        finally:
            self.end(key)


def in_threads(number: int, work: Any) -> None:
    problems: list[BaseException] = []

    def run(place: int) -> None:
        try:
            work(place)
        except BaseException as error:  # noqa: BLE001 - told below
            problems.append(error)

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    assert problems == []


def settled(cache: Cache) -> None:
    """Nothing is under way, and nothing is left that nobody can use."""
    cache.execute_sync(str)
    store = cache._shelf.store
    for row in list(store.rows.values()):
        for slot in row:
            assert slot.busy is None or slot.busy.idle
            assert slot.entry is not None
    assert len(store) <= store.max_size
    assert leading.led() == []


@pytest.mark.parametrize("max_size", [1, 3, 100])
def test_threads(max_size: int) -> None:
    """With errors and evictions each caller gets its own key's answer, from one call a key at a time (F6, G7)."""
    watched = Watched(failing=0.3)
    cache = Cache(CacheConfig(ttl=None, max_size=max_size))
    load = cache(watched.__call__)

    def work(seed: int) -> None:
        for turn in range(300):
            key = (seed * 31 + turn * 7) % KEYS
            try:
                answer = load(key)
            except Oops as error:
                answer = f"value {error.args[0]}"
            assert answer == f"value {key}"

    in_threads(8, work)
    assert watched.most == 1
    settled(cache)


def test_threads_that_forget() -> None:
    """Forgetting in the middle of calls leaves right answers and no slots (F6)."""
    watched = Watched(failing=0.1)
    cache = Cache(CacheConfig(ttl=None, max_size=4))
    load = cache(watched.__call__)

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(200):
            key = dice.randrange(KEYS)
            if dice.random() < 0.1:
                cache.clear()
            elif dice.random() < 0.3:
                cache.invalidate(key)
            with contextlib.suppress(Oops):
                assert load(key) == f"value {key}"

    in_threads(6, work)
    settled(cache)


def test_loops_with_cancellation() -> None:
    """Four loops, tasks that are cancelled at any time: nobody hangs, nobody gets another's answer (G2, G7)."""
    watched = Watched(failing=0.2)
    cache = Cache(CacheConfig(ttl=None, max_size=3))
    load = cache(watched.later)

    async def caller(dice: random.Random) -> None:
        key = dice.randrange(KEYS)
        task = asyncio.create_task(load(key))
        for _ in range(dice.randrange(5)):
            await asyncio.sleep(0)
        if dice.random() < 0.4:
            task.cancel()
        with contextlib.suppress(Oops, asyncio.CancelledError):
            assert await task == f"value {key}"

    async def main(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(10):
            await asyncio.wait_for(asyncio.gather(*(caller(dice) for _ in range(20))), 30)

    in_threads(4, lambda place: asyncio.run(main(place)))
    assert watched.most == 1
    settled(cache)


def test_cold_keys_make_one_call_each() -> None:
    """Sixteen threads that come at the same moment make one call a key, turn after turn (F6)."""
    watched = Watched()
    cache = Cache()
    load = cache(watched.__call__)
    together = threading.Barrier(16)

    def work(place: int) -> None:
        for turn in range(50):
            together.wait(30)
            assert load(turn) == f"value {turn}"

    in_threads(16, work)
    assert watched.calls == 50


def test_calls_that_wait_for_one_another() -> None:
    """Calls that call one another at random, in threads: no circle of them hangs (F6)."""
    cache = Cache(CacheConfig(ttl=None, max_size=2))

    @cache
    def load(key: int, depth: int) -> int:
        return key if depth == 0 else load(random.randrange(3), depth - 1)

    def work(seed: int) -> None:
        for turn in range(100):
            load(turn % 3, 3)

    in_threads(6, work)
    settled(cache)


def test_refreshing_under_load() -> None:
    """Old results and refreshes in threads and loops at the same time: right answers, and nothing is left (F6)."""
    watched = Watched(failing=0.1)
    cache = Cache(CacheConfig(ttl=0.0005, stale_while_revalidate=60, max_size=100))
    load, load_later = cache(watched.__call__), cache(watched.later)

    def work(seed: int) -> None:
        dice = random.Random(seed)

        async def main() -> None:
            for _ in range(200):
                key = dice.randrange(KEYS)
                with contextlib.suppress(Oops):
                    assert (await load_later(key)) == f"value {key}"

        if seed % 2:
            asyncio.run(main())
            return
        for _ in range(200):
            key = dice.randrange(KEYS)
            with contextlib.suppress(Oops):
                assert load(key) == f"value {key}"

    in_threads(6, work)
    for thread in threading.enumerate():
        if thread.name == "recoup-refresh":
            thread.join(30)
    assert watched.most <= 2  # one for each of the two functions
    settled(cache)


def test_remembered_successes_under_load() -> None:
    """A fallback's memory serves threads with the right call's answer (F6, G7)."""
    watched = Watched(failing=0.5)
    layer = Fallback(FallbackConfig(use_cache=True, cache_size=3, fallback_value=None))
    load = layer(watched.__call__)

    def work(seed: int) -> None:
        for turn in range(300):
            key = (seed + turn) % KEYS
            assert load(key) in (f"value {key}", None)

    in_threads(8, work)
    assert len(layer._store or ()) == 3
