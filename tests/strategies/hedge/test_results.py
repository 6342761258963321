"""A result that will not do is a failed attempt (L3, G2, G4)."""

from __future__ import annotations

from typing import Any

import pytest

from recoup.strategies.hedge.config import HedgeConfig
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.hedge.scenes import Closeable, Service, cancelled_after, hedging, until_cancelled


def bad(result: object) -> bool:
    return result == "bad" or isinstance(result, Closeable)


def test_a_bad_result_does_not_win(library: Both, clock: VirtualClock) -> None:
    """The other attempt is waited for, as after an error (L3)."""
    for answers in (((5, "good"), (1, "bad")), ((1.5, "bad"), (3, "good")), ((1.5, "bad"), (3, "good"), (9, "late"))):
        service = Service(clock, library, *answers)
        strategy = hedging(failure_on_result=bad, max_attempts=len(answers))
        assert library.run(strategy.execute, service) == "good"
        assert strategy.metrics["calls"] == 1


def test_where_all_are_bad_the_first_ones_is_given(library: Both, clock: VirtualClock) -> None:
    """All the same: no error that the function did not raise, and no silent None (L3)."""
    first, second = Closeable(), Closeable()
    service = Service(clock, library, (2, first), (5, second))
    assert library.run(hedging(failure_on_result=bad).execute, service) is first
    assert (first.closed, second.closed) == (0, 1)


def test_an_error_of_the_first_attempt_comes_before_a_bad_result(library: Both, clock: VirtualClock) -> None:
    """All failed, and the first one's error says how; the result is closed (L3)."""
    result = Closeable()
    service = Service(clock, library, (2, OSError("down")), (3, result))
    with pytest.raises(OSError, match="down") as caught:
        library.run(hedging(failure_on_result=bad).execute, service)
    assert caught.value.__notes__ == ["recoup: all 2 attempts of hedge 'api' failed; the first one's error"]
    assert result.closed == 1


def test_a_bad_result_of_the_only_attempt_is_given_at_once(library: Both, clock: VirtualClock) -> None:
    """A hedge is no retry (L3)."""
    service = Service(clock, library, (0.5, "bad"))
    assert library.run(hedging(failure_on_result=bad).execute, service) == "bad"
    assert service.calls == 1


def test_bad_results_are_closed_when_another_one_wins(library: Both, clock: VirtualClock) -> None:
    """Once, and the winner is not (L3)."""
    result, winner = Closeable(), "good"
    service = Service(clock, library, (1.5, result), (3, winner))
    assert library.run(hedging(failure_on_result=bad).execute, service) == "good"
    assert result.closed == 1


def test_the_same_object_twice_is_not_closed(library: Both, clock: VirtualClock) -> None:
    """It is the caller's, whichever attempt gave it (L3)."""
    result = Closeable()
    service = Service(clock, library, (2, result), (3, result))
    assert library.run(hedging(failure_on_result=bad).execute, service) is result
    assert result.closed == 0


def test_what_comes_too_late_is_not_judged(library: Both, clock: VirtualClock) -> None:
    """It is closed, whatever it is worth (L3)."""
    judged: list[object] = []
    late = Closeable()
    calls: list[int] = []

    async def careless() -> object:
        calls.append(1)
        if len(calls) == 1:
            await until_cancelled(library, 60)
            return late
        await library.pause(1)
        return "good"

    def judge(result: object) -> bool:
        judged.append(result)
        return False

    assert library.run(hedging(failure_on_result=judge).execute, careless) == "good"
    assert judged == ["good"]
    assert late.closed == 1


def test_bad_results_are_closed_when_the_caller_leaves(library: Both, clock: VirtualClock) -> None:
    """Nobody is left who could (G2)."""
    result = Closeable()
    service = Service(clock, library, (1.5, result), (60, "late"))
    assert library.run(cancelled_after(library, 3, lambda: hedging(failure_on_result=bad).execute(service)))
    assert result.closed == 1


def test_an_error_in_the_predicate_comes_out(library: Both, clock: VirtualClock) -> None:
    """At once, and without a note that all had failed; what it was asked about is closed (G4)."""
    result = Closeable()

    def judge(value: object) -> bool:
        raise ValueError("oops")

    service = Service(clock, library, (1.5, result), (60, "late"))
    with pytest.raises(ValueError, match="oops") as caught:
        library.run(hedging(failure_on_result=judge).execute, service)
    assert not hasattr(caught.value, "__notes__")
    assert result.closed == 1
    assert service.log[-1][2] == "cancelled"


def test_an_awaitable_is_no_verdict(library: Both, clock: VirtualClock) -> None:
    """Its truth would always be yes (G4)."""

    async def later(value: object) -> bool:
        return True

    judge: Any = lambda value: later(value)  # noqa: E731, PLW0108 - no coroutine function
    with pytest.raises(TypeError, match="failure_on_result returned an awaitable"):
        library.run(hedging(failure_on_result=judge).execute, Service(clock, library, (0.5, "good")))
    with pytest.raises(TypeError, match="failure_on_result must be a plain function of the result"):
        HedgeConfig(idempotent=True, failure_on_result=later)  # type: ignore[arg-type]  # that is the matter


def test_it_may_change(library: Both, clock: VirtualClock) -> None:
    """For calls that begin from then on (B5)."""
    strategy = hedging()
    strategy.reconfigure(failure_on_result=bad)
    assert library.run(strategy.execute, Service(clock, library, (1.5, "bad"), (3, "good"))) == "good"
    strategy.reconfigure(failure_on_result=None)
    assert library.run(strategy.execute, Service(clock, library, (1.5, "bad"), (3, "good"))) == "bad"
