"""What retry promises, in both colours (R1-R4, R10, G3, G8, G11, G13)."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from typing import Any

import pytest

from recoup import (
    CircuitBreakerError,
    RetryConfig,
    RetryExecutor,
    RetryExhausted,
    UnacceptableResult,
    retry,
    subscribe,
    when,
)
from recoup._core import clock as seam
from recoup.events import RetryScheduled, RetryStopped
from recoup.testing import VirtualClock, disabled
from tests.conftest import Both


class Script:
    """Answers or raises what it was told, in order; the last one repeats."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def protect(both: Both, script: Script, **options: Any) -> Any:
    """Put @retry round a script, as a function of the colour under test."""

    def work(*args: Any, **kwargs: Any) -> Any:
        return script(*args, **kwargs)

    return retry(**options)(both.wrap(work))


def test_it_calls_again_until_it_succeeds(both: Both, clock: VirtualClock) -> None:
    """Waits are exactly those of the backoff, and arguments are the same each time (R1)."""
    script = Script(OSError(), OSError(), "ok")
    assert both.call(protect(both, script, backoff_strategy="exponential"), 1, b=2) == "ok"
    assert script.calls == [((1,), {"b": 2})] * 3
    assert clock.sleeps == [1.0, 2.0]


def test_the_last_error_comes_out_itself(both: Both, clock: VirtualClock) -> None:
    """Same object, no context, no cause, one note that says what was tried (G3)."""
    errors = [OSError("a"), ValueError("b"), KeyError("c")]
    with pytest.raises(KeyError) as caught:
        both.call(protect(both, Script(*errors), backoff_strategy="fixed"))
    assert caught.value is errors[2]
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert caught.value.__notes__ == [
        "recoup: 3 attempts, given up 2 s after the first failure: max_attempts is 3",
    ]


def test_the_traceback_shows_the_users_function_and_a_telling_pump(both: Both, clock: VirtualClock) -> None:
    """Whoever reads it finds `retrying` and then their own code (G3)."""
    with pytest.raises(OSError, match="x") as caught:
        both.call(protect(both, Script(OSError("x")), initial_delay=0))
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["work", "__call__"]
    assert "retrying" in names


def test_an_error_that_is_not_to_be_retried_comes_out_at_once(both: Both, clock: VirtualClock) -> None:
    """No wait, no note, no on_failure (R10)."""
    failures: list[Any] = []
    script = Script(ValueError("x"))
    with pytest.raises(ValueError, match="x") as caught:
        both.call(protect(both, script, on=OSError, on_failure=failures.append))
    assert len(script.calls) == 1
    assert clock.sleeps == failures == []
    assert not hasattr(caught.value, "__notes__")


def test_abort_on_beats_on(both: Both, clock: VirtualClock) -> None:
    """By subclass, and any leaf of a group (G4)."""
    for error in (ConnectionError(), ExceptionGroup("g", [OSError(), ConnectionError()])):
        script = Script(error)
        with pytest.raises(type(error)):
            both.call(protect(both, script, on=OSError, abort_on=ConnectionError))
        assert len(script.calls) == 1


def test_a_group_is_retried_if_all_its_leaves_are(both: Both, clock: VirtualClock) -> None:
    """`on` needs every leaf (G4)."""
    for group, calls in (
        (ExceptionGroup("g", [OSError(), ExceptionGroup("h", [ConnectionError()])]), 3),
        (ExceptionGroup("g", [OSError(), ValueError()]), 1),
    ):
        script = Script(group)
        with pytest.raises(ExceptionGroup):
            both.call(protect(both, script, on=OSError))
        assert len(script.calls) == calls


@pytest.mark.parametrize("control", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_control_flow_is_never_retried(both: Both, clock: VirtualClock, control: type[BaseException]) -> None:
    """Not even with a predicate that says yes to everything (G2; tenacity retries CancelledError)."""
    script = Script(control())
    with pytest.raises(control):
        both.call(protect(both, script, on=lambda _: True))
    assert len(script.calls) == 1


def test_local_refusals_are_not_retried_unless_named(both: Both, clock: VirtualClock) -> None:
    """An open circuit is not the dependency's failure (G13)."""
    for on, calls in ((None, 1), (Exception, 1), (when(Exception), 1), (CircuitBreakerError, 3)):
        script = Script(CircuitBreakerError(name="api", wait_time=0.0))
        with pytest.raises(CircuitBreakerError):
            both.call(protect(both, script, on=on))
        assert len(script.calls) == calls


def test_a_named_refusal_is_retried_no_sooner_than_it_says(both: Both, clock: VirtualClock) -> None:
    """The wait is at least its retry_after; one that never ends is raised at once (G13)."""
    script = Script(CircuitBreakerError(name="api", wait_time=7.5), "ok")
    options: dict[str, Any] = {"on": CircuitBreakerError, "backoff_strategy": "fixed"}
    assert both.call(protect(both, script, **options)) == "ok"
    assert clock.sleeps == [7.5]
    forced = Script(CircuitBreakerError(name="api", wait_time=float("inf")))
    with pytest.raises(CircuitBreakerError) as caught:
        both.call(protect(both, forced, **options))
    assert "the refusal does not end by itself" in caught.value.__notes__[0]
    assert len(forced.calls) == 1


def test_on_retry_and_on_failure(both: Both, clock: VirtualClock) -> None:
    """on_retry(n, error) before each wait, on_failure(error) once at the end (R10)."""
    log: list[Any] = []
    errors = [OSError("a"), OSError("b"), OSError("c")]
    function = protect(
        both,
        Script(*errors),
        backoff_strategy="fixed",
        on_retry=lambda n, error: log.append((n, error, clock.monotonic())),
        on_failure=log.append,
    )
    began = clock.monotonic()
    with pytest.raises(OSError, match="c"):
        both.call(function)
    assert log == [(1, errors[0], began), (2, errors[1], began + 1), errors[2]]


def test_an_error_that_is_never_retried_ends_the_retrying(both: Both, clock: VirtualClock) -> None:
    """With a note, but it is no giving up: no on_failure and no event (R10)."""
    failures: list[Any] = []
    with pytest.raises(KeyError) as caught:
        both.call(protect(both, Script(OSError(), KeyError("k")), on=OSError, on_failure=failures.append))
    assert failures == []
    assert "2 attempts" in caught.value.__notes__[0]
    assert "KeyError is not retried" in caught.value.__notes__[0]


def test_async_callbacks_are_awaited(clock: VirtualClock) -> None:
    """In async calls callbacks may be async (G9)."""
    log: list[Any] = []

    async def on_retry(n: int, error: Exception) -> None:
        await asyncio.sleep(0)
        log.append(n)

    async def on_failure(error: Exception) -> None:
        await asyncio.sleep(0)
        log.append("failed")

    both = Both("async")
    with pytest.raises(OSError, match="x"):
        both.call(protect(both, Script(OSError("x")), initial_delay=0, on_retry=on_retry, on_failure=on_failure))
    assert log == [1, 2, "failed"]


def test_results_can_be_turned_down(both: Both, clock: VirtualClock) -> None:
    """The last bad result is returned, never a silent None (R4); on_retry gets UnacceptableResult (R10)."""
    seen: list[Any] = []
    options: dict[str, Any] = {
        "retry_on_result": lambda result: result >= 500,
        "on_retry": lambda n, error: seen.append((n, type(error), error.result)),
        "on_failure": seen.append,
    }
    assert both.call(protect(both, Script(503, 200), **options)) == 200
    assert seen == [(1, UnacceptableResult, 503)]
    assert both.call(protect(both, Script(501, 502, 503), **options)) == 503
    assert [each[2] for each in seen[1:3]] == [501, 502]
    assert seen[3].result == 503


def test_exhausted_results_raise_when_asked(both: Both, clock: VirtualClock) -> None:
    """RetryExhausted carries the facts, and does not print the result (R4, G10)."""
    with pytest.raises(RetryExhausted) as caught:
        both.call(
            protect(
                both,
                Script("secret"),
                retry_on_result=lambda _: True,
                raise_on_result=True,
                backoff_strategy="fixed",
            )
        )
    error = caught.value
    assert (error.attempts, error.elapsed, error.last_result) == (3, 2.0, "secret")
    assert str(error) == "no acceptable result after 3 attempts in 2 s: max_attempts is 3"


def test_a_failing_result_predicate_propagates_at_once(both: Both, clock: VirtualClock) -> None:
    """It is a bug of the caller's, not a failure of the function."""
    script = Script("no status code")
    with pytest.raises(AttributeError, match="status_code"):
        both.call(protect(both, script, retry_on_result=lambda result: result.status_code >= 500))
    assert len(script.calls) == 1


class Response:
    """A result that can be closed."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class AsyncResponse(Response):
    async def aclose(self) -> None:
        await seam.pause_async(0)
        self.closed += 1


@pytest.mark.parametrize("last", ["accepted", "turned down", "raised", "error"])
def test_discarded_results_are_closed(both: Both, clock: VirtualClock, last: str) -> None:
    """Each that nobody will see is closed once; the one that is returned is not (R4)."""
    kind = AsyncResponse if both.is_async else Response
    bad, final = [kind(500), kind(500)], kind(200 if last == "accepted" else 500)
    answers: list[Any] = [*bad, OSError() if last == "error" else final]
    function = protect(
        both,
        Script(*answers),
        retry_on_result=lambda response: response.status == 500,
        raise_on_result=last == "raised",
    )
    if last == "error":
        with pytest.raises(OSError):  # noqa: PT011 - made above, without words
            both.call(function)
    elif last == "raised":
        with pytest.raises(RetryExhausted):
            both.call(function)
    else:
        assert both.call(function) is final
    assert [response.closed for response in bad] == [1, 1]
    assert final.closed == 0


def test_a_result_that_comes_again_is_not_closed(both: Both, clock: VirtualClock) -> None:
    """A function may return the same object each time (R4)."""
    same = Response(500)
    assert both.call(protect(both, Script(same), retry_on_result=lambda r: r.status == 500)) is same
    assert same.closed == 0
    flaky = iter([True, False])
    assert both.call(protect(both, Script(same), retry_on_result=lambda _: next(flaky))) is same
    assert same.closed == 0


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("error", [ValueError("no such field"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_result_whose_predicate_raises_is_closed(
    both: Both, clock: VirtualClock, error: BaseException, before: int
) -> None:
    """The error comes out as it is, once nothing is left open: neither this result nor an earlier one (R4, G4)."""
    kind = AsyncResponse if both.is_async else Response
    results = [kind(500) for _ in range(before + 1)]
    script = Script(*results)

    def judge(result: object) -> bool:
        if result is results[-1]:
            raise error
        return True

    function = protect(both, script, retry_on_result=judge, max_attempts=5, initial_delay=0)
    with pytest.raises(type(error)) as raised:
        both.call(function)
    assert raised.value is error
    assert error.__context__ is None
    assert not hasattr(error, "__notes__")
    assert [result.closed for result in results] == [1] * (before + 1)
    assert len(script.calls) == before + 1


def test_a_result_that_comes_again_and_raises_is_closed_once(both: Both, clock: VirtualClock) -> None:
    """The same object, turned down before (R4)."""
    same = AsyncResponse(500) if both.is_async else Response(500)
    verdicts = iter([True])
    function = protect(both, Script(same, same), retry_on_result=lambda _: next(verdicts), initial_delay=0)
    with pytest.raises((StopIteration, RuntimeError)):
        both.call(function)
    assert same.closed == 1


@pytest.mark.parametrize("verdict", [False, None, 0, "", []])
def test_whatever_is_not_true_accepts_a_result(both: Both, clock: VirtualClock, verdict: Any) -> None:
    """A predicate answers as an `if` would take it (R4)."""
    script = Script("good", "never")
    assert both.call(protect(both, script, retry_on_result=lambda _: verdict)) == "good"


def test_control_flow_at_the_first_attempt_of_a_judged_call(both: Both, clock: VirtualClock) -> None:
    """Nothing has failed yet, so there is nothing to clean up (G2)."""
    script = Script(KeyboardInterrupt(), "never")
    with pytest.raises(KeyboardInterrupt):
        both.call(protect(both, script, retry_on_result=bool))
    assert len(script.calls) == 1


def test_a_close_that_fails_changes_nothing(both: Both, clock: VirtualClock) -> None:
    """It is logged like a callback (G9)."""

    class Broken(Response):
        def close(self) -> None:
            raise OSError("already closed")

    assert both.call(protect(both, Script(Broken(500), "ok"), retry_on_result=lambda r: r != "ok")) == "ok"


def test_events_are_told(both: Both, clock: VirtualClock) -> None:
    """Scheduled and stopped, with names and numbers only."""
    seen: list[Any] = []
    with subscribe(seen.append), pytest.raises(OSError, match="x"):
        both.call(protect(both, Script(OSError("x")), max_attempts=2, backoff_strategy="fixed", name="api"))
    assert seen == [RetryScheduled("api", 1, 1.0, "OSError"), RetryStopped("api", 2, 1.0, "max_attempts is 2")]
    with subscribe(seen.append), pytest.raises(KeyError):
        both.call(protect(both, Script(KeyError()), on=OSError))
    assert len(seen) == 2


def test_switched_off_it_gives_up_at_once(both: Both, clock: VirtualClock) -> None:
    """The user's error, no wait, no note (G16)."""
    script = Script(OSError("x"))
    with disabled(), pytest.raises(OSError, match="x") as caught:
        both.call(protect(both, script))
    assert len(script.calls) == 1
    assert not hasattr(caught.value, "__notes__")


def test_one_object_shared_by_many_calls_behaves_like_many(both: Both, clock: VirtualClock) -> None:
    """Attempts of different calls are never mixed (G8; tenacity and stamina mix them)."""
    executor = RetryExecutor(RetryConfig(max_attempts=3, initial_delay=0))
    scripts = [Script(OSError(), OSError(), n) for n in range(50)]
    if both.is_async:

        async def main() -> Any:
            async def one(script: Script) -> Any:
                await asyncio.sleep(0)
                return script()

            return await asyncio.gather(*(executor.execute(one, script) for script in scripts))

        assert asyncio.run(main()) == list(range(50))
    else:
        answers: list[Any] = [None] * 50

        def work(n: int) -> None:
            answers[n] = executor.execute_sync(scripts[n])

        threads = [threading.Thread(target=work, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == list(range(50))
    assert all(len(script.calls) == 3 for script in scripts)


@pytest.mark.parametrize("how", ["fails", "turned down", "succeeds later", "block", "stream"])
def test_no_cycle_keeps_the_callers_locals(both: Both, how: str) -> None:
    """With the collector off everything dies with the call (G11)."""

    class Local:
        pass

    def call() -> weakref.ref[Local]:
        local = Local()
        tries = iter(range(9))

        def work(kept: Any) -> Any:
            if how == "fails" or (how == "succeeds later" and not next(tries)):
                raise OSError("x")
            return 500

        def stream(kept: Any) -> Any:
            if not next(tries):
                raise OSError("x")
            yield 500

        executor = retry(initial_delay=0, retry_on_result=(lambda _: True) if how == "turned down" else None)
        try:
            if how == "block":
                blocks = in_blocks_async(executor, local) if both.is_async else in_blocks(executor, local)
                run_by_hand(blocks)
            else:
                run_by_hand(executor(both.wrap(stream if how == "stream" else work))(local))
        except OSError:
            pass
        return weakref.ref(local)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def in_blocks(executor: RetryExecutor, local: Any) -> None:
    for attempt in executor:
        with attempt:
            raise OSError("x")


async def in_blocks_async(executor: RetryExecutor, local: Any) -> None:
    async for attempt in executor:
        async with attempt:
            raise OSError("x")


def run_by_hand(made: Any) -> None:
    """Run a coroutine, a generator or an async generator without a loop: asyncio's own frames make cycles."""
    if inspect.isgenerator(made):
        list(made)
    if inspect.isasyncgen(made):
        made = consumed(made)
    while inspect.iscoroutine(made):
        try:
            made.send(None)
        except StopIteration:
            return


async def consumed(stream: Any) -> None:
    async for _ in stream:
        pass


def test_on_makes_a_new_executor() -> None:
    """The one it was made from stays as it is."""
    executor = RetryExecutor(RetryConfig(max_attempts=7), name="x")
    narrower = executor.on(OSError)
    assert narrower.config.retry_on_exceptions is OSError
    assert executor.config.retry_on_exceptions is None
    assert (narrower.config.max_attempts, narrower.name) == (7, "x")
    assert repr(narrower) == "<RetryExecutor 'x' max_attempts=7>"
