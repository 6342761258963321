"""A result answers later calls: which, for how long, and what is never kept (F6)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
from freezegun import freeze_time

from recoup import Cache, CacheConfig, CircuitBreakerError, cached, events, subscribe
from recoup.testing import disabled

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Service:
    """Counts its calls and answers, or fails, as it is told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.error: BaseException | None = None

    def load(self, key: object = None, *, lang: str = "en") -> Any:
        self.calls.append(key)
        if self.error is not None:
            raise self.error
        return f"{key}/{lang}/{len(self.calls)}"


@pytest.fixture
def service() -> Service:
    return Service()


def decorated(both: Both, service: Service, *args: Any, **options: Any) -> Any:
    def load(key: object = None, *, lang: str = "en") -> Any:
        return service.load(key, lang=lang)

    async def load_later(key: object = None, *, lang: str = "en") -> Any:
        return service.load(key, lang=lang)

    return cached(*args, **options)(load_later if both.is_async else load)


def test_a_result_answers_the_same_call(both: Both, clock: VirtualClock, service: Service) -> None:
    """The function is called once for each call that differs in function, arguments or their types (F6)."""
    load = decorated(both, service)
    answers = [both.call(load, key) for key in (1, 1, 2, 1.0, True, 1, 2)]
    assert service.calls == [1, 2, 1.0, True]
    assert answers == ["1/en/1", "1/en/1", "2/en/2", "1.0/en/3", "True/en/4", "1/en/1", "2/en/2"]


def test_the_way_of_writing_does_not_matter(both: Both, clock: VirtualClock, service: Service) -> None:
    """By position, by name or by default is the same call (F6)."""
    load = decorated(both, service)
    assert both.call(load, 1) == both.call(load, key=1) == both.call(load, 1, lang="en") == "1/en/1"
    assert both.call(load, 1, lang="de") == "1/de/2"
    assert both.call(load) == both.call(load, None) == both.call(load, key=None)


def test_none_is_a_result(both: Both, clock: VirtualClock) -> None:
    """A function that returns None is cached like any other (F6)."""
    calls = []

    @cached
    @both.wrap
    def load() -> None:
        calls.append(1)

    assert both.call(load) is None
    assert both.call(load) is None
    assert calls == [1]


def test_the_very_object_is_given(both: Both, clock: VirtualClock) -> None:
    """Results are handed out as they are, not copied."""

    @cached
    @both.wrap
    def load() -> list[int]:
        return []

    assert both.call(load) is both.call(load)


def test_a_result_expires(both: Both, clock: VirtualClock, service: Service) -> None:
    """It answers while it is younger than `ttl`, counted from when it came (F6)."""
    load = decorated(both, service, 10)
    both.call(load, 1)
    clock.advance(9.999)
    assert both.call(load, 1) == "1/en/1"
    clock.advance(0.001)
    assert both.call(load, 1) == "1/en/2"
    clock.advance(9.9)
    assert both.call(load, 1) == "1/en/2"


def test_its_age_counts_from_the_end_of_the_call(both: Both, clock: VirtualClock) -> None:
    """A slow call does not shorten the life of its result (F6)."""
    calls = []

    @cached(10)
    @both.wrap
    def load() -> Any:
        calls.append(1)
        return both.pause(8)

    both.call(load)
    clock.advance(9)
    both.call(load)
    assert calls == [1]


def test_a_result_may_last_for_ever(both: Both, clock: VirtualClock, service: Service) -> None:
    """With `ttl=None` only the size and the user end it (F6)."""
    load = decorated(both, service, ttl=None)
    both.call(load, 1)
    clock.advance(1e9)
    assert both.call(load, 1) == "1/en/1"


def test_a_clock_that_goes_backwards(both: Both, clock: VirtualClock, service: Service) -> None:
    """It starts the age anew: nothing lasts longer than `ttl` from then on (G12)."""
    load = decorated(both, service, 10)
    both.call(load, 1)
    clock.rewind(500)
    assert both.call(load, 1) == "1/en/1"
    clock.advance(9.9)
    assert both.call(load, 1) == "1/en/1"
    clock.advance(0.1)
    assert both.call(load, 1) == "1/en/2"


def test_the_number_of_results_is_bounded(both: Both, clock: VirtualClock, service: Service) -> None:
    """The oldest goes first, unless it has answered meanwhile (F6)."""
    load = decorated(both, service, max_size=2)
    for key in (1, 2, 1, 3):
        both.call(load, key)
    assert service.calls == [1, 2, 3]
    both.call(load, 1)
    assert service.calls == [1, 2, 3]
    both.call(load, 2)
    assert service.calls == [1, 2, 3, 2]


def test_errors_are_not_kept(both: Both, clock: VirtualClock, service: Service) -> None:
    """An error comes out itself, and the next call is made (F6: negative caching off; G3)."""
    load = decorated(both, service)
    service.error = error = ValueError("down")
    for _ in range(2):
        with pytest.raises(ValueError, match="down") as caught:
            both.call(load, 1)
        assert caught.value is error
        assert error.__context__ is None
    assert service.calls == [1, 1]
    service.error = None
    assert both.call(load, 1) == "1/en/3"


def test_errors_may_be_kept(both: Both, clock: VirtualClock, service: Service) -> None:
    """With `negative_ttl` equal calls raise copies of an error for so long, without a call (F6, G3)."""
    load = decorated(both, service, 100, negative_ttl=5)
    service.error = error = ValueError("down")
    with pytest.raises(ValueError, match="down") as first:
        both.call(load, 1)
    assert first.value is error
    clock.advance(4.9)
    copies = []
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^down$") as caught:
            both.call(load, 1)
        copies.append(caught.value)
    assert copies[0] is not copies[1]
    assert error not in copies
    assert copies[0].__context__ is None
    with pytest.raises(ValueError, match="down"):
        both.call(load, 2)
    assert service.calls == [1, 2]
    clock.advance(0.1)
    service.error = None
    assert both.call(load, 1) == "1/en/3"
    clock.advance(50)
    assert both.call(load, 1) == "1/en/3"


def test_refusals_are_never_kept(both: Both, clock: VirtualClock, service: Service) -> None:
    """An open circuit says nothing about the answer, so the next call asks again (G13)."""
    load = decorated(both, service, negative_ttl=5)
    service.error = CircuitBreakerError(name="api", wait_time=1)
    for _ in range(2):
        with pytest.raises(CircuitBreakerError):
            both.call(load, 1)
    assert service.calls == [1, 1]


def test_what_is_kept_of_an_error_keeps_no_call_alive(both: Both, clock: VirtualClock) -> None:
    """A kept error holds no frames, and after a raised one no cycle of ours does either (G11)."""

    class Local:
        pass

    @cached(negative_ttl=50)
    @both.wrap
    def load() -> None:
        local = Local()
        watches.append(ref(local))
        raise ValueError

    watches: list[Any] = []
    gc.disable()
    try:
        for _ in range(2):
            with contextlib.suppress(ValueError):
                both.call(load)
        if both.is_async:
            gc.collect()  # the event loop has cycles of its own
        assert [watch() for watch in watches] == [None]
    finally:
        gc.enable()


class Uncopied(Exception):
    """Its class makes only one."""

    made = 0

    def __new__(cls, *args: object) -> Uncopied:  # noqa: PYI034 - a constructor that counts
        cls.made += 1
        if cls.made > 1:
            raise RuntimeError("only once")
        return super().__new__(cls, *args)


def test_an_error_that_cannot_be_copied_is_not_kept(both: Both, clock: VirtualClock, service: Service) -> None:
    """It would keep its call alive, and its traceback would grow each time it is raised (G11, G3)."""
    load = decorated(both, service, negative_ttl=50)
    Uncopied.made = 0
    single = Uncopied()
    for error in (single, ExceptionGroup("of one", [single])):
        service.error = error
        for _ in range(2):
            with pytest.raises(type(error)):
                both.call(load, 1)
    assert service.calls == [1, 1, 1, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_passes(both: Both, clock: VirtualClock, service: Service, error: type[BaseException]) -> None:
    """It is neither kept nor replaced, and leaves the key free (G2)."""
    load = decorated(both, service, negative_ttl=10)

    def attempt() -> Any:
        service.error = error()
        try:
            return both.call(load, 1)
        except BaseException as caught:  # noqa: BLE001 - control flow is the subject
            return caught

    if both.is_async:
        # by hand: an event loop has its own ways with control flow
        service.error = error()
        coroutine = load(1)
        with pytest.raises(error):
            coroutine.send(None)
    else:
        assert isinstance(attempt(), error)
    service.error = None
    assert both.call(load, 1) == "1/en/2"


def test_invalidate_forgets_one_call(both: Both, clock: VirtualClock, service: Service) -> None:
    """`invalidate` takes the arguments of the call, however given, and says whether there was a result (F6)."""
    cache = Cache()
    load = decorated(both, service, cache)
    both.call(load, 1)
    both.call(load, 2)
    assert cache.invalidate(key=1, lang="en")
    assert not cache.invalidate(1)
    assert not cache.invalidate(3)
    both.call(load, 1)
    both.call(load, 2)
    assert service.calls == [1, 2, 1]
    cache.clear()
    assert len(cache) == 0
    both.call(load, 2)
    assert service.calls == [1, 2, 1, 2]


def test_functions_that_go_meanwhile(clock: VirtualClock, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is dropped while another thread forgets its call is nobody's any more (F6)."""
    cache = Cache()
    load = cache(service.load)
    load(1)
    references = cache._keys.keyrefs()
    monkeypatch.setattr(cache._keys, "keyrefs", lambda: [lambda: None, *references])
    assert cache.invalidate(1)


def test_frozen_time_is_seen(both: Both, service: Service) -> None:
    """Under freezegun a test can move the clock past the time to live (G12)."""
    load = decorated(both, service, 60)
    with freeze_time("2026-01-01", real_asyncio=True) as frozen:
        assert both.call(load, 1) == both.call(load, 1) == "1/en/1"
        frozen.tick(59)
        assert both.call(load, 1) == "1/en/1"
        frozen.tick(1)
        assert both.call(load, 1) == "1/en/2"


def test_one_cache_for_several_functions(both: Both, clock: VirtualClock) -> None:
    """Each function has its own results; the size bounds them together, and invalidate means all of them (F6)."""
    cache = Cache(CacheConfig(max_size=3), name="shared")
    calls = []

    @cache
    @both.wrap
    def one(key: int) -> str:
        calls.append("one")
        return f"one {key}"

    @cache
    @both.wrap
    def other(key: int) -> str:
        calls.append("other")
        return f"other {key}"

    assert [both.call(one, 1), both.call(other, 1), both.call(one, 1), both.call(other, 1)] == ["one 1", "other 1"] * 2
    assert calls == ["one", "other"]
    assert len(cache) == 2
    both.call(one, 2)
    both.call(one, 3)
    assert len(cache) == 3
    both.call(other, 1)
    assert cache.invalidate(1)
    assert not cache.invalidate(1)
    assert repr(cache) == "<Cache 'shared': 1 of 3 results, for 300 s>"


def test_closures_for_each_call(both: Both, clock: VirtualClock) -> None:
    """`execute` with a closure made anew hits for the same values and never mixes others (contract, Example 1)."""
    cache = Cache()
    calls = []

    def fetch(url: str, **options: object) -> Any:
        @both.wrap
        def request() -> str:
            calls.append(url)
            return f"{url} {sorted(options)}"

        return both.execute(cache, request)

    assert [fetch("/a"), fetch("/b"), fetch("/a"), fetch("/a", q=1), fetch("/a", q=1)] == [
        "/a []",
        "/b []",
        "/a []",
        "/a ['q']",
        "/a ['q']",
    ]
    assert calls == ["/a", "/b", "/a"]


def test_a_method_belongs_to_its_instance(both: Both, clock: VirtualClock) -> None:
    """Each instance has its own results, and the cache does not keep it alive (F6)."""
    calls = []

    class Client:
        def __init__(self, base: str) -> None:
            self.base = base

        @cached
        def get(self, path: str) -> str:
            calls.append(self.base)
            return self.base + path

        @cached
        async def get_later(self, path: str) -> str:
            calls.append(self.base)
            return self.base + path

        @classmethod
        @cached
        def make(cls, path: str) -> str:
            calls.append("make")
            return path

        @cached
        @staticmethod
        def join(path: str) -> str:
            calls.append("join")
            return path

    one, other = Client("a"), Client("b")
    name = "get_later" if both.is_async else "get"
    answers = [both.call(getattr(client, name), "/x") for client in (one, other, one, other)]
    assert answers == ["a/x", "b/x"] * 2
    assert calls == ["a", "b"]
    watch = ref(one)
    del one
    gc.collect()
    assert watch() is None
    assert Client.make("x") == Client.make("x") == Client("c").make("x") == "x"
    assert Client.join("x") == Client("c").join("x") == "x"
    assert calls == ["a", "b", "make", "join"]


def test_what_has_no_key_is_called_each_time(both: Both, clock: VirtualClock, service: Service) -> None:
    """It is not cached, with one warning that names the type and the function, and nothing of the value (F6, G10)."""
    load = decorated(both, service)
    with pytest.warns(RuntimeWarning, match="an object of type SimpleNamespace .*say with key=") as caught:
        [both.call(load, key) for key in (SimpleNamespace(secret="hush"), [SimpleNamespace()])]  # noqa: S106 - a word
    assert len(caught) == 1
    assert "load" in str(caught[0].message)
    assert "hush" not in str(caught[0].message)
    assert len(service.calls) == 2
    both.call(load, 1)
    both.call(load, 1)
    assert len(service.calls) == 3


def test_what_cannot_be_compared_after_all(both: Both, clock: VirtualClock, service: Service) -> None:
    """An error in an `__eq__` of the user's makes a call without cache, not a failed call (F6)."""

    class Broken:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        def __hash__(self) -> int:
            return 1

    cache = Cache()
    load = cache(both.wrap(service.load))
    both.call(load, Broken())
    with pytest.warns(RuntimeWarning, match=r"a value that cannot be compared \(ZeroDivisionError\)"):
        both.call(load, Broken())
    assert len(service.calls) == 2
    assert not cache.invalidate(Broken())
    assert not cache.invalidate(SimpleNamespace())


def test_a_result_that_is_used_up_by_reading_is_not_kept(both: Both, clock: VirtualClock) -> None:
    """An iterator is given to its caller alone; every caller gets one of its own (F6: only real results)."""
    calls = []

    @cached
    @both.wrap
    def rows() -> Any:
        calls.append(1)
        return iter([1, 2])

    with pytest.warns(RuntimeWarning, match="a result of type list_iterator, which can be used only once") as caught:
        assert [list(both.call(rows)) for _ in range(2)] == [[1, 2], [1, 2]]
    assert len(caught) == 1
    assert calls == [1, 1]


def test_the_user_says_what_identifies_a_call(both: Both, clock: VirtualClock) -> None:
    """With `key` who asks can be part of the key, and what does not matter need not be (F6)."""
    calls = []

    @cached(key=lambda session, path: (session.user, path))
    @both.wrap
    def load(session: SimpleNamespace, path: str) -> str:
        calls.append(session.user)
        return f"{session.user} {path}"

    def session(user: str) -> SimpleNamespace:
        return SimpleNamespace(user=user)

    assert both.call(load, session("a"), "/x") == both.call(load, path="/x", session=session("a")) == "a /x"
    assert both.call(load, session("b"), "/x") == "b /x"
    assert calls == ["a", "b"]


def test_an_error_in_the_key_comes_out(both: Both, clock: VirtualClock, service: Service) -> None:
    """A `key` that raises is a fault of the program, not of the cache (G4)."""
    load = decorated(both, service, key=lambda key, lang: key.name)
    with pytest.raises(AttributeError, match="name"):
        both.call(load, 1)
    assert service.calls == []


def test_switched_off(both: Both, clock: VirtualClock, service: Service) -> None:
    """With recovery switched off every call is made, and nothing of it is kept (G16)."""
    load = decorated(both, service)
    both.call(load, 1)
    with disabled():
        assert both.call(load, 1) == "1/en/2"
        assert both.call(load, key=2) == "2/en/3"
    assert both.call(load, 1) == "1/en/1"
    assert both.call(load, 2) == "2/en/4"


def test_easy_hits_are_not_too_easy(both: Both, clock: VirtualClock, service: Service) -> None:
    """The quick way to a hit sees age, types, the switch and listeners like the other one (F6, G16)."""

    @cached(10, name="load", negative_ttl=5)
    @both.wrap
    def wrapped(key: object) -> Any:
        return service.load(key)

    def plain(key: object) -> Any:
        return service.load(key)

    async def later(key: object) -> Any:
        return service.load(key)

    load = cached(10, name="load", negative_ttl=5)(later if both.is_async else plain)
    for function in (wrapped, load):
        service.calls.clear()
        for key in (1, True, 1, "1", 1):
            both.call(function, key)
        assert service.calls == [1, True, "1"]
        with disabled():
            both.call(function, 1)
        assert len(service.calls) == 4
        seen: list[events.Event] = []
        clock.advance(1)
        with subscribe(seen.append):
            both.call(function, 1)
        assert seen == [events.CacheHit("load", 1.0)]
        clock.rewind(100)
        both.call(function, 1)
        clock.advance(9)
        both.call(function, 1)
        assert len(service.calls) == 4
        clock.advance(1)
        both.call(function, 1)
        assert len(service.calls) == 5
        service.error = LookupError()
        for _ in range(2):
            with pytest.raises(LookupError):
                both.call(function, 7)
        service.error = None
        assert len(service.calls) == 6


def test_listeners_are_told(both: Both, clock: VirtualClock, service: Service) -> None:
    """Misses and hits with their age are events; they carry no arguments or results (G10)."""
    load = decorated(both, service, name="load", stale_if_error=100)
    seen: list[events.Event] = []
    with subscribe(seen.append):
        both.call(load, 1)
        clock.advance(2)
        both.call(load, 1)
        both.call(load, 1.5)
        clock.advance(300)
        service.error = ValueError()
        both.call(load, 1)
    assert seen == [
        events.CacheMiss("load"),
        events.CacheHit("load", 2.0, stale=False),
        events.CacheMiss("load"),
        events.CacheMiss("load"),
        events.CacheHit("load", 302.0, stale=True),
    ]
    with subscribe(seen.append), disabled():
        service.error = None
        both.call(load, 1)
    assert len(seen) == 5


def test_a_kept_error_is_no_hit(both: Both, clock: VirtualClock, service: Service) -> None:
    """A kept error that is raised again is told neither as a hit nor as a miss: nothing was answered or called."""
    load = decorated(both, service, name="load", negative_ttl=10)
    service.error = ValueError()
    seen: list[events.Event] = []
    with subscribe(seen.append):
        for _ in range(2):
            with pytest.raises(ValueError, match=r"^$"):
                both.call(load, 1)
    assert seen == [events.CacheMiss("load")]


def test_what_it_says_of_itself(clock: VirtualClock) -> None:
    """`repr` shows the state, `explain` the rules; an empty cache is still a cache."""
    cache = Cache(CacheConfig(ttl=None, negative_ttl=1))
    assert repr(cache) == "<Cache 'cache': 0 of 1024 results, for ever>"
    assert cache
    assert list(cache._says()) == [
        "answers from an earlier result of the same call until it is evicted; keeps up to 1024 results",
        "makes one call for any number of equal calls at the same time",
        "raises an error again for 1 s without calling",
    ]
    whole = Cache(CacheConfig(ttl=5, stale_while_revalidate=1, stale_if_error=2))
    assert list(whole._says())[2:] == [
        "answers with an old result for 1 s more, and refreshes it",
        "answers with an old result for 2 s more if the call fails",
    ]


def test_stale_if_error(both: Both, clock: VirtualClock, service: Service) -> None:
    """An old result answers a failed call for so long, and only a failed one (F6)."""
    load = decorated(both, service, 10, stale_if_error=20)
    both.call(load, 1)
    service.error = error = ValueError("down")
    clock.advance(29.9)
    assert both.call(load, 1) == "1/en/1"
    assert service.calls == [1, 1]
    clock.advance(0.1)
    with pytest.raises(ValueError, match="down") as caught:
        both.call(load, 1)
    assert caught.value is error
    with pytest.raises(ValueError, match="down"):
        both.call(load, 2)
    service.error = None
    assert both.call(load, 1) == "1/en/5"


def test_stale_if_error_beats_keeping_the_error(both: Both, clock: VirtualClock, service: Service) -> None:
    """An old answer is better than an error, and is not thrown away for one (F6)."""
    load = decorated(both, service, 10, stale_if_error=20, negative_ttl=50)
    both.call(load, 1)
    service.error = ValueError("down")
    clock.advance(15)
    assert both.call(load, 1) == "1/en/1"
    assert both.call(load, 1) == "1/en/1"
    clock.advance(20)
    for _ in range(2):
        with pytest.raises(ValueError, match="down"):
            both.call(load, 1)
    assert service.calls == [1, 1, 1, 1]


def test_nothing_is_logged_about_calls(both: Both, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A call that fails or hits leaves no line in the log (G10)."""
    load = decorated(both, Service())
    with caplog.at_level(logging.DEBUG, logger="recoup"):
        both.call(load, "secret")
        both.call(load, "secret")
    assert caplog.records == []


def test_a_plain_function_that_returns_coroutines(clock: VirtualClock) -> None:
    """What comes of a coroutine is cached, and a hit is something to await as well (G5)."""
    calls = []

    async def fetch(key: object) -> str:
        calls.append(key)
        await asyncio.sleep(1)
        return f"{key}"

    cache = Cache(CacheConfig(ttl=10))

    @cache
    def load(key: object) -> Any:
        return fetch(key)

    async def main() -> list[Any]:
        return [await load(1), await load(1), await load(2), await load(1.0), await load(1.0)]

    from tests.conftest import Both

    asyncio_ = Both("asyncio")
    assert asyncio_.run(main) == ["1", "1", "2", "1.0", "1.0"]
    assert calls == [1, 2, 1.0]
    clock.advance(11)
    assert asyncio_.run(main) == ["1", "1", "2", "1.0", "1.0"]
    assert len(calls) == 6
    with disabled():
        assert asyncio_.run(lambda: load(1)) == "1"
    with pytest.warns(RuntimeWarning, match="SimpleNamespace"):
        asyncio_.run(lambda: load(SimpleNamespace()))

    class Broken:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        def __hash__(self) -> int:
            return 1

    asyncio_.run(lambda: load(Broken()))
    asyncio_.run(lambda: load(Broken()))
