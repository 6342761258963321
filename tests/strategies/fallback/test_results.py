"""A result that will not do is answered like a failure (F1, F2, F4, G3, G4, G11)."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

import recoup
from recoup import (
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    Fallback,
    FallbackConfig,
    UnacceptableResult,
    events,
    explain,
    retry,
    subscribe,
)
from recoup.testing import disabled
from tests.strategies.retry.test_retry import Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from recoup.testing import VirtualClock
    from tests.conftest import Both

fallback: Any = recoup.fallback  # called in every way, wrong ones included


def empty(result: object) -> bool:
    return result == []


def behind(both: Both, script: Script, **options: Any) -> Any:
    def work(*args: object, **kwargs: object) -> Any:
        return script(*args, **kwargs)

    return fallback(fallback_on_result=empty, **options)(both.wrap(work))


def test_a_result_that_will_not_do_is_answered(both: Both) -> None:
    """A good one comes out as it is; a failure is answered as ever (F1)."""
    function = behind(both, Script(["good"], [], OSError("down")), fallback_value="else")
    assert [both.call(function) for _ in range(3)] == [["good"], "else", "else"]


def test_the_function_gets_the_result(both: Both) -> None:
    """In an UnacceptableResult; with arguments if told (F2)."""
    got: list[Any] = []

    def instead(error: Exception) -> str:
        got.append(error)
        return "instead"

    assert both.call(behind(both, Script([]), fallback_function=instead)) == "instead"
    [error] = got
    assert isinstance(error, UnacceptableResult)
    assert error.result == []
    assert both.call(behind(both, Script([]), fallback_function=lambda n: n + 1, with_arguments=True), 1) == 2


def test_conditions_on_errors_do_not_concern_results(both: Both) -> None:
    """It is answered whatever `on` and `skip_on` say (F4)."""
    for options in ({"on": KeyError}, {"skip_on": Exception}, {"on": lambda error: False}):
        assert both.call(behind(both, Script([]), fallback_value="else", **options)) == "else"


def test_without_a_better_answer_it_is_given_all_the_same(both: Both, clock: VirtualClock) -> None:
    """Never a silent None, nor an error that the function did not raise (F1)."""
    marker: list[Any] = []
    function = behind(both, Script(marker, ["good"], marker, marker), use_cache=True, cache_ttl=10)
    assert both.call(function) is marker
    assert both.call(function) == ["good"]
    assert both.call(function) == ["good"], "the bad one was not remembered"
    clock.advance(20)
    assert both.call(function) is marker


def test_the_last_one_that_fails_names_it_as_its_cause(both: Both) -> None:
    """Its own error comes out (F1)."""

    def archive() -> str:
        raise LookupError("not there either")

    with pytest.raises(LookupError) as caught:
        both.call(behind(both, Script([]), fallback_function=archive))
    assert isinstance(caught.value.__cause__, UnacceptableResult)


@pytest.mark.parametrize("value", [True, False])
def test_an_error_in_the_predicate_comes_out(both: Both, value: bool) -> None:
    """No fallback takes it for a failure of the function (G4); it is as the user raised it (G3)."""
    oops = ValueError("oops")

    def judge(result: object) -> bool:
        raise oops

    options: dict[str, Any] = {"fallback_value": "else"} if value else {"fallback_function": lambda: "else"}
    function = fallback(fallback_on_result=judge, **options)(both.wrap(lambda: 1))
    with pytest.raises(ValueError, match="oops") as caught:
        both.call(function)
    assert caught.value is oops
    assert caught.value.__context__ is None


def test_control_flow_in_the_predicate_passes(both: Both) -> None:
    """At once (G2)."""

    def judge(result: object) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        both.call(fallback(fallback_on_result=judge, fallback_value=1)(both.wrap(lambda: 1)))


def test_an_awaitable_is_no_verdict(both: Both) -> None:
    """Its truth would always be yes (G4)."""

    async def later(result: object) -> bool:
        return True

    judge: Any = lambda result: later(result)  # noqa: E731, PLW0108 - no coroutine function
    with pytest.raises(TypeError, match="fallback_on_result returned an awaitable"):
        both.call(fallback(fallback_on_result=judge, fallback_value=1)(both.wrap(lambda: 1)))


def test_somebody_elses_unacceptable_result_is_an_error_like_others(both: Both) -> None:
    """Of a fallback further in, say: it is not taken for one of our own (F4)."""
    function = behind(both, Script(UnacceptableResult([])), fallback_value="else", on=OSError)
    with pytest.raises(UnacceptableResult):
        both.call(function)
    assert both.call(behind(both, Script(UnacceptableResult([])), fallback_value="else")) == "else"


def test_one_inside_another_judges_for_itself(both: Both) -> None:
    """What the inner one gives all the same, the outer one may turn down (F1)."""
    inner = behind(both, Script([]), use_cache=True)
    assert both.call(fallback(fallback_on_result=empty, fallback_value="else")(inner)) == "else"


def test_a_retry_inside_gives_its_last_result(both: Both, clock: VirtualClock) -> None:
    """Which is then turned down once more (R4)."""
    script = Script([])
    inner = retry(retry_on_result=empty, initial_delay=0)(both.wrap(script.__call__))
    assert both.call(fallback(fallback_on_result=empty, fallback_value="else")(inner)) == "else"
    assert len(script.calls) == 3


def test_what_is_refused() -> None:
    """Before the first call (G1)."""

    async def later(result: object) -> bool:
        return True

    with pytest.raises(TypeError, match="fallback_on_result must be a plain function of the result"):
        FallbackConfig(fallback_value=1, fallback_on_result=later)  # type: ignore[arg-type]  # that is the matter
    with pytest.raises(TypeError, match=r"fallback_on_result cannot judge .* a generator"):

        @fallback(fallback_value=[], fallback_on_result=empty)
        def rows() -> Any:
            yield 1


def test_it_may_change_but_not_come_or_go(both: Both) -> None:
    """The functions that it decorates were made for one or the other (B5)."""
    shared = Fallback(FallbackConfig(fallback_value="else", fallback_on_result=empty))
    function = shared(both.wrap(lambda: 0))
    assert both.call(function) == 0
    shared.reconfigure(fallback_on_result=lambda result: result == 0)
    assert both.call(function) == "else"
    for other, changes in (
        (shared, {"fallback_on_result": None}),
        (Fallback(FallbackConfig(fallback_value=1)), {"fallback_on_result": empty}),
    ):
        with pytest.raises(ValueError, match="whether there is a fallback_on_result must stay as it is"):
            other.reconfigure(**changes)


def test_switched_off(both: Both) -> None:
    """Nothing is judged (G16)."""
    with disabled():
        assert both.call(behind(both, Script([]), fallback_value="else")) == []


def test_it_is_told_and_explained(both: Both) -> None:
    """As an answer like any other (G9, G14)."""
    heard: list[Any] = []
    function = behind(both, Script([]), fallback_value="else")
    with subscribe(heard.append):
        both.call(function)
    assert [(event.source, event.error_type) for event in heard if isinstance(event, events.FallbackUsed)] == [
        ("value", "UnacceptableResult")
    ]
    assert "answers results that fallback_on_result turns down" in str(explain(function))


def test_a_workflow_counts_it_as_answered_by_the_fallback(both: Both, clock: VirtualClock) -> None:
    """Not as a success, and on_error hears of it (W4)."""
    flow = ErrorRecoveryWorkflow(
        ErrorRecoveryConfig(fallback_config=FallbackConfig(fallback_value="else", fallback_on_result=empty))
    )
    errors: list[Any] = []
    flow.on_error = errors.append
    script = Script(["good"], [])
    assert both.execute(flow, both.wrap(script.__call__)) == ["good"]
    assert both.execute(flow, both.wrap(script.__call__)) == "else"
    metrics = flow.get_metrics()
    assert (metrics["attempts"], metrics["successes"], metrics["fallbacks"], metrics["failures"]) == (2, 1, 1, 0)
    assert [type(error) for error in errors] == [UnacceptableResult]


class Thing:
    """Something that can be weakly referred to."""


def _forgetting(function: Callable[[], Any]) -> None:
    function()


async def _forgetting_async(function: Callable[[], Awaitable[Any]]) -> None:
    """Call and let the result go: what a run of Trio gives, Trio keeps until the collector comes."""
    await function()


@pytest.mark.parametrize("answered", [True, False])
def test_no_cycle_keeps_a_result_alive(both: Both, answered: bool) -> None:
    """With the collector off it goes when its caller lets it go (G11)."""
    things: list[Any] = []

    def work() -> Thing:
        thing = Thing()
        things.append(ref(thing))
        return thing

    options: dict[str, Any] = {"fallback_value": 1} if answered else {"use_cache": True}
    function = fallback(fallback_on_result=lambda result: True, **options)(both.wrap(work))
    gc.collect()
    gc.disable()
    try:
        both.call(_forgetting_async if both.is_async else _forgetting, function)
        assert things[0]() is None
    finally:
        gc.enable()
