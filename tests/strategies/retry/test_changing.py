"""What retry promises about other arguments for the next attempt (R11)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest

from recoup import DeadlineExceeded, RetryConfig, RetryExecutor, UnacceptableResult, fallback, layers_of, retry
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both
from tests.strategies.retry.test_limits import Suspends, stepped
from tests.strategies.retry.test_retry import run_by_hand

ENDPOINTS = ["a", "b", "c"]


def failing(seen: list[Any], both: Both | None = None) -> Any:
    """Make a function that knows one good endpoint; of the colour under test, with its parameters."""

    def fetch(path: str, base: str = "a", *, tries: int = 0) -> str:
        seen.append((path, base, tries))
        if base != "c":
            raise ConnectionError(base)
        return base + path

    async def fetch_async(path: str, base: str = "a", *, tries: int = 0) -> str:
        return fetch(path, base, tries=tries)

    return fetch_async if both is not None and both.is_async else fetch


def next_endpoint(n: int, error: Exception, args: tuple[Any, ...], kwargs: Any) -> Any:
    path, base = args
    return (path, ENDPOINTS[ENDPOINTS.index(base) + 1]), {**kwargs, "tries": n}


def test_each_attempt_gets_the_arguments_of_the_one_before(both: Both, clock: VirtualClock) -> None:
    """It is asked after the wait, with the number, the error and the arguments as they are now (R11)."""
    asked, seen = list[Any](), list[Any]()

    def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
        asked.append((n, str(error), clock.monotonic() - began))
        return next_endpoint(n, error, args, kwargs)

    began = clock.monotonic()
    function = retry(before_retry=before, backoff_strategy="fixed")(failing(seen, both))
    for call in (lambda: function("/p"), lambda: function(path="/p"), lambda: function("/p", "a", tries=0)):
        began, asked[:], seen[:] = clock.monotonic(), [], []
        assert both.call(call) == "c/p"
        assert seen == [("/p", "a", 0), ("/p", "b", 1), ("/p", "c", 2)]
        assert asked == [(1, "a", 1.0), (2, "b", 2.0)]


def test_none_leaves_the_arguments(both: Both, clock: VirtualClock) -> None:
    """And a healthy call never asks (R11)."""
    seen: list[Any] = []
    function = retry(before_retry=lambda *_: None, initial_delay=0)(failing(seen, both))
    with pytest.raises(ConnectionError):
        both.call(function, "/p", tries=7)
    assert seen == [("/p", "a", 7)] * 3
    assert both.call(function, "/p", "c") == "c/p"


def test_an_async_one_is_awaited(clock: VirtualClock) -> None:
    """Round async functions only (G9)."""

    async def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
        await asyncio.sleep(5)
        return next_endpoint(n, error, args, kwargs)

    both, seen = Both("asyncio"), list[Any]()
    function = retry(before_retry=before, initial_delay=0)(failing(seen, both))
    assert both.call(function, "/p") == "c/p"
    with pytest.raises(TypeError, match=r"before_retry of retry is an async function, but .* is synchronous"):
        retry(before_retry=before)(failing(seen))


@pytest.mark.parametrize(
    "answer", [5, "ab", ("/p",), ("ab", {}), (["/p"], None), [("/p", "b"), {}], {"base": "b"}, ((), {}, 1)]
)
def test_any_other_answer_is_an_error(both: Both, clock: VirtualClock, answer: Any) -> None:
    """At once, and without the arguments in its text (R11, G10)."""
    seen: list[Any] = []
    function = retry(before_retry=lambda *_: answer, initial_delay=0)(failing(seen, both))
    with pytest.raises(TypeError) as caught:
        both.call(function, "/secret")
    assert len(seen) == 1
    assert str(caught.value) == (
        "before_retry must return None or a pair (args, kwargs): a tuple of positional arguments and a mapping of "
        f"keyword arguments; it returned {type(answer).__qualname__}"
    )


def test_a_coroutine_in_plain_code_is_an_error(clock: VirtualClock) -> None:
    """It is closed, so that nobody is warned of it (G9)."""

    async def later() -> None: ...

    function = retry(before_retry=lambda *_: later(), initial_delay=0)(failing([]))
    with pytest.raises(TypeError, match="it returned coroutine"):
        function("/p")


def test_its_errors_propagate_at_once(both: Both, clock: VirtualClock) -> None:
    """It decides what is called; it is no mere callback (R11)."""
    seen: list[Any] = []

    def before(*_: Any) -> Any:
        raise LookupError("no endpoint left")

    with pytest.raises(LookupError, match="no endpoint left"):
        both.call(retry(before_retry=before, initial_delay=0)(failing(seen, both)), "/p")
    assert len(seen) == 1


def test_what_it_is_given_cannot_be_changed_in_place(both: Both, clock: VirtualClock) -> None:
    """Half a change would be silent (R11)."""

    def before(n: int, error: Exception, args: Any, kwargs: Any) -> None:
        kwargs["base"] = "b"

    with pytest.raises(TypeError, match="does not support item assignment"):
        both.call(retry(before_retry=before, initial_delay=0)(failing([], both)), "/p")


def test_results_and_limits_work_as_ever(both: Both, clock: VirtualClock) -> None:
    """Judged results come as UnacceptableResult; the layers inside and outside see nothing of it (R4, R11)."""
    errors: list[Any] = []

    def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
        errors.append(type(error))
        return (args[0] + 1,), kwargs

    def double(number: int) -> int:
        return 2 * number

    executor = retry(before_retry=before, retry_on_result=lambda result: result < 6, backoff_strategy="fixed")
    function = fallback(fallback_value=None)(executor(both.wrap(double)))
    assert both.call(function, 1) == 6
    assert errors == [UnacceptableResult] * 2
    assert both.execute(executor, both.wrap(double), 2) == 6
    assert [layer.kind for layer in layers_of(function)] == ["fallback", "retry"]
    with disabled():
        assert both.call(executor(both.wrap(double)), 1) == 2


def test_an_attempt_is_still_cut(clock: VirtualClock) -> None:
    """attempt_timeout and max_elapsed are layers round and inside of it (R3, R11)."""
    both, seen = Both("asyncio"), list[int]()

    @retry(
        attempt_timeout=2, max_elapsed=50, initial_delay=0, before_retry=lambda n, e, args, kw: ((args[0] - 60,), kw)
    )
    async def work(seconds: float) -> str:
        seen.append(int(seconds))
        await both.pause(seconds)
        return "ok"

    assert both.call(work, 120) == "ok"
    assert seen == [120, 60, 0]
    with pytest.raises(DeadlineExceeded):
        both.call(work, 500)


def test_a_stream_starts_anew_with_other_arguments(both: Both, clock: VirtualClock) -> None:
    """Until its first item (R8, R11)."""
    seen: list[Any] = []
    fetch = failing(seen)

    def stream(path: str, base: str = "a", *, tries: int = 0) -> Any:
        yield fetch(path, base, tries=tries)
        yield "more"

    async def stream_async(path: str, base: str = "a", *, tries: int = 0) -> Any:
        yield fetch(path, base, tries=tries)
        yield "more"

    function = retry(before_retry=next_endpoint, initial_delay=0)(stream_async if both.is_async else stream)
    assert both.call(function, "/p") == ["c/p", "more"]
    assert [base for _, base, _ in seen] == ["a", "b", "c"]


def test_a_generator_keeps_its_conversation(clock: VirtualClock) -> None:
    """What is sent, thrown and returned passes through (G6, R8)."""

    @retry(before_retry=next_endpoint)
    def stream() -> Any:
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "caught"
        return "value"

    made = stream()
    assert (next(made), made.send("hello"), made.throw(KeyError())) == (1, "hello", "caught")
    with pytest.raises(StopIteration) as end:
        next(made)
    assert end.value.value == "value"


@pytest.mark.asyncio_only
def test_calls_do_not_share_their_arguments(both: Both, clock: VirtualClock) -> None:
    """One policy object, many calls (G8)."""
    function = retry(before_retry=next_endpoint, backoff_strategy="fixed")(failing([], both))
    if both.is_async:

        async def main() -> Any:
            return await asyncio.gather(*(function(f"/{n}") for n in range(20)))

        assert both.run(main) == [f"c/{n}" for n in range(20)]
    else:
        assert [function(f"/{n}") for n in range(20)] == [f"c/{n}" for n in range(20)]


def test_methods_give_their_object_first(both: Both, clock: VirtualClock) -> None:
    """As every function sees them (R11)."""

    class Client:
        base = "a"

        def fetch(self, path: str) -> str:
            if self.base == "a":
                raise ConnectionError
            return self.base + path

    def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
        client, path = args
        client.base = "b"
        return (client, path + "2"), kwargs

    assert both.call(retry(before_retry=before, initial_delay=0)(both.wrap(Client.fetch)), Client(), "/p") == "b/p2"


@pytest.mark.parametrize("how", ["fails", "changes", "interrupted"])
def test_no_cycle_keeps_the_arguments(both: Both, how: str) -> None:
    """With the collector off everything dies with the call (G11)."""

    class Local:
        pass

    def work(kept: Any) -> None:
        raise OSError("x")

    def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
        if how == "interrupted":
            raise KeyboardInterrupt
        return (args, kwargs) if how == "changes" else None

    function = retry(initial_delay=0, before_retry=before)(both.wrap(work))

    def call() -> weakref.ref[Local]:
        local = Local()
        with suppress(OSError, KeyboardInterrupt):
            run_by_hand(function(local))
        return weakref.ref(local)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def test_cancellation_at_every_await_ends_the_call() -> None:
    """In the attempts, in the waits and in before_retry (G2)."""
    outcomes: list[str] = []
    for cancel_at in range(1, 16):

        async def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
            await Suspends(1)
            return (args[0] + 1,), kwargs

        @retry(initial_delay=0, before_retry=before)
        async def work(number: int) -> int:
            await Suspends(2)
            if number < 3:
                raise OSError
            return number

        outcomes.append(stepped(work(1), cancel_at)[0])
    suspensions = outcomes.index("returned")
    assert outcomes == ["cancelled"] * suspensions + ["returned"] * (len(outcomes) - suspensions)
    assert suspensions >= 9


def test_a_plain_function_that_returns_a_coroutine(clock: VirtualClock) -> None:
    """The asynchronous pass takes over with the arguments of the call (G5, R11)."""

    async def later(base: str) -> str:
        if base != "b":
            raise ConnectionError
        return base

    @retry(initial_delay=0, before_retry=lambda n, error, args, kwargs: (("b",), {}))
    def client(base: str) -> Any:
        return later(base)

    assert Both("asyncio").call(client, "a") == "b"
    assert RetryExecutor(RetryConfig(before_retry=print)).config.before_retry is print


def test_arguments_of_a_builtin_come_as_they_were_written(clock: VirtualClock) -> None:
    """Nobody knows its parameters (R11)."""
    seen: list[Any] = []

    def before(n: int, error: Exception, args: Any, kwargs: Any) -> Any:
        seen.append((args, dict(kwargs)))
        return ("7",), {}

    assert RetryExecutor(RetryConfig(before_retry=before, initial_delay=0)).execute_sync(int, "x", base=16) == 7
    assert seen == [(("x",), {"base": 16})]
    assert RetryExecutor().config == RetryConfig()
