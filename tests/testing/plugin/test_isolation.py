"""What state is put back after which tests."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING
from weakref import ref

import pytest

from recoup import CircuitBreaker, RetryBudget, Strategy, registry, retry
from recoup.testing import isolation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testing.plugin.conftest import Run

pytest_plugins = ["pytester"]

STATE = """
import gc
import pytest
from recoup import CircuitBreaker, CircuitBreakerConfig, RetryBudget, cached, registry, retry

breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
budget = RetryBudget(ratio=0.1, minimum_rate=0, capacity=20)
loads = []

@cached(ttl=60)
def load():
    loads.append(1)
    return len(loads)

@retry(max_attempts=5, initial_delay=0, budget=budget)
def failing():
    raise ConnectionError

def spoil():
    load()
    with pytest.raises(ValueError):
        breaker.call_sync(int, "x")
    with pytest.raises(ConnectionError):
        failing()
    assert not sound()

def sound():
    return breaker.state.value == "closed" and budget.tokens == 20
"""


def test_tests_that_use_the_plugin_leave_nothing_behind(run: Run) -> None:
    """Breakers, budgets and caches are put back after a test that uses a fixture or the marker."""
    result = run(
        STATE
        + """
def test_first(recovery_events):
    spoil()
    assert load() == 1

def test_second():
    assert sound()
    assert load() == 2

@pytest.mark.recovery(isolate=True)
def test_third():
    spoil()

def test_fourth():
    assert sound()
"""
    )
    result.assert_outcomes(passed=4)


def test_other_tests_are_let_alone(run: Run) -> None:
    """A test that uses nothing of the plugin, or says `isolate=False`, is not touched."""
    result = run(
        STATE
        + """
def test_first():
    spoil()

def test_second():
    assert not sound()
    budget.reset()
    breaker.reset()

@pytest.mark.recovery(isolate=False, off=False)
def test_third(recovery_events):
    spoil()

def test_fourth():
    assert not sound()
"""
    )
    result.assert_outcomes(passed=4)


def test_all_tests_can_be_isolated(run: Run) -> None:
    """With `recoup_isolate = true` state is put back after every test, a failing one and its fixtures included."""
    result = run(
        STATE
        + """
@pytest.fixture
def spoiled():
    spoil()
    yield
    budget.reset()
    with pytest.raises(ConnectionError):
        failing()

def test_first(spoiled):
    raise AssertionError("on purpose")

def test_second():
    assert sound()

@pytest.mark.recovery(isolate=False)
def test_third():
    spoil()

def test_fourth():
    assert not sound()
""",
        ini="recoup_isolate = true\n",
    )
    result.assert_outcomes(passed=3, failed=1)


def test_what_can_be_saved_gets_its_state_back(run: Run) -> None:
    """A breaker that was open before a test is open after it, whatever the test did (C10)."""
    if not hasattr(CircuitBreaker, "snapshot"):
        pytest.skip("breakers cannot save their state yet")
    result = run(
        STATE
        + """
with pytest.raises(ValueError):
    breaker.call_sync(int, "x")

def test_first(virtual_time):
    assert breaker.state.value == "open"
    virtual_time.advance(100)
    assert breaker.state.value == "half_open"
    breaker.reset()
    assert breaker.state.value == "closed"

def test_second():
    assert breaker.state.value == "open"
"""
    )
    result.assert_outcomes(passed=2)


def test_holds_stay(run: Run) -> None:
    """A breaker that is disabled for the whole run is still disabled after an isolated test."""
    if not hasattr(CircuitBreaker, "snapshot"):
        pytest.skip("breakers cannot save their state yet")
    result = run(
        STATE
        + """
hold = breaker.disable()

def test_first():
    assert breaker.state.value == "disabled"

def test_second():
    assert breaker.state.value == "disabled"
    hold.release()
""",
        ini="recoup_isolate = true\n",
    )
    result.assert_outcomes(passed=2)


def test_what_fixtures_made_for_the_run_begins_anew(run: Run) -> None:
    """An object that a test, or a fixture of a wider scope for it, has made is reset after it."""
    result = run(
        STATE
        + """
@pytest.fixture(scope="session")
def shared():
    return CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), name="shared")

@pytest.mark.parametrize("_", range(3))
def test_it(shared, recovery_events, _):
    assert shared.state.value == "closed"
    assert registry.find("shared") is shared
    with pytest.raises(ValueError):
        shared.call_sync(int, "x")
"""
    )
    result.assert_outcomes(passed=3)


def test_names_of_a_test_are_gone_with_it(run: Run) -> None:
    """A name that only a test has used, even in a cycle, is free in the next; one that lives on stays."""
    result = run(
        STATE
        + """
kept = []

@pytest.fixture(autouse=True)
def _no_luck():
    gc.disable()
    yield
    gc.enable()

@pytest.fixture
def bank():
    return CircuitBreaker(name="bank")

@pytest.mark.parametrize("_", range(2))
def test_it(recovery_events, bank, _):
    assert registry.find("bank") is bank
    circle = [CircuitBreaker(name="circle")]
    circle.append(circle)
    assert registry.find("circle") is circle[0]
    if not kept:
        kept.append(CircuitBreaker(name="kept"))

def test_kept(recovery_events):
    assert registry.find("kept") is kept[0]
    assert [each.name for each in registry.all(CircuitBreaker) if each.name in ("bank", "circle")] == []
"""
    )
    result.assert_outcomes(passed=3)


@pytest.fixture
def watching() -> Iterator[None]:
    """Take note of new objects, as the plugin does."""
    began = isolation.watch()
    yield
    if began:
        isolation.unwatch()


class Stubborn(Strategy):
    """A strategy of a user whose reset fails."""

    def reset(self) -> None:
        raise KeyError("stubborn")


@pytest.mark.usefixtures("watching")
def test_one_that_cannot_be_put_back_keeps_no_other_from_it() -> None:
    """All others are put back, and the error says what happened."""
    budget = RetryBudget(ratio=0.1, minimum_rate=0, capacity=20)
    stubborn = [Stubborn(), Stubborn()]
    failing = retry(max_attempts=3, initial_delay=0, budget=budget)(_fail)

    def spoil() -> None:
        with isolation.isolated():
            with pytest.raises(ConnectionError):
                failing()
            assert budget.tokens < 20

    with pytest.raises(ExceptionGroup, match="could not be put back after a test") as caught:
        spoil()
    assert [str(error) for error in caught.value.exceptions] == ["'stubborn'"] * len(stubborn)
    assert budget.tokens == 20


def _fail() -> None:
    raise ConnectionError


def test_objects_are_held_weakly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is noted before somebody asks; what was made before is found then, and nothing is kept alive."""
    monkeypatch.setattr(registry, "_watched", None)
    early = CircuitBreaker()
    assert isolation.objects() == []
    assert isolation.watch()
    assert not isolation.watch()
    late = CircuitBreaker()
    assert {id(early), id(late)} <= set(map(id, isolation.objects()))
    gone = ref(late)
    del late
    gc.collect()  # a breaker is a circle
    assert gone() is None
    assert early in isolation.objects()
    isolation.unwatch()
    assert isolation.objects() == []


def test_nothing_is_searched_before_recoup_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any strategy loaded there is nothing to be found."""
    import sys

    monkeypatch.setattr(registry, "_watched", None)
    monkeypatch.delitem(sys.modules, "recoup._core.strategy")
    assert isolation.watch()
    assert isolation.objects() == []
