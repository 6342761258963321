"""`use_cache`: a failure is answered with an earlier success of the same call (F1, F6; contract)."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
from freezegun import freeze_time

import recoup
from recoup import Fallback, FallbackConfig, events, subscribe
from recoup.testing import disabled

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


fallback: Any = recoup.fallback  # called in every way, wrong ones included


class Down(Exception):
    pass


class Service:
    """Counts its calls and answers, or fails, as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None

    def load(self, key: object = None) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"{key} {self.calls}"


@pytest.fixture
def service() -> Service:
    return Service()


def remembering(both: Both, service: Service, **options: Any) -> Any:
    def load(key: object = None) -> Any:
        return service.load(key)

    async def load_later(key: object = None) -> Any:
        return service.load(key)

    return fallback(use_cache=True, **options)(load_later if both.is_async else load)


def test_a_failure_is_answered_with_an_earlier_success(both: Both, clock: VirtualClock, service: Service) -> None:
    """The latest success of the same function and arguments answers; another call's does not (F6)."""
    load = remembering(both, service)
    both.call(load, 1)
    both.call(load, 1)
    both.call(load, 2)
    service.error = error = Down()
    assert both.call(load, 1) == both.call(load, key=1) == "1 2"
    assert both.call(load, 2) == "2 3"
    for key in (3, 1.0, True, None):
        with pytest.raises(Down) as caught:
            both.call(load, key)
        assert caught.value is error
        assert error.__context__ is None


def test_it_never_answers_instead_of_a_call(both: Both, clock: VirtualClock, service: Service) -> None:
    """Every call is made (contract)."""
    load = remembering(both, service)
    assert [both.call(load, 1) for _ in range(3)] == ["1 1", "1 2", "1 3"]


def test_a_success_may_be_too_old(both: Both, clock: VirtualClock, service: Service) -> None:
    """It answers while it is younger than `cache_ttl` (contract)."""
    load = remembering(both, service, cache_ttl=10)
    both.call(load, 1)
    service.error = Down()
    clock.advance(9.9)
    assert both.call(load, 1) == "1 1"
    clock.advance(0.1)
    with pytest.raises(Down):
        both.call(load, 1)


def test_frozen_time_is_seen(both: Both, service: Service) -> None:
    """Under freezegun a test can move the clock past the time to live (G12)."""
    load = remembering(both, service, cache_ttl=60)
    with freeze_time("2026-01-01", real_asyncio=True) as frozen:
        both.call(load, 1)
        service.error = Down()
        frozen.tick(59)
        assert both.call(load, 1) == "1 1"
        frozen.tick(1)
        with pytest.raises(Down):
            both.call(load, 1)


def test_only_so_many_are_remembered(both: Both, clock: VirtualClock, service: Service) -> None:
    """The oldest goes first, unless it has answered meanwhile (F6)."""
    load = remembering(both, service, cache_size=2)
    for key in (1, 2, 3):
        both.call(load, key)
    service.error = Down()
    assert both.call(load, 2) == "2 2"
    with pytest.raises(Down):
        both.call(load, 1)


def test_the_cache_comes_first(both: Both, clock: VirtualClock, service: Service) -> None:
    """Then service, function and value; what they answered is not remembered (F1, contract: only real results)."""
    load = remembering(both, service, fallback_service=lambda key: "service", fallback_value="value", cache_ttl=10)
    service.error = Down()
    assert both.call(load, 1) == "service"
    assert both.call(load, 1) == "service"
    service.error = None
    assert both.call(load, 1) == "1 3"
    service.error = Down()
    assert both.call(load, 1) == "1 3"
    clock.advance(10)
    assert both.call(load, 1) == "service"


def test_conditions_hold_for_the_cache_as_well(both: Both, clock: VirtualClock, service: Service) -> None:
    """An error that is not to be answered is not answered from the cache (F4)."""
    load = remembering(both, service, on=Down, skip_on=PermissionError, fallback_on_timeout=False)
    both.call(load, 1)
    for error in (LookupError(), PermissionError(), TimeoutError()):
        service.error = error
        with pytest.raises(type(error)) as caught:
            both.call(load, 1)
        assert caught.value is error
    service.error = Down()
    assert both.call(load, 1) == "1 1"


class Api:
    """Example 1 of the specification, without its server: a client that executes a closure for each call."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.layer = Fallback(FallbackConfig(use_cache=True, fallback_function=self.get_cached_response))
        self.down = False

    def get_cached_response(self, error: Exception) -> Any:
        return {"cached": True, "data": "fallback_data"}

    def call_api(self, endpoint: str, **kwargs: Any) -> Any:
        @self.both.wrap
        def api_request() -> Any:
            if self.down:
                raise Down
            return {"endpoint": endpoint, **kwargs}

        return self.both.execute(self.layer, api_request)


def test_the_documents_client(both: Both, clock: VirtualClock) -> None:
    """Each endpoint is answered with its own success, and an unknown one by the function (contract, Example 1)."""
    client = Api(both)
    calls: list[tuple[str, dict[str, Any]]] = [("/a", {}), ("/b", {}), ("/a", {"params": {"q": [1]}})]
    answers = [client.call_api(endpoint, **kwargs) for endpoint, kwargs in calls]
    client.down = True
    assert [client.call_api(endpoint, **kwargs) for endpoint, kwargs in calls] == answers
    assert client.call_api("/c") == {"cached": True, "data": "fallback_data"}
    assert client.call_api("/a", params={"q": [2]}) == {"cached": True, "data": "fallback_data"}


def test_what_the_function_counts_is_not_its_input(both: Both, clock: VirtualClock) -> None:
    """A counter or a list that the call itself changes does not hide its earlier success (contract)."""
    for make in ("same object", "new closure"):
        layer = Fallback(FallbackConfig(use_cache=True))
        calls = 0
        seen: list[str] = []

        def closure(endpoint: str) -> Any:
            def fetch() -> str:
                nonlocal calls
                calls += 1
                seen.append(endpoint)  # noqa: B023 - called within the turn
                if len(seen) > 2:  # noqa: B023 - as above
                    raise Down
                return endpoint

            async def fetch_later() -> str:
                nonlocal calls
                calls += 1
                seen.append(endpoint)  # noqa: B023 - as above
                if len(seen) > 2:  # noqa: B023 - as above
                    raise Down
                return endpoint

            return fetch_later if both.is_async else fetch

        one, other = closure("/a"), closure("/b")
        assert both.execute(layer, one) == "/a"
        assert both.execute(layer, other) == "/b"
        if make == "new closure":
            one, other = closure("/a"), closure("/b")
        assert both.execute(layer, one) == "/a"
        assert both.execute(layer, other) == "/b"
        assert calls == 4
        with pytest.raises(Down):
            both.execute(layer, closure("/c"))


def test_the_key_is_made_before_the_call(both: Both, clock: VirtualClock, service: Service) -> None:
    """A function that changes its argument is remembered by what it was called with (F6: containers frozen)."""

    @fallback(use_cache=True)
    @both.wrap
    def total(numbers: list[int]) -> int:
        found = 0
        while numbers:
            found += numbers.pop()
        if service.error is not None:
            raise service.error
        return found

    assert both.call(total, [1, 2]) == 3
    service.error = Down()
    assert both.call(total, [1, 2]) == 3
    with pytest.raises(Down):
        both.call(total, [])


def test_what_has_no_key_is_not_remembered(both: Both, clock: VirtualClock, service: Service) -> None:
    """One warning names the type, and the next source answers (F6)."""
    load = remembering(both, service, fallback_value="value")
    with pytest.warns(
        RuntimeWarning, match=r"use_cache does not remember a call of .*load.*: .* SimpleNamespace"
    ) as caught:
        both.call(load, SimpleNamespace())
    service.error = Down()
    assert both.call(load, SimpleNamespace()) == "value"
    assert len(caught) == 1


def test_what_cannot_be_compared_after_all(both: Both, clock: VirtualClock, service: Service) -> None:
    """An error in an `__eq__` of the user's costs the memory, not the call (F6)."""

    class Broken:
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

        def __hash__(self) -> int:
            return 1

    load = remembering(both, service, fallback_value="value")
    both.call(load, Broken())
    with pytest.warns(RuntimeWarning, match="cannot be compared"):
        both.call(load, Broken())
    service.error = Down()
    assert both.call(load, Broken()) == "value"


def test_what_is_used_up_by_reading_is_not_remembered(both: Both, clock: VirtualClock, service: Service) -> None:
    """An iterator is no result that could be given again (contract: only real results)."""

    @fallback(use_cache=True, fallback_value=None)
    @both.wrap
    def rows() -> Any:
        if service.error is not None:
            raise service.error
        return iter([1])

    with pytest.warns(RuntimeWarning, match="list_iterator"):
        assert list(both.call(rows)) == [1]
    service.error = Down()
    assert both.call(rows) is None


def test_clear_forgets(both: Both, clock: VirtualClock, service: Service) -> None:
    """`clear` drops all successes; without a cache it does nothing."""
    layer = Fallback(FallbackConfig(use_cache=True), name="load")

    @both.wrap
    def load(key: int) -> str:
        return service.load(key)

    load = layer(load)
    both.call(load, 1)
    assert repr(layer) == "<Fallback 'load': cache, 1 of 1024 successes remembered>"
    layer.clear()
    service.error = Down()
    with pytest.raises(Down):
        both.call(load, 1)
    Fallback(FallbackConfig(fallback_value=1)).clear()


def test_an_instance_is_not_kept_alive(clock: VirtualClock) -> None:
    """A remembered method call holds its `self` weakly (F6)."""

    class Client:
        @fallback(use_cache=True)
        def get(self, path: str) -> str:
            return path

    client = Client()
    client.get("/x")
    watch = ref(client)
    del client
    gc.collect()
    assert watch() is None


def test_switched_off(both: Both, clock: VirtualClock, service: Service) -> None:
    """With recovery switched off nothing is answered from memory (G16)."""
    load = remembering(both, service)
    both.call(load, 1)
    service.error = Down()
    with disabled(), pytest.raises(Down):
        both.call(load, 1)
    assert both.call(load, 1) == "1 1"


def test_listeners_are_told(both: Both, clock: VirtualClock, service: Service) -> None:
    """An answer from memory is told as such."""
    load = remembering(both, service, name="load")
    both.call(load, 1)
    service.error = Down()
    seen: list[events.Event] = []
    with subscribe(seen.append):
        both.call(load, 1)
    assert seen == [events.FallbackUsed("load", "cache", "Down")]
