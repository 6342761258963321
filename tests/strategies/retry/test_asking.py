"""Predicates that have to be awaited (G4, R4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recoup import (
    CircuitBreakerError,
    RetryBudget,
    RetryConfig,
    RetryExecutor,
    UnacceptableResult,
    explain,
    retry,
    subscribe,
    when,
)
from recoup._core import clock as seam
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both
from tests.strategies.retry.test_retry import AsyncResponse


class Oracle:
    """An asynchronous predicate that remembers what it was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    async def __call__(self, error: Any) -> bool:
        self.asked.append(error)
        await seam.pause_async(1)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return bool(answer)


async def call(executor: RetryExecutor, *outcomes: Any) -> Any:
    """Make a call whose attempts come out as given, and tell how often it was made."""
    made = list(outcomes)

    @executor
    async def function() -> Any:
        outcome = made.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    try:
        return await function(), len(outcomes) - len(made)
    except Exception as error:  # noqa: BLE001 - compared by the caller
        return error, len(outcomes) - len(made)


@pytest.fixture(params=["asyncio", "trio"])
def anyio(request: pytest.FixtureRequest) -> Both:
    """Run in the async colours."""
    pytest.importorskip(request.param)
    return Both(request.param)


def test_errors_are_asked_about_on_failure_only(anyio: Both, clock: VirtualClock) -> None:
    """Once for each failure, with the error; a healthy call asks nobody (G4)."""
    oracle = Oracle(True, False)
    first, last = OSError(1), OSError(2)
    executor = retry(on=oracle, initial_delay=0)
    assert anyio.run(call, executor, "ok") == ("ok", 1)
    assert oracle.asked == []
    assert anyio.run(call, executor, first, last, "never") == (last, 2)
    assert oracle.asked == [first, last]
    assert clock.monotonic() == 1002


def test_abort_on_beats_on(anyio: Both, clock: VirtualClock) -> None:
    """`abort_on` is asked only about what `on` has let pass (G4)."""
    oracle = Oracle(False, True)
    executor = retry(on=OSError, abort_on=oracle, initial_delay=0, max_attempts=5)
    last = OSError(2)
    assert anyio.run(call, executor, OSError(1), last, "never") == (last, 2)
    assert len(oracle.asked) == 2
    odd = KeyError()
    assert anyio.run(call, executor, odd, "never") == (odd, 1)
    assert len(oracle.asked) == 2


@pytest.mark.parametrize(
    ("combine", "answers", "asked", "retried"),
    [
        (lambda oracle: when(OSError) & when(oracle), [True], 1, True),
        (lambda oracle: when(OSError) & when(oracle), [False], 1, False),
        (lambda oracle: when(KeyError) & when(oracle), [], 0, False),
        (lambda oracle: when(oracle) & when(KeyError), [True], 1, False),
        (lambda oracle: when(OSError) | when(oracle), [], 0, True),
        (lambda oracle: when(KeyError) | when(oracle), [True], 1, True),
        (lambda oracle: when(oracle) | when(OSError), [False], 1, True),
        (lambda oracle: ~when(oracle), [True], 1, False),
        (lambda oracle: ~(when(KeyError) | ~when(oracle)), [True], 1, True),
        (lambda oracle: [when(oracle), KeyError], [True], 1, True),
    ],
)
async def test_they_combine(
    clock: VirtualClock,
    combine: Any,
    answers: list[bool],
    asked: int,
    retried: bool,
) -> None:
    """With `&`, `|` and `~`, and no more is asked than the answer depends on (G4)."""
    oracle = Oracle(*answers)
    _, made = await call(retry(on=combine(oracle), initial_delay=0, max_attempts=2), OSError(), "ok")
    assert (len(oracle.asked), made) == (asked, 2 if retried else 1)


async def test_plain_predicates_beside_them_are_asked_once(clock: VirtualClock) -> None:
    """A condition is settled in one pass (G4)."""
    asked: list[Exception] = []

    def plain(error: Exception) -> bool:
        asked.append(error)
        return True

    await call(retry(on=when(plain) & when(Oracle(True)), initial_delay=0, max_attempts=2), OSError(), "ok")
    assert len(asked) == 1


async def test_groups_are_asked_leaf_by_leaf(clock: VirtualClock) -> None:
    """`on` needs all leaves, `abort_on` any; who names the class of a group need not be asked (G4)."""
    one, two = OSError(1), OSError(2)
    group = ExceptionGroup("both", [one, ExceptionGroup("inner", [two])])
    for answers, made in (([True, True], 2), ([True, False], 1), ([False], 1)):
        oracle = Oracle(*answers)
        assert (await call(retry(on=oracle, initial_delay=0, max_attempts=2), group, "ok"))[1] == made
        assert oracle.asked == [one, two][: len(answers)]
    for answers, made in (([False, True], 1), ([True], 1), ([False, False], 2)):
        oracle = Oracle(*answers)
        assert (await call(retry(abort_on=oracle, initial_delay=0, max_attempts=2), group, "ok"))[1] == made
        assert oracle.asked == [one, two][: len(answers)]
    oracle = Oracle()
    for condition, made in ((when(oracle) | when(ExceptionGroup), 2), (when(oracle) & ~when(ExceptionGroup), 1)):
        assert (await call(retry(on=condition, initial_delay=0, max_attempts=2), group, "ok"))[1] == made
    spared = retry(on=OSError, abort_on=~when(oracle) & ~when(ExceptionGroup), initial_delay=0, max_attempts=2)
    assert (await call(spared, group, "ok"))[1] == 2
    assert oracle.asked == []
    both = Oracle(True, True)  # beside the class of a group, the leaves are asked: a question takes one error
    assert (await call(retry(on=when(ExceptionGroup) & when(both), initial_delay=0), group, "ok"))[1] == 2


async def test_refusals_need_their_class_to_be_named(clock: VirtualClock) -> None:
    """A predicate does not mean our own refusals, asynchronous or not (G13)."""
    refusal = CircuitBreakerError(name="c", wait_time=0.0)
    for condition, made in (
        (when(Oracle(True)), 1),
        (when(Oracle(True)) & when(CircuitBreakerError), 2),
        (when(Oracle(True)) | when(CircuitBreakerError), 2),
        (when(Oracle(False)) & when(CircuitBreakerError), 1),
    ):
        _, times = await call(retry(on=condition, initial_delay=0, max_attempts=2), refusal, "ok")
        assert times == made, condition


def test_results_are_asked_about(anyio: Both, clock: VirtualClock) -> None:
    """Each result, because that is asked for; the accepted one is returned, also the first (R4)."""
    oracle = Oracle(True, True, False, False)
    executor = retry(retry_on_result=oracle, initial_delay=5, backoff_strategy="fixed")
    seen: list[Any] = []
    with subscribe(seen.append):
        assert anyio.run(call, executor, 1, 2, 3) == (3, 3)
        assert anyio.run(call, executor, 4) == (4, 1)
    assert oracle.asked == [1, 2, 3, 4]
    assert [type(event).__name__ for event in seen] == ["RetryScheduled", "RetryScheduled"]
    assert clock.monotonic() == 1014


async def test_the_last_bad_result_is_returned_or_raised(clock: VirtualClock) -> None:
    """As for plain predicates (R4, R10)."""
    told: list[Any] = []

    async def tell(n: int, error: Exception) -> None:
        assert isinstance(error, UnacceptableResult)
        told.append((n, error.result))

    options: Any = {"initial_delay": 0, "max_attempts": 2, "on_retry": tell}
    assert await call(retry(retry_on_result=Oracle(True, True), **options), 1, 2) == (2, 2)
    error, _ = await call(retry(retry_on_result=Oracle(True, True), raise_on_result=True, **options), 1, 2)
    assert type(error).__name__ == "RetryExhausted"
    assert told == [(1, 1), (1, 1)]


@pytest.mark.parametrize("ending", ["accepted", "raises", "exhausted"])
async def test_results_that_nobody_sees_are_closed(clock: VirtualClock, ending: str) -> None:
    """Once each, awaited: those turned down, and the one whose predicate raised (R4)."""
    results = [AsyncResponse(500), AsyncResponse(500), AsyncResponse(200)]
    last = {"accepted": False, "raises": ValueError("no such field"), "exhausted": True}[ending]
    answer, made = await call(retry(retry_on_result=Oracle(True, True, last), initial_delay=0), *results)
    assert made == 3
    assert [result.closed for result in results] == [1, 1, 1 if ending == "raises" else 0]
    if ending == "raises":
        assert answer is last
    else:
        assert answer is results[2]


async def test_the_same_object_again_is_closed_once_or_never(clock: VirtualClock) -> None:
    """A function may return the same object each time (R4)."""
    same = AsyncResponse(500)
    assert (await call(retry(retry_on_result=Oracle(True, False), initial_delay=0), same, same))[0] is same
    assert same.closed == 0
    await call(retry(retry_on_result=Oracle(True, ValueError()), initial_delay=0), same, same)
    assert same.closed == 1


@pytest.mark.parametrize("cancel_at", [0.5, 1.5])
async def test_cancellation_while_asking_ends_the_call(clock: VirtualClock, cancel_at: float) -> None:
    """Nothing is retried, and what was held is closed (G2, R4)."""
    results = [AsyncResponse(500), AsyncResponse(500), AsyncResponse(500)]
    task = asyncio.ensure_future(call(retry(retry_on_result=Oracle(True, True, True), initial_delay=0), *results))
    await asyncio.sleep(cancel_at)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [result.closed for result in results] == ([1, 0, 0] if cancel_at == 0.5 else [1, 1, 0])


async def test_an_error_of_a_predicate_propagates(clock: VirtualClock) -> None:
    """At once, and it is not retried (G4)."""
    lost = LookupError("the oracle is lost")
    assert await call(retry(on=Oracle(lost), initial_delay=0), OSError(), "never") == (lost, 1)
    assert await call(retry(retry_on_result=Oracle(lost), initial_delay=0), 1, "never") == (lost, 1)


async def test_a_budget_counts_the_same(clock: VirtualClock) -> None:
    """Successes that were asked about put tokens in, and a retry that succeeds is repaid (R6)."""
    budget = RetryBudget.botocore()
    executor = retry(retry_on_result=Oracle(False, True, False), on=Oracle(True), budget=budget, initial_delay=0)
    budget._spend(0.0, timeout=False)
    assert budget.tokens == 495
    await call(executor, 1)
    assert budget.tokens == 496
    await call(executor, OSError(), 2, 3)
    assert budget.metrics["retries"] == 3
    assert budget.tokens == 491  # two retries cost 10, the last of them got its 5 back


async def test_blocks_streams_and_changing_arguments(clock: VirtualClock) -> None:
    """The same in all forms (R8, R9, R11)."""
    numbers: list[int] = []
    async for attempt in retry(on=Oracle(True), initial_delay=0):
        async with attempt:
            numbers.append(attempt.number)
            if attempt.number == 1:
                raise OSError
    assert numbers == [1, 2]

    @retry(on=Oracle(True), initial_delay=0)
    async def items() -> Any:
        numbers.append(0)
        if len(numbers) == 3:
            raise OSError
        yield "item"

    assert [item async for item in items()] == ["item"]

    @retry(on=Oracle(True), initial_delay=0, before_retry=lambda n, error, args, kwargs: (("b",), {}))
    async def ask(host: str) -> str:
        if host == "a":
            raise OSError
        return host

    assert await ask("a") == "b"


def test_plain_functions_are_refused() -> None:
    """At decoration: they cannot await (G4)."""

    async def judge(thing: object) -> bool:
        return True

    for option in ("on", "abort_on", "retry_on_result"):
        name = {"on": "retry_on_exceptions"}.get(option, option)
        options: Any = {option: judge}
        executor = retry(**options)
        with pytest.raises(TypeError, match=f"^{name} of retry is an async function"):
            executor(len)
        with pytest.raises(TypeError, match=f"^{name} of retry is an async function"):
            executor.execute_sync(len, "abc")
        with pytest.raises(TypeError, match=r"use `async for`|has no result"):
            list(executor)
    with pytest.raises(TypeError, match=r"^retry_on_exceptions and abort_on of retry are async functions"):
        retry(on=when(OSError) & when(judge), abort_on=[when(judge)])(len)
    with pytest.raises(ValueError, match=r"^that abort_on is a plain function must stay as it is"):
        RetryExecutor().reconfigure(abort_on=judge)


async def test_switched_off_nobody_is_asked(clock: VirtualClock) -> None:
    """Recovery that is off does nothing (G16)."""
    oracle = Oracle()
    lost = OSError()
    with disabled():
        assert await call(retry(on=oracle, retry_on_result=oracle), 1) == (1, 1)
        assert await call(retry(on=oracle, retry_on_result=oracle), lost) == (lost, 1)
    assert oracle.asked == []


def test_explain_names_them() -> None:
    """As it names plain ones (G14)."""

    async def busy(error: Exception) -> bool:
        return True

    @retry(on=when(OSError) & when(busy))
    async def fetch() -> None:
        """Do nothing."""

    assert "(OSError & test_explain_names_them.<locals>.busy)" in str(explain(fetch))
    assert RetryConfig(retry_on_result=busy).retry_on_result is busy
