"""What is done to calls, in both colours, and that nothing is done unarmed (issue 3, "Fault injection")."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    CircuitBreaker,
    CircuitBreakerConfig,
    DeadlineExceeded,
    FaultInjection,
    FaultInjectionConfig,
    cached,
    deadline,
    events,
    fallback,
    inject_faults,
    layers_of,
    retry,
    subscribe,
)
from recoup._core.chain import Pending
from recoup.strategies.fault_injection.pumps import injecting, injecting_async
from recoup.strategies.fault_injection.state import Fault
from recoup.testing import disabled, instant, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Service:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def ask(self, key: object = 0) -> Any:
        self.calls.append(key)
        return f"answer {key}"


@pytest.fixture
def service() -> Service:
    return Service()


def outcome(both: Both, call: Callable[..., Any], *args: Any) -> Any:
    try:
        return both.call(call, *args)
    except OSError as error:
        return type(error).__name__


def test_unarmed_it_does_nothing(both: Both, clock: VirtualClock, service: Service) -> None:
    """It is off unless armed, however it is configured."""
    ask = inject_faults(error=OSError, delay=5, run=service.calls.clear)(both.wrap(service.ask))
    assert both.call(ask, 1) == "answer 1"
    assert clock.sleeps == []


def test_an_error_takes_the_place_of_the_call(both: Both, service: Service) -> None:
    """The function is not called, and a note tells the error from a real one."""
    faults = inject_faults(error=ConnectionError, name="outage")
    ask = faults(both.wrap(service.ask))
    with faults.armed(), pytest.raises(ConnectionError) as caught:
        both.call(ask)
    assert caught.value.__notes__ == ["recoup: injected by 'outage' into call 1"]
    assert caught.value.__context__ is None
    assert service.calls == []
    assert both.call(ask) == "answer 0"


def test_an_error_after_the_call_loses_its_answer(both: Both, service: Service) -> None:
    """`after_call`: the function has run, as for a caller whose connection broke too late."""
    faults = inject_faults(error=ConnectionError, after_call=True)
    ask = faults(both.wrap(service.ask))
    with faults.armed(), pytest.raises(ConnectionError):
        both.call(ask, 3)
    assert service.calls == [3]


def test_an_error_may_be_made_by_a_function(both: Both, service: Service) -> None:
    """Each call gets what the function makes; of one and the same error the traceback does not grow."""
    same = OSError(5, "the same")
    faults = inject_faults(error=lambda: same)
    ask = faults(both.wrap(service.ask))
    lengths = []
    with faults.armed():
        for _ in range(5):
            with pytest.raises(OSError, match="the same") as caught:
                both.call(ask)
            assert caught.value is same
            lengths.append(len(traceback.extract_tb(same.__traceback__)))
    assert len(set(lengths)) == 1
    assert same.__notes__ == ["recoup: injected by 'Service.ask' into call 5"]


@pytest.mark.parametrize("made", [None, OSError, KeyboardInterrupt(), "error"])
def test_what_is_no_exception_is_refused(both: Both, service: Service, made: Any) -> None:
    """G2: control flow is not injected; whoever wants it raises it in `run`."""
    faults = inject_faults(error=lambda: made)
    with faults.armed(), pytest.raises(TypeError, match="error must make an exception, an Exception, not"):
        both.call(faults(both.wrap(service.ask)))


def test_a_delay_comes_before_the_call(both: Both, clock: VirtualClock, service: Service) -> None:
    """In seconds, or as a function says each time."""
    seconds, began = iter([2.0, 3.0]), clock.monotonic()
    for faults, expected in ((inject_faults(delay=4), [4, 8]), (inject_faults(delay=lambda: next(seconds)), [10, 13])):
        ask = faults(both.wrap(clock.monotonic))
        with faults.armed():
            assert [both.call(ask) - began, both.call(ask) - began] == expected


@pytest.mark.parametrize("seconds", [-1, float("nan"), "1", None])
def test_a_delay_that_is_none_is_refused(both: Both, service: Service, seconds: Any) -> None:
    """G1: what the function gives is checked when it gives it."""
    faults = inject_faults(delay=lambda: seconds)
    with faults.armed(), pytest.raises((TypeError, ValueError), match="delay must be"):
        both.call(faults(both.wrap(service.ask)))


def test_something_is_run_before_the_call(both: Both, service: Service) -> None:
    """What `run` raises comes out of the call, control flow included."""
    faults = inject_faults(run=lambda: service.calls.append("run"))
    with faults.armed():
        both.call(faults(both.wrap(service.ask)))
    assert service.calls == ["run", 0]

    def interrupt() -> None:
        raise KeyboardInterrupt

    faults = inject_faults(run=interrupt, delay=1)
    with faults.armed(), pytest.raises(KeyboardInterrupt):
        both.call(faults(both.wrap(service.ask)))
    assert service.calls == ["run", 0]


def test_a_result_is_changed(both: Both, service: Service) -> None:
    """`change_result` gets the result and gives another."""
    faults = inject_faults(change_result=str.upper)
    ask = faults(both.wrap(service.ask))
    with faults.armed():
        assert both.call(ask, 2) == "ANSWER 2"
    assert both.call(ask, 2) == "answer 2"


def test_everything_in_order(both: Both, clock: VirtualClock, service: Service) -> None:
    """First `run`, then `delay`, then the error: and listeners are told of each, in order."""
    told: list[Any] = []
    faults = inject_faults(run=lambda: told.append(clock.monotonic()), delay=3, error=ConnectionError, name="all")
    ask = faults(both.wrap(service.ask))
    began = clock.monotonic()
    with faults.armed(), subscribe(told.append), pytest.raises(ConnectionError):
        both.call(ask)
    assert told == [
        events.FaultInjected("all", "run", 1),
        began,
        events.FaultInjected("all", "delay", 1),
        events.FaultInjected("all", "error", 1),
    ]
    assert clock.monotonic() - began == 3
    changing = inject_faults(change_result=str, name="c")
    told.clear()
    with changing.armed(), subscribe(told.append):
        both.call(changing(both.wrap(service.ask)))
    assert told == [events.FaultInjected("c", "result", 1)]


def test_the_functions_own_error_comes_out(both: Both) -> None:
    """What is to be done after the call is not done when it has failed by itself."""

    def fail() -> None:
        raise LookupError

    for faults in (inject_faults(error=OSError, after_call=True), inject_faults(change_result=str)):
        with faults.armed(), pytest.raises(LookupError):
            both.call(faults(both.wrap(fail)))


def test_calls_on_a_schedule(both: Both, service: Service) -> None:
    """Numbers of calls since it was armed, as a list, a range or a function."""
    for schedule in ([2, 3], {3, 2}, range(2, 4), lambda number: number in (2, 3)):
        faults = inject_faults(error=OSError, schedule=schedule)
        ask = faults(both.wrap(service.ask))
        for _ in range(2):
            with faults.armed():
                assert [outcome(both, ask, n) for n in range(4)] == ["answer 0", "OSError", "OSError", "answer 3"]


def test_calls_that_a_predicate_picks(both: Both, service: Service) -> None:
    """The predicate gets the arguments, the same however they are written; what it does not pick is not numbered."""
    picked: list[Any] = []

    def pick(*args: Any, **kwargs: Any) -> bool:
        picked.append((args, kwargs))
        return bool(args[0] == 7)

    def ask(key: int, lang: str = "en") -> str:
        return "answer"

    async def ask_async(key: int, lang: str = "en") -> str:
        return "answer"

    faults = inject_faults(error=OSError, predicate=pick, schedule=[2])
    call: Any = faults(ask_async if both.is_async else ask)
    with faults.armed():
        assert [outcome(both, call, key) for key in (1, 7, 1, 7, 7)] == ["answer"] * 3 + ["OSError", "answer"]
        both.call(call, key=1)
        both.call(faults.execute if both.is_async else faults.execute_sync, ask, lang="en", key=1)
    assert picked[-3:] == [((7, "en"), {}), ((1, "en"), {}), ((1, "en"), {})]


def test_a_predicate_of_a_builtin() -> None:
    """Where the parameters are not known, it gets the arguments as they are."""
    faults = inject_faults(error=ConnectionError, predicate=lambda text, base=10: base == 2)
    with faults.armed():
        assert faults.execute_sync(int, "7") == 7
        with pytest.raises(ConnectionError):
            faults.execute_sync(int, "7", base=2)


def test_a_coroutine_that_is_handed_on_is_no_end(both: Both) -> None:
    """G5: the signal that a plain function has returned a coroutine passes both pumps, with the fault."""

    async def later() -> None: ...

    def hand_on() -> None:
        raise Pending(coroutine)

    coroutine, fault, told = later(), Fault(FaultInjectionConfig(delay=1), 1), list[Any]()
    factory: Any = injecting_async if both.is_async else injecting
    inflict = both.wrap(lambda fault: told.append(fault.number))
    pump = factory(both.wrap(hand_on), {"armed": 1}, lambda: fault, inflict, None, lambda *given: told.append(given))
    with pytest.raises(Pending) as caught:
        both.call(pump)
    assert told == [1, (fault, caught.value)]
    coroutine.close()


@pytest.mark.parametrize("argument", ["predicate", "schedule"])
def test_choosers_answer_at_once(both: Both, service: Service, argument: str) -> None:
    """What they raise comes out; something to await is no answer (G4)."""

    async def later() -> bool:
        return True

    def fail(*args: object) -> bool:
        raise ZeroDivisionError

    odd: Any = {argument: fail}
    faults = inject_faults(delay=1, **odd)
    with faults.armed(), pytest.raises(ZeroDivisionError):
        both.call(faults(both.wrap(service.ask)))
    odd = {argument: lambda *args: later()}
    faults = inject_faults(delay=1, **odd)
    with faults.armed(), pytest.raises(TypeError, match=f"{argument} returned an awaitable"):
        both.call(faults(both.wrap(service.ask)))


def test_a_rate_hits_its_share(both: Both, clock: VirtualClock, service: Service) -> None:
    """With a seed the same calls each time, without one by chance, through the one seam (G12)."""
    faults = inject_faults(error=OSError, rate=0.3, seed=7)
    ask = faults(both.wrap(service.ask))
    runs = []
    for _ in range(2):
        with faults.armed():
            runs.append([outcome(both, ask) for _ in range(40)])
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count("OSError") <= 20
    never = inject_faults(error=OSError, rate=0)
    with never.armed():
        assert outcome(both, never(both.wrap(service.ask))) == "answer 0"


def test_a_rate_without_a_seed_draws_from_the_seam(
    both: Both, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G12: tests may replace chance."""
    draws = iter([0.29, 0.3, 0.0])
    monkeypatch.setattr("recoup._core.clock.random", lambda: next(draws))
    faults = inject_faults(error=OSError, rate=0.3)
    ask = faults(both.wrap(service.ask))
    with faults.armed():
        assert [outcome(both, ask) for _ in range(3)] == ["OSError", "answer 0", "OSError"]


def test_the_switches_of_tests(both: Both, clock: VirtualClock, service: Service) -> None:
    """G16: `disabled()` turns it off like any layer, `instant()` skips the delay."""
    faults = inject_faults(error=OSError, delay=9)
    ask = faults(both.wrap(service.ask))
    with faults.armed():
        with disabled():
            assert outcome(both, ask) == "answer 0"
        with instant():
            assert outcome(both, ask) == "OSError"
    assert clock.sleeps == []


def test_every_layer_above_meets_the_faults(both: Both, clock: VirtualClock, service: Service) -> None:
    """A stack is tried as a whole: retries, an open circuit, an answer instead."""
    faults = inject_faults(error=ConnectionError)
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=3))
    ask = both.wrap(service.ask)
    for layer in (
        faults,
        breaker,
        retry(max_attempts=2, initial_delay=1, jitter_range=0),
        fallback(fallback_value="x"),
    ):
        ask = layer(ask)
    assert both.call(ask) == "answer 0"
    with faults.armed():
        assert [both.call(ask) for _ in range(3)] == ["x", "x", "x"]
    assert breaker.state.value == "open"
    assert service.calls == [0]
    assert [layer.kind for layer in layers_of(ask)] == ["fallback", "retry", "circuit_breaker", "fault_injection"]


async def test_a_delay_is_cancelled_by_a_deadline(clock: VirtualClock) -> None:
    """An injected hang is a real one to the layers above."""
    faults, began = inject_faults(delay=60), clock.monotonic()

    @deadline(2)
    @faults
    async def ask() -> None: ...

    with faults.armed(), pytest.raises(DeadlineExceeded) as caught:
        await ask()
    assert caught.value.started
    assert clock.monotonic() - began == pytest.approx(2)


async def test_async_callbacks(clock: VirtualClock) -> None:
    """Round async functions, `run` and `change_result` may be async (G9)."""

    async def double(result: int) -> int:
        await asyncio.sleep(1)
        return result * 2

    async def pause() -> None:
        await asyncio.sleep(5)

    faults = inject_faults(run=pause, change_result=double)

    @faults
    async def ask() -> int:
        return 4

    with faults.armed():
        assert await ask() == 8


@pytest.mark.parametrize("argument", ["run", "change_result"])
def test_a_plain_function_cannot_await(service: Service, argument: str) -> None:
    """G9: what turns out to be async only when it is called is closed and said so."""

    async def later() -> None: ...

    made: list[Any] = []

    def disguised(*args: object) -> Any:
        made.append(later())
        return made[-1]

    async def future() -> Any:
        return asyncio.get_running_loop().create_future()

    for give in (disguised, lambda *args: asyncio.run(future())):
        options: Any = {argument: give}
        faults = inject_faults(**options)
        with faults.armed(), pytest.raises(TypeError, match=f"{argument} returned something to await"):
            faults(service.ask)()
    assert made[0].cr_frame is None


def test_a_plain_function_that_returns_coroutines(clock: VirtualClock) -> None:
    """G5: each call is hit once, and its delay does not block the loop from the second one on."""
    told: list[Any] = []
    faults = inject_faults(delay=2, change_result=lambda result: [result], predicate=lambda key: key > 0, name="f")

    async def fetch(key: int) -> int:
        return key

    @retry(max_attempts=2)
    @faults
    def load(key: int) -> Any:
        return fetch(key)

    async def main() -> list[Any]:
        beats = asyncio.create_task(beating())
        results = [await load(key) for key in (1, 0, 2, 3)]
        beats.cancel()
        return results

    async def beating() -> None:
        while True:
            await asyncio.sleep(1)
            told.append("beat")

    with faults.armed(), subscribe(lambda event: told.append((event.fault, event.call))):  # type: ignore[attr-defined]
        assert run(main()) == [[1], 0, [2], [3]]
    assert told.count("beat") >= 2
    assert [each for each in told if each != "beat"] == [
        (what, number) for number in (1, 2, 3) for what in ("delay", "result")
    ]


def test_a_retry_of_a_coroutine_that_was_handed_on(clock: VirtualClock) -> None:
    """G5: the attempts that follow in the asynchronous pass are judged anew."""
    faults = inject_faults(error=ConnectionError, after_call=True, schedule=[1])
    calls: list[int] = []

    async def fetch() -> int:
        calls.append(1)
        return len(calls)

    @retry(max_attempts=2, initial_delay=0)
    @faults
    def load() -> Any:
        return fetch()

    async def main() -> Any:
        return await load()

    with faults.armed():
        assert run(main()) == 2
    assert calls == [1, 1]


def test_a_result_that_is_cached_was_changed_before(both: Both, service: Service) -> None:
    """It is the innermost layer: what it changes is what the others see."""
    faults = inject_faults(change_result=str.upper)
    ask = cached(faults(both.wrap(service.ask)))
    with faults.armed():
        assert both.call(ask, 2) == "ANSWER 2"
    assert both.call(ask, 2) == "ANSWER 2"


def test_executors(both: Both, service: Service) -> None:
    """It runs functions like any strategy."""
    faults = FaultInjection(FaultInjectionConfig(error=ConnectionError, schedule=[1]))
    with faults.armed():
        with pytest.raises(ConnectionError):
            both.execute(faults, both.wrap(service.ask))
        assert both.execute(faults, both.wrap(service.ask), 5) == "answer 5"


def test_no_cycle_keeps_a_failed_call_alive(both: Both) -> None:
    """G11: nothing of ours keeps the caller's locals."""

    class Held:
        pass

    faults = inject_faults(error=ConnectionError)
    ask = faults(both.wrap(lambda held: held))
    gone: list[weakref.ref[Held]] = []

    def call() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        with contextlib.suppress(ConnectionError):
            ask(held)

    async def call_async() -> None:
        held = Held()
        gone.append(weakref.ref(held))
        with contextlib.suppress(ConnectionError):
            await ask(held)

    body = call_async if both.is_async else call
    with faults.armed():
        both.call(body)
        gc.collect()
        gc.disable()
        try:
            both.call(body)
            assert gone[-1]() is None
        finally:
            gc.enable()


def test_cancelled_at_every_await(clock: VirtualClock) -> None:
    """G2: a cancellation inside a delay passes, and leaves nothing behind."""

    async def pause() -> None:
        await asyncio.sleep(1)

    faults = inject_faults(run=pause, delay=1, change_result=lambda result: result)

    @faults
    async def ask() -> str:
        await asyncio.sleep(1)
        return "answer"

    async def main(after: float) -> str:
        task = asyncio.create_task(ask())
        await asyncio.sleep(after)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return "cancelled"

    with faults.armed():
        assert [run(main(after)) for after in (0, 0.5, 1.5, 2.5, 3.5)] == ["cancelled"] * 4 + ["answer"]


def test_it_is_reconfigured_while_armed(both: Both, clock: VirtualClock, service: Service) -> None:
    """Issue 3, live reconfiguration: calls that begin from now on are hit otherwise; numbers go on."""
    faults = inject_faults(error=ConnectionError, schedule=[1])
    ask = faults(both.wrap(service.ask))
    with faults.armed():
        assert outcome(both, ask) == "ConnectionError"
        faults.reconfigure(error=PermissionError, schedule=[3])
        assert [outcome(both, ask), outcome(both, ask)] == ["answer 0", "PermissionError"]
        faults.reconfigure(FaultInjectionConfig(delay=2, rate=1))
        assert outcome(both, ask) == "answer 0"
    assert faults.config == FaultInjectionConfig(delay=2)


def test_a_call_that_is_hit_keeps_its_fault(clock: VirtualClock) -> None:
    """Issue 3: what is under way goes on as it began."""
    faults = inject_faults(delay=5, change_result=lambda result: result + 1)

    @faults
    async def ask() -> int:
        return 1

    async def main() -> int:
        task = asyncio.create_task(ask())
        await asyncio.sleep(1)
        faults.reconfigure(FaultInjectionConfig(error=OSError))
        return await task

    with faults.armed():
        assert run(main()) == 2


def test_a_bad_reconfiguration_changes_nothing(service: Service) -> None:
    """G1: it is refused whole."""

    async def later(*args: object) -> None: ...

    faults = inject_faults(delay=1, rate=0.5)
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"rate": 2}, ValueError, "rate must be at least 0"),
        ({"delay": None}, ValueError, "nothing is to be done"),
        ({"speed": 2}, TypeError, "speed"),
        ({"run": later}, ValueError, "^whether run is async must stay as it is in <FaultInjection"),
        ({"change_result": later}, ValueError, "^whether change_result is async must stay"),
        ({"error": OSError, "after_items": 2}, ValueError, "whether there is after_items"),
        (
            {"error": OSError, "after_call": True, "change_result": str},
            ValueError,
            "whether after_call goes with change_result must stay",
        ),
    ]
    for changes, kind, message in bad:
        with pytest.raises(kind, match=message):
            faults.reconfigure(**changes)
    with pytest.raises(TypeError, match="a config or fields, not both: rate given"):
        faults.reconfigure(FaultInjectionConfig(delay=1), rate=0.1)
    odd: Any = 3
    with pytest.raises(TypeError, match="config must be a FaultInjectionConfig, not 3"):
        faults.reconfigure(odd)
    assert faults.config == FaultInjectionConfig(delay=1, rate=0.5)


def test_a_reset_numbers_from_one(both: Both, service: Service) -> None:
    """What is armed stays armed, here and everywhere, and calls are numbered from 1 again."""
    faults = inject_faults(error=OSError, schedule=[1])
    fetch = faults(both.wrap(service.ask))
    faults.arm()
    with faults.armed():
        for _ in range(2):
            with pytest.raises(OSError):  # noqa: PT011 - made without a text
                both.call(fetch, 1)
            assert both.call(fetch, 1) == both.call(fetch, 1)
            faults.reset()
    with pytest.raises(OSError):  # noqa: PT011 - as above
        both.call(fetch, 1)
    faults.disarm()
    faults.reset()
    assert not faults.is_armed


def test_changes_while_32_threads_call() -> None:
    """Every call is hit by the old config or the new one, whole, whatever numbers it gets (B5, G7)."""
    faults = inject_faults(change_result=lambda _: "a", rate=0.5, seed=1)
    stop = threading.Event()
    odd: list[object] = []
    fetch: Any = faults(lambda: "real")
    faults.arm()

    def call() -> None:
        for _ in range(200):
            answer = fetch()
            if answer not in {"real", "a", "b"}:
                odd.append(answer)

    def change() -> None:
        while not stop.is_set():
            faults.reconfigure(change_result=lambda _: "b", rate=1, seed=None)
            faults.reset()
            faults.reconfigure(change_result=lambda _: "a", rate=0.5, seed=1)

    callers = [threading.Thread(target=call) for _ in range(32)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    assert odd == []
