"""What is retried, how often and how, changes while calls are made (B5, G1, R9)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from recoup import (
    DeadlineExceeded,
    RetryBudget,
    RetryConfig,
    RetryExecutor,
    UnacceptableResult,
    current_deadline,
    retry,
    subscribe,
)
from recoup.testing import VirtualClock
from tests.conftest import Both


def failing(calls: list[Any], error: type[Exception] = OSError) -> Any:
    def fail() -> None:
        calls.append(1)
        raise error(len(calls))

    return fail


def test_decorated_functions_follow(both: Both, clock: VirtualClock) -> None:
    """How often, how long and what: the next call goes by what holds then (B5)."""
    calls: list[int] = []
    executor = retry(max_attempts=2, initial_delay=0)
    call = executor(both.wrap(failing(calls)))
    with pytest.raises(OSError, match="2"):
        both.call(call)
    executor.reconfigure(max_attempts=4, backoff_strategy="fixed", initial_delay=5)
    began = clock.monotonic()
    with pytest.raises(OSError, match="6") as told:
        both.call(call)
    assert clock.monotonic() - began == 15
    assert told.value.__notes__ == ["recoup: 4 attempts, given up 15 s after the first failure: max_attempts is 4"]
    executor.reconfigure(on=ValueError)
    with pytest.raises(OSError, match="7"):
        both.call(call)
    assert executor.config == RetryConfig(
        max_attempts=4, backoff_strategy="fixed", initial_delay=5, retry_on_exceptions=ValueError
    )
    with pytest.raises(OSError, match="8"):
        both.execute(executor, both.wrap(failing(calls)))


def test_a_call_keeps_the_plan_that_it_began_to_retry_with(both: Both, clock: VirtualClock) -> None:
    """A run that began under the old configuration ends under it: conditions, limits, callbacks (B5)."""
    told: list[str] = []

    def change(n: int, error: Exception) -> None:
        told.append(f"old {n}")
        executor.reconfigure(
            max_attempts=9, on=ValueError, on_retry=lambda n, _: told.append(f"new {n}"), on_failure=None
        )

    calls: list[int] = []
    executor = retry(max_attempts=3, initial_delay=0, on_retry=change, on_failure=lambda _: told.append("old end"))
    call = executor(both.wrap(failing(calls)))
    with pytest.raises(OSError, match="3"):
        both.call(call)
    assert told == ["old 1", "old 2", "old end"]
    with pytest.raises(OSError, match="4"):
        both.call(call)


def test_results_are_judged_by_the_plan_of_their_call(both: Both, clock: VirtualClock) -> None:
    """The predicate of results is live; a call that retries keeps its own (R4, B5)."""
    results = iter([1, 5, 12, 1, 5, 12])

    def change(n: int, error: Exception) -> None:
        assert isinstance(error, UnacceptableResult)
        executor.reconfigure(retry_on_result=lambda result: result < 10)

    executor = retry(max_attempts=3, initial_delay=0, retry_on_result=lambda result: result < 4, on_retry=change)
    call = executor(both.wrap(lambda: next(results)))
    assert both.call(call) == 5
    assert both.call(call) == 12
    assert both.call(call) == 12  # 1 and 5 were turned down


async def test_limits_of_time_are_live(clock: VirtualClock) -> None:
    """`attempt_timeout` and `max_elapsed` change for the attempts and calls that begin later (R3)."""
    executor = retry(max_attempts=2, initial_delay=0, attempt_timeout=5, max_elapsed=30)

    @executor
    async def hang() -> None:
        await asyncio.sleep(3600)

    for changes, seconds in (({}, 10), ({"attempt_timeout": 2}, 4), ({"max_elapsed": 3}, 3)):
        executor.reconfigure(**changes)
        began = clock.monotonic()
        with pytest.raises(DeadlineExceeded):
            await hang()
        assert clock.monotonic() - began == seconds


async def test_blocks_follow_and_loops_keep(clock: VirtualClock) -> None:
    """A loop that has failed keeps its plan, and `max_elapsed` from its first attempt on; the next is new (R9)."""
    executor = retry(max_attempts=3, initial_delay=0, max_elapsed=30, attempt_timeout=9)
    seen: list[float] = []

    async def loop() -> None:
        async for attempt in executor:
            async with attempt:
                if attempt.number == 2:
                    executor.reconfigure(max_attempts=2, max_elapsed=100, attempt_timeout=90)
                await asyncio.sleep(1)
                deadline = current_deadline()
                assert deadline is not None
                seen.append(deadline.remaining())
                raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        await loop()
    assert seen == [8, 8, 27]
    seen.clear()
    with pytest.raises(OSError, match="lost"):
        await loop()
    assert seen == [89, 89]


def test_plain_blocks_follow(clock: VirtualClock) -> None:
    """`for attempt in executor` goes by what holds at its first failure (R9)."""
    executor = retry(max_attempts=3, initial_delay=0)
    numbers: list[int] = []

    def loop() -> None:
        for attempt in executor:
            with attempt:
                executor.reconfigure(max_attempts=3 + attempt.number)
                numbers.append(attempt.number)
                raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        loop()
    assert numbers == [1, 2, 3, 4]


def test_bound_callers_follow_but_for_their_condition(clock: VirtualClock) -> None:
    """What `on` made differs only in which errors it retries, also later; what is dropped is forgotten (R9)."""
    executor = retry(max_attempts=2, initial_delay=0, name="client")
    bound = executor.on(ValueError)
    deeper = bound.on(KeyError)
    executor.reconfigure(max_attempts=4, on=OSError)
    for each, condition in ((executor, OSError), (bound, ValueError), (deeper, KeyError)):
        assert (each.config.max_attempts, each.config.retry_on_exceptions) == (4, condition)
    calls: list[int] = []
    with pytest.raises(KeyError):
        deeper.execute_sync(failing(calls, KeyError))
    assert len(calls) == 4
    bound.reconfigure(max_attempts=3)
    assert [each.config.max_attempts for each in (executor, bound, deeper)] == [4, 3, 3]
    assert executor._bound is not None
    del bound, deeper, each
    assert not list(executor._bound)


def test_other_arguments_are_live(both: Both, clock: VirtualClock) -> None:
    """Another `before_retry` changes the arguments of the next call that fails (R11)."""
    seen: list[str] = []

    def ask(host: str) -> None:
        seen.append(host)
        raise OSError(host)

    executor = retry(max_attempts=2, initial_delay=0, before_retry=lambda n, error, args, kwargs: (("b",), {}))
    call = executor(both.wrap(ask))
    for _ in range(2):
        with pytest.raises(OSError, match=r"b|c"):
            both.call(call, "a")
        executor.reconfigure(before_retry=lambda n, error, args, kwargs: (("c",), {}))
    assert seen == ["a", "b", "a", "c"]


def test_replay_is_live(both: Both, clock: VirtualClock) -> None:
    """How generators start anew changes from one stream to the next (R8)."""
    failures = iter([True, False, True, False])
    executor = retry(max_attempts=2, initial_delay=0, replay="repeat")

    def items() -> Any:
        yield 1
        if next(failures):
            raise OSError("lost")
        yield 2

    call = executor(both.wrap(items))
    assert both.call(call) == [1, 1, 2]
    executor.reconfigure(replay="resume")
    assert both.call(call) == [1, 2]


def test_a_pass_that_takes_over_goes_on_counting(clock: VirtualClock) -> None:
    """A plain function that returns a coroutine later: what was used up counts after a change too (G5)."""
    executor = retry(max_attempts=3, initial_delay=0)
    calls: list[int] = []

    async def later() -> None:
        calls.append(1)
        raise OSError(len(calls))

    @executor
    def ask() -> Any:
        if not calls:
            calls.append(1)
            executor.reconfigure(on=OSError)
            raise OSError("first")
        return later()

    async def main() -> None:
        await ask()

    with pytest.raises(OSError, match="3"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        *(
            ({option: value}, ValueError, f"^whether there is a {option} must stay as it is in <RetryExecutor")
            for option, value in {
                "retry_on_result": bool,
                "budget": RetryBudget(),
                "before_retry": print,
                "replay": "resume",
                "attempt_timeout": 1,
                "max_elapsed": 1,
            }.items()
        ),
        ({"max_attempts": 0}, ValueError, "^max_attempts must be at least 1"),
        ({"max_attempts": 5, "jitter_range": 2}, ValueError, "^jitter_range"),
        ({"initial_delay": True}, TypeError, "^initial_delay"),
        ({"max_attempt": 5}, TypeError, "did you mean 'max_attempts'"),
    ],
)
def test_bad_changes_change_nothing(changes: dict[str, Any], error: type[Exception], match: str) -> None:
    """They are refused whole, naming the argument (G1)."""
    executor = RetryExecutor()
    with pytest.raises(error, match=match):
        executor.reconfigure(**changes)
    assert executor.config == RetryConfig()


def test_no_callback_becomes_async() -> None:
    """Plain functions were decorated; the other way round is fine, and then plain functions can be (G9)."""

    async def tell(n: int, error: Exception) -> None:
        """Do nothing."""

    plain = RetryExecutor()
    with pytest.raises(ValueError, match=r"^that on_retry is a plain function must stay as it is"):
        plain.reconfigure(on_retry=tell)
    executor = retry(on_retry=tell)
    executor.reconfigure(on_retry=tell, max_attempts=2)
    with pytest.raises(TypeError, match="on_retry of retry is an async function"):
        executor(len)
    executor.reconfigure(on_retry=None)
    assert executor(len)("abc") == 3


def test_the_limit_that_a_workflow_named_keeps_its_name() -> None:
    """What the limit of attempts is called stays while the limit stays (W3)."""
    executor = RetryExecutor()
    executor._plan.limit = "max_total_attempts"
    executor.reconfigure(initial_delay=0)
    assert executor._plan.limit == "max_total_attempts"
    executor.reconfigure(max_attempts=2)
    assert executor._plan.limit == "max_attempts"


def test_nested_retries_are_counted_anew(clock: VirtualClock) -> None:
    """`reset` forgets what was counted; marks on errors are still known after a change (R7)."""
    inner, outer = retry(max_attempts=2, initial_delay=0), retry(max_attempts=2, initial_delay=0)
    call = outer(inner(failing([])))
    with subscribe(lambda event: None), pytest.raises(OSError, match="4"):
        call()
    assert outer.metrics == {"nested": 1}
    outer.reset()
    assert outer.metrics == {"nested": 0}
    error = OSError("the same each time")

    @inner
    def again() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(OSError, match="the same"):
            again()
        inner.reconfigure(max_attempts=3)
    assert inner.metrics == {"nested": 0}  # its own mark, whichever plan left it


def test_changes_while_many_threads_call(clock: VirtualClock) -> None:
    """Every call is made once, twice or thrice as one of the configurations says, and never otherwise (G7)."""
    executor = retry(max_attempts=2, initial_delay=0)
    go, stop = threading.Barrier(33), threading.Event()
    seen: set[int] = set()

    def calls() -> None:
        go.wait()
        while not stop.is_set():
            made: list[int] = []
            with pytest.raises(OSError, match=r"2|3"):
                executor.on(OSError).execute_sync(failing(made))
            seen.add(len(made))

    threads = [threading.Thread(target=calls) for _ in range(32)]
    for thread in threads:
        thread.start()
    go.wait()
    for _ in range(50):
        executor.reconfigure(max_attempts=3)
        executor.reset()
        executor.reconfigure(max_attempts=2)
    stop.set()
    for thread in threads:
        thread.join()
    assert seen <= {2, 3}


def test_a_budget_changes(clock: VirtualClock) -> None:
    """What came in stays, as far as there is room; from now on the new numbers count (R6)."""
    budget = RetryBudget(ratio=0.5, minimum_rate=1, capacity=10)
    for _ in range(8):
        assert budget._spend(clock.monotonic(), timeout=False) == 1
    clock.advance(3)
    budget.reconfigure(minimum_rate=2)
    assert budget.tokens == 5
    clock.advance(1)
    budget.reconfigure(capacity=6, ratio=1)
    assert budget.tokens == 6
    for _ in range(6):
        assert budget._spend(clock.monotonic(), timeout=False) == 1
    budget._failed(clock.monotonic(), to_retry=True)
    assert budget.tokens == 1
    budget.reset()
    assert budget.tokens == 6
    assert budget.metrics == {"retries": 0, "denied": 0}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"ratio": 2}, "^ratio must be"),
        ({"minimum_rate": -1}, "^minimum_rate must be"),
        ({"capacity": 0}, "^capacity must be"),
        ({"ratio": 0, "minimum_rate": 0}, "must not both be 0"),
    ],
)
def test_bad_changes_of_a_budget_change_nothing(changes: dict[str, Any], match: str) -> None:
    """They are refused whole; and the presets, whose numbers belong together, keep theirs (G1)."""
    budget = RetryBudget()
    with pytest.raises(ValueError, match=match):
        budget.reconfigure(**{"capacity": 50, **changes})
    assert budget._rules.capacity == 100
    for preset in (RetryBudget.grpc(), RetryBudget.botocore()):
        with pytest.raises(ValueError, match="the numbers of 'retry budget' belong together: make another budget"):
            preset.reconfigure(capacity=50)


def test_a_budget_changes_while_many_threads_spend(clock: VirtualClock) -> None:
    """Nothing that was paid is lost or paid twice (R6, G7)."""
    budget = RetryBudget(ratio=0.5, minimum_rate=0, capacity=100_000)
    go = threading.Barrier(33)

    def spend() -> None:
        go.wait()
        for _ in range(200):
            assert budget._spend(0.0, timeout=False) == 1

    threads = [threading.Thread(target=spend) for _ in range(32)]
    for thread in threads:
        thread.start()
    go.wait()
    for number in range(100):
        budget.reconfigure(capacity=100_000 + number, ratio=0.1)
    for thread in threads:
        thread.join()
    assert budget.tokens == 100_000 - 32 * 200
