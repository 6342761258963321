"""A limit for each key (L1)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from recoup import RateLimitConfig, RateLimiter, RateLimitExceeded, rate_limit

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


def made(**options: Any) -> RateLimiter:
    config: dict[str, Any] = {"rate": 1, "per": 10, "max_wait": 0, "key": lambda key, value=1: key}
    return RateLimiter(RateLimitConfig(**{**config, **options}))


@pytest.mark.parametrize("mode", ["smooth", "window"])
def test_keys_do_not_touch_each_other(both: Both, clock: VirtualClock, mode: str) -> None:
    """One key's calls take nothing from another's, however the call is written (L1)."""
    limiter = made(mode=mode)
    work = limiter(both.wrap(lambda key, value=1: (key, value)))
    for key in ("a", "b", ("a", 1), None, b"a", 2, 3.5):
        assert both.call(work, key) == (key, 1)
        with pytest.raises(RateLimitExceeded):
            both.call(work, key=key, value=2)
    assert repr(limiter).endswith(" 1 per 10 s, 7 keys>")
    clock.advance(10)
    assert both.call(work, "a") == ("a", 1)


def test_waits_are_for_one_key(both: Both, clock: VirtualClock) -> None:
    """A key that waits keeps no other waiting (L1)."""
    limiter = made(max_wait=60)
    work = limiter(both.wrap(lambda key: key))
    for key in ("a", "a", "b"):
        both.call(work, key)
    assert clock.sleeps == [10]


@pytest.mark.parametrize("key", [[1], {"a": 1}, object(), ("a", [1]), float("nan"), ("a", float("nan"))])
def test_keys_that_could_run_code(key: object) -> None:
    """A key whose comparison runs somebody's code is refused, and so is nan: each would be another key (G7)."""
    with pytest.raises(TypeError, match=r"what key\(\) gave must be text, a number, bytes, None or a tuple of these"):
        made().execute_sync(lambda key: key, key)
    with pytest.raises(TypeError, match="key must be text"):
        made().try_acquire(key=key)


def test_keys_by_hand(both: Both, clock: VirtualClock) -> None:
    """Permits of a key can be taken without a call; a block, which has no key, is refused (L1)."""
    limiter = made(burst=2, max_wait=60)
    assert limiter.available(key="a") == 2
    assert limiter.try_acquire(2, key="a")
    assert limiter.available(key="a") == 0
    both.call(limiter.acquire_async if both.is_async else limiter.acquire, key="a")
    assert clock.sleeps == [10]

    async def block() -> None:
        async with limiter:
            pass

    with pytest.raises(TypeError, match=r"has a limit for each key: say whose with acquire\(key=...\)"):
        both.call(block if both.is_async else limiter.__enter__)
    for step in (limiter.try_acquire, limiter.available):
        with pytest.raises(TypeError, match="has a limit for each key"):
            step()


def test_the_key_idle_longest_is_forgotten(clock: VirtualClock) -> None:
    """For a new key one goes that would begin anew anyway, the least recently used of them (L1)."""
    limiter = made(max_keys=3)
    for key in "abc":
        assert limiter.try_acquire(key=key)
        clock.advance(1)
    clock.advance(7)
    assert limiter.try_acquire(key="a")  # the oldest key, but used just now; b and c are busy, until 11 and 12
    clock.advance(1.5)
    assert limiter.try_acquire(key="d")
    states = limiter._desk._states
    assert list(states) == ["c", "a", "d"]
    assert limiter.available(key="b") == 1
    assert list(states) == ["c", "a", "d"]


def test_busy_keys_are_forgotten_last(clock: VirtualClock) -> None:
    """Of the longest unused keys one that is idle goes before one that is not; if none is, the first goes (L1)."""
    limiter = made(max_keys=3, burst=5)
    assert limiter.try_acquire(5, key="busy")
    assert limiter.try_acquire(1, key="idle")
    clock.advance(15)
    assert limiter.try_acquire(1, key="other")
    assert limiter.try_acquire(1, key="new")
    assert list(limiter._desk._states) == ["busy", "other", "new"]
    assert limiter.try_acquire(1, key="newer")
    assert list(limiter._desk._states) == ["other", "new", "newer"]


def test_fewer_keys(clock: VirtualClock) -> None:
    """A smaller `max_keys` holds at once; another rate holds for all keys (B5's way)."""
    limiter = made(max_keys=20)
    for key in range(20):
        assert limiter.try_acquire(key=key)
    limiter.reconfigure(max_keys=5, rate=10)
    assert list(limiter._desk._states) == [15, 16, 17, 18, 19]
    clock.advance(1)
    assert limiter.try_acquire(key=19)


def test_many_keys_take_little() -> None:
    """An idle key takes less than 1 KiB, and what a call looks at does not depend on how many there are."""
    limiter = made(max_keys=1000)
    looked: list[float] = []
    evict = limiter._desk._evict_locked

    def evicting(now: float) -> None:
        looked.append(now)
        evict(now)

    limiter._desk._evict_locked = evicting  # type: ignore[method-assign]
    for key in range(3000):
        limiter.try_acquire(key=key)
    assert len(limiter._desk._states) == 1000
    assert len(looked) == 2000
    state = limiter._desk._states[2999]
    size = sys.getsizeof(state) + sum(sys.getsizeof(getattr(state, name)) for name in type(state).__slots__)
    assert size < 600


def test_keys_and_weights_are_asked_once(both: Both) -> None:
    """The user's functions are called once a call, outside the lock (G7)."""
    asked: list[str] = []
    held: list[bool] = []

    def key(name: str) -> str:
        asked.append(f"key {name}")
        held.append(limiter._desk._lock._is_owned())
        return name

    def weight(name: str) -> int:
        asked.append(f"weight {name}")
        return 1

    limiter = rate_limit(rate=5, key=key, weight=weight)
    both.call(limiter(both.wrap(lambda name: name)), "a")
    assert sorted(asked) == ["key a", "weight a"]
    assert held == [False]


def test_a_mistake_in_a_key_function(both: Both) -> None:
    """An error in the user's function comes out itself, and nothing was taken (G4)."""
    limiter = rate_limit(rate=1, key=lambda name: name.nothing)
    with pytest.raises(AttributeError, match="nothing"):
        both.call(limiter(both.wrap(lambda name: name)), "a")
    assert limiter._desk.keys == 0
