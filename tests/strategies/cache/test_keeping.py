"""Which results are kept is for the user to say (F6)."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Cache, CacheConfig, cached, explain
from tests.strategies.cache.test_cache import Service, decorated

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Answers(Service):
    """Gives the answers it was told, in order; the last one repeats."""

    def __init__(self, *answers: object) -> None:
        super().__init__()
        self.answers = list(answers)

    def load(self, key: object = None, *, lang: str = "en") -> Any:
        super().load(key, lang=lang)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def found(result: object) -> bool:
    return result is not None


def test_only_what_is_worth_it_is_kept(both: Both, clock: VirtualClock) -> None:
    """The caller gets the result all the same, and the next one calls again (F6)."""
    service = Answers(None, None, "here")
    load = decorated(both, service, cache_if=found)
    assert [both.call(load, 1) for _ in range(5)] == [None, None, "here", "here", "here"]
    assert len(service.calls) == 3
    assert "keeps only results that cache_if accepts" in str(explain(load))


async def test_those_who_waited_share_what_is_not_kept(clock: VirtualClock) -> None:
    """Twenty callers make one call, whatever becomes of its result; later ones make another (F6)."""
    calls: list[int] = []

    @cached(cache_if=found)
    async def load() -> None:
        calls.append(1)
        await asyncio.sleep(1)

    assert await asyncio.gather(*(load() for _ in range(20))) == [None] * 20
    assert len(calls) == 1
    assert await load() is None
    assert len(calls) == 2


def test_an_old_result_outlives_a_new_one_that_is_not_kept(both: Both, clock: VirtualClock) -> None:
    """It still answers when the call fails (F6)."""
    service = Answers("old", None)
    load = decorated(both, service, ttl=10, stale_if_error=100, cache_if=found)
    assert both.call(load) == "old"
    clock.advance(20)
    assert both.call(load) is None
    service.error = OSError("down")
    assert both.call(load) == "old"


def test_an_error_of_the_users_comes_out(both: Both, clock: VirtualClock) -> None:
    """Once for each call, and nobody waits for ever (F6, G4)."""
    service = Answers("fine")
    load = decorated(both, service, cache_if=lambda result: result.nonsense)
    for calls in (1, 2):
        with pytest.raises(AttributeError, match="nonsense"):
            both.call(load)
        assert len(service.calls) == calls


async def test_those_who_wait_for_a_result_that_cannot_be_judged_call_by_themselves(clock: VirtualClock) -> None:
    """Nobody waits for ever, and each gets the error of its own call (F6)."""
    calls: list[int] = []

    def judge(result: int) -> bool:
        raise ValueError(result)

    @cached(cache_if=judge)
    async def load() -> int:
        calls.append(1)
        await asyncio.sleep(1)
        return len(calls)

    results = await asyncio.gather(load(), load(), load(), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    assert len(calls) == 3
    assert len({id(result) for result in results}) == 3


def test_control_flow_of_the_users_passes(both: Both, clock: VirtualClock) -> None:
    """And leaves nobody waiting (G2)."""

    def judge(result: object) -> bool:
        raise KeyboardInterrupt

    load = decorated(both, Answers("fine"), cache_if=judge)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            both.call(load)


def test_an_awaitable_is_no_verdict(both: Both, clock: VirtualClock) -> None:
    """Its truth would always be yes (G4)."""

    async def later(result: object) -> bool:
        return True

    load = decorated(both, Answers("fine"), cache_if=lambda result: later(result))  # noqa: PLW0108 - no coroutine function
    with pytest.raises(TypeError, match="cache_if returned an awaitable"):
        both.call(load)


async def test_a_refresh_that_cannot_be_judged_is_lost(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is there to raise it to; the old result goes on answering (F6, G9)."""
    verdicts = [True]

    @cached(10, stale_while_revalidate=100, cache_if=lambda result: verdicts.pop())
    async def load() -> str:
        return "old"

    assert await load() == "old"
    await asyncio.sleep(20)
    with caplog.at_level(logging.WARNING, "recoup"):
        assert await load() == "old"
        await asyncio.sleep(1)
        assert await load() == "old"
    assert "IndexError" in caplog.text


def test_it_may_change(both: Both, clock: VirtualClock) -> None:
    """For results that come from then on; also while threads call (B5)."""
    cache = Cache(CacheConfig())
    service = Answers(None)
    load = cache(both.wrap(lambda: service.load(1)))
    cache.reconfigure(cache_if=found)
    assert [both.call(load) for _ in range(2)] == [None, None]
    assert len(service.calls) == 2
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            cache.reconfigure(cache_if=None)
            cache.reconfigure(cache_if=found)

    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(200):
        assert both.call(load) is None
        cache.clear()
    stop.set()
    thread.join()
