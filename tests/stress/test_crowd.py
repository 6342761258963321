"""Every strategy that is shared, under threads and event loops together (G7): limits hold, counts are exact, all wake.

`make test` runs a small crowd, `make stress` one of 32 threads and 8 event loops, at both speeds of switching.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from recoup import (
    AdaptiveThrottle,
    AdaptiveThrottleConfig,
    Bulkhead,
    BulkheadConfig,
    BulkheadFullError,
    BulkheadTimeoutError,
    Cache,
    CacheConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    Hedge,
    HedgeConfig,
    KeyedCircuitBreaker,
    RateLimitConfig,
    RateLimiter,
    RateLimitExceeded,
    RetryBudget,
    RetryConfig,
    RetryExecutor,
    ThrottledError,
)
from recoup.testing import VirtualClock
from tests.stress.crowd import Crowd, Inside

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, params=[None, 1e-6], ids=["usual", "frantic"])
def _switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have threads take turns as usual, and as often as they can."""
    before = sys.getswitchinterval()
    if request.param is not None:
        sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


class Tally:
    """Counts what comes of calls, by name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def add(self, outcome: str) -> None:
        with self.lock:
            self.counts[outcome] += 1

    def __getitem__(self, outcome: str) -> int:
        return self.counts[outcome]

    def both(
        self,
        plain: Callable[..., object],
        coloured: Callable[..., Coroutine[Any, Any, object]],
        *expected: type[Exception],
    ) -> tuple[Callable[[random.Random], None], Callable[[random.Random], Coroutine[Any, Any, None]]]:
        """Count the outcomes of both; an error that is not expected fails the test."""

        def counting(dice: random.Random) -> None:
            try:
                plain(dice)
            except expected as error:
                self.add(type(error).__name__)
            else:
                self.add("done")

        async def counting_async(dice: random.Random) -> None:
            try:
                await coloured(dice)
            except asyncio.CancelledError:
                self.add("cancelled")
                raise
            except expected as error:
                self.add(type(error).__name__)
            else:
                self.add("done")

        return counting, counting_async


def fickle(dice: random.Random, share: float = 0.3) -> None:
    if dice.random() < share:
        raise OSError("down")


def test_a_bulkhead() -> None:
    """Never above the limit, nothing lost to cancellations, refusals counted exactly, and everybody wakes (B1-B6)."""
    crowd, inside, tally = Crowd(calls=40), Inside(), Tally()
    gate = Bulkhead(BulkheadConfig(max_concurrent=3, max_queue_size=crowd.callers // 2, queue_timeout=3600))

    @gate
    def plain(dice: random.Random) -> None:
        with inside:
            fickle(dice)

    @gate
    async def coloured(dice: random.Random) -> None:
        with inside:
            await asyncio.sleep(0)
            fickle(dice)

    crowd.work(*tally.both(plain, coloured, OSError, BulkheadFullError), cancel=0.2)
    assert inside.most <= 3
    counts = gate.metrics
    assert (counts["running"], counts["waiting"], counts["timeout"]) == (0, 0, 0)
    assert counts["executed"] == inside.ever
    assert counts["rejected"] == tally["BulkheadFullError"]
    assert sum(tally.counts.values()) == crowd.all_calls - (crowd.cancelled - tally["cancelled"])


def test_a_bulkhead_in_a_hurry() -> None:
    """Waits that end in the same moment as a place comes free lose neither the place nor the count (B2)."""
    crowd, inside, tally = Crowd(calls=40), Inside(), Tally()
    gate = Bulkhead(BulkheadConfig(max_concurrent=2, max_queue_size=1000, queue_timeout=0.0002))

    @gate
    def plain(dice: random.Random) -> None:
        with inside:
            sum(range(200))

    @gate
    async def coloured(dice: random.Random) -> None:
        with inside:
            await asyncio.sleep(0)

    crowd.work(*tally.both(plain, coloured, BulkheadTimeoutError), cancel=0.1)
    assert inside.most <= 2
    counts = gate.metrics
    assert (counts["running"], counts["waiting"], counts["rejected"]) == (0, 0, 0)
    assert counts["executed"] == inside.ever
    assert counts["timeout"] == tally["BulkheadTimeoutError"]


def test_a_breaker() -> None:
    """Probes are bounded, refusals exact, transitions legal, and it closes once the service is well (C4, C5, C7)."""
    crowd, tally, told = Crowd(calls=60), Tally(), list[str]()
    breaker = CircuitBreaker(
        CircuitBreakerConfig(
            failure_threshold=3,
            success_threshold=2,
            timeout=1e-4,
            half_open_timeout=3600,
            on_open=lambda: told.append("open"),
            on_half_open=lambda: told.append("half open"),
            on_close=lambda: told.append("close"),
        )
    )
    most = [0]

    def look() -> None:
        most[0] = max(most[0], len(getattr(breaker._calls.circuit.phase, "out", ())))

    @breaker
    def plain(dice: random.Random) -> None:
        look()
        fickle(dice, 0.4)

    @breaker
    async def coloured(dice: random.Random) -> None:
        look()
        await asyncio.sleep(0)
        fickle(dice, 0.4)

    crowd.work(*tally.both(plain, coloured, OSError, CircuitBreakerError), cancel=0.2)
    assert most[0] <= 2
    assert breaker.metrics["refused"] == tally["CircuitBreakerError"]
    following = {"open": {"half open"}, "half open": {"open", "close"}, "close": {"open"}}
    assert all(later in following[earlier] for earlier, later in itertools.pairwise(told))
    untold = len(breaker._calls.circuit.news)
    assert 0 <= breaker.metrics["opened"] - told.count("open") <= untold
    closes(lambda: breaker.execute_sync(healthy), lambda: breaker.state.value)


def healthy(dice: object = None, key: int = 0) -> None:
    pass


def state_of(breaker: KeyedCircuitBreaker, key: int) -> str:
    return breaker.state(key).value


def closes(call: Callable[[], object], state: Callable[[], str]) -> None:
    """Call something healthy until the circuit is closed; every refusal has to be for lack of time only."""
    for _ in range(1_000_000):
        if state() == "closed":
            return
        try:
            call()
        except CircuitBreakerError as error:
            assert error.wait_time > 0, "half-open, and nobody is there"  # noqa: PT017 - one of many
    raise AssertionError(f"stuck {state()}")


def test_a_keyed_breaker() -> None:
    """As one for each key (C9)."""
    crowd, tally = Crowd(calls=40), Tally()
    breaker = KeyedCircuitBreaker(
        CircuitBreakerConfig(failure_threshold=2, timeout=1e-4, half_open_timeout=3600), key="key", max_keys=3
    )

    @breaker
    def plain(dice: random.Random, key: int) -> None:
        fickle(dice, 0.4 if key % 2 else 0)

    @breaker
    async def coloured(dice: random.Random, key: int) -> None:
        await asyncio.sleep(0)
        fickle(dice, 0.4 if key % 2 else 0)

    crowd.work(
        *tally.both(
            lambda dice: plain(dice, dice.randrange(6)),
            lambda dice: coloured(dice, dice.randrange(6)),
            OSError,
            CircuitBreakerError,
        ),
        cancel=0.2,
    )
    assert breaker.metrics["refused"] == tally["CircuitBreakerError"]
    assert breaker.metrics["keys"] <= 3
    for key in range(6):
        closes(partial(breaker.execute_sync, healthy, None, key), partial(state_of, breaker, key))


@pytest.mark.parametrize("mode", ["smooth", "window"])
def test_a_rate_limit(mode: Any) -> None:
    """In every stretch of a clock that stands still, exactly as many calls as there are permits begin (L1)."""
    crowd, tally = Crowd(calls=30), Tally()
    with VirtualClock() as clock:
        limiter = RateLimiter(RateLimitConfig(rate=25, per=10, mode=mode, max_wait=0))

        @limiter
        def plain(dice: random.Random) -> None:
            fickle(dice)

        @limiter
        async def coloured(dice: random.Random) -> None:
            await asyncio.sleep(0)
            fickle(dice)

        for stretch in (1, 2):
            crowd.work(*tally.both(plain, coloured, OSError, RateLimitExceeded))
            assert tally["done"] + tally["OSError"] == 25 * stretch
            clock.advance(11)
    assert tally["RateLimitExceeded"] == 2 * crowd.all_calls - 50


def test_a_throttle() -> None:
    """Every call is counted once, whether it passes, fails or is held back (L2)."""
    crowd, tally = Crowd(calls=40), Tally()
    throttle = AdaptiveThrottle(AdaptiveThrottleConfig(multiplier=1.1, window_duration=1e6))

    @throttle
    def plain(dice: random.Random) -> None:
        fickle(dice)

    @throttle
    async def coloured(dice: random.Random) -> None:
        await asyncio.sleep(0)
        fickle(dice)

    crowd.work(*tally.both(plain, coloured, OSError, ThrottledError))
    held, good = tally["ThrottledError"], tally["done"]
    assert throttle.metrics == {"requests": crowd.all_calls, "accepts": good, "held_back": held}
    assert good + held + tally["OSError"] == crowd.all_calls


def test_a_retry_and_its_budget() -> None:
    """Attempts add up for each call, and no token is spent twice (R3, R6, G8)."""
    crowd, inside, tally = Crowd(calls=40), Inside(), Tally()
    with VirtualClock():
        budget = RetryBudget(ratio=0.1, minimum_rate=0, capacity=20)
        retry = RetryExecutor(RetryConfig(max_attempts=3, initial_delay=0, budget=budget))

        @retry
        def plain(dice: random.Random) -> None:
            with inside:
                fickle(dice)

        @retry
        async def coloured(dice: random.Random) -> None:
            with inside:
                await asyncio.sleep(0)
                fickle(dice)

        crowd.work(*tally.both(plain, coloured, OSError))
        retries = budget.metrics["retries"]
        assert inside.ever == crowd.all_calls + retries
        # Every call of the function puts a tenth in, up to the capacity; what is too much is lost.
        assert budget.tokens == pytest.approx(20 + 0.1 * inside.ever - retries, abs=20)
        assert 0 <= budget.tokens <= 20
        assert retries <= 20 + 0.1 * inside.ever


def test_a_cache() -> None:
    """One call for each key and no more, whoever leads, and everybody gets its answer (F6)."""
    crowd, tally = Crowd(calls=40), Tally()
    cache = Cache(CacheConfig(ttl=None, max_size=1000))
    running = [Inside() for _ in range(8)]

    @cache
    def plain(key: int) -> int:
        with running[key]:
            sum(range(500))
            return key

    @cache
    async def coloured(key: int) -> int:
        with running[4 + key]:
            for _ in range(3):
                await asyncio.sleep(0)
            return key

    def ask(dice: random.Random) -> None:
        key = dice.randrange(4)
        assert plain(key) == key

    async def ask_async(dice: random.Random) -> None:
        key = dice.randrange(4)
        assert await coloured(key) == key

    crowd.work(*tally.both(ask, ask_async), cancel=0.2)
    assert all(each.most <= 1 for each in running)
    assert all(each.ever == 1 for each in running[:4])  # threads are never cancelled
    assert sum(each.ever for each in running[4:]) <= 4 + crowd.cancelled


def test_a_hedge() -> None:
    """Every call and every added attempt is counted, the budget holds, and nobody is left running (L3)."""
    crowd, inside, tally = Crowd(calls=20), Inside(), Tally()
    hedge = Hedge(HedgeConfig(idempotent=True, delay=0, max_attempts=3, budget=0.5, burst=5, grace=60))

    @hedge
    async def coloured(dice: random.Random) -> None:
        with inside:
            await asyncio.sleep(0)
            fickle(dice)

    crowd.work(lambda dice: None, tally.both(lambda dice: None, coloured, OSError)[1], cancel=0.2)
    counts = hedge.metrics
    calls = crowd.loops * crowd.tasks * crowd.calls
    assert calls - crowd.cancelled <= counts["calls"] <= calls  # a task may be cancelled before it begins
    assert counts["wins"] <= counts["hedges"] <= 5 + 0.5 * counts["calls"]
    assert inside.now == 0
    assert inside.ever <= counts["calls"] + counts["hedges"]


def test_a_workflow() -> None:
    """Whatever its layers do: executions are successes, fallbacks or failures, each of them one (W4)."""
    crowd, inside, tally = Crowd(calls=30), Inside(), Tally()
    workflow = ErrorRecoveryWorkflow(
        ErrorRecoveryConfig(
            retry_config=RetryConfig(max_attempts=2, initial_delay=0),
            circuit_breaker_config=CircuitBreakerConfig(failure_threshold=3, timeout=1e-3),
            bulkhead_config=BulkheadConfig(max_concurrent=4, max_queue_size=1000, queue_timeout=3600),
            fallback_config=FallbackConfig(fallback_value="instead", skip_on=ZeroDivisionError),
            log_errors=False,
            global_timeout=None,
        )
    )

    @workflow
    def plain(dice: random.Random) -> None:
        with inside:
            fickle(dice)
            if dice.random() < 0.1:
                raise ZeroDivisionError

    @workflow
    async def coloured(dice: random.Random) -> None:
        with inside:
            await asyncio.sleep(0)
            fickle(dice)
            if dice.random() < 0.1:
                raise ZeroDivisionError

    crowd.work(*tally.both(plain, coloured, ZeroDivisionError))
    metrics = workflow.get_metrics()
    assert inside.most <= 4
    assert metrics["attempts"] == crowd.all_calls
    assert metrics["attempts"] == metrics["successes"] + metrics["fallbacks"] + metrics["failures"]
    assert metrics["successes"] + metrics["fallbacks"] == tally["done"]
    assert metrics["failures"] == tally["ZeroDivisionError"]
    assert metrics["calls"] == inside.ever
