"""What the registry of named strategy objects promises."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from recoup import (
    Bulkhead,
    CircuitBreaker,
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    RetryConfig,
    RetryExecutor,
    Strategy,
    circuit_breaker,
    registry,
    retry,
)
from recoup._core.registry import Registry


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a list of its own: other tests leave objects that the collector has not found yet."""
    monkeypatch.setattr(registry, "_listed", {})


def test_an_object_is_found_by_its_name() -> None:
    """The very object, with the type that was asked for."""
    bank = CircuitBreaker(name="bank")
    assert registry.find("bank") is bank
    assert registry.find("bank", CircuitBreaker) is bank
    assert registry.find("bank", Strategy) is bank


def test_a_decorator_with_a_name_is_listed_too() -> None:
    """However it was made."""

    @retry(name="patience")
    @circuit_breaker(name="bank")
    def fetch() -> None: ...

    assert [(each.kind, each.name) for each in registry.all()] == [
        ("circuit_breaker", "bank"),
        ("retry", "patience"),
    ]


def test_kinds_tell_objects_of_one_name_apart() -> None:
    """A name that is shared is refused with what there is, unless the kind decides."""
    breaker, gate = CircuitBreaker(name="bank"), Bulkhead(name="bank")
    with pytest.raises(LookupError, match=r"2 strategy objects are called 'bank': <CircuitBreaker .*, <Bulkhead .*say"):
        registry.find("bank")
    assert registry.find("bank", CircuitBreaker) is breaker
    assert registry.find("bank", Bulkhead) is gate


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ("bnak", None, "no strategy object is called 'bnak'; did you mean 'bank'?"),
        ("weather", None, "no strategy object is called 'weather'$"),
        ("bank", Bulkhead, "no Bulkhead is called 'bank'$"),
    ],
)
def test_what_is_not_there_is_said(asked: str, kind: Any, words: str) -> None:
    """With the nearest name there is, among those of the kind."""
    bank = CircuitBreaker(name="bank")
    with pytest.raises(LookupError, match=words):
        registry.find(asked) if kind is None else registry.find(asked, kind)
    assert bank in registry.all()


def test_names_from_functions_are_not_listed() -> None:
    """Every decorated function would be in it."""

    @retry
    @circuit_breaker
    def fetch() -> None: ...

    assert registry.all() == ()
    del fetch


def test_the_layers_of_a_named_workflow_are_listed_with_it() -> None:
    """Each under the name of the workflow; those of a nameless workflow are not."""
    config = ErrorRecoveryConfig(retry_config=RetryConfig(attempt_timeout=1))
    flows = ErrorRecoveryWorkflow(config, name="orders"), ErrorRecoveryWorkflow(config)
    assert [each.name for each in registry.all()] == [
        "orders",
        "orders.attempt_timeout",
        "orders.global_timeout",
        "orders.retry",
    ]
    assert registry.find("orders.retry", RetryExecutor) in flows[0].layers


def test_being_listed_keeps_nothing_alive() -> None:
    """An object that nobody uses is gone with the next collection, and nothing of it is left in the list."""
    bank = CircuitBreaker(name="bank")
    assert registry.all() == (bank,)
    del bank
    gc.collect()
    assert registry.all() == ()
    assert not registry._listed


def test_an_executor_for_other_errors_is_not_listed_again() -> None:
    """`on()` makes a passing variant of a named executor; the name stays that of the executor."""
    executor = RetryExecutor(name="patience")
    variant = executor.on(OSError)
    assert registry.find("patience") is executor
    assert variant.name == "patience"


def test_threads_may_enter_and_list_at_the_same_time() -> None:
    """Nothing is lost and nothing breaks."""
    own = Registry()
    kept: list[Strategy] = []
    errors: list[BaseException] = []

    def enter(start: int) -> None:
        try:
            for number in range(start, start + 100):
                strategy = CircuitBreaker()
                strategy._given_name = f"{number:05}"
                own._enter(strategy)
                if number % 2:
                    kept.append(strategy)
                own.all()
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=enter, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not errors
    assert [each.name for each in own.all()] == sorted(each.name for each in kept)


def test_it_has_a_name_itself() -> None:
    """What it shows does not depend on what is listed."""
    assert repr(registry) == "recoup.registry"
