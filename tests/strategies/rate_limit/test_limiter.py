"""A rate limit from outside: when calls begin, which are refused, and what that costs them (L1)."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    CircuitBreaker,
    CircuitBreakerConfig,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
    StackWarning,
    current_deadline,
    deadline,
    explain,
    rate_limit,
    retry,
    subscribe,
)
from recoup._core import clock as seam
from recoup._core.chain import Pending
from recoup.events import CallDelayed, CallRefused
from recoup.strategies.rate_limit import pumps
from recoup.strategies.rate_limit.desk import Demand
from recoup.testing import disabled, instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recoup.testing import VirtualClock
    from tests.conftest import Both


def made(**options: Any) -> RateLimiter:
    return RateLimiter(RateLimitConfig(**{"rate": 10, "burst": 1, **options}))


@pytest.fixture
def begun(clock: VirtualClock) -> list[float]:
    """Collects when calls begin, in seconds since the test began."""
    return []


def recording(both: Both, clock: VirtualClock, begun: list[float]) -> Any:
    start = clock.monotonic()

    def work() -> float:
        begun.append(round(clock.monotonic() - start, 3))
        return begun[-1]

    return both.wrap(work)


def test_calls_are_spaced(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """Permits come in one by one; a call waits for its own (L1)."""
    work = made()(recording(both, clock, begun))
    for _ in range(4):
        both.call(work)
    assert begun == [0.0, 0.1, 0.2, 0.3]


def test_a_burst(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """Permits that nobody took are kept, up to `burst`, and may be taken at once (L1)."""
    work = made(burst=3)(recording(both, clock, begun))
    for _ in range(5):
        both.call(work)
    clock.advance(100)
    for _ in range(4):
        both.call(work)
    assert begun == [0.0, 0.0, 0.0, 0.1, 0.2, 100.2, 100.2, 100.2, 100.3]


def test_a_window(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """No time of `per` seconds sees more than `rate` calls, wherever it begins (L1)."""
    work = made(rate=3, burst=None, per=1, mode="window")(recording(both, clock, begun))
    both.call(work)
    clock.advance(0.9)
    for _ in range(5):
        both.call(work)
    assert begun == [0.0, 0.9, 0.9, 1.0, 1.9, 1.9]


def test_refused_at_once(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """A call that would wait longer than `max_wait` is refused before it waits, and does not count (L1)."""
    limiter = made(max_wait=0.15, rate=5)
    work = limiter(recording(both, clock, begun))
    both.call(work)
    for _ in range(3):
        with pytest.raises(RateLimitExceeded, match=r"rate limit .* refused the call: 5 permits come in 1 s") as caught:
            both.call(work)
        assert caught.value.retry_after == pytest.approx(0.2)
        assert (caught.value.rate, caught.value.per, caught.value.patience) == (5, 1.0, 0.15)
    assert clock.sleeps == []
    clock.advance(0.06)
    both.call(work)
    assert begun == [0.0, 0.2]
    assert limiter.metrics == {"waited": 1, "refused": 3, "slowed": 0, "drained": 0}


def test_refused_calls_do_not_count_in_a_window(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """As many refusals as you like leave the window as it was (L1)."""
    work = made(rate=1, burst=None, per=1, max_wait=0, mode="window")(recording(both, clock, begun))
    both.call(work)
    for _ in range(9):
        clock.advance(0.1)
        with pytest.raises(RateLimitExceeded):
            both.call(work)
    clock.advance(0.1)
    both.call(work)
    assert begun == [0.0, 1.0]


@pytest.mark.parametrize("mode", ["smooth", "window"])
def test_retry_after_is_true(mode: str, both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """A call that comes back when it was told to gets its permit (L1)."""
    work = made(rate=3, burst=None if mode == "window" else 1, max_wait=0, mode=mode)(recording(both, clock, begun))
    for _ in range(7):
        try:
            both.call(work)
        except RateLimitExceeded as error:
            clock.advance(error.retry_after)
            both.call(work)
    assert len(begun) == 7


def test_never_past_the_deadline(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """A wait that does not fit the ambient deadline is not begun (D1, L1)."""
    limiter = made(rate=1)
    work = limiter(recording(both, clock, begun))
    limited = deadline(0.5, mode="cooperative")(both.wrap(lambda: both.call(work)) if not both.is_async else work)
    both.call(work)
    with pytest.raises(RateLimitExceeded, match=r"and it may wait 0\.5 s") as caught:
        both.call(limited)
    assert caught.value.retry_after == pytest.approx(1)
    assert begun == [0.0]
    clock.advance(0.6)
    both.call(limited)
    assert begun == [0.0, 1.0]
    assert current_deadline() is None


def test_a_retry_passes_refusals_on(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """A refusal is not retried, unless it is named; then the wait is at least `retry_after` (G13)."""
    limiter = made(rate=1, max_wait=0)
    work = limiter(recording(both, clock, begun))
    both.call(work)
    with pytest.raises(RateLimitExceeded):
        both.call(retry(initial_delay=0)(work))
    assert clock.sleeps == []
    both.call(retry(initial_delay=0.01, on=RateLimitExceeded, max_attempts=2)(work))
    assert begun == [0.0, 1.0]


def test_a_breaker_ignores_refusals(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """A local refusal says nothing about the dependency, so it opens no circuit (G13)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    work = breaker(made(rate=1, max_wait=0)(recording(both, clock, begun)))
    both.call(work)
    for _ in range(5):
        with pytest.raises(RateLimitExceeded):
            both.call(work)
    assert breaker.state.value == "closed"


def test_weights(both: Both, clock: VirtualClock) -> None:
    """A call may take several permits, as its arguments say, however it is written (L1)."""
    start, begun = clock.monotonic(), []

    @rate_limit(rate=10, burst=10, weight=lambda text, times=1: len(text) * times)
    @both.wrap
    def send(text: str, times: int = 1) -> None:
        begun.append(round(clock.monotonic() - start, 6))

    both.call(send, "12345")
    both.call(send, times=2, text="123")
    both.call(send, "1")
    assert begun == [0.0, 0.1, 0.2]
    for weight in (0, 11):
        with pytest.raises(ValueError, match=r"what weight\(\) gave must be at"):
            both.call(send, "1", weight)
    assert len(begun) == 3


def test_a_weight_for_every_call(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """Every call may take the same number of permits (L1)."""
    work = made(burst=4, weight=4)(recording(both, clock, begun))
    for _ in range(3):
        both.call(work)
    assert begun == [0.0, 0.4, 0.8]


def test_a_weight_that_cannot_be_judged(both: Both) -> None:
    """What is no number, or an awaitable, is an error of the user's, and is raised (G4)."""

    async def later() -> int:
        return 1

    weights: list[tuple[Any, str]] = [
        (lambda: "1", "must be a whole number"),
        (functools.partial(lambda function: function(), later), "weight returned an awaitable"),
    ]
    for weight, message in weights:
        with pytest.raises(TypeError, match=message):
            both.call(rate_limit(rate=1, weight=weight)(both.wrap(lambda: None)))


def test_generators(both: Both, clock: VirtualClock) -> None:
    """A generator takes its permit when its first item is asked for, and no more (G17)."""
    start, begun = clock.monotonic(), []
    limiter = made()

    @limiter
    @both.wrap
    def stream(items: int) -> Iterator[int]:
        begun.append(round(clock.monotonic() - start, 6))
        yield from range(items)

    unused = stream(3)
    assert both.call(stream, 3) == [0, 1, 2]
    assert both.call(stream, 3) == [0, 1, 2]
    assert begun == [0.0, 0.1]
    if not both.is_async:
        unused.close()


def test_what_a_consumer_does_to_a_generator() -> None:
    """Values and errors of the consumer reach the generator, and what it returns comes back (G5)."""

    @rate_limit(rate=9)
    def stream() -> Any:
        try:
            got = yield 1
        except ValueError as error:
            got = error
        yield got
        return "end"

    steps = stream()
    assert next(steps) == 1
    assert steps.send("sent") == "sent"
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "end"
    steps = stream()
    next(steps)
    mine = ValueError()
    assert steps.throw(mine) is mine


async def test_what_a_consumer_does_to_an_async_generator() -> None:
    """The same in async code (G5)."""

    @rate_limit(rate=9)
    async def stream() -> Any:
        try:
            got = yield 1
        except ValueError as error:
            got = error
        yield got

    steps = stream()
    assert await anext(steps) == 1
    assert await steps.asend("sent") == "sent"
    await steps.aclose()
    steps = stream()
    await anext(steps)
    mine = ValueError()
    assert await steps.athrow(mine) is mine
    await steps.aclose()  # or Python complains, of any async generator, when its loop is gone


async def test_a_plain_function_that_returns_a_coroutine(clock: VirtualClock) -> None:
    """Such a call takes its permits once, not once in each pass (G5)."""
    calls = []

    async def answer(number: int) -> int:
        calls.append(number)
        return number

    weights: list[Any] = [1, lambda _: 1]
    for weight in weights:
        limiter = rate_limit(rate=3, per=60, max_wait=0, weight=weight)

        @limiter
        def surprising(number: int) -> Any:
            return answer(number)

        assert [await surprising(number) for number in range(3)] == [0, 1, 2]
        assert limiter.available() == 0
        with pytest.raises(RateLimitExceeded):
            await surprising(3)
    assert calls == [0, 1, 2] * 2


@pytest.mark.parametrize("factory", [pumps.limiting_async, pumps.limiting_each_async])
async def test_the_async_pump_is_the_same(factory: Any) -> None:
    """The asynchronous pumps hand over what they took as well, should they ever meet a synchronous pass (G5)."""
    handed: list[Any] = []
    pending = Pending(None)  # type: ignore[arg-type]

    async def meeting() -> None:
        raise pending

    cells: Any = (lambda: Demand(1),) if factory is pumps.limiting_each_async else ()
    with pytest.raises(Pending):
        await factory(meeting, seam, *cells, lambda *_: True, None, handed.append)()
    assert handed == [pending]


def test_callables_without_python_parameters() -> None:
    """A key or weight function of a builtin gets the arguments as they were given (G5)."""
    limiter = rate_limit(rate=5, key=lambda *args: args, max_wait=0)
    assert limiter.execute_sync(len, "abc") == 3
    assert limiter.available(key=("abc",)) == 4
    assert "key: 'Hashable' = no key" in str(inspect.signature(limiter.try_acquire))


def test_blocks(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """A block takes the permits of one call when it is entered, and gives nothing back (L1)."""
    limiter = made()
    start = clock.monotonic()

    async def inside_async() -> None:
        async with limiter as entered:
            assert entered is limiter
            begun.append(round(clock.monotonic() - start, 6))

    def inside() -> None:
        with limiter as entered:
            assert entered is limiter
            begun.append(round(clock.monotonic() - start, 6))

    for _ in range(3):
        both.call(inside_async if both.is_async else inside)
    assert begun == [0.0, 0.1, 0.2]


def test_permits_by_hand(both: Both, clock: VirtualClock) -> None:
    """Permits can be taken without a call, waiting for them or not (L1)."""
    limiter = made(burst=5)
    start = clock.monotonic()
    assert limiter.available() == 5
    assert limiter.try_acquire(4)
    assert not limiter.try_acquire(2)
    assert limiter.available() == 1
    both.call(limiter.acquire_async if both.is_async else limiter.acquire, 3)
    assert clock.monotonic() - start == pytest.approx(0.2)
    assert limiter.available() == 0
    with pytest.raises(ValueError, match="weight must be at most 5, not 6"):
        limiter.try_acquire(6)
    with pytest.raises(TypeError, match="has no keys: leave key out"):
        limiter.try_acquire(key="a")


def test_execute(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """Functions can be executed under the limit (W1)."""
    limiter = made()
    work = recording(both, clock, begun)
    assert [both.execute(limiter, work) for _ in range(3)] == [0.0, 0.1, 0.2]


def test_switched_off(both: Both, clock: VirtualClock, begun: list[float]) -> None:
    """Where recovery is off nothing waits and nothing is refused; where it is instant nothing waits (G16)."""
    limiter = made(max_wait=0.5)
    work = limiter(recording(both, clock, begun))
    with disabled():
        for _ in range(9):
            both.call(work)
        assert limiter.try_acquire()
    with instant():
        for _ in range(50):
            both.call(work)
    assert clock.sleeps == []
    both.call(work)
    assert begun[-2:] == [0.0, 0.1]


def test_events(both: Both, clock: VirtualClock) -> None:
    """A call that waits and a call that is refused are told; one that just runs is not."""
    seen: list[Any] = []
    limiter = RateLimiter(RateLimitConfig(rate=2, burst=1, max_wait=0.5), name="api")
    with subscribe(seen.append):
        for _ in range(2):
            both.execute(limiter, both.wrap(lambda: None))
        assert limiter.try_acquire() is False
        limiter.reconfigure(max_wait=0)
        with pytest.raises(RateLimitExceeded):
            both.execute(limiter, both.wrap(lambda: None))
    assert seen == [CallDelayed("api", 0.5), CallRefused("api", "rate_limit", 0.5)]


def test_explained() -> None:
    """`explain` tells the limits and the longest wait (G14)."""
    text = str(explain(rate_limit(rate=10, per=2, burst=3, weight=2)))
    assert "lets 10 calls begin in 2 s, and up to 3 at once" in text
    assert "counts each call as 2" in text
    assert "lets others wait for up to 30 s, first come first served" in text
    keyed = explain(rate_limit(rate=10, mode="window", max_wait=0, key=str, weight=len))
    assert "lets 10 calls begin in any 1 s for each key" in str(keyed)
    assert "counts each call as what its arguments say" in str(keyed)
    assert "wait for up" not in str(keyed)
    stack = deadline(5)(rate_limit(rate=1, max_wait=3).execute)
    assert explain(stack).worst_seconds == 5
    inner = explain(rate_limit(rate=1, max_wait=3))
    assert inner.worst_calls == 1


def test_twice_in_a_stack() -> None:
    """The same limiter twice counts each call twice, and that is reported (G14)."""
    limiter = made()
    once = limiter(len)
    with pytest.warns(StackWarning, match="the same rate_limit stands twice in one stack"):
        limiter(once)


def test_repr() -> None:
    """It shows its state."""
    assert repr(RateLimiter(RateLimitConfig(rate=5, per=60), name="mail")) == (
        "<RateLimiter 'mail' 5 per 60 s, 5 available>"
    )
