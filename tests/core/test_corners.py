"""What the core promises in its corners: foreign descriptors, messages, objects without a voice."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

import recoup.typing
from recoup import CircuitBreakerError, explain, retry
from recoup._core.strategy import Strategy
from tests.conftest import Both
from tests.core.test_rim import Service


class Descriptor:
    """A descriptor of the user's own, which wants to know its name and gives a function of any colour."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        return self.made


async def answers() -> str:
    return "async"


protected: Any = retry  # no type checker knows foreign descriptors


class Owner:
    plain = protected(Descriptor(lambda: "plain"))
    coloured = protected(Descriptor(answers))


def test_a_foreign_descriptor_learns_its_name_and_is_protected() -> None:
    """Whatever it gives when it is looked up decides how the call is protected (G5)."""
    assert Owner().plain() == "plain"
    assert asyncio.run(Owner().coloured()) == "async"
    assert (Owner.__dict__["plain"].name, Owner.__dict__["coloured"].name) == ("plain", "coloured")


def test_a_method_taken_from_its_class_does_not_pickle_as_bound() -> None:
    """There is no instance to take it from (G6)."""
    with pytest.raises(pickle.PicklingError, match="cannot pickle the protected"):
        pickle.dumps(Service.partial)


def test_a_strategy_with_nothing_to_say_is_explained_by_its_kind() -> None:
    """A class of the user's own need not describe itself."""

    class Quiet(Strategy):
        kind = "quiet"

    assert "1. quiet" in str(explain(Quiet()))


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (0.0, "its trial calls are still running"),
        (2.5, "the next trial may run in 2.5 s"),
        (float("inf"), "forced open"),
    ],
)
def test_a_refusal_says_when_to_come_back(wait: float, words: str) -> None:
    """In words, with the number (C7)."""
    assert words in str(CircuitBreakerError(name="api", wait_time=wait))


def test_the_aliases_are_importable() -> None:
    """They are for annotations, also at run time."""
    assert all(hasattr(recoup.typing, name) for name in recoup.typing.__all__)


def test_a_first_answer_that_is_good_is_the_answer(both: Both) -> None:
    """A judge that accepts at once costs no run (R4)."""
    assert both.call(retry(retry_on_result=lambda answer: answer != 1)(both.wrap(lambda: 1))) == 1


def test_the_async_loop_of_attempts_is_its_own_iterator() -> None:
    """As iterators are."""
    loop = aiter(retry())
    assert aiter(loop) is loop


def test_a_run_without_a_failure_blames_nobody() -> None:
    """A cut before the first failure has no cause but itself (R3)."""
    from recoup import RetryConfig
    from recoup._core.notes import cause_of
    from recoup.strategies.retry.state import RetryPlan, RetryRun

    cut = KeyboardInterrupt()
    RetryRun(RetryPlan(RetryConfig()), 0.0).ended(cut)
    assert cause_of(cut) is cut
