"""What an adaptive throttle promises, in both colours (L2, G2, G3, G5, G7, G12, G13, G16, G18)."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import os
import pickle
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    AdaptiveThrottle,
    AdaptiveThrottleConfig,
    StackWarning,
    ThrottledError,
    adaptive_throttle,
    circuit_breaker,
    deadline,
    explain,
    retry,
    subscribe,
)
from recoup._core import clock as seam
from recoup.events import CallRefused
from recoup.testing import VirtualClock, disabled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.conftest import Both


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every lot be the worst: whoever may be held back, is."""
    monkeypatch.setattr(seam, "random", lambda: 0.0)


def made(**options: Any) -> AdaptiveThrottle:
    return AdaptiveThrottle(AdaptiveThrottleConfig(**options), name="search")


def fail(error: BaseException) -> Callable[..., Any]:
    def failing() -> None:
        raise error

    return failing


def never() -> None:
    pytest.fail("it must not be called")


def refused(both: Both, throttle: AdaptiveThrottle, error: BaseException) -> None:
    """Have a call end in an error."""
    with pytest.raises(type(error)):
        both.execute(throttle, both.wrap(fail(error)))


def test_it_passes_arguments_and_results(both: Both) -> None:
    """A call of a healthy service is the plain call, and counts as accepted."""
    throttle = made()

    @throttle
    @both.wrap
    def add(a: int, /, b: int = 2, *rest: int, c: int = 0, **more: int) -> tuple[Any, ...]:
        return a, b, rest, c, more

    assert both.call(add, 1) == (1, 2, (), 0, {})
    assert both.call(add, 1, 3, 4, c=5, d=6) == (1, 3, (4,), 5, {"d": 6})
    assert throttle.metrics == {"requests": 2, "accepts": 2, "held_back": 0}


def test_an_error_comes_out_itself(both: Both) -> None:
    """It is the same object, without context or note of ours (G3)."""
    throttle, error = made(), ValueError("mine")
    with pytest.raises(ValueError, match="mine") as found:
        both.execute(throttle, both.wrap(fail(error)))
    assert found.value is error
    assert (error.__context__, error.__cause__, getattr(error, "__notes__", [])) == (None, None, [])


def test_it_holds_back(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """A held-back call is not made; the refusal says the odds, goes anywhere, and counts as a request (L2)."""
    throttle = made()
    refused(both, throttle, OSError())
    assert throttle.odds == 0.5
    with pytest.raises(ThrottledError, match="throttle 'search' held the call back") as found:
        both.execute(throttle, both.wrap(never))
    assert throttle.odds == 2 / 3
    assert throttle.metrics == {"requests": 2, "accepts": 0, "held_back": 1}
    error = found.value
    assert (error.name, error.retry_after, error.odds) == ("search", None, 2 / 3)
    assert pickle.loads(pickle.dumps(error)).__dict__ == copy.deepcopy(error).__dict__ == error.__dict__  # noqa: S301
    assert "67%" in str(error)


def test_the_share_that_gets_through(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that takes 10 calls a second and is asked 100 times gets about 20, twice what it accepts (L2)."""
    draws = iter(number * 0.6180339887498949 % 1 for number in range(10**6))
    monkeypatch.setattr(seam, "random", lambda: next(draws))
    throttle, reached, room = made(), 0, 0

    def service() -> None:
        nonlocal reached, room
        reached += 1
        room -= 1
        if room < 0:
            raise OSError

    for second in range(400):
        room = 10
        if second == 200:
            reached = 0
        for _ in range(100):
            with contextlib.suppress(OSError, ThrottledError):
                throttle.execute_sync(service)
            clock.advance(0.01)
    assert 18 < reached / 200 < 22


def test_it_recovers(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """When the failures are older than the window, calls pass again (L2)."""
    throttle = made(window_duration=60)
    refused(both, throttle, OSError())
    with pytest.raises(ThrottledError):
        both.execute(throttle, both.wrap(never))
    clock.advance(60)
    assert throttle.odds == 0
    assert both.execute(throttle, both.wrap(lambda: "well")) == "well"


def test_what_counts(both: Both) -> None:
    """`failure_on` names what was not accepted; the rest, and what `ignore_on` names, does not count (L2, G4)."""
    throttle = made(failure_on=OSError, ignore_on=FileNotFoundError)
    for error in (ValueError(), FileNotFoundError()):
        refused(both, throttle, error)
    assert throttle.metrics["requests"] == 0
    refused(both, throttle, ConnectionError())
    assert throttle.metrics == {"requests": 1, "accepts": 0, "held_back": 0}
    throttle = made(multiplier=1000)
    both.execute(throttle, both.wrap(lambda: 7))
    refused(both, throttle, ExceptionGroup("both", [ValueError(), ThrottledError(name="inner", odds=0.5)]))
    refused(both, throttle, ThrottledError(name="inner", odds=0.5))
    assert throttle.metrics["requests"] == 2, "a refusal of ours is no evidence (G13)"


def test_results(both: Both) -> None:
    """`failure_on_result` says which results were not accepted; the caller gets them all the same."""
    throttle = made(failure_on_result=lambda result: result == "busy")
    assert both.execute(throttle, both.wrap(lambda: "fine")) == "fine"
    assert both.execute(throttle, both.wrap(lambda: "busy")) == "busy"
    assert throttle.metrics == {"requests": 2, "accepts": 1, "held_back": 0}
    throttle = made(failure_on_result=lambda result: 1 / result)
    with pytest.raises(ZeroDivisionError):
        both.execute(throttle, both.wrap(lambda: 0))


@pytest.mark.parametrize("control", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_control_flow_is_neutral(both: Both, control: type[BaseException]) -> None:
    """What ends a program or a generator says nothing about the service (G2)."""
    throttle = made()

    def leave() -> None:
        raise control

    protected = throttle(both.wrap(leave))
    with pytest.raises(control):
        protected().send(None) if both.is_async else protected()
    assert throttle.metrics["requests"] == 0


async def test_cancellation(clock: VirtualClock) -> None:
    """Cancellation by the caller is neutral, by a timer of the same stack it was not accepted (G2)."""
    throttle = made()

    @throttle
    async def hang() -> None:
        await asyncio.sleep(100)

    task = asyncio.create_task(hang())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert throttle.metrics["requests"] == 0
    with pytest.raises(TimeoutError):
        await deadline(2)(hang)()
    assert throttle.metrics == {"requests": 1, "accepts": 0, "held_back": 0}


def test_blocks(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """A block counts like a call, and is held back at its beginning."""
    throttle = made()

    async def block(error: Exception | None) -> None:
        async with throttle:
            if error is not None:
                raise error

    def plain(error: Exception | None) -> None:
        with throttle:
            if error is not None:
                raise error

    run = block if both.is_async else plain
    both.call(run, None)
    assert throttle.metrics == {"requests": 1, "accepts": 1, "held_back": 0}
    for _ in range(2):
        with pytest.raises(OSError, match="lost"):
            both.call(run, OSError("lost"))
    with pytest.raises(ThrottledError):
        both.call(run, None)
    judging = made(failure_on_result=bool)
    with pytest.raises(TypeError, match="failure_on_result cannot work round a block"), judging:
        never()


def test_streams(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """A generator asks at its first item, and is accepted when it ends (G5, G17)."""
    throttle = made()

    @throttle
    @both.wrap
    def numbers(error: Exception | None = None) -> Iterator[int]:
        yield 1
        if error is not None:
            raise error
        yield 2

    assert both.call(numbers) == [1, 2]
    assert throttle.metrics == {"requests": 1, "accepts": 1, "held_back": 0}
    for _ in range(2):
        with pytest.raises(OSError, match="lost"):
            both.call(numbers, OSError("lost"))
    waiting = numbers()
    assert throttle.metrics["requests"] == 3, "made, but not asked for an item"
    with pytest.raises(ThrottledError):
        both.call(lambda: waiting)
    with pytest.raises(TypeError, match="failure_on_result cannot judge"):
        made(failure_on_result=bool)(numbers)


def test_a_consumer_that_leaves() -> None:
    """A stream that is left, or into which its consumer throws, is neutral (G2)."""
    throttle = made()

    @throttle
    def numbers() -> Generator[int, None, None]:
        yield 1
        yield 2

    stream = numbers()
    next(stream)
    stream.close()
    stream = numbers()
    next(stream)
    with pytest.raises(OSError, match="consumer"):
        stream.throw(OSError("consumer"))
    assert throttle.metrics["requests"] == 0


async def test_an_async_consumer_that_throws() -> None:
    """The same for async generators."""
    throttle = made()

    @throttle
    async def numbers() -> Any:
        yield 1
        yield 2

    stream = numbers()
    await anext(stream)
    with pytest.raises(OSError, match="consumer"):
        await stream.athrow(OSError("consumer"))
    stream = numbers()
    await anext(stream)
    await stream.aclose()
    assert throttle.metrics["requests"] == 0


def test_a_plain_function_that_returns_a_coroutine(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two passes are one call: one lot is drawn, one outcome counted (G5)."""
    throttle, asked = made(), []

    def draw() -> float:
        asked.append(1)
        return 0.9

    monkeypatch.setattr(seam, "random", draw)
    refused(both, throttle, OSError())

    async def answer() -> str:
        return "well"

    @throttle
    def surprising() -> Any:
        return answer()

    async def main() -> str:
        result = await surprising()
        return str(result)

    assert asyncio.run(main()) == "well"
    assert asked == [1]
    assert throttle.metrics == {"requests": 2, "accepts": 1, "held_back": 0}


def test_a_retry_inside_the_surprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the attempt that was let through passes unasked; the next one draws its own lot (G5)."""
    throttle, asked = made(), []
    monkeypatch.setattr(seam, "random", lambda: asked.append(1) or 0.9)
    outcomes = iter([OSError("lost"), None])

    async def answer() -> str:
        error = next(outcomes)
        if error is not None:
            raise error
        return "well"

    @retry(initial_delay=0, backoff_strategy="fixed")
    @throttle
    def surprising() -> Any:
        return answer()

    async def main() -> str:
        result = await surprising()
        return str(result)

    assert asyncio.run(main()) == "well"
    assert asked == [1]


def test_refusals_of_ours(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """A breaker outside ignores a call held back; a retry passes it on unless it names the class (G13)."""
    throttle = made()
    refused(both, throttle, OSError())

    @circuit_breaker(failure_threshold=1)
    @throttle
    @both.wrap
    def work() -> None:
        never()

    for _ in range(3):
        with pytest.raises(ThrottledError):
            both.call(work)
    for on, calls in ((Exception, 1), (ThrottledError, 3)):
        before = throttle.metrics["held_back"]
        with pytest.raises(ThrottledError):
            both.call(retry(on=on, max_attempts=3, initial_delay=0)(throttle(both.wrap(never))))
        assert throttle.metrics["held_back"] - before == calls


def test_switched_off(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """With recovery off nobody is held back and no failure counts (G16)."""
    throttle = made(failure_on_result=lambda result: result == "busy")
    refused(both, throttle, OSError())
    with disabled():
        assert both.execute(throttle, both.wrap(lambda: "ran")) == "ran"
        assert both.execute(throttle, both.wrap(lambda: "busy")) == "busy"
        refused(both, throttle, OSError())
    assert throttle.metrics == {"requests": 3, "accepts": 2, "held_back": 0}


def test_events(both: Both, clock: VirtualClock, unlucky: None) -> None:
    """A call held back is told, outside the lock (G9)."""
    throttle = made()
    refused(both, throttle, OSError())
    seen: list[Any] = []

    def listen(event: Any) -> None:
        found: list[float] = []
        other = threading.Thread(target=lambda: found.append(throttle.odds))
        other.start()
        other.join(10)
        seen.append((event, len(found)))

    with subscribe(listen), pytest.raises(ThrottledError):
        both.execute(throttle, both.wrap(never))
    assert seen == [(CallRefused("search", "adaptive_throttle", None), 1)]


def test_threads_lose_nothing() -> None:
    """Counting is exact under threads (G7)."""
    throttle = made(window_duration=3600, multiplier=1000)

    def work(good: bool) -> None:
        for _ in range(2000):
            with contextlib.suppress(OSError):
                throttle.execute_sync(int if good else fail(OSError()))

    threads = [threading.Thread(target=work, args=(number % 4 > 0,)) for number in range(8)]
    throttle.execute_sync(int)
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    seen = throttle.metrics
    assert seen["requests"] == 16_001
    assert seen["accepts"] == 12_001
    assert seen["held_back"] == 0


def test_a_call_in_the_midst_of_a_decision(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler or finaliser that comes in while the lock is held passes, uncounted, and blocks nobody (G7)."""
    throttle = made()
    inside: list[int] = []
    told: list[Any] = []
    with pytest.raises(OSError, match="lost"):
        throttle.execute_sync(fail(OSError("lost")))

    def draw() -> float:
        if not inside:
            inside.append(throttle.execute_sync(int, "7"))
            clock.advance(1000)  # time to turn a slice, but not in the midst of a decision
            told.append(throttle.metrics)
            with contextlib.suppress(OSError):
                throttle.execute_sync(fail(OSError("lost")))
        return 0.99

    monkeypatch.setattr(seam, "random", draw)
    assert throttle.execute_sync(int, "8") == 8
    assert inside == [7]
    assert told == [{"requests": 1, "accepts": 0, "held_back": 0}]
    assert throttle.metrics == {"requests": 1, "accepts": 1, "held_back": 0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child() -> None:
    """A child begins with empty counts and a lock that nobody holds (G18)."""
    throttle = made()
    with pytest.raises(OSError, match="lost"):
        throttle.execute_sync(fail(OSError("lost")))
    throttle._calls._acquire()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other tests' threads may be around
            child = os.fork()
        if not child:
            os._exit(0 if throttle.metrics == {"requests": 0, "accepts": 0, "held_back": 0} else 1)
    finally:
        throttle._calls._release()
    assert os.waitpid(child, 0)[1] == 0
    assert throttle.metrics["requests"] == 1


def test_nothing_is_kept() -> None:
    """After a failed call nothing of ours keeps the caller's locals alive (G11)."""

    class Big:
        pass

    throttle = made()

    def call() -> weakref.ref[Big]:
        big = Big()

        def failing(_: object) -> None:
            raise OSError

        with contextlib.suppress(OSError):
            throttle(failing)(big)
        return weakref.ref(big)

    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def test_repr_and_explain() -> None:
    """`repr` shows the state, `explain` says the rule."""
    throttle = made(failure_on=OSError, ignore_on=FileNotFoundError)
    assert repr(throttle) == "<AdaptiveThrottle 'search' holds back 0%, 0 of 0 accepted>"
    said = str(explain(throttle))
    assert "holds calls back by chance once more than 2 are made for each that was accepted in the last 120 s" in said
    assert "takes OSError but FileNotFoundError as not accepted" in said
    assert "takes every Exception as not accepted" in str(explain(adaptive_throttle(len)))


def test_orders_that_cannot_be_meant() -> None:
    """Outside retry, or twice in one stack, it warns; inside retry it does not (G14)."""
    throttle = made()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = retry(throttle(len))
        assert explain(inside).lints == ()
    with pytest.warns(StackWarning, match="put @adaptive_throttle below @retry"):
        throttle(retry(len))
    with pytest.warns(StackWarning, match="the same adaptive_throttle stands twice"):
        throttle(throttle(len))
