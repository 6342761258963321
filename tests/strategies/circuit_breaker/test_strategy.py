"""The circuit breaker round functions of both colours (C1-C5, C8, C10, G5, G6, G8)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import pickle
import threading
from typing import Any

import pytest

from recoup._core.rim import layers_of
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.decorator import circuit_breaker
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.strategy import CircuitBreaker
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.circuit_breaker.services import Guarded, Service


def test_the_whole_round(both: Both, clock: VirtualClock) -> None:
    """Failures open, the open time half-opens, successes close (C1, C2, C5, contract)."""
    made = Guarded(both, failure_threshold=3, success_threshold=2)
    assert made.call("first") == "first"
    for _ in range(2):
        made.fail()
    assert made.state == "closed"
    made.fail()
    assert made.state == "open"
    with pytest.raises(CircuitBreakerError, match="next trial may run in 60 s") as refused:
        made.call()
    assert refused.value.wait_time == 60.0
    assert made.service.calls == 4
    clock.advance(60)
    assert made.state == "half_open"
    assert made.call() == "ok"
    assert made.state == "half_open"
    assert made.call() == "ok"
    assert made.state == "closed"
    for _ in range(2):
        made.fail()
    assert made.state == "closed"
    assert made.breaker.metrics == {"opened": 1, "refused": 1, "late": 0, "would_open": 0}


def test_a_failed_probe_opens_again(both: Both, clock: VirtualClock) -> None:
    """One is enough, and the open time begins anew (C5)."""
    made = Guarded(both, success_threshold=3)
    made.fail()
    clock.advance(60)
    made.call()
    made.fail()
    assert made.state == "open"
    clock.advance(59)
    with pytest.raises(CircuitBreakerError) as refused:
        made.call()
    assert refused.value.wait_time == pytest.approx(1.0)


def test_failures_count_among_the_last_calls_only(both: Both, clock: VirtualClock) -> None:
    """Successes push them out of the window (C2)."""
    made = Guarded(both, failure_threshold=2, window_size=3)
    for _ in range(5):
        made.fail()
        made.call()
        made.call()
    assert made.state == "closed"
    made.fail()
    made.fail()
    assert made.state == "open"


def test_failures_count_for_a_while_only(both: Both, clock: VirtualClock) -> None:
    """After idling longer than the window nothing old is counted (C2, C3)."""
    made = Guarded(both, failure_threshold=2, window_duration=10)
    for _ in range(5):
        made.fail()
        clock.advance(10.5)
    assert made.state == "closed"
    made.fail()
    clock.advance(10)
    made.fail()
    assert made.state == "open"


def test_neutral_calls_take_no_place_in_the_window(both: Both, clock: VirtualClock) -> None:
    """As if they had not been made: they neither count nor push failures out (C8)."""
    made = Guarded(both, failure_threshold=2, window_size=2, ignore_on=KeyError)
    made.fail()
    for _ in range(10):
        made.fail(KeyError("mine"))
    made.fail()
    assert made.state == "open"


def test_results_can_count_as_failures(both: Both, clock: VirtualClock) -> None:
    """The caller gets them all the same; good ones count as successes (C8)."""
    made = Guarded(both, failure_threshold=2, window_size=3, failure_on_result=lambda result: result == "bad")
    assert made.call("bad") == "bad"
    made.call()
    made.call()
    assert made.call("bad") == "bad"
    assert made.state == "closed"
    assert made.call("bad") == "bad"
    assert made.state == "open"
    with pytest.raises(CircuitBreakerError, match="failure_on_result counted") as refused:
        made.call()
    assert refused.value.last_error_type == "UnacceptableResult"
    clock.advance(60)
    made.call("bad")
    assert made.state == "open"
    clock.advance(60)
    made.call("good")
    assert made.state == "closed"


def test_a_result_can_be_judged_by_the_time_it_took(both: Both, clock: VirtualClock) -> None:
    """A second parameter of the predicate is the seconds of the call (C8)."""
    seen: list[Any] = []

    def too_slow(result: str, seconds: float) -> bool:
        seen.append((result, seconds))
        return seconds > 2

    breaker = CircuitBreaker(
        CircuitBreakerConfig(failure_threshold=2, window_size=3, success_threshold=1, failure_on_result=too_slow)
    )

    @breaker
    def work(seconds: float, error: Exception | None = None) -> str:
        clock.advance(seconds)
        if error is not None:
            raise error
        return "done"

    @breaker
    async def work_async(seconds: float, error: Exception | None = None) -> str:
        clock.advance(seconds)
        if error is not None:
            raise error
        return "done"

    fn = work_async if both.is_async else work
    for seconds in (3, 1, 1, 3, 2):
        assert both.call(fn, seconds) == "done"
    with pytest.raises(OSError, match="down"):
        both.call(fn, 0, OSError("down"))
    assert seen == [("done", 3.0), ("done", 1.0), ("done", 1.0), ("done", 3.0), ("done", 2.0)]
    with pytest.raises(CircuitBreakerError):
        both.call(fn, 0)
    clock.advance(60)
    with breaker.disable():
        both.call(fn, 100)
    both.call(fn, 3)
    assert repr(breaker).endswith("open>")
    clock.advance(60)
    with pytest.raises(GeneratorExit):
        both.call(fn, 0, GeneratorExit())
    both.call(fn, 1)
    assert breaker.state is CircuitBreakerState.CLOSED
    assert breaker.metrics == {"opened": 2, "refused": 1, "late": 0, "would_open": 0}


def test_the_time_a_call_took_is_never_negative(clock: VirtualClock) -> None:
    """Not even if the clock goes backwards (C8, G12)."""
    seen: list[float] = []

    def judge(result: object, seconds: float) -> bool:
        seen.append(seconds)
        return False

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_on_result=judge))
    breaker.call_sync(lambda: clock.rewind(5))
    assert seen == [0.0]


seen_by_predicates: list[tuple[Any, ...]] = []


def noted(*given: Any) -> bool:
    """Write down what a predicate was given."""
    seen_by_predicates.append(given)
    return False


@pytest.mark.parametrize(
    ("predicate", "arguments"),
    [
        (noted, 1),
        (lambda first, second="not given": noted(*({first, second} - {"not given"})), 1),
        (lambda first, *more, **named: noted(first, *more), 1),
        (lambda first, /, second: noted(first, second), 2),
        (functools.partial(lambda first, second, third: noted(first, third, second), 0), 3),
    ],
)
def test_how_many_arguments_a_result_predicate_gets(predicate: Any, arguments: int) -> None:
    """As many as it requires by position, the result at least (C8)."""
    seen_by_predicates.clear()
    CircuitBreaker(CircuitBreakerConfig(failure_on_result=predicate)).call_sync(lambda: "ok")
    assert [len(given) for given in seen_by_predicates] == [arguments]


def test_a_predicate_without_a_signature_gets_the_result() -> None:
    """Some builtins do not say what they take (C8)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_on_result=max, failure_threshold=1))
    assert breaker.call_sync(lambda: [0, 0]) == [0, 0]
    assert breaker.call_sync(lambda: [0, 1]) == [0, 1]
    assert repr(breaker).endswith("open>")


@pytest.mark.parametrize("form", ["call", "execute"])
def test_executing_shares_the_circuit(both: Both, clock: VirtualClock, form: str) -> None:
    """`call` and `call_sync` are `execute` and `execute_sync`, and pass arguments on (contract)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    method = getattr(breaker, form if both.is_async else f"{form}_sync")

    def divide(dividend: int, *, by: int) -> float:
        return dividend / by

    assert both.call(method, both.wrap(divide), 6, by=3) == 2
    with pytest.raises(ZeroDivisionError):
        both.call(method, both.wrap(divide), 6, by=0)
    with pytest.raises(CircuitBreakerError):
        both.call(method, both.wrap(divide), 6, by=3)


async def test_call_awaits_what_a_plain_function_returns() -> None:
    """The specification's `await breaker.call(func)` takes both colours (contract)."""
    breaker = CircuitBreaker()
    assert await breaker.call(lambda: "plain") == "plain"
    waiting: Any = lambda: asyncio.sleep(0, "awaited")  # noqa: E731 - a plain function that returns an awaitable
    assert await breaker.call(waiting) == "awaited"


def test_one_object_shares_its_state_between_functions(both: Both, clock: VirtualClock) -> None:
    """What one of them finds out, the others know (G7)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    down, up = breaker(both.wrap(Service(OSError("down")).__call__)), breaker(both.wrap(lambda: "up"))
    with pytest.raises(OSError, match="down"):
        both.call(down)
    with pytest.raises(CircuitBreakerError):
        both.call(up)


def test_the_decorator_takes_every_form(both: Both) -> None:
    """Bare, keywords, config, object; each bare use is a circuit of its own."""
    body = both.wrap(lambda: "ok")
    config = CircuitBreakerConfig(failure_threshold=7)
    shared = CircuitBreaker(config)
    made = [
        circuit_breaker(body),
        circuit_breaker()(body),
        circuit_breaker(failure_threshold=7, on=OSError, name="mine")(body),
        circuit_breaker(config)(body),
        circuit_breaker(config, name="mine")(body),
        circuit_breaker(shared)(body),
        shared(body),
    ]
    assert [both.call(each) for each in made] == ["ok"] * 7
    layers: Any = [layers_of(each)[0] for each in made]
    assert [layer.config.failure_threshold for layer in layers] == [5, 5, 7, 7, 7, 7, 7]
    assert len(set(layers)) == 6
    assert layers[2].config.failure_on is OSError
    assert [layers[2].name, layers[4].name] == ["mine", "mine"]


def test_a_wrong_argument_is_an_error_at_decoration() -> None:
    """Not at the first call (G1)."""
    with pytest.raises(TypeError, match="config must be a CircuitBreakerConfig"):
        CircuitBreaker("5")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'failure_threshold'"):
        circuit_breaker(failure_treshold=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="got both on and failure_on"):
        circuit_breaker(on=OSError, failure_on=OSError)
    with pytest.raises(TypeError, match="name must be a non-empty string"):
        CircuitBreaker(name="")


def test_the_name_and_the_state_are_shown() -> None:
    """`repr` says what a log reader needs."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    assert repr(breaker) == "<CircuitBreaker 'circuit_breaker' closed>"

    @breaker
    def fetch() -> None:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        fetch()
    assert repr(breaker) == f"<CircuitBreaker {fetch.__qualname__!r} open>"
    assert breaker.state is CircuitBreakerState.OPEN


class Client:
    """Every kind of method, all of them failing."""

    @circuit_breaker(failure_threshold=1)
    def method(self) -> str:
        raise OSError(type(self).__name__)

    @circuit_breaker(failure_threshold=1)
    @classmethod
    def above_class(cls) -> str:
        raise OSError(cls.__name__)

    @classmethod
    @circuit_breaker(failure_threshold=1)
    def below_class(cls) -> str:
        raise OSError(cls.__name__)

    @circuit_breaker(failure_threshold=1)
    @staticmethod
    def above_static() -> str:
        raise OSError("Client")

    @staticmethod
    @circuit_breaker(failure_threshold=1)
    def below_static() -> str:
        raise OSError("Client")


@pytest.mark.parametrize("kind", ["method", "above_class", "below_class", "above_static", "below_static"])
def test_methods_of_every_kind_are_protected(kind: str) -> None:
    """Above and below the descriptors (G5)."""
    with pytest.raises(OSError, match="Client"):
        getattr(Client(), kind)()
    with pytest.raises(CircuitBreakerError):
        getattr(Client(), kind)()
    if kind != "method":
        with pytest.raises(CircuitBreakerError):
            getattr(Client, kind)()


def test_partials_and_callable_objects_are_protected(both: Both) -> None:
    """In either colour (G5)."""

    def answer(result: object) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    class Plain:
        def __call__(self) -> str:
            raise OSError("object")

    class Coloured:
        async def __call__(self) -> str:
            raise OSError("object")

    targets = functools.partial(both.wrap(answer), OSError("partial")), Coloured() if both.is_async else Plain()
    for target in targets:
        guarded = circuit_breaker(failure_threshold=1)(target)
        with pytest.raises(OSError, match=r"partial|object"):
            both.call(guarded)
        with pytest.raises(CircuitBreakerError):
            both.call(guarded)


async def test_a_plain_function_that_returns_a_coroutine_is_protected(clock: VirtualClock) -> None:
    """The synchronous pass is neutral, the asynchronous one counts (G5)."""
    service = Service()

    async def fetch() -> Any:
        return service()

    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2, success_threshold=1, timeout=60))
    guarded: Any = breaker(lambda: fetch())  # noqa: PLW0108 - a function that looks plain
    assert await guarded() == "ok"
    service.answer = OSError("down")
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            await guarded()
    assert breaker.metrics["opened"] == 1
    await asyncio.sleep(60)
    service.answer = "up"
    assert await guarded() == "up"
    assert breaker.state is CircuitBreakerState.CLOSED


def test_the_decorated_function_keeps_what_it_is(both: Both) -> None:
    """Name, signature, documentation, colour, pickling (G6)."""
    fetch = fetch_async if both.is_async else fetch_sync
    assert fetch.__name__ == ("fetch_async" if both.is_async else "fetch_sync")
    assert fetch.__doc__ == "Fetch."
    assert str(inspect.signature(fetch)) == "(path: 'str', *, limit: 'int' = 3) -> 'str'"
    assert inspect.iscoroutinefunction(fetch) is both.is_async
    assert pickle.loads(pickle.dumps(fetch)) is fetch  # noqa: S301 - our own bytes


@circuit_breaker
def fetch_sync(path: str, *, limit: int = 3) -> str:
    """Fetch."""
    return path * limit


@circuit_breaker
async def fetch_async(path: str, *, limit: int = 3) -> str:
    """Fetch."""
    return path * limit


def test_results_of_an_earlier_era_are_dropped_in_threads(clock: VirtualClock) -> None:
    """A late success does not close the circuit, a late failure does not prolong it (C4)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, success_threshold=1, timeout=60))
    begun, go = threading.Barrier(3), threading.Event()

    @breaker
    def slow(error: Exception | None) -> None:
        if error is not None and error.args == ("at once",):
            raise error
        begun.wait()
        go.wait()
        if error is not None:
            raise error

    def run(error: Exception | None) -> None:
        with contextlib.suppress(OSError):
            slow(error)

    threads = [threading.Thread(target=run, args=(error,)) for error in (None, OSError("late"))]
    for thread in threads:
        thread.start()
    begun.wait()
    run(OSError("at once"))
    clock.advance(50)
    go.set()
    for thread in threads:
        thread.join()
    assert breaker.state is CircuitBreakerState.OPEN
    assert breaker.metrics == {"opened": 1, "refused": 0, "late": 2, "would_open": 0}
    with pytest.raises(CircuitBreakerError) as refused:
        slow(None)
    assert refused.value.wait_time == pytest.approx(10)


async def test_results_of_an_earlier_era_are_dropped_in_tasks(clock: VirtualClock) -> None:
    """The same for tasks; a late success of the closed era does not count as a probe either (C4)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, success_threshold=1, timeout=60))

    @breaker
    async def work(seconds: float, error: Exception | None = None) -> None:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error

    late = [asyncio.create_task(work(100)), asyncio.create_task(work(100, OSError("late")))]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="at once"):
        await work(0, OSError("at once"))
    await asyncio.sleep(70)
    probe = asyncio.create_task(work(50))
    await asyncio.gather(*late, return_exceptions=True)
    assert repr(breaker).endswith("half_open>")
    assert breaker.metrics["late"] == 2
    await probe
    assert breaker.state is CircuitBreakerState.CLOSED


def test_the_lock_is_not_held_while_the_function_runs(both: Both) -> None:
    """A call may ask its own breaker, and others run beside it; a lock over the call would serialise all (G7)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    seen: list[Any] = []

    def look() -> None:
        lock = breaker._calls.circuit._lock
        seen.append(lock.acquire(blocking=False))
        lock.release()

    def nosy() -> None:
        seen.append(breaker.state)
        breaker.reset()
        other = threading.Thread(target=look)
        other.start()
        other.join()

    both.call(breaker(both.wrap(nosy)))
    with breaker.force_open():
        pass
    both.call(breaker(both.wrap(nosy)))
    assert seen == [CircuitBreakerState.CLOSED, True] * 2


def test_healthy_threads_do_not_wait_for_each_other() -> None:
    """Eight calls run at the same time (G7)."""
    meeting = threading.Barrier(8, timeout=10)
    guarded = circuit_breaker(meeting.wait)
    threads = [threading.Thread(target=guarded) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not meeting.broken
