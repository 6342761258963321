"""Rates that fall when the service asks for less, and come back (the feature table: AIMD, CUBIC)."""

from __future__ import annotations

import asyncio
import math
import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from recoup import AIMDRate, CubicRate, RateLimitConfig, RateLimiter, explain, rate_limit
from recoup._core.chain import Pending
from recoup.strategies.rate_limit import adaptive_pumps
from recoup.strategies.rate_limit.desk import Demand
from recoup.strategies.rate_limit.rates import asks_for_less
from recoup.testing import disabled

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Answered(Exception):
    """A service's answer that is an error, as HTTP clients raise it."""

    def __init__(self, status: int = 429) -> None:
        super().__init__(status)
        self.status = status


AIMD = AIMDRate(backoff_ratio=0.5, increase=0.1)


def made(adaptive: AIMDRate | CubicRate = AIMD, **options: Any) -> RateLimiter:
    return RateLimiter(RateLimitConfig(**{"rate": 100, "adaptive": adaptive, **options}))


def working(both: Both, limiter: RateLimiter) -> Callable[..., Any]:
    """Protect a function that raises what it is given, and count a hundred calls of it."""

    def body(error: Exception | None = None, key: str = "") -> str:
        if error is not None:
            raise error
        return "ok"

    work: Callable[..., Any] = limiter(both.wrap(body))
    for _ in range(99):
        assert both.call(work) == "ok"
    return work


def test_it_falls_and_comes_back(both: Both, clock: VirtualClock) -> None:
    """Half the rate after a 429, and a tenth of the whole more each second, up to the configured rate."""
    limiter = made()
    work = working(both, limiter)
    assert limiter.current_rate() == pytest.approx(100)
    with pytest.raises(Answered):
        both.call(work, Answered())
    assert limiter.current_rate() == pytest.approx(50)
    assert limiter.metrics["slowed"] == 1
    for expected in (60, 70, 80, 90, 100, 100):
        clock.advance(1)
        both.call(work)
        assert limiter.current_rate() == pytest.approx(expected)


async def test_calls_begin_as_slowly_as_that(clock: VirtualClock) -> None:
    """The new rate holds for calls that already wait, which keep their places (B5's way)."""
    limiter = made(rate=10, burst=1)
    begun: list[float] = []

    async def work(number: int) -> None:
        begun.append(clock.monotonic())
        if number == 0:
            await asyncio.sleep(0.05)
            raise Answered

    start = clock.monotonic()
    await asyncio.gather(*(limiter.execute(work, number) for number in range(4)), return_exceptions=True)
    gaps = [later - earlier for earlier, later in pairwise(moment - start for moment in begun)]
    assert gaps[0] == pytest.approx(0.15), "half a permit had come, and the other half takes twice as long"
    assert all(0.18 < gap <= 0.2 for gap in gaps[1:]), "nearly half as fast as before"


def test_one_overload_cuts_once(both: Both, clock: VirtualClock) -> None:
    """Calls that were under way when the rate was cut do not cut it again; one that begins later does."""
    limiter = made()
    desk = limiter._desk
    working(both, limiter)
    began = clock.monotonic()
    clock.advance(0.1)
    for _ in range(20):
        desk.learn(None, began, less=True)
    assert limiter.current_rate() == pytest.approx(50)
    clock.advance(0.1)
    desk.learn(None, clock.monotonic(), less=True)
    assert limiter.current_rate() < 50
    assert limiter.metrics["slowed"] == 21


def test_other_failures_teach_nothing(both: Both, clock: VirtualClock) -> None:
    """Neither down nor up: a service that is broken does not ask for less."""
    limiter = made()
    work = working(both, limiter)
    for error in (Answered(500), ValueError("mine"), TimeoutError()):
        with pytest.raises(type(error)):
            both.call(work, error)
    assert limiter.current_rate() == pytest.approx(100)
    assert limiter.metrics["slowed"] == 0


def test_the_user_says_what_asks_for_less(both: Both, clock: VirtualClock) -> None:
    """`slow_down_on` takes what every condition takes; in a group any leaf counts (G4)."""
    limiter = made(AIMDRate(slow_down_on=TimeoutError))
    work = working(both, limiter)
    with pytest.raises(Answered):
        both.call(work, Answered())
    assert limiter.metrics["slowed"] == 0
    with pytest.raises(ExceptionGroup):
        both.call(work, ExceptionGroup("both", [ValueError(), TimeoutError()]))
    assert limiter.metrics["slowed"] == 1


def test_each_key_learns_by_itself(both: Both, clock: VirtualClock) -> None:
    """One customer's overload slows nobody else down; a key that was forgotten has learnt nothing."""
    limiter = made(key=lambda error=None, key="": key, max_keys=2)
    work = working(both, limiter)
    with pytest.raises(Answered):
        both.call(work, Answered())
    both.call(work, key="b")
    assert limiter.current_rate(key="") == pytest.approx(50)
    assert limiter.current_rate(key="b") == limiter.current_rate(key="never seen") == pytest.approx(100)
    limiter._desk.learn("gone meanwhile", clock.monotonic(), less=True)
    assert limiter.metrics["slowed"] == 1


def test_generators_teach_by_how_they_end(both: Both, clock: VirtualClock) -> None:
    """An error after some items counts; what the consumer throws in does not; an end is a success."""
    limiter = made()

    def body(error: Exception | None) -> Any:
        try:
            yield 1
        finally:
            if error is not None:
                raise error

    stream = limiter(both.wrap(body))
    for _ in range(60):
        assert both.call(stream, None) == [1]
    with pytest.raises(Answered):
        both.call(stream, Answered())
    assert limiter.metrics["slowed"] == 1


def test_generators_begin_as_slowly_as_that(both: Both, clock: VirtualClock) -> None:
    """One that needs a permit waits for it, and its items do not."""
    limiter = made(rate=1, burst=1)
    stream = limiter(both.wrap(lambda: (yield 1)))
    for _ in range(3):
        assert both.call(stream) == [1]
    assert clock.elapsed == pytest.approx(2)


async def test_the_async_pump_is_the_same() -> None:
    """The asynchronous pump hands over what it took as well, should it ever meet a synchronous pass (G5)."""
    pending = Pending(None)  # type: ignore[arg-type]  # never begun
    handed: list[Any] = []
    learnt: list[Any] = []

    async def meeting() -> None:
        raise pending

    unused: Any = None
    pump = adaptive_pumps.adapting_async(
        meeting, lambda: Demand(1), lambda _: True, unused, handed.append, lambda _: learnt.append
    )
    with pytest.raises(Pending):
        await pump()
    assert (handed, learnt) == ([pending], [])


def test_what_a_consumer_throws_teaches_nothing(clock: VirtualClock) -> None:
    """It is the consumer's error, even if it looks like the service's (R8's way)."""
    limiter = made()

    @limiter
    def stream() -> Any:
        yield 1

    @limiter
    async def stream_async() -> Any:
        yield 1

    running = stream()
    next(running)
    with pytest.raises(Answered):
        running.throw(Answered())

    async def main() -> None:
        later = stream_async()
        await anext(later)
        with pytest.raises(Answered):
            await later.athrow(Answered())

    asyncio.run(main())
    assert limiter.metrics["slowed"] == 0


def test_a_plain_function_that_returns_a_coroutine(clock: VirtualClock) -> None:
    """Its one permit is taken once, and it teaches when it is awaited (G5)."""
    limiter = made(rate=10, burst=2)

    async def answering() -> None:
        raise Answered

    with pytest.raises(Answered):
        asyncio.run(limiter(lambda: answering())())  # noqa: PLW0108 - a plain function
    assert limiter.available() == 1
    assert limiter.metrics["slowed"] == 1


def test_by_hand_for_blocks_and_answers(clock: VirtualClock) -> None:
    """`slow_down` says it where no call's error does; a fixed limit does not move."""
    limiter, fixed = made(AIMDRate()), RateLimiter(RateLimitConfig(rate=10))
    for each in (limiter, fixed):
        with each:
            each.slow_down()
    assert limiter.current_rate() == pytest.approx(50)
    assert fixed.current_rate() == pytest.approx(10)
    assert RateLimiter(RateLimitConfig(rate=10, per=4, mode="window")).current_rate() == pytest.approx(10)
    window = RateLimiter(RateLimitConfig(rate=10, mode="window"))
    window.slow_down()
    assert window.metrics["slowed"] == 0


def test_cubic_is_back_soon_and_then_careful(both: Both, clock: VirtualClock) -> None:
    """0.7 of the rate, flat near the old one, and never above the limiter's."""
    limiter = made(CubicRate())
    work = working(both, limiter)
    with pytest.raises(Answered):
        both.call(work, Answered())
    assert limiter.current_rate() == pytest.approx(70)
    rates = []
    for _ in range(10):
        clock.advance(0.5)
        both.call(work)
        rates.append(limiter.current_rate())
    back = math.cbrt(100 * 0.3 / 0.4)
    model = [min(100.0, 0.4 * (t / 2 - back) ** 3 + 100) for t in range(1, 11)]
    assert rates == pytest.approx(model)
    assert rates[-1] == pytest.approx(100)


def test_reset_and_reconfigure_begin_to_learn_anew(both: Both, clock: VirtualClock) -> None:
    """What was learnt belongs to the old configuration; whether there is anything to learn is settled."""
    limiter = made()
    work = working(both, limiter)
    with pytest.raises(Answered):
        both.call(work, Answered())
    limiter.reconfigure(rate=80)
    assert limiter.current_rate() == pytest.approx(80)
    limiter.slow_down()
    assert limiter.current_rate() < 80
    limiter.reset()
    assert limiter.current_rate() == pytest.approx(80)
    assert limiter.metrics["slowed"] == 0
    with pytest.raises(ValueError, match="adaptive must stay as it is"):
        limiter.reconfigure(adaptive=None)
    limiter.reconfigure(adaptive=CubicRate(slow_down_on=OSError))
    with pytest.raises(OSError, match="busy"):
        both.call(work, OSError("busy"))
    assert limiter.metrics["slowed"] == 1


def test_nothing_is_learnt_while_recovery_is_off(both: Both, clock: VirtualClock) -> None:
    """`disabled()` leaves the rate alone (G16)."""
    limiter = made()
    work = working(both, limiter)
    with disabled(), pytest.raises(Answered):
        both.call(work, Answered())
    assert limiter.metrics["slowed"] == 0


@pytest.mark.parametrize("adaptive", [AIMDRate(), CubicRate()])
def test_a_clock_that_goes_back(adaptive: AIMDRate | CubicRate) -> None:
    """It neither raises the rate nor lets the last cut count for ever (G12)."""
    learner = adaptive.start(100.0, 1.0, 1000.0)
    for _ in range(100):
        learner.learn(1000.0, 1000.0, less=False)
    cut = learner.learn(1000.0, 1000.5, less=True)
    assert learner.learn(1000.5, 900.0, less=False) == cut
    assert learner.learn(900.0, 900.0, less=True) < cut


def test_it_never_leaves_its_bounds() -> None:
    """Whatever happens, the rate is between `min_rate` and the limiter's."""
    for adaptive in (AIMDRate(min_rate=3), CubicRate(min_rate=3, scale=1e9)):
        learner = adaptive.start(30.0, 3.0, 0.0)
        now, rates = 0.0, []
        for step in range(200):
            now += 0.01 * (step % 7)
            rates.append(learner.learn(now, now, less=step < 100))
        assert min(rates) == 3.0
        assert max(rates) <= 30.0
        assert rates[-1] > 3.0


def test_threads_teach_one_limit(clock: VirtualClock) -> None:
    """Many threads tell of one overload at the same time: it is one cut, and each is counted (G7)."""
    limiter = made(rate=1000)
    for _ in range(900):
        limiter.execute_sync(int)
    began = clock.monotonic()
    threads = [
        threading.Thread(target=lambda: [limiter._desk.learn(None, began - 1, less=True) for _ in range(50)])
        for _ in range(8)
    ]
    limiter._desk.learn(None, began, less=True)
    cut = limiter.current_rate()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limiter.metrics["slowed"] == 401
    assert limiter.current_rate() == cut < 1000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Answered(429), True),
        (Answered(503), True),
        (Answered(404), False),
        (SimpleNamespace(status_code=429), True),
        (SimpleNamespace(code=503), True),
        (SimpleNamespace(response=SimpleNamespace(status_code=429)), True),
        (SimpleNamespace(response=None), False),
    ],
)
def test_the_answers_that_ask_for_less(error: Any, expected: bool) -> None:
    """429 and 503 in the shapes of aiohttp, httpx, requests and urllib."""
    assert asks_for_less(error) is expected


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: AIMDRate(min_rate=0), ValueError, "min_rate"),
        (lambda: AIMDRate(backoff_ratio=1), ValueError, "backoff_ratio must be below 1"),
        (lambda: CubicRate(backoff_ratio=0), ValueError, "backoff_ratio"),
        (lambda: AIMDRate(increase=0), ValueError, "increase"),
        (lambda: CubicRate(scale=math.nan), ValueError, "scale"),
        (lambda: CubicRate(slow_down_on=5), TypeError, "slow_down_on"),  # type: ignore[arg-type]
        (lambda: RateLimitConfig(rate=5, adaptive="aimd"), TypeError, "adaptive must be an AIMDRate"),  # type: ignore[arg-type]
        (lambda: RateLimitConfig(rate=5, adaptive=AIMD, mode="window"), ValueError, 'adaptive needs mode="smooth"'),
        (lambda: RateLimitConfig(rate=5, adaptive=AIMDRate(min_rate=6)), ValueError, r"at most rate \(5\), not 6"),
    ],
)
def test_bad_values_are_refused(make: Callable[[], object], kind: type[Exception], text: str) -> None:
    """Where they are given, with their name (G1)."""
    with pytest.raises(kind, match=text):
        make()


def test_explain_says_it() -> None:
    """The lowest rate is part of what a layer does (explain)."""
    work = rate_limit(rate=5, adaptive=AIMDRate(min_rate=2))(len)
    assert "lowers that when the service asks for less, to no less than 2" in str(explain(work))
