"""What `inject` and `faulty` promise: faults happen to the calls that were named, and every call is filed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from recoup import KeyedCircuitBreaker, layers_of, retry
from recoup.events import FaultInjected
from recoup.testing import answer, disabled, fail, faulty, inject, instead, record, slow
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator

    from recoup.testing import VirtualClock


class Service:
    """Somebody else's."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.fetch = both.wrap(lambda page: f"page {page}")
        self.items = both.wrap(self._items)

    def _items(self, count: int = 3) -> Iterator[int]:
        yield from range(count)


class Slotless(Exception):
    """An error that refuses notes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError(name)


@pytest.fixture
def service(both: Both) -> Service:
    return Service(both)


def outcomes(both: Both, fn: Any, *inputs: Any) -> list[object]:
    """Call a function with each input; give what comes back or the type of what is raised."""
    seen: list[object] = []
    for each in inputs:
        try:
            seen.append(both.call(fn, each))
        except Exception as error:  # noqa: BLE001 - an outcome like another
            seen.append(type(error))
    return seen


def test_the_calls_that_were_named_fail(both: Both, service: Service) -> None:
    """`fail(..., on=(2, 3))` fails the second and third call, every other one reaches the function."""
    with inject(service, "fetch", fail(ConnectionError, on=(2, 3))) as calls:
        seen = outcomes(both, service.fetch, 1, 2, 3, 4)
    assert seen == ["page 1", ConnectionError, ConnectionError, "page 4"]
    assert [call.number for call in calls.injected] == [2, 3]
    assert [call.args for call in calls.reached] == [(1,), (4,)]
    assert both.call(service.fetch, 5) == "page 5"
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("on", "hit"), [(2, [2]), (range(2, 4), [2, 3]), (lambda number: number % 2, [1, 3]), (None, [1, 2, 3])]
)
def test_calls_are_named_by_number(both: Both, service: Service, on: Any, hit: list[int]) -> None:
    """`on` is a number, a collection, a function of the number, or nothing for every call."""
    with inject(service, "fetch", fail(OSError, on=on)) as calls:
        outcomes(both, service.fetch, 1, 2, 3)
    assert [call.number for call in calls.injected] == hit


def test_calls_are_named_by_argument(both: Both, service: Service) -> None:
    """`where` chooses by argument, and `on` counts what it chose."""
    faults = fail(OSError, on=2, where=lambda page: page < 10), answer("book", where=lambda page: page == 99)
    with inject(service, "fetch", *faults):
        assert outcomes(both, service.fetch, 1, 50, 2, 3, 99) == ["page 1", "page 50", OSError, "page 3", "book"]


def test_calls_are_counted_for_each_key(both: Both, service: Service) -> None:
    """With a key the first call of each key is its first (per function or per key)."""
    with inject(service, "fetch", fail(OSError, on=1), key=lambda page: page % 2) as calls:
        assert outcomes(both, service.fetch, 1, 2, 3, 4) == [OSError, OSError, "page 3", "page 4"]
    assert [call.args[0] for call in calls.of(1)] == [1, 3]
    assert {call.key for call in calls} == {0, 1}


def test_the_error_is_the_one_that_was_asked_for(both: Both, service: Service) -> None:
    """A type is called, an exception is raised itself, a function is asked for each call; control flow may be given."""
    own = ValueError("own")
    ways: list[tuple[Any, type[Exception], str]] = [
        (OSError, OSError, "injected"),
        (own, ValueError, "own"),
        (lambda: KeyError(1), KeyError, "1"),
    ]
    for given, kind, text in ways:
        with inject(service, "fetch", fail(given)) as calls, pytest.raises(kind, match=text) as caught:
            both.call(service.fetch, 1)
        assert calls[0].error is caught.value
        assert caught.value.__notes__ == ["recoup.testing: injected into call 1 of <lambda>"]
    with inject(service, "fetch", fail(own)), pytest.raises(ValueError, match="own") as caught:
        both.call(service.fetch, 1)
    assert caught.value is own
    assert caught.value.__notes__ == ["recoup.testing: injected into call 1 of <lambda>"]
    with inject(service, "fetch", fail(Slotless)), pytest.raises(Slotless):
        both.call(service.fetch, 1)
    with inject(service, "fetch", fail(KeyboardInterrupt)), pytest.raises(KeyboardInterrupt):
        both.call(service.fetch, 1)


def test_slow_calls_take_the_dependencys_time(both: Both, service: Service, clock: VirtualClock) -> None:
    """Slowness adds up, moves the virtual clock, is no pause of recoup, and the call is made."""
    with inject(service, "fetch", slow(30), slow(5, on=2)):
        assert outcomes(both, service.fetch, 1, 2) == ["page 1", "page 2"]
    assert clock.monotonic() == 1065
    assert clock.sleeps == []


def test_slow_then_failing(both: Both, service: Service, clock: VirtualClock) -> None:
    """A call may be slow first and fail then; what stands behind the failure does not happen."""
    with inject(service, "fetch", slow(7), fail(TimeoutError), answer("never")) as calls:
        assert outcomes(both, service.fetch, 1) == [TimeoutError]
    assert clock.monotonic() == 1007
    assert calls[0].injected == "slow(7.0), fail(TimeoutError)"


def test_without_a_virtual_clock_slow_calls_sleep(
    both: Both, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real time a slow plain call sleeps."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    with inject(service, "fetch", slow(0.001)):
        assert both.call(service.fetch, 1) == "page 1"
    assert slept == ([] if both.is_async else [0.001])


async def test_slow_calls_on_a_common_loop(clock: VirtualClock) -> None:
    """On a loop in real time a virtual clock is moved all the same, and nobody waits."""
    import asyncio

    async def fetch() -> str:
        return "page"

    late, _ = faulty(fetch, slow(3600))
    clock_before = clock.monotonic()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: asyncio.run(late())).result() == "page"
    assert clock.monotonic() == clock_before + 3600


def test_answers_and_replacements(both: Both, service: Service) -> None:
    """`answer` returns something, `instead` calls something with the same arguments; the function is not reached."""
    replaced = instead(both.wrap(lambda page: page + 1), on=2)
    with inject(service, "fetch", answer("a", on=1), replaced, instead(lambda page: -page, on=3)) as calls:
        assert outcomes(both, service.fetch, 1, 2, 3, 4) == ["a", 3, -3, "page 4"]
    assert [call.result for call in calls] == ["a", 3, -3, "page 4"]
    assert [call.number for call in calls.reached] == [4]


async def _asynchronous(_: object) -> None: ...


class Awaitable:
    def __await__(self) -> Generator[None]:
        yield


@pytest.mark.parametrize("other", [_asynchronous, lambda _: Awaitable()])
def test_plain_functions_cannot_be_replaced_by_async_ones(other: Any) -> None:
    """An async replacement of a plain function is an error, and leaves no coroutine that was never awaited."""
    wrong, _ = faulty(len, instead(other))
    with pytest.raises(TypeError, match=r"given to instead\(\) is asynchronous"):
        wrong([])


def test_generators(both: Both, service: Service) -> None:
    """Of generators: fail before the first item, after some, or at the end; other items; and the rest as ever."""
    faults = [
        *(fail(OSError, on=1), fail(OSError, on=2, after_items=2), fail(OSError, on=3, after_items=9)),
        *(answer([7, 8], on=4), instead(range, on=5)),
    ]
    with inject(service, "items", *faults) as calls:
        seen: list[list[object]] = []
        for _ in range(6):
            got: list[object] = []
            try:
                _collect(both, service.items, got)
            except OSError:
                got.append("error")
            seen.append(got)
    assert seen == [["error"], [0, 1, "error"], [0, 1, 2, "error"], [7, 8], [0, 1, 2], [0, 1, 2]]
    assert [call.reached for call in calls] == [False, True, True, False, False, True]


def _collect(both: Both, fn: Any, into: list[object]) -> None:
    if not both.is_async:
        for item in fn(3):
            into.append(item)  # noqa: PERF402 - what came before an error is wanted
        return

    async def collect() -> None:
        async for item in fn(3):
            into.append(item)  # noqa: PERF401 - as above

    both.run(collect)


def test_values_and_signals_pass_through_generators() -> None:
    """What a consumer sends and throws reaches the generator, and its value comes back."""
    seen: list[object] = []

    def talk() -> Generator[int, str, str | None]:
        seen.append((yield 1))
        try:
            yield 2
        except KeyError:
            return "value"
        return None

    talking, calls = faulty(talk)
    stream = talking()
    assert (next(stream), stream.send("sent")) == (1, 2)
    with pytest.raises(StopIteration) as end:
        stream.throw(KeyError())
    assert (end.value.value, calls[0].result, seen) == ("value", "value", ["sent"])


async def test_async_generators_take_async_items() -> None:
    """`answer` for an async generator may be an async iterable; signals pass through."""

    async def items() -> AsyncGenerator[int | str]:
        try:
            yield 1
        except KeyError:
            yield "caught"

    other, _ = faulty(items, answer(items(), on=1))
    assert [item async for item in other()] == [1]
    stream = other()
    assert await anext(stream) == 1
    assert await stream.athrow(KeyError()) == "caught"
    await stream.aclose()


def test_faults_go_below_the_layers_of_recoup(both: Both, service: Service, clock: VirtualClock) -> None:
    """What recoup protects is protected against the faults, too, by the same strategy objects."""
    service.fetch = retry(max_attempts=3, backoff_strategy="fixed")(service.fetch)
    before = service.fetch
    with inject(service, "fetch", fail(ConnectionError, on=(1, 2))) as calls:
        assert both.call(service.fetch, 7) == "page 7"
        assert layers_of(service.fetch)[0] is layers_of(before)[0]
    assert service.fetch is before
    assert len(calls) == 3
    assert clock.sleeps == [1, 1]


def test_keys_of_layers_still_find_their_argument(both: Both) -> None:
    """A keyed breaker outside finds the argument by its name, as without faults; calls are written one way (F6)."""

    def plain(path: str, host: str = "here") -> str:
        return path + host

    async def coroutine(path: str, host: str = "here") -> str:
        return path + host

    target: Any = coroutine if both.is_async else plain
    breaker = KeyedCircuitBreaker(key="host")
    shaky, calls = faulty(breaker(target), fail(ConnectionError, on=2))
    assert both.call(shaky, "/", host="eu") == "/eu"
    with pytest.raises(ConnectionError):
        both.call(shaky, "/")
    assert breaker.metrics["keys"] == 2
    assert [call.args for call in calls] == [("/", "eu"), ("/", "here")]


def test_disabled_does_not_turn_faults_off(both: Both, service: Service) -> None:
    """With recovery off, faults happen all the same: to see what then becomes of them (G16)."""
    service.fetch = retry(service.fetch)
    with disabled(), inject(service, "fetch", fail(ConnectionError)) as calls:
        assert outcomes(both, service.fetch, 1) == [ConnectionError]
    assert len(calls) == 1


def test_faults_are_told_as_events(both: Both, service: Service) -> None:
    """Each fault is an event, as those of `inject_faults` are."""
    with record() as events, inject(service, "fetch", slow(1, on=9), fail(ConnectionError, on=2)):
        outcomes(both, service.fetch, 1, 2)
    assert [(event.name, event.fault, event.call) for event in events.of(FaultInjected)] == [("<lambda>", "error", 2)]
