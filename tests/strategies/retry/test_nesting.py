"""What retries round retries promise (R7), and what is not idempotent (R12, G14)."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from recoup import (
    BulkheadTimeoutError,
    DeadlineExceeded,
    RetryExhausted,
    StackWarning,
    WorkerCrashed,
    explain,
    retry,
    set_nested_retries,
    subscribe,
)
from recoup.events import RetryNested
from recoup.strategies.retry import nesting, telling
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_retry import Script, protect


def nested(both: Both, script: Any, *, between: Any = None, inner: Any = None, **outer: Any) -> tuple[Any, Any]:
    """Put a retry of 2 round a retry of 3; `between` is raised in place of what the inner one gives up on."""
    within = protect(both, script, initial_delay=0, name="inner", **(inner or {}))

    async def waiting() -> Any:
        try:
            return await within()
        except Exception as error:
            if between is None:
                raise
            raise between(error) from error

    def work() -> Any:
        try:
            return within()
        except Exception as error:
            if between is None:
                raise
            raise between(error) from error

    executor = retry(max_attempts=2, initial_delay=0, name="outer", **outer)
    return executor(waiting if both.is_async else work), executor


def heard(both: Both, function: Any, error: type[Exception]) -> tuple[list[Any], Any]:
    """Call it; give what listeners heard of nesting, and the error."""
    events: list[Any] = []
    with subscribe(events.append), pytest.raises(error) as caught:
        both.call(function)
    return [event for event in events if isinstance(event, RetryNested)], caught.value


@pytest.mark.parametrize("between", [None, lambda error: RuntimeError("wrapped")])
def test_attempts_multiply_and_an_event_says_so(both: Both, clock: VirtualClock, between: Any) -> None:
    """What is written is done: 2 times 3 calls; an error raised from the inner one's counts as that (R7)."""
    script = Script(OSError("x"), OSError("x"), OSError("x"), OSError("y"))
    function, executor = nested(both, script, between=between)
    events, _ = heard(both, function, OSError if between is None else RuntimeError)
    assert len(script.calls) == 6
    assert events == [RetryNested("outer", 1, "inner", 3)]
    assert executor.metrics == {"nested": 1}


@pytest.mark.parametrize("between", [None, lambda error: RuntimeError("wrapped")])
def test_once_passes_on_what_an_inner_one_gave_up_on(both: Both, clock: VirtualClock, between: Any) -> None:
    """With a note, and without on_failure: no limit of its own was reached (R7, R10)."""
    failures: list[Any] = []
    script = Script(OSError("x"))
    function, executor = nested(both, script, between=between, nested="once", on_failure=failures.append)
    events, error = heard(both, function, OSError if between is None else RuntimeError)
    assert len(script.calls) == 3
    assert events == failures == []
    assert executor.metrics == {"nested": 0}
    reason = "retry 'inner' further in has given up on it after 3 attempts"
    assert error.__notes__ == [f"recoup: 1 attempt, given up 0 s after the first failure: {reason}"]


def test_what_no_inner_one_gave_up_on_is_retried(both: Both, clock: VirtualClock) -> None:
    """An error that the inner retry does not retry, or of somebody who merely handles another (R7)."""
    script = Script(KeyError("x"), "ok")
    function, _ = nested(both, script, inner={"on": OSError}, nested="once")
    assert both.call(function) == "ok"

    calls: list[int] = []

    def handling() -> str:
        calls.append(1)
        if len(calls) > 1:
            return "ok"
        try:
            protect(Both("sync"), Script(OSError("given up on")), initial_delay=0)()
        except OSError:
            raise KeyError("of its own")  # noqa: B904 - the context is what this is about
        return "never"

    assert both.call(retry(initial_delay=0, nested="once")(both.wrap(handling))) == "ok"
    assert len(calls) == 2


def test_the_same_error_object_of_a_later_call_is_not_nested(both: Both, clock: VirtualClock) -> None:
    """A retry does not see its own mark (R7)."""
    script = Script(OSError("always the same"))
    function = protect(both, script, initial_delay=0, nested="once")
    for _ in range(2):
        events, _ = heard(both, function, OSError)
        assert events == []
    assert len(script.calls) == 6


def test_a_group_counts_if_one_of_its_errors_was_given_up_on(both: Both, clock: VirtualClock) -> None:
    """As with task groups (R7, G4)."""
    script = Script(OSError("x"))
    function, _ = nested(both, script, between=lambda error: ExceptionGroup("g", [ValueError(), error]), nested="once")
    heard(both, function, ExceptionGroup)
    assert len(script.calls) == 3


def test_results_that_were_given_up_on_count_when_they_are_raised(both: Both, clock: VirtualClock) -> None:
    """RetryExhausted is what the inner one gave up with (R7, R4)."""
    script = Script("bad")
    inner = {"retry_on_result": lambda _: True, "raise_on_result": True}
    function, _ = nested(both, script, inner=inner, nested="once")
    heard(both, function, RetryExhausted)
    assert len(script.calls) == 3


def test_a_chain_of_causes_that_is_a_loop_ends(both: Both, clock: VirtualClock) -> None:
    """Somebody set it by hand (R7)."""
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    heard(both, protect(both, Script(one), initial_delay=0, nested="once"), OSError)


def test_a_mark_travels_with_a_pickle(both: Both, clock: VirtualClock) -> None:
    """It is plain data: the other process needs no recoup (R7)."""
    _, error = heard(both, protect(both, Script(OSError("x")), initial_delay=0, name="r"), OSError)
    assert b"recoup.strategies" not in pickle.dumps(error)


def test_a_fork_in_the_middle_of_a_count_hangs_nobody(clock: VirtualClock) -> None:
    """The child has a lock of its own (G18)."""
    function, executor = nested(Both("sync"), Script(OSError("x")))
    with telling.guard:
        child = os.fork()
        if not child:
            try:
                function()
            except OSError:
                os._exit(0 if executor.metrics == {"nested": 1} else 1)
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("how", ["itself", "cause", "group"])
def test_repeats_are_counted_when_nobody_listens(both: Both, clock: VirtualClock, how: str) -> None:
    """Also of an error that was raised from a marked one, or has it in a group (R7)."""
    inner = protect(both, Script(*(OSError() for _ in range(4))), max_attempts=2, initial_delay=0)

    def wrapped() -> Any:
        try:
            both.call(inner)
        except OSError as error:
            if how == "itself":
                raise
            if how == "group":
                raise ExceptionGroup("g", [error]) from None
            raise LookupError from error

    outer = retry(max_attempts=2, initial_delay=0)
    with pytest.raises((OSError, LookupError, ExceptionGroup)):
        outer.execute_sync(wrapped)
    assert outer.metrics == {"nested": 1}


@pytest.fixture
def once() -> Iterator[None]:
    """Have the whole process pass on what an inner retry gave up on, for one test."""
    set_nested_retries("once")
    yield
    set_nested_retries("allow")


def test_the_default_of_the_process(both: Both, clock: VirtualClock) -> None:
    """It holds at once, for functions decorated before too, and again not (R7)."""
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise OSError("down")

    function = retry(max_attempts=2, initial_delay=0)(retry(max_attempts=2, initial_delay=0)(both.wrap(fail)))
    for nested, made in (("allow", 4), ("once", 2), ("allow", 4)):
        set_nested_retries(nested)  # type: ignore[arg-type]  # one of the two
        try:
            with pytest.raises(OSError, match="down") as caught:
                both.call(function)
        finally:
            set_nested_retries("allow")
        assert len(calls) == made
        calls.clear()
        if nested == "once":
            [note] = caught.value.__notes__
            assert "further in has given up on it after 2 attempts" in note


def test_a_policy_that_says_it_itself_is_not_affected(both: Both, clock: VirtualClock, once: None) -> None:
    """`nested="allow"` multiplies, whatever the process says; `reconfigure` may go back to that (R7)."""
    script = Script(*(OSError() for _ in range(8)))
    outer = retry(max_attempts=2, initial_delay=0, nested="allow")
    function = outer(protect(both, script, max_attempts=2, initial_delay=0, nested="allow"))
    with pytest.raises(OSError):  # noqa: PT011 - made above, without words
        both.call(function)
    assert len(script.calls) == 4
    assert "passes on" not in str(explain(function))
    outer.reconfigure(nested=None)
    assert "passes on what a retry further in has given up on" in str(explain(function))
    with pytest.raises(OSError):  # noqa: PT011 - as above
        both.call(function)
    assert len(script.calls) == 6


def test_other_values_are_refused() -> None:
    """They change nothing (G1)."""
    with pytest.raises(ValueError, match=r"^nested must be 'allow' or 'once', not 'never'"):
        set_nested_retries("never")  # type: ignore[arg-type]  # that is the matter
    assert not nesting.once


class ReadTimeout(Exception):
    """As requests has it: no TimeoutError."""


class Timeout(ReadTimeout):
    """The name that counts."""


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), DeadlineExceeded(seconds=1, started=True), Timeout(), ExceptionGroup("g", [TimeoutError()])],
)
def test_a_timeout_of_what_is_not_idempotent_is_not_retried(both: Both, clock: VirtualClock, error: Exception) -> None:
    """It may have had its effect; other errors are retried, and without a word timeouts are too (R12)."""
    failures: list[Any] = []
    function = protect(both, Script(OSError(), error), idempotent=False, initial_delay=0, on_failure=failures.append)
    with pytest.raises(type(error)) as caught:
        both.call(function)
    assert "2 attempts" in caught.value.__notes__[0]
    assert caught.value.__notes__[0].endswith(": it is a timeout, and the function is not idempotent")
    assert failures == []
    for said in (None, True):
        assert both.call(protect(both, Script(error, "ok"), idempotent=said, initial_delay=0)) == "ok"


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("started", [True, False])
def test_a_worker_that_crashed_in_what_is_not_idempotent_is_not_retried(
    both: Both, clock: VirtualClock, started: bool, grouped: bool
) -> None:
    """The call may have had its effect, unless it had certainly not begun; without a word it is retried (R12)."""
    error: Exception = WorkerCrashed(name="renderers", exitcode=-9, started=started)
    error = ExceptionGroup("g", [error]) if grouped else error
    function = protect(both, Script(error, "ok"), idempotent=False, initial_delay=0)
    if started:
        with pytest.raises(type(error)) as caught:
            both.call(function)
        assert caught.value.__notes__[0].endswith("ended in the middle of it, and the function is not idempotent")
    else:
        assert both.call(function) == "ok"
    for said in (None, True):
        assert both.call(protect(both, Script(error, "ok"), idempotent=said, initial_delay=0)) == "ok"


@pytest.mark.parametrize("said", [None, False, True])
def test_abandoned_work_is_repeated_only_if_declared_idempotent(
    both: Both, clock: VirtualClock, said: bool | None
) -> None:
    """A second call would run beside the first, which goes on in its thread (D3)."""
    script = Script(DeadlineExceeded(seconds=1, started=True, abandoned=True), "ok")
    function = protect(both, script, idempotent=said, initial_delay=0)
    if said:
        assert both.call(function) == "ok"
        return
    with pytest.raises(DeadlineExceeded) as caught:
        both.call(function)
    why = "it is a timeout" if said is False else "its work goes on in a thread"
    assert f"1 attempt, given up 0 s after the first failure: {why}" in caught.value.__notes__[0]


def test_a_refusal_is_no_timeout_of_running_work(both: Both, clock: VirtualClock) -> None:
    """The function never ran, so it may be called again (R12, G13)."""
    for refusal in (BulkheadTimeoutError(name="b", max_concurrent=1), DeadlineExceeded(seconds=1, started=False)):
        script = Script(refusal, "ok")
        assert both.call(protect(both, script, on=type(refusal), idempotent=False, initial_delay=0)) == "ok"


def test_a_cut_attempt_of_what_is_not_idempotent_is_the_last(clock: VirtualClock) -> None:
    """attempt_timeout still limits it (R12, R3)."""
    both, calls = Both("async"), []

    @retry(attempt_timeout=1, idempotent=False)
    async def work() -> None:
        calls.append(1)
        await both.pause(100)

    with pytest.raises(DeadlineExceeded):
        both.call(work)
    assert len(calls) == 1


def test_a_second_retry_that_repeats_the_timeouts_warns() -> None:
    """With the reason and the mend, in either order; both told, or only one, is silent (G14, R12)."""
    careful, careless, once = retry(idempotent=False), retry(name="careless"), retry(max_attempts=1)
    for outer, inner in ((careful, careless), (careless, careful)):
        with pytest.warns(StackWarning, match="retry 'careless' repeats timeouts of a function that another retry"):
            function = outer(inner(lambda: None))
        assert len(explain(function).lints) == 1
    assert explain(careful(once(lambda: None))).lints == ()
    assert explain(careful(careful(lambda: None))).lints == ()


def test_explain_says_so() -> None:
    """Both choices stand in the explanation (R7, R12)."""
    text = str(explain(retry(nested="once", idempotent=False)))
    assert "passes on what a retry further in has given up on" in text
    assert "retries no timeout, and no crash of a worker process: the function is not idempotent" in text


def test_it_is_counted_though_nobody_listens(both: Both, clock: VirtualClock) -> None:
    """The metric needs no listener (R7); a child process gets a new lock for it (G18)."""
    function, executor = nested(both, Script(OSError("x")))
    with pytest.raises(OSError, match="x"):
        both.call(function)
    assert executor.metrics == {"nested": 1}
    before = telling.guard
    telling._after_fork()
    assert telling.guard is not before


def test_an_exhausted_result_of_blocks_has_no_mark_to_hand_on() -> None:
    """Where nobody was told of the failure, there is none (R7)."""
    other = RetryExhausted(attempts=1, elapsed=0.0, reason="x", last_result=None)
    nesting.hand_on(None, other)
    nesting.hand_on(OSError(), other)
    assert not [key for key in vars(other) if key.startswith("__recoup")]
