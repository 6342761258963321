"""Faults that a review found in the core, pinned (G1-G16)."""

from __future__ import annotations

import asyncio
import copy
import functools
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest

from recoup import (
    Bulkhead,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerError,
    RetryExecutor,
    StackWarning,
    bulkhead,
    circuit_breaker,
    fallback,
    layers_of,
    retry,
    when,
)
from recoup._core import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Batch(ExceptionGroup[Exception]):
    """A group with a class of its own."""


def kinds(target: Any) -> list[str]:
    """Name the layers of a decorated callable, outermost first."""
    return [layer.kind for layer in layers_of(target)]


def calls_of_batch(both: Both, **options: Any) -> int:
    """Count the calls of a function that raises a Batch, under two retries of it."""
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise Batch("batch", [ValueError("leaf")])

    with pytest.raises(Batch, match="batch"):
        both.call(retry(max_attempts=3, initial_delay=0, **options)(both.wrap(work)))
    return len(calls)


@pytest.mark.parametrize(("mock", "awaitable"), [(Mock, False), (MagicMock, False), (AsyncMock, True)])
def test_a_mock_is_judged_in_finite_time(mock: type[Any], awaitable: bool) -> None:
    """An object that has every attribute is no chain of partials without an end (G9)."""
    assert checks.awaitable_callback(mock()) is awaitable
    assert checks.awaitable_callback(functools.partial(mock(), 1)) is awaitable


def test_mocks_serve_as_callback_and_predicate() -> None:
    """Whoever tests his own program gives mocks, and they are called (G4, R10)."""
    heard, judge = Mock(), MagicMock(return_value=True)
    work = Mock(side_effect=[ConnectionError("x"), 3])
    assert retry(max_attempts=2, initial_delay=0, on=judge, on_retry=heard)(work)() == 3
    assert heard.call_args.args[0] == 1
    assert judge.call_count == 1


@pytest.mark.parametrize("condition", [Batch, [Batch, KeyError], when(Batch), when(KeyError) | when(Batch)])
def test_a_class_of_groups_can_be_named_in_on(both: Both, clock: VirtualClock, condition: Any) -> None:
    """A condition that names the class of a group means the group as a whole (G4)."""
    assert calls_of_batch(both, on=condition) == 3


@pytest.mark.parametrize("condition", [KeyError, ~when(ValueError), when(Batch) & when(KeyError)])
def test_a_group_that_is_not_named_is_judged_by_its_leaves(both: Both, clock: VirtualClock, condition: Any) -> None:
    """Without its class, each leaf has to match (G4)."""
    assert calls_of_batch(both, on=condition) == 1


@pytest.mark.parametrize("condition", [Batch, when(Batch), when(Batch) & ~when(KeyError)])
def test_a_class_of_groups_can_be_named_in_abort_on(both: Both, clock: VirtualClock, condition: Any) -> None:
    """abort_on beats on for the whole group as well (G4)."""
    assert calls_of_batch(both, on=Exception, abort_on=condition) == 1


def test_a_group_of_named_refusals_waits_for_the_longest(both: Both, clock: VirtualClock) -> None:
    """A retry earlier than the last circuit opens would be refused again (R5, G13)."""

    def work() -> None:
        refusals = [CircuitBreakerError(name="a", wait_time=7.0), CircuitBreakerError(name="b", wait_time=30.0)]
        raise ExceptionGroup("both", refusals)

    protected = retry(max_attempts=2, initial_delay=1, backoff_strategy="fixed", on=CircuitBreakerError)(
        both.wrap(work)
    )
    with pytest.raises(ExceptionGroup, match="both"):
        both.call(protected)
    assert clock.sleeps == [30.0]


def counting(layer: Callable[[Any], Any]) -> Any:
    """Make an iterator of one item whose `__next__` is protected and counts its calls."""

    class Counting:
        calls = 0

        def __iter__(self) -> Any:
            return self

        @layer
        def __next__(self) -> int:
            self.calls += 1
            if self.calls > 1:
                raise StopIteration
            return 1

    return Counting()


def test_the_end_of_an_iteration_is_not_retried(clock: VirtualClock) -> None:
    """StopIteration is an answer, not a failure (G4)."""
    numbers = counting(retry(max_attempts=3, initial_delay=1))
    assert list(numbers) == [1]
    assert numbers.calls == 2
    assert clock.sleeps == []


def test_the_end_of_an_iteration_is_no_failure_of_the_dependency() -> None:
    """A breaker does not count it (G4, C8)."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    assert list(counting(breaker)) == [1]
    assert list(counting(breaker)) == [1]


def test_the_end_of_an_iteration_is_not_answered() -> None:
    """A fallback that answered it would make the iteration endless (G4, F1)."""
    assert list(counting(fallback(fallback_value=2))) == [1]


def test_the_end_of_an_iteration_can_be_named(clock: VirtualClock) -> None:
    """Whoever names StopIteration means it (G4)."""
    numbers = counting(retry(max_attempts=3, initial_delay=0, on=StopIteration))
    assert list(numbers) == [1]
    assert numbers.calls == 4


def test_the_end_of_an_async_iteration_is_not_retried(clock: VirtualClock) -> None:
    """StopAsyncIteration is an answer as well (G4)."""

    class Once:
        calls = 0

        def __aiter__(self) -> Any:
            return self

        @retry(max_attempts=3, initial_delay=1)
        async def __anext__(self) -> int:
            self.calls += 1
            if self.calls > 1:
                raise StopAsyncIteration
            return 1

    async def main() -> list[int]:
        return [item async for item in Once()]

    assert asyncio.run(main()) == [1]
    assert clock.sleeps == []


@pytest.mark.parametrize(
    "stack",
    [
        lambda: retry(CircuitBreaker()),
        lambda: RetryExecutor()(CircuitBreaker()),
        lambda: bulkhead(CircuitBreaker()),
    ],
)
def test_a_strategy_round_a_strategy_is_refused(stack: Callable[[], object]) -> None:
    """It would protect the decorating, not the calls (G1)."""
    with pytest.raises(TypeError, match="write one decorator above the other"):
        stack()


def _untyped(descriptor: Any) -> Any:
    """Hide from type checkers what decorators are not declared for."""
    return descriptor


class Carried:
    """Descriptors that are protected by being carried."""

    def _pair(self, left: int, right: int) -> tuple[int, int]:
        return left, right

    pair: Any = RetryExecutor()(_untyped(functools.partialmethod(_pair, 1)))
    size: Any = retry(len)

    @retry(max_attempts=2, initial_delay=0)
    @_untyped
    @functools.singledispatchmethod
    def items(self, start: int) -> Iterator[int]:
        """Fail the first time."""
        self.tries = getattr(self, "tries", 0) + 1
        if self.tries < 2:
            raise ConnectionError("first")
        yield start

    @retry
    def plain(self) -> str:
        """Have an answer."""
        return "plain"


def test_a_bound_descriptor_can_be_decorated_again() -> None:
    """The second decorator gets the bound object and its call reaches the method (G5)."""
    again = bulkhead(Carried().pair)
    assert again(2) == (1, 2)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_bound_descriptor_can_be_copied(copied: Callable[[Any], Any]) -> None:
    """A copy of a bound protected method still calls it (G6)."""
    assert copied(Carried().pair)(2) == (1, 2)


def test_a_builtin_in_a_class_body_does_not_bind() -> None:
    """It did not before it was decorated (G6)."""
    assert Carried().size([1, 2]) == 2


def test_a_dispatching_generator_method_is_protected(clock: VirtualClock) -> None:
    """What the descriptor dispatches to decides how it is protected (G5)."""
    carried = Carried()
    assert list(carried.items(5)) == [5]
    assert carried.tries == 2


@pytest.mark.parametrize("name", ["plain", "pair"])
def test_the_layers_of_a_decorated_bound_method_include_all(name: str) -> None:
    """`layers_of` tells what a call goes through, outermost first (G6, G14)."""
    assert kinds(bulkhead(getattr(Carried(), name))) == ["bulkhead", "retry"]


def _bare() -> None:
    @circuit_breaker
    @retry
    def work() -> None: ...


def _with_options() -> None:
    @circuit_breaker()
    @retry
    def work() -> None: ...


def _in_a_class() -> None:
    class Owner:
        @circuit_breaker()
        @retry
        @classmethod
        def work(cls) -> None: ...


@pytest.mark.parametrize("decorate", [_bare, _with_options, _in_a_class])
def test_a_warning_points_at_the_line_that_decorates(decorate: Callable[[], None]) -> None:
    """Whatever the form of the decorator, the file is the user's (G14)."""
    with pytest.warns(StackWarning) as caught:
        decorate()
    first = decorate.__code__.co_firstlineno
    assert [warning.filename for warning in caught] == [__file__]
    assert first < caught[0].lineno < first + 7


@pytest.mark.parametrize("layer", [CircuitBreaker(), Bulkhead()])
def test_the_same_object_twice_in_a_stack_is_reported(layer: Any) -> None:
    """A call would count twice, or wait for itself (G14)."""
    inner = layer(lambda: 1)
    with pytest.warns(StackWarning, match="stands twice in one stack"):
        layer(inner)
